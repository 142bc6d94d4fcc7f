//! What a denial says beside its reason, and what a gRPC call reads.

use crate::support::{Config, Connection, Contract, Gateway, Request, Upstream, get, post};

fn call(path: &str) -> Request {
    Request::new("POST", path).header("Content-Type", "application/grpc").header("TE", "trailers").body(*b"\0\0\0\0\0")
}

#[test]
fn a_denial_is_not_stored_and_says_what_it_varies_by() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address)
        .route("cookie", "/cookie", "accept = [\"become\"]\nsources = [\"cookie:sid\", \"query:token\"]")
        .start();
    for (path, vary) in [
        ("/sws", Some("currenttokenvalue, authorization")),
        ("/become", Some("authorization")),
        ("/cookie", Some("cookie")),
        ("/nowhere", None),
    ] {
        let denied = gateway.send(&get(path));
        assert!([401, 404].contains(&denied.status), "{path}");
        assert_eq!((denied.header("cache-control"), denied.header("vary")), (Some("no-store"), vary), "{path}");
    }
    let passed = gateway.send(&get("/sws").bearer(&gateway.login(Contract::Sws)));
    assert_eq!((passed.header("cache-control"), passed.header("vary")), (None, None), "an answer is the service's");
}

#[test]
fn a_body_that_nobody_needs_is_counted() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let mut connection = Connection::open(gateway.front);
    for (path, status) in [("/sws", 401), ("/nowhere", 404)] {
        assert_eq!(connection.send(&post(path, vec![b'x'; 5000])).status, status);
        let line = gateway.process.access_line(path, |line| line["path"] == path);
        assert_eq!(line["bytes_in"], 5000, "{line}");
    }
}

#[test]
fn a_call_reads_why_it_failed() {
    let (gateway, upstream) = Gateway::with_upstream();
    let mut connection = Connection::open(gateway.front);
    for (request, status, message) in [
        (call("/sws"), "16", "Not authorized"),
        (call("/become").bearer("x.y.z"), "16", "Not authorized"),
        (call("/nowhere"), "12", "Not found"),
        (call("/a%2fb"), "3", "The path of the request is ambiguous"),
    ] {
        let failed = connection.send(&request);
        assert_eq!(
            (failed.status, failed.header("content-type"), failed.body.len()),
            (200, Some("application/grpc"), 0)
        );
        assert_eq!((failed.header("grpc-status"), failed.header("grpc-message")), (Some(status), Some(message)));
        assert_eq!(failed.header("cache-control"), Some("no-store"));
    }
    let web = connection.send(&post("/sws", "").header("content-type", "application/grpc-web+proto"));
    assert_eq!(web.status, 401, "two content types are no call");
    upstream.received_nothing();
    let line = gateway.process.access_line("the call", |line| line["path"] == "/sws");
    let told = (line["status"].as_u64(), line["decision"].as_str(), line["reason"].as_str());
    assert_eq!(told, (Some(200), Some("deny"), Some("missing_token")), "what was sent, and why");
    let metrics = gateway.ask("/metrics").text();
    assert!(
        metrics.contains(r#"portero_decisions_total{decision="deny",reason="missing_token",route="sws"}"#),
        "{metrics}"
    );
    assert_eq!(
        gateway.send(&call("/sws").bearer(&gateway.login(Contract::Sws))).text(),
        "upstream",
        "a good call passes"
    );
}
