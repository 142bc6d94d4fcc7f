//! HTTP/2 streams as HTTP/1 would have them: framed in one way, with one line of cookies; and each ends with its
//! own token.

use std::future::poll_fn;

use bytes::Bytes;
use http::{HeaderName, Request};
use serde_json::json;
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use crate::support::{
    Config, Connection, Contract, Gateway, PATIENCE, RawUpstream, Sender, Upstream, get, wait_until, wait_until_async,
    with_client,
};

fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("http://a.test{path}")).body(()).unwrap();
    for (name, value) in fields {
        request.headers_mut().append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    request
}

/// The status of a request with this body.
async fn status(sender: &mut Sender, request: Request<()>, body: &'static str) -> u16 {
    poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
    let (response, mut out) = sender.send_request(request, false).unwrap();
    out.send_data(Bytes::from(body), true).unwrap();
    response.await.unwrap().status().as_u16()
}

#[test]
fn a_length_is_one_number_and_an_expectation_is_known() {
    let (gateway, upstream) = Gateway::with_upstream();
    with_client(gateway.front, async |mut sender| {
        for (fields, expected) in [
            (&[("content-length", "3"), ("content-length", "3")][..], 400),
            (&[("content-length", "0000000000000000003")], 400),
            (&[("expect", "a miracle")], 417),
            (&[("expect", "100-continue"), ("expect", "a miracle")], 417),
        ] {
            assert_eq!(status(&mut sender, request("POST", "/public", fields), "abc").await, expected, "{fields:?}");
        }
        upstream.received_nothing();
        assert_eq!(status(&mut sender, request("POST", "/public", &[("content-length", "3")]), "abc").await, 200);
        assert_eq!(upstream.received().header("content-length"), Some("3"));
    });
}

#[test]
fn cookies_that_come_one_by_one_go_out_in_one_line() {
    let (gateway, upstream) = Gateway::with_upstream();
    with_client(gateway.front, async |mut sender| {
        let crumbs = [("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")];
        assert_eq!(status(&mut sender, request("GET", "/public", &crumbs), "").await, 200);
        assert_eq!(upstream.received().header("cookie"), Some("a=1; b=2; c=3; d=4"));
    });
}

#[test]
fn a_host_other_than_the_authority_is_refused_with_a_body_and_without() {
    let (gateway, upstream) = Gateway::with_upstream();
    with_client(gateway.front, async |mut sender| {
        for (host, expected) in [("a.test", 200), ("A.Test", 400), ("a.test:1", 400), ("a.test.", 400), ("b.test", 400)]
        {
            for method in ["GET", "POST"] {
                let request = request(method, "/public", &[("host", host)]);
                let answered = if method == "GET" {
                    poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
                    sender.send_request(request, true).unwrap().0.await.unwrap().status().as_u16()
                } else {
                    status(&mut sender, request, "body").await
                };
                assert_eq!(answered, expected, "{method} {host}");
                if expected == 200 {
                    let received = upstream.received();
                    let told = (received.all("host"), received.header("x-forwarded-host"));
                    assert_eq!(told, (vec!["a.test"], Some("a.test")), "{method} {host}");
                }
            }
        }
        upstream.received_nothing();
    });
}

#[test]
fn a_stream_is_reset_with_its_token_in_every_phase_and_its_connection_goes_on() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        if stream.so_far().contains("/sws/begun") {
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
        }
        while stream.read() {}
    });
    let gateway = Config::standard(upstream.address).start();
    let token = gateway.login(Contract::Sws);
    let bearer = format!("Bearer {token}");
    let authorization = [("authorization", &*bearer)];
    with_client(gateway.front, async |mut sender| {
        poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
        let (waiting, _) = sender.send_request(request("GET", "/sws/waiting", &authorization), true).unwrap();
        let (begun, _) = sender.send_request(request("GET", "/sws/begun", &authorization), true).unwrap();
        let (sending, mut body) = sender.send_request(request("PUT", "/sws/sending", &authorization), false).unwrap();
        body.send_data(Bytes::from("part"), false).unwrap();
        let mut answer = begun.await.unwrap().into_body();
        assert_eq!(answer.data().await.unwrap().unwrap(), "begun");
        let both = ["/sws/waiting", "/sws/sending"];
        let arrived = async || both.iter().all(|path| upstream.bytes().contains(path));
        wait_until_async("both are at the service", PATIENCE, arrived).await;
        gateway.api("/revocations/token", &json!({ "token": token }));
        let ended = timeout(PATIENCE, async { (waiting.await, answer.data().await, sending.await) }).await.unwrap();
        assert!(ended.0.is_err_and(|error| error.is_reset()));
        assert!(ended.1.unwrap().is_err_and(|error| error.is_reset()));
        assert!(ended.2.is_err_and(|error| error.is_reset()));
        assert_eq!(status(&mut sender, request("GET", "/sws", &authorization), "").await, 401);
        assert_eq!(status(&mut sender, request("GET", "/none", &[]), "").await, 404);
    });
    for path in ["/sws/waiting", "/sws/begun", "/sws/sending"] {
        let line = gateway.process.access_line(path, |line| line["path"] == path);
        assert_eq!((&line["decision"], &line["reason"]), (&json!("error"), &json!("token_revoked")), "{line}");
    }
    let none = "portero_connections{state=\"active\"} 0\n";
    wait_until(none, PATIENCE, || gateway.ask("/metrics").text().contains(none));
}

#[test]
fn a_request_whose_body_does_not_end_is_one_in_flight() {
    let upstream = RawUpstream::start(|stream| while stream.read() {});
    let gateway = Config::standard(upstream.address).server("requests_per_address = 3").start_bare();
    with_client(gateway.front, async |mut sender| {
        let mut open = vec![];
        for _ in 0..3 {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let (response, mut body) = sender.send_request(request("POST", "/public", &[]), false).unwrap();
            body.send_data(Bytes::from_static(b"drip"), false).unwrap();
            open.push((response, body));
        }
        let arrived = async || upstream.bytes().matches("POST /public").count() == 3;
        wait_until_async("they are at the service", PATIENCE, arrived).await;
        assert_eq!(status(&mut sender, request("POST", "/public", &[]), "").await, 429);
        assert_eq!(status(&mut sender, request("GET", "/public", &[]), "").await, 429);
    });
    let mut other = Connection::open_from(std::net::Ipv4Addr::new(127, 0, 0, 2), gateway.front);
    other.write(get("/public").bytes()).unwrap();
    wait_until("another client is served", PATIENCE, || upstream.bytes().contains("GET /public"));
}

#[test]
fn who_takes_no_bytes_of_a_response_holds_no_stream_and_is_said_to_have_left() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).server("body_timeout = \"2s\"");
    let gateway = config.start_bare();
    // The server has done its part, whatever its client does.
    let asked = || gateway.metric("portero_upstream_requests_in_flight{upstream=\"service\"}");
    Runtime::new().unwrap().block_on(async {
        let stream = TcpStream::connect(gateway.front).await.unwrap();
        let (mut sender, connection) =
            h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        // One of ours, and one of a server.
        for (path, status) in [("/sws", 401), ("/public", 200)] {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let (response, _) = sender.send_request(request("GET", path, &[]), true).unwrap();
            let answer = response.await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
            wait_until("its server is free", PATIENCE, || asked() == 0.0);
            let ended = timeout(PATIENCE, answer.into_body().data()).await.unwrap();
            assert!(ended.unwrap().is_err_and(|error| error.is_reset()));
        }
        driving.abort();
    });
    gateway.process.access_line("its end", |line| line["path"] == "/public" && line["reason"] == "client_left");
}
