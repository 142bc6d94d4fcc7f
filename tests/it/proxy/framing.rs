//! One request is one request: nothing of a refused one ever reaches an upstream.

use crate::support::{Config, Connection, Contract, Gateway, RawUpstream, Request, answer_every_head, get, post};

fn before_a_raw_upstream() -> (Gateway, RawUpstream) {
    let upstream = RawUpstream::start(answer_every_head);
    (Config::standard(upstream.address).start(), upstream)
}

/// A body that would be a request, were it read as one (CVE-2025-4366).
const SMUGGLED: &str = "GET /public/smuggled HTTP/1.1\r\nHost: portero.test\r\n\r\n";

#[test]
fn the_unread_body_of_a_refusal_never_becomes_a_request() {
    let (gateway, upstream) = before_a_raw_upstream();
    let large = SMUGGLED.repeat(4000);
    for (body, kept) in [(SMUGGLED.to_owned(), true), (large, false)] {
        for request in [post("/sws", body.clone()), post("/sws", body.clone()).header("Expect", "100-continue")] {
            let mut connection = Connection::open(gateway.front);
            // The gateway may close before it took all of a large body.
            let written = connection.write(request.bytes());
            assert!(written.is_ok() || !kept);
            match connection.try_receive() {
                Ok(answer) => assert_eq!(answer.status, 401),
                Err(error) => assert!(!kept, "{error}"),
            }
            // Whether the connection was kept or closed is the gateway's to say.
            if connection.write(get("/public/after").bytes()).is_ok() {
                let _ = connection.try_receive();
            }
        }
    }
    let mut chunked = Connection::open(gateway.front);
    let head = Request::new("POST", "/sws").header("Transfer-Encoding", "chunked");
    chunked.write(head.body(format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len())).bytes()).unwrap();
    assert_eq!(chunked.receive().status, 401);
    assert_eq!(chunked.send(&get("/public/after")).status, 200, "a small body is read, and the connection kept");
    assert!(upstream.bytes().contains("/public/after"));
    assert!(!upstream.bytes().contains("smuggled"), "{}", upstream.bytes());
}

#[test]
fn an_upgrade_of_any_kind_is_checked_like_any_request() {
    let (gateway, upstream) = before_a_raw_upstream();
    for value in ["websocket", "h2c", "TLS/1.0", "anything, websocket", ""] {
        let upgrade = |path| get(path).header("Connection", "Upgrade").header("Upgrade", value);
        let mut connection = Connection::open(gateway.front);
        connection.write([upgrade("/sws").bytes(), SMUGGLED.into()].concat()).unwrap();
        assert_eq!(connection.receive().status, 401, "{value}");
        let _ = connection.rest();
        // Bytes behind an upgrade that the upstream did not take stay a request of their own, or nothing.
        let mut connection = Connection::open(gateway.front);
        connection
            .write([upgrade("/public/upgrade").bytes(), b"GET /sws/secret HTTP/1.1\r\n\r\n".into()].concat())
            .unwrap();
        assert_eq!(connection.receive().status, 200, "{value}");
        let _ = connection.rest();
    }
    let bytes = upstream.bytes();
    assert!(!bytes.contains("smuggled") && !bytes.contains("secret"), "{bytes}");
}

