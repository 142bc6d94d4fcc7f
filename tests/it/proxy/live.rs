//! What is in flight ends with its token, and never looks complete when it was cut.

use serde_json::json;

use crate::support::{Config, Connection, Contract, PATIENCE, RawUpstream, Request, get, wait_until};

/// Begins an answer and never ends it; another event follows where `busy`.
fn endless(busy: bool) -> RawUpstream {
    RawUpstream::start(move |stream| {
        assert!(stream.read());
        stream.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write("9\r\ndata: 1\n\n\r\n");
        while busy && stream.write("9\r\ndata: 2\n\n\r\n") {}
        while stream.read() {}
    })
}

#[test]
fn a_client_that_leaves_is_no_malformed_request() {
    const ASKED: &str = "portero_upstream_requests_in_flight{upstream=\"service\"}";
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let gateway = Config::standard(silent.address).start();
    let token = gateway.login(Contract::Sws);
    let half = Request::new("PUT", "/sws/half").bearer(&token).header("Content-Length", "9").body("half");
    for (path, request) in [("/sws/whole", get("/sws/whole").bearer(&token)), ("/sws/half", half)] {
        let mut connection = Connection::open(gateway.front);
        connection.write(request.bytes()).unwrap();
        wait_until("it is sent on", PATIENCE, || gateway.metric(ASKED) > 0.0);
        drop(connection);
        let line = gateway.process.access_line("its end", |line| line["path"] == path);
        assert_eq!((&line["reason"], &line["status"]), (&json!("client_left"), &json!(0)), "{line}");
        wait_until("it is given up", PATIENCE, || gateway.metric(ASKED) < 0.5);
    }
    let busy = endless(true);
    let gateway = Config::standard(busy.address).start();
    let mut connection = Connection::open(gateway.front);
    connection.write(get("/sws/answer").bearer(&gateway.login(Contract::Sws)).bytes()).unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 200);
    drop(connection);
    let line = gateway.process.access_line("its end", |line| line["path"] == "/sws/answer");
    assert_eq!((&line["reason"], &line["status"]), (&json!("client_left"), &json!(200)), "{line}");
}

#[test]
fn a_stream_of_events_ends_when_its_token_is_revoked() {
    for busy in [false, true] {
        let upstream = endless(busy);
        let gateway = Config::standard(upstream.address).start();
        let token = gateway.login(Contract::Sws);
        let mut connection = Connection::open(gateway.front);
        connection.write(get("/sws").bearer(&token).bytes()).unwrap();
        assert_eq!(connection.receive_head().unwrap().status, 200);
        connection.discard(14).unwrap();
        gateway.api("/revocations/token", &json!({ "token": token }));
        // A reset is as good an end as any: what counts is that the last chunk does not come.
        let rest = connection.rest().unwrap_or_default();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "the body looks complete");
        let line = gateway.process.access_line("the end", |line| line["reason"] == "token_revoked");
        assert_eq!((&line["decision"], &line["status"], &line["path"]), (&json!("error"), &json!(200), &json!("/sws")));
        assert!(line["bytes_out"].as_u64() >= Some(9), "{line}");
    }
}

#[test]
fn who_waits_for_an_answer_and_who_sends_a_body_end_with_the_token_too() {
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let gateway = Config::standard(silent.address)
        .replace("[tokens]", "[tokens]\nleeway = \"0s\"")
        .replace("[realms.become]", "[realms.become]\nlifetime = \"10s\"")
        .start();
    let token = gateway.login(Contract::Become);
    let mut polling = Connection::open(gateway.front);
    polling.write(get("/become").bearer(&token).bytes()).unwrap();
    let mut sending = Connection::open(gateway.front);
    let upload = crate::support::Request::new("PUT", "/become").bearer(&token).header("Content-Length", "1000000");
    sending.write([upload.bytes(), b"part".to_vec()].concat()).unwrap();
    polling.is_closed();
    sending.is_closed();
    for method in ["GET", "PUT"] {
        let line = gateway.process.access_line(method, |line| line["method"] == method && line["path"] == "/become");
        assert_eq!((&line["decision"], &line["reason"]), (&json!("error"), &json!("expired")));
    }
}

#[test]
fn a_connection_outlives_a_token_that_is_not_in_use() {
    let upstream = RawUpstream::start(crate::support::answer_every_head);
    let gateway = Config::standard(upstream.address).start();
    let token = gateway.login(Contract::Sws);
    let mut connection = Connection::open(gateway.front);
    assert_eq!(connection.send(&get("/sws").bearer(&token)).status, 200);
    gateway.api("/revocations/token", &json!({ "token": token }));
    assert_eq!(connection.send(&get("/sws").bearer(&token)).status, 401);
    assert_eq!(connection.send(&get("/public")).status, 200);
}

#[test]
fn total_holds_while_nothing_moves() {
    let upstream = endless(false);
    let gateway = Config::standard(upstream.address).text("[upstreams.service.timeouts]\ntotal = \"5s\"").start();
    let mut connection = Connection::open(gateway.front);
    connection.write(get("/public").bytes()).unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 200);
    let rest = connection.rest().unwrap_or_default();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    gateway.process.access_line("the end", |line| line["reason"] == "upstream_timeout");
}
