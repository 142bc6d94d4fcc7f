//! How much of a body a route takes.

use crate::support::{Config, Connection, Gateway, PATIENCE, RawUpstream, Request, Upstream, get, post, wait_until};

/// A route of a kibibyte, one that takes what `[server]` says, and one that takes a mebibyte.
fn bounded(upstream: std::net::SocketAddr) -> Gateway {
    let folder = crate::support::Folder::new();
    Config::new()
        .server("body_bytes_max = \"2KiB\"")
        .upstream("service", &[upstream])
        .route("small", "/small", "auth = \"public\"\nbody_bytes_max = \"1KiB\"")
        .route("default", "/default", "auth = \"public\"")
        .route("large", "/large", "auth = \"public\"\nbody_bytes_max = \"1MiB\"")
        .write_to(&folder);
    Gateway::run(folder)
}

/// A chunk of this many bytes.
fn chunk(bytes: usize) -> String {
    format!("{bytes:x}\r\n{}\r\n", "x".repeat(bytes))
}

fn chunked(path: &str) -> Vec<u8> {
    post(path, "").header("Transfer-Encoding", "chunked").bytes()
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_before_anything_is_forwarded() {
    let upstream = Upstream::start();
    let gateway = bounded(upstream.address);
    for (path, most) in [("/small", 1 << 10), ("/default", 2 << 10), ("/large", 1 << 20)] {
        assert_eq!(gateway.send(&post(path, vec![b'x'; most])).status, 200, "{path}");
        assert_eq!(upstream.received().body_bytes, most as u64, "{path}");
        let sent = post(path, vec![b'x'; most + 1]).bytes();
        let (mut connection, refused) = Connection::send_refused(gateway.front, &sent);
        assert_eq!((refused.status, refused.header("connection")), (413, Some("close")), "{path}");
        connection.is_closed();
        let mut connection = Connection::open(gateway.front);
        let expecting = Request::new("PUT", path).header("Content-Length", (most + 1).to_string());
        connection.write(expecting.header("Expect", "100-continue").bytes()).unwrap();
        let refused = connection.receive();
        assert_eq!(
            (refused.status, refused.json()["detail"].as_str()),
            (413, Some("The body of the request is too large"))
        );
        connection.is_closed();
    }
    upstream.received_nothing();
    let line = gateway.process.access_line("the refusal", |line| line["status"] == 413);
    assert_eq!((line["decision"].as_str(), line["reason"].as_str()), (Some("deny"), Some("body_too_large")));
}

#[test]
fn a_body_that_turns_out_too_large_never_ends_at_the_upstream() {
    let (ended, end) = std::sync::mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let upstream = RawUpstream::start(move |stream| {
        while stream.read() {}
        ended.lock().unwrap().send(()).unwrap();
    });
    let gateway = bounded(upstream.address);
    let mut connection = Connection::open(gateway.front);
    connection.write(chunked("/small")).unwrap();
    connection.write(chunk(1 << 10)).unwrap();
    wait_until("the upstream has the first chunk", PATIENCE, || upstream.bytes().matches('x').count() >= 1 << 10);
    // The last chunk comes along: the bound is looked at first.
    connection.write(format!("{}0\r\n\r\n", chunk(1))).unwrap();
    let refused = connection.receive();
    assert_eq!((refused.status, refused.header("content-type")), (413, Some("application/problem+json")));
    connection.is_closed();
    end.recv_timeout(PATIENCE).expect("the connection to the upstream is not used again");
    let received = upstream.bytes();
    assert!(!received.ends_with("0\r\n\r\n") && received.matches("POST /small").count() == 1, "{received}");
    let line = gateway.process.access_line("the refusal", |line| line["status"] == 413);
    assert_eq!((line["decision"].as_str(), line["reason"].as_str()), (Some("error"), Some("body_too_large")));
}

#[test]
fn what_fits_passes_in_chunks_and_the_connection_lives() {
    let upstream = Upstream::start();
    let gateway = bounded(upstream.address);
    let mut connection = Connection::open(gateway.front);
    for _ in 0..3 {
        connection.write(chunked("/small")).unwrap();
        connection.write(format!("{}{}0\r\n\r\n", chunk(1000), chunk(24))).unwrap();
        assert_eq!(connection.receive().status, 200);
        assert_eq!(upstream.received().body_bytes, 1 << 10);
    }
    assert_eq!(connection.send(&get("/small")).status, 200);
}

#[test]
fn an_answer_that_has_begun_is_cut_and_never_looks_whole() {
    let upstream = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nraw\r\n");
        while stream.read() {}
    });
    let gateway = bounded(upstream.address);
    let mut connection = Connection::open(gateway.front);
    connection.write(chunked("/small")).unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 200);
    // The gateway may close before all of it is taken.
    let _ = connection.write(chunk(4 << 10));
    let rest = connection.rest().unwrap_or_default();
    assert!(!String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"), "{rest:?}");
    assert!(!upstream.bytes().ends_with("0\r\n\r\n"));
}

#[test]
fn a_client_that_sends_all_of_it_still_reads_the_answer() {
    let upstream = RawUpstream::start(|stream| while stream.read() {});
    let gateway = bounded(upstream.address);
    let whole = post("/large", vec![b'x'; 8 << 20]).bytes();
    let in_chunks = [chunked("/large"), format!("{}0\r\n\r\n", chunk(8 << 20)).into_bytes()].concat();
    for round in 0..5 {
        for sent in [&whole, &in_chunks] {
            let (_, refused) = Connection::send_refused(gateway.front, sent);
            assert_eq!(refused.status, 413, "round {round}");
        }
    }
    assert!(!upstream.bytes().ends_with("0\r\n\r\n"));
}