#[test]
fn what_servers_read_differently_is_refused_and_nothing_behind_it_goes_anywhere() {
    let (gateway, upstream) = before_a_raw_upstream();
    let host = "Host: portero.test\r\n";
    for (line, fields) in [
        ("GET /public HTTP/1.1", String::new()),
        ("GET /public HTTP/1.1", format!("{host}{host}")),
        ("GET /public HTTP/1.1", "Host: a b\r\n".to_owned()),
        ("GET /public HTTP/1.1", "Host: a@portero.test\r\n".to_owned()),
        ("GET http://other.test/public HTTP/1.1", host.to_owned()),
        ("GET /public HTTP/1.1", format!("{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        ("GET /public HTTP/1.1", format!("{host}Content-Length: 5\r\nContent-Length: 5\r\n")),
        ("GET /public HTTP/1.1", format!("{host}Content-Length: 5, 5\r\n")),
        ("GET /public HTTP/1.1", format!("{host}Content-Length: +5\r\n")),
        ("GET /public HTTP/1.1", format!("{host}Content-Length:\r\n")),
        ("GET /public HTTP/1.1", format!("{host}Content-Length: 99999999999999999999999\r\n")),
        ("GET /public HTTP/1.1", format!("{host}Transfer-Encoding: gzip, chunked\r\n")),
        ("GET /public HTTP/1.1", format!("{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("GET /public HTTP/1.0", format!("{host}Transfer-Encoding: chunked\r\n")),
        ("GET /public HTTP/1.1", format!("{host}X: a\n")),
        ("GET /public HTTP/1.1", format!("{host}X: a\rb\r\n")),
        ("GET /public HTTP/1.1", format!("{host}X: a\0b\r\n")),
        ("GET /public HTTP/1.1", format!("{host}X: a\r\n folded\r\n")),
        ("GET /public HTTP/1.1", format!("{host}X : a\r\n")),
        ("GET /public HTTP/1.1", format!("{host}: a\r\n")),
        ("GET /public HTTP/1.1", format!("{host}no colon\r\n")),
        ("GET  /public HTTP/1.1", host.to_owned()),
        ("GET public HTTP/1.1", host.to_owned()),
        ("GET * HTTP/1.1", host.to_owned()),
        ("GET http:///public HTTP/1.1", host.to_owned()),
        ("GET ftp://portero.test/public HTTP/1.1", host.to_owned()),
        ("GET http://a@portero.test/public HTTP/1.1", host.to_owned()),
        ("GET /public HTTP/2.0", host.to_owned()),
        ("GET /public", host.to_owned()),
        ("G(T /public HTTP/1.1", host.to_owned()),
    ] {
        let mut connection = Connection::open(gateway.front);
        connection.write(format!("{line}\r\n{fields}\r\n{SMUGGLED}")).unwrap();
        assert_eq!(connection.receive().status, 400, "{line} {fields:?}");
        connection.end();
        connection.is_closed();
    }
    assert_eq!(upstream.bytes(), "");
    assert_eq!(gateway.send(&get("/public")).status, 200, "the gateway goes on");
}

#[test]
fn a_permitted_upgrade_is_a_tunnel_once_the_upstream_agreed() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while stream.read() {
            stream.write("pong");
        }
    });
    let gateway = Config::standard(upstream.address).start();
    let upgrade = get("/sws").header("Connection", "Upgrade").header("Upgrade", "websocket");
    assert_eq!(gateway.send(&upgrade).status, 401);
    assert_eq!(upstream.bytes(), "");
    let upgrade = upgrade.bearer(&gateway.login(Contract::Sws)).bytes();
    let mut connection = Connection::open(gateway.front);
    connection.write(&upgrade).unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 101);
    connection.write("ping").unwrap();
    connection.discard(4).unwrap();
    assert!(upstream.bytes().ends_with("\r\n\r\nping"), "{}", upstream.bytes());
}

#[test]
fn trace_and_connect_are_refused() {
    let (gateway, upstream) = before_a_raw_upstream();
    assert_eq!(gateway.send(&Request::new("TRACE", "/public")).status, 405);
    assert_eq!(gateway.send(&Request::new("TRACE", "/sws")).status, 405);
    let connect = gateway.send(&Request::new("CONNECT", "portero.test:443"));
    assert_eq!((connect.status, connect.header("Content-Type")), (405, Some("application/problem+json")));
    assert!(connect.header("Allow").is_some());
    gateway.process.access_line("the CONNECT", |line| line["reason"] == "method_not_allowed" && line["method"] == "");
    assert_eq!(upstream.bytes(), "");
}
