//! Methods are compared letter by letter, and many services fold their case. So `post` is refused before a route for
//! every method could let it pass as something that is no `POST`.

use std::future::poll_fn;

use http::StatusCode;
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use crate::support::{Config, Connection, Contract, Gateway, PATIENCE, Request, Upstream, wait_until};

/// Spellings of methods that no server may be left to guess at; some are of no registered method.
const FOLDED: [&str; 7] = ["post", "Post", "pOST", "get", "patch", "PURGe", "propfind"];

/// `POST` asks for a token; every other method passes.
fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address)
        .route("guarded", "/orders", "methods = [\"POST\"]\naccept = [\"sws\"]")
        .route("open", "/orders", "auth = \"public\"\ncors = { origins = [\"https://app.test\"] }");
    (config.start(), upstream)
}

#[test]
fn a_method_with_lower_case_letters_is_refused_before_any_route() {
    let (gateway, upstream) = gateway();
    for method in FOLDED {
        for path in ["/orders", "/nowhere", "/auth"] {
            let answer = gateway.send(&Request::new(method, path).header("Content-Length", "0"));
            assert_eq!(answer.status, 400, "{method} {path}");
        }
    }
    upstream.received_nothing();
    assert_eq!(gateway.send(&Request::new("POST", "/orders")).status, 401);
    let token = gateway.login(Contract::Sws);
    assert_eq!(gateway.send(&Request::new("POST", "/orders").bearer(&token)).status, 200);
    assert_eq!(upstream.received().method, "POST");
    assert_eq!(gateway.send(&Request::new("PURGE", "/orders")).status, 200, "a method of the service's own");
    assert_eq!(upstream.received().method, "PURGE");

    let line = gateway.process.access_line("the refusal", |line| line["reason"] == "malformed_request");
    assert_eq!(line["status"], 400, "{line}");
    let counted = format!(r#"portero_decisions_total{{decision="deny",reason="malformed_request",route="-"}} {}"#, 21);
    wait_until(&counted, PATIENCE, || gateway.ask("/metrics").text().contains(&counted));
}

#[test]
fn a_question_about_the_gateway_needs_a_host_like_any_other() {
    let (gateway, _upstream) = gateway();
    for (head, status) in [
        ("OPTIONS * HTTP/1.1\r\nHost: portero.test\r\n\r\n", 204),
        ("OPTIONS * HTTP/1.1\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ] {
        let mut connection = Connection::open(gateway.front);
        connection.write(head).unwrap();
        assert_eq!(connection.receive().status, status, "{head}");
    }
}

#[test]
fn a_stream_with_such_a_method_is_refused_alone() {
    let (gateway, upstream) = gateway();
    let refused = r#"portero_decisions_total{decision="deny",reason="malformed_request",route="-"} 7"#;
    let asked = async {
        let stream = TcpStream::connect(gateway.front).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        let mut status = vec![];
        for method in FOLDED.into_iter().chain(["PURGE"]) {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let request = http::Request::builder().method(method).uri("http://a.test/orders").body(()).unwrap();
            status.push(sender.send_request(request, true).unwrap().0.await.unwrap().status());
        }
        driving.abort();
        status
    };
    let status = Runtime::new().unwrap().block_on(async { timeout(PATIENCE, asked).await }).unwrap();
    let (last, folded) = status.split_last().unwrap();
    assert_eq!((*last, folded), (StatusCode::OK, &[StatusCode::BAD_REQUEST; 7][..]));
    assert_eq!(upstream.received().method, "PURGE");
    upstream.received_nothing();
    wait_until(refused, PATIENCE, || gateway.ask("/metrics").text().contains(refused));
}

#[test]
fn no_page_is_told_that_it_may_send_such_a_method() {
    let (gateway, _upstream) = gateway();
    let ask = |method: &str| {
        let preflight = Request::new("OPTIONS", "/orders").header("Origin", "https://app.test");
        Connection::open(gateway.front).send(&preflight.header("Access-Control-Request-Method", method))
    };
    let allowed = |method: &str| ask(method).header("access-control-allow-methods").map(str::to_owned);
    assert!(allowed("PATCH").is_some());
    assert_eq!(allowed("patch"), None);
}

#[test]
fn explain_says_what_becomes_of_such_a_method() {
    let (gateway, _upstream) = gateway();
    let ran = gateway.asked("explain post /orders");
    assert!(ran.code != 0 && ran.stderr.contains("write GET") && ran.stderr.contains("400"), "{ran:?}");
}
