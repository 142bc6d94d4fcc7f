//! One request is one request: nothing of a refused one ever reaches an upstream, with a body and without.
//!
//! The same over HTTP/2 is in `listeners/h2_requests.rs`.

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
        let refused = [post("/sws", body.clone()), get("/sws").body(body.clone())];
        for request in
            refused.into_iter().flat_map(|request| [request.clone(), request.header("Expect", "100-continue")])
        {
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
    for method in ["POST", "GET"] {
        let mut chunked = Connection::open(gateway.front);
        let head = Request::new(method, "/sws").header("Transfer-Encoding", "chunked");
        chunked.write(head.body(format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len())).bytes()).unwrap();
        assert_eq!(chunked.receive().status, 401, "{method}");
        assert_eq!(chunked.send(&get("/public/after")).status, 200, "a small body is read, and the connection kept");
    }
    assert!(upstream.bytes().contains("/public/after"));
    assert!(!upstream.bytes().contains("smuggled"), "{}", upstream.bytes());
}

#[test]
fn an_upgrade_of_any_kind_is_checked_like_any_request() {
    let (gateway, upstream) = before_a_raw_upstream();
    for value in ["websocket", "h2c", "TLS/1.0", "anything, websocket", ""] {
        let forms: [fn(&str, &str) -> Request; 3] =
            [|path, _| get(path), |path, body| post(path, body), |path, body| get(path).body(body)];
        for (form, behind) in forms.into_iter().zip([SMUGGLED, "", ""]) {
            let upgrade =
                |path, body| form(path, body).header("Connection", "Upgrade").header("Upgrade", value).bytes();
            let mut connection = Connection::open(gateway.front);
            connection.write([upgrade("/sws", SMUGGLED), behind.into()].concat()).unwrap();
            assert_eq!(connection.receive().status, 401, "{value}");
            connection.end();
            let _ = connection.rest();
            // Bytes behind an upgrade that the upstream did not take stay a request of their own, or nothing.
            let mut connection = Connection::open(gateway.front);
            let behind = b"GET /sws/secret HTTP/1.1\r\n\r\n".to_vec();
            connection.write([upgrade("/public/upgrade", "{}"), behind].concat()).unwrap();
            assert_eq!(connection.receive().status, 200, "{value}");
            let _ = connection.rest();
        }
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
        let framed = ["Content-Length", "Transfer-Encoding"].iter().any(|name| fields.contains(name));
        let length = if framed { String::new() } else { format!("Content-Length: {}\r\n", SMUGGLED.len()) };
        for (line, length) in [(line.to_owned(), ""), (line.replace("GET ", "POST "), &*length)] {
            let mut connection = Connection::open(gateway.front);
            connection.write(format!("{line}\r\n{fields}{length}\r\n{SMUGGLED}")).unwrap();
            assert_eq!(connection.receive().status, 400, "{line} {fields:?}");
            connection.end();
            connection.is_closed();
        }
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
    for with_body in [false, true] {
        let sent = |method: &str, target: &str| {
            let request = Request::new(method, target);
            gateway.send(&if with_body { request.body("{}") } else { request })
        };
        assert_eq!(sent("TRACE", "/public").status, 405, "with a body: {with_body}");
        assert_eq!(sent("TRACE", "/sws").status, 405, "with a body: {with_body}");
        let connect = sent("CONNECT", "portero.test:443");
        assert_eq!((connect.status, connect.header("Content-Type")), (405, Some("application/problem+json")));
        assert!(connect.header("Allow").is_some());
    }
    gateway.process.access_line("the CONNECT", |line| line["reason"] == "method_not_allowed" && line["method"] == "");
    assert_eq!(upstream.bytes(), "");
}
