//! A corpus of smuggling attempts before an upstream that records bytes: whatever it receives is one
//! request that was authorised, framed by the gateway. Each attempt is made as a GET and as a POST.
//!
//! The attempts over HTTP/2 are in `listeners/h2_requests.rs`, and the malformed heads in `listeners/conformance`.

use crate::support::{Config, Connection, Contract, RawUpstream, answer_every_request, get, post, requests};

/// The methods of the attempts: a service expects a body of one of them only.
const METHODS: [&str; 2] = ["POST", "GET"];

/// A request that nobody authorised: it must never stand at the upstream.
const HIDDEN: &str = "GET /sws/hidden HTTP/1.1\r\nHost: portero.test\r\n\r\n";

/// Answers each connection's first head, and goes on recording.
fn recording() -> RawUpstream {
    RawUpstream::start(|stream| {
        while stream.read() {
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    })
}

/// Fields and bodies that some server frames otherwise than another.
fn payloads() -> Vec<(String, String)> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let mut payloads: Vec<(String, String)> = vec![];
    // CL.TE, TE.CL, and what hides one of them.
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding:\tchunked, chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer_Encoding: chunked\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 4\r\n",
        "Content-Length: 0, 4\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: 4 4\r\n",
        "Content_Length: 4\r\n",
        "Content-Length : 4\r\n",
    ] {
        payloads.push((fields.to_owned(), format!("0\r\n\r\n{HIDDEN}")));
        // The same before a request that has no body.
        payloads.push((fields.to_owned(), HIDDEN.to_owned()));
    }
    // Sizes and ends of chunks.
    for body in [
        "0x0\r\n\r\n",
        "+0\r\n\r\n",
        "-0\r\n\r\n",
        " 0\r\n\r\n",
        "0 \r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\n\n",
        "fffffffffffffffff\r\n\r\n",
        "10000000000000000\r\n\r\n",
        "80000000\r\n\r\n",
        "\r\n0\r\n\r\n",
        "1\r\naX0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "0;a\nb\r\n\r\n",
        "0;a=\"\r\n\"\r\n\r\n",
        "0;\x00\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: other.test\r\n\r\n",
        "0\r\nX-Auth-Subject: root\r\n\r\n",
        "0\r\nAuthorization: Bearer x\r\n\r\n",
        "0\r\n bad\r\n\r\n",
        "0\r\nbad\r\n\r\n",
        "1;a\r\na\r\n0;b\r\n\r\n",
        "G\r\n\r\n",
        "\u{e9}\r\n\r\n",
    ] {
        payloads.push((chunked.to_owned(), format!("{body}{HIDDEN}")));
    }
    payloads
}

#[test]
fn every_byte_that_an_upstream_receives_belongs_to_one_authorised_request() {
    let payloads = payloads();
    assert!(payloads.len() >= 40);
    for (path, token) in [("/sws", false), ("/public", false), ("/sws", true), ("/none", false)] {
        let upstream = recording();
        let gateway = Config::standard(upstream.address).start();
        let bearer = format!("Authorization: Bearer {}\r\n", gateway.login(Contract::Sws));
        let authorization = if token { &*bearer } else { "" };
        let attempts = payloads.iter().enumerate().flat_map(|attempt| METHODS.map(|method| (method, attempt)));
        for (method, (number, (fields, body))) in attempts {
            let mut connection = Connection::open(gateway.front);
            let line = format!("{method} {path}/shown/{number} HTTP/1.1");
            let head = format!("{line}\r\nHost: portero.test\r\n{authorization}{fields}\r\n");
            connection.write(format!("{head}{body}")).unwrap();
            let mut answers = 0;
            // The gateway may answer what follows as a request of its own, or close.
            while connection.try_receive().is_ok() {
                answers += 1;
                if answers == 1 {
                    connection.end();
                }
            }
        }
        assert_eq!(gateway.send(&get("/public/last")).status, 200, "the gateway goes on");
        gateway.stop();
        let connections = upstream.by_connection();
        let heads: Vec<_> = connections.iter().flat_map(|bytes| requests(bytes)).collect();
        let mut lines: Vec<_> = heads.iter().map(|head| head.lines().next().unwrap_or_default()).collect();
        let shown = METHODS.map(|method| format!("{method} {path}/shown/"));
        let authorised =
            |line: &&str| *line == "GET /public/last HTTP/1.1" || shown.iter().any(|shown| line.starts_with(shown));
        assert!(lines.iter().all(authorised), "{lines:?}");
        for name in ["root", "other.test", "Bearer x"] {
            assert!(!heads.concat().contains(name), "a trailer became a header: {heads:?}");
        }
        assert!(path == "/public" || token || lines.len() == 1, "{lines:?}");
        let all = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), all, "a request was sent twice");
        for shown in &shown {
            let good = lines.iter().filter(|line| line.starts_with(shown)).count();
            assert!(good > 4 || !(path == "/public" || token), "the good ones arrive: {lines:?}");
        }
    }
}

#[test]
fn an_expectation_is_answered_after_the_check() {
    let upstream = RawUpstream::start(|stream| {
        while !stream.so_far().ends_with("body") {
            assert!(stream.read());
        }
        stream.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let gateway = Config::standard(upstream.address).start();
    let expecting =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let mut allowed = Connection::open(gateway.front);
    allowed.write(expecting("/public")).unwrap();
    assert_eq!(allowed.receive_line(), "HTTP/1.1 100 Continue");
    allowed.write("body").unwrap();
    assert_eq!(allowed.receive().status, 200);
    assert!(!upstream.bytes().to_lowercase().contains("expect"), "it is ours to answer: {}", upstream.bytes());
    let mut denied = Connection::open(gateway.front);
    denied.write(expecting("/sws")).unwrap();
    assert_eq!(denied.receive_line(), "HTTP/1.1 401 Unauthorized", "no 100 before it");
    let mut endpoint = Connection::open(gateway.front);
    endpoint.write(expecting("/api/Session/GetToken")).unwrap();
    assert_eq!(endpoint.receive_line(), "HTTP/1.1 100 Continue");
    for request in [get("/public"), post("/public", "body")] {
        let mut unknown = Connection::open(gateway.front);
        unknown.write(request.header("Expect", "wonders").bytes()).unwrap();
        assert_eq!(unknown.receive().status, 417);
        unknown.end();
        unknown.is_closed();
    }
}

/// A client must not expect a word before a body that it does not have (RFC 9110 section 10.1.1); none is said.
#[test]
fn an_expectation_without_a_body_changes_nothing() {
    let upstream = recording();
    let gateway = Config::standard(upstream.address).start_bare();
    for (path, status) in [("/public", "HTTP/1.1 200 OK"), ("/sws", "HTTP/1.1 401 Unauthorized")] {
        for request in [get(path), post(path, ""), get(path).header("Content-Length", "0")] {
            let mut connection = Connection::open(gateway.front);
            connection.write(request.header("Expect", "100-continue").bytes()).unwrap();
            assert_eq!(connection.receive_line(), status, "{path}");
        }
    }
    assert!(!upstream.bytes().to_lowercase().contains("expect"), "it is ours to answer: {}", upstream.bytes());
}

#[test]
fn slow_heads_slow_bodies_and_slow_readers_are_cut_off() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while stream.write(&"x".repeat(1 << 20)) {}
    });
    let waits = RawUpstream::start(answer_every_request);
    let gateway = Config::standard(upstream.address)
        .server("head_timeout = \"300ms\"\nbody_timeout = \"300ms\"")
        .upstream("waits", &[waits.address])
        .route("waits", "/waits", "upstream = \"waits\"\nauth = \"public\"")
        .start();
    for (method, path) in [("GET", "/public"), ("POST", "/public"), ("POST", "/api/Session/GetToken")] {
        let mut head = Connection::open(gateway.front);
        head.write(format!("{method} {path} HTTP/1.1\r\nContent-Length: 2\r\nHost:")).unwrap();
        assert_eq!(head.receive().status, 408, "{method} {path}");
    }
    for (path, request) in [("/public/read", get("/public/read")), ("/public/written", post("/public/written", "{}"))] {
        let mut reader = Connection::open(gateway.front);
        reader.write(request.bytes()).unwrap();
        gateway.process.access_line("the slow reader", |line| line["path"] == path && line["status"] == 200);
    }
    for line in ["POST /api/Session/GetToken", "GET /waits", "POST /waits"] {
        let mut body = Connection::open(gateway.front);
        body.write(format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{{")).unwrap();
        assert_eq!(body.receive().status, 408, "{line}");
    }
}

/// A body that a proxy before us could end elsewhere than we do.
#[test]
fn a_chunked_body_that_is_none_is_400_however_it_is_cut() {
    let upstream = recording();
    let gateway = Config::standard(upstream.address).start();
    let bodies =
        [";\r\n\r\n", "\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "0\r\nno field\r\n\r\n", "5\r\nhello0\r\n\r\n"];
    let head =
        |method| format!("{method} /public HTTP/1.1\r\nHost: portero.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (method, body) in METHODS.into_iter().flat_map(|method| bodies.map(|body| (method, body))) {
        let head = head(method);
        let mut whole = Connection::open(gateway.front);
        whole.write(format!("{head}{body}{HIDDEN}")).unwrap();
        assert_eq!(whole.receive().status, 400, "{method} {body:?}");
        let mut cut = Connection::open(gateway.front);
        cut.write(head).unwrap();
        for byte in body.bytes().chain(HIDDEN.bytes()) {
            // What is refused may be closed before all of it is sent.
            if cut.write([byte]).is_err() {
                break;
            }
        }
        let answers = String::from_utf8_lossy(&cut.rest().unwrap_or_default()).matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{method} {body:?}: {answers} answers");
    }
    // The connection goes on behind a good one.
    let mut good = Connection::open(gateway.front);
    for head in METHODS.map(head) {
        good.write(format!("{head}5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")).unwrap();
        assert_eq!(good.receive().status, 200);
    }
}

/// A server that says `close` processes nothing that comes behind (RFC 9112 section 9.6): a response to it would be
/// taken for some of one that ends with the connection.
#[test]
fn what_stands_behind_the_last_request_of_a_connection_is_nothing() {
    let upstream = RawUpstream::start(|stream| {
        while stream.read_request() {
            stream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        }
    });
    let gateway = Config::standard(upstream.address).start();
    for last in ["GET /public HTTP/1.0\r\n\r\n", "GET /public HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"] {
        for behind in ["GARBAGE\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", HIDDEN] {
            let mut connection = Connection::open(gateway.front);
            connection.write([last, behind].concat()).unwrap();
            let response = String::from_utf8(connection.rest().unwrap()).unwrap();
            assert_eq!(response.matches("HTTP/1.").count(), 1, "{last}{behind}{response}");
            assert!(response.trim_end_matches("\r\n0\r\n\r\n").ends_with("hello"), "{last}{behind}{response}");
        }
    }
    let written = gateway.stop().stdout;
    assert_eq!(written.matches(r#""kind":"access""#).count(), 6, "{written}");
}
