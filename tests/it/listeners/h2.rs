//! HTTP/2 from clients, in the clear and with prior knowledge; and what it costs who abuses it.

use std::{future::poll_fn, io::ErrorKind, process::Command, sync::mpsc};

use http::{Request, StatusCode};

use super::curl::Curl;
use crate::support::{
    Config, Connection, Contract, Gateway, PATIENCE, RawUpstream, Sender, get, wait_until, wait_until_async,
    with_client,
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(super) const PRIORITY: u8 = 2;
pub(crate) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(super) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:method GET, :scheme http, :path /public, :authority a`, without any table.
pub(super) fn head() -> Vec<u8> {
    [&b"\x82\x86\x04\x07/public\x01\x01a"[..]].concat()
}

/// A connection on which the preface was sent.
fn opened(gateway: &Gateway) -> Connection {
    let mut connection = Connection::open(gateway.front);
    connection.write([PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()).unwrap();
    connection
}

/// The kinds of the frames that came until the gateway closed.
pub(super) fn frames_until_closed(connection: &mut Connection) -> Vec<u8> {
    // A reset loses frames on their way; that it ended is what counts.
    let bytes = match connection.rest() {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("still open"),
        rest => rest.unwrap_or_default(),
    };
    let (mut kinds, mut rest) = (vec![], &bytes[..]);
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        kinds.push(*kind);
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        rest = payload.get(length..).unwrap_or_default();
    }
    kinds
}

async fn status(sender: &mut Sender, request: Request<()>) -> Result<StatusCode, h2::Error> {
    poll_fn(|cx| sender.poll_ready(cx)).await?;
    let (response, _) = sender.send_request(request, true)?;
    Ok(response.await?.status())
}

fn request(method: &str, uri: &str) -> Request<()> {
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

#[test]
fn curl_speaks_it_in_the_clear_and_tokens_are_checked_on_each_stream() {
    let (gateway, upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Become);
    let ask = |path: &str| Curl::to(gateway.front, "http", "a.test", path).with(&["--http2-prior-knowledge"]);
    let answer = ask("/become/x?y=1").bearer(&token).with(&["--data", "a body"]).ask();
    assert_eq!((answer.status, &*answer.version), (200, "2"), "{answer:?}");
    let received = upstream.received();
    assert_eq!((&*received.target, &received.body[..]), ("/become/x?y=1", &b"a body"[..]));
    assert_eq!(received.header("x-forwarded-proto"), Some("http"));
    assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.header("host"), received.header("x-forwarded-host"));
    assert_eq!(ask("/become").ask().status, 401);
    assert_eq!(ask("/become").with(&["--request", "TRACE"]).bearer(&token).ask().status, 405);
    upstream.received_nothing();
    let line = gateway.process.access_line("the stream", |line| line["path"] == "/become/x");
    assert_eq!((&line["status"], &line["client"]), (&200.into(), &"127.0.0.1".into()));
    let metrics = gateway.ask("/metrics").text();
    assert!(metrics.contains(r#"portero_requests_total{code="401",route="become"} 1"#), "{metrics}");
}

#[test]
fn the_preface_may_come_in_pieces_and_http_1_that_begins_like_it_too() {
    let (gateway, _upstream) = Gateway::with_upstream();
    for size in [1, 3, 23] {
        let mut connection = Connection::open(gateway.front);
        for piece in PREFACE.chunks(size) {
            connection.write(piece).unwrap();
        }
        // A GOAWAY ends it, after SETTINGS on both sides.
        connection.write([frame(SETTINGS, 0, 0, b""), frame(GOAWAY, 0, 0, &[0; 8])].concat()).unwrap();
        assert_eq!(frames_until_closed(&mut connection).first(), Some(&SETTINGS));
        let mut connection = Connection::open(gateway.front);
        for piece in b"PROPFIND /public HTTP/1.1\r\nHost: a\r\n\r\n".chunks(size) {
            connection.write(piece).unwrap();
        }
        assert_eq!(connection.receive().status, 200);
    }
}

#[test]
fn a_head_that_http_1_would_not_take_is_not_taken() {
    let (gateway, upstream) = Gateway::with_upstream();
    with_client(gateway.front, async |mut sender| {
        let mut many = request("GET", "http://a.test/public");
        for at in 0..201 {
            many.headers_mut().insert(http::HeaderName::try_from(format!("x-{at}")).unwrap(), "1".parse().unwrap());
        }
        let mut other_host = request("GET", "http://a.test/public");
        other_host.headers_mut().insert("host", "b.test".parse().unwrap());
        for (refused, expected) in [
            (many, 431),
            (other_host, 400),
            (request("GET", "http://a.test/public/ñ"), 400),
            (request("GET", "http://a.test/public%2Fx"), 400),
            (request("CONNECT", "a.test:443"), 405),
        ] {
            let uri = refused.uri().clone();
            assert_eq!(status(&mut sender, refused).await.unwrap().as_u16(), expected, "{uri}");
        }
        let mut hop_by_hop = request("GET", "http://a.test/public");
        hop_by_hop.headers_mut().insert("te", "gzip".parse().unwrap());
        assert!(status(&mut sender, hop_by_hop).await.is_err());
        upstream.received_nothing();
        // None of it ended the connection.
        let good = status(&mut sender, request("GET", "http://a.test/public?q=ñ")).await;
        assert_eq!(good.unwrap().as_u16(), 200);
        assert_eq!(upstream.received().target, "/public?q=%C3%B1");
    });
}

#[test]
fn a_body_that_never_comes_ends_its_stream_and_no_other() {
    let upstream = RawUpstream::start(|stream| while stream.read() {});
    let config = Config::standard(upstream.address).server("body_timeout = \"300ms\"");
    let gateway = config.start_bare();
    with_client(gateway.front, async |mut sender| {
        poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
        let (response, _body) = sender.send_request(request("POST", "http://a.test/public"), false).unwrap();
        assert_eq!(response.await.unwrap().status().as_u16(), 408);
        assert_eq!(status(&mut sender, request("GET", "http://a.test/become")).await.unwrap().as_u16(), 401);
    });
}

#[test]
fn floods_end_the_connection() {
    // The upstream holds its answers, so that each stream that is reset was in work.
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = RawUpstream::start(move |stream| {
        if stream.read() {
            let _ = held.lock().unwrap().recv_timeout(PATIENCE);
        }
    });
    let gateway = Config::standard(upstream.address).start_bare();
    let resets: Vec<u8> = (0..20_000_u32)
        .flat_map(|at| {
            let stream = 2 * at + 1;
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [frame(HEADERS, END_STREAM | END_HEADERS, stream, &head()), reset].concat()
        })
        .collect();
    let first = frame(HEADERS, END_STREAM, 1, &head());
    let continuations: Vec<u8> =
        [first].into_iter().chain((0..5000).map(|_| frame(CONTINUATION, 0, 1, &[0; 1024]))).flatten().collect();
    // A name and value of 4 KiB in the table, and 16,000 references to it: 64 MiB of fields.
    let entry = [&b"\x40\x01x\x7f\x81\x1f"[..], &[b'a'; 4096]].concat();
    let bomb = [&entry[..], &vec![0xbe; 12_000]].concat();
    let bomb = frame(HEADERS, END_STREAM | END_HEADERS, 1, &[&head()[..], &bomb].concat());
    // A megabyte of each, in which there is no request.
    let many = |frame: Vec<u8>| frame.repeat((1 << 20) / frame.len());
    let window_update = frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    let opened_stream = frame(HEADERS, END_HEADERS, 1, &head());
    for (name, flood) in [
        ("resets", resets),
        ("continuations", continuations),
        ("settings", many(frame(SETTINGS, 0, 0, b""))),
        ("acknowledged settings", many(frame(SETTINGS, 1, 0, b""))),
        ("pings", many(frame(PING, 0, 0, &[0; 8]))),
        ("answered pings", many(frame(PING, 1, 0, &[0; 8]))),
        ("priorities", many(frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]))),
        ("windows", many(window_update)),
        ("unknown frames", many(frame(0x10, 0, 0, b"\0\0\0\x01u=1"))),
        ("data without any", [opened_stream, many(frame(DATA, 0, 1, b""))].concat()),
    ] {
        let mut connection = opened(&gateway);
        // What is written after the end breaks the pipe.
        let _ = connection.write(&flood);
        frames_until_closed(&mut connection);
        assert_eq!(gateway.send(&get("/become")).status, 401, "after {name}");
    }
    let counted = "portero_connections_refused_total{reason=\"h2_flood\"} 7\n";
    wait_until(counted, PATIENCE, || gateway.ask("/metrics").text().contains(counted));
    let before = gateway.resident_kib();
    let mut connection = opened(&gateway);
    let _ = connection.write(&bomb);
    let _ = connection.write([frame(PING, 0, 0, &[0; 8]), frame(GOAWAY, 0, 0, &[0; 8])].concat());
    frames_until_closed(&mut connection);
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB");
    drop(release);
}

#[test]
fn a_client_that_opens_its_windows_by_single_bytes_is_a_flood() {
    const STREAMS: u32 = 50;
    let (gateway, _upstream) = Gateway::with_upstream();
    let mut connection = opened(&gateway);
    // SETTINGS_INITIAL_WINDOW_SIZE: nothing.
    connection.write(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
    let path = b"/public?bytes=1048576";
    let target = [&[0x04, u8::try_from(path.len()).unwrap()], &path[..]].concat();
    let head = [b"\x82\x86", &target[..], b"\x01\x01a"].concat();
    let streams = || (0..STREAMS).map(|at| 2 * at + 1);
    let all: Vec<u8> = streams().flat_map(|at| frame(HEADERS, END_STREAM | END_HEADERS, at, &head)).collect();
    connection.write(all).unwrap();
    // A DATA frame of one byte for each, and then the next.
    let more: Vec<u8> = streams().flat_map(|at| frame(WINDOW_UPDATE, 0, at, &1_u32.to_be_bytes())).collect();
    let mut rounds = 0;
    while connection.write(&more).is_ok() && (0..STREAMS).all(|_| has_data(&mut connection)) {
        rounds += 1;
        assert!(rounds < 10_000, "it goes on without end");
    }
    let counted = "portero_connections_refused_total{reason=\"h2_flood\"} 1\n";
    wait_until(counted, PATIENCE, || gateway.ask("/metrics").text().contains(counted));
}

/// Whether another DATA frame comes before the end.
fn has_data(connection: &mut Connection) -> bool {
    loop {
        match connection.try_receive_frame() {
            Ok((DATA, _)) => return true,
            Ok((GOAWAY, _)) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

#[test]
fn a_client_that_measures_the_round_trip_with_each_data_frame_is_no_flood() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let mut connection = opened(&gateway);
    let path = b"/public?bytes=67108864";
    let target = [&[0x04, u8::try_from(path.len()).unwrap()], &path[..]].concat();
    let head = [b"\x82\x86", &target[..], b"\x01\x01a"].concat();
    let open = |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_0000_u32.to_be_bytes());
    connection.write([open(0), frame(HEADERS, END_STREAM | END_HEADERS, 1, &head), open(1)].concat()).unwrap();
    let (mut data, mut bytes) = (0, 0);
    while bytes < 64 << 20 {
        let (kind, payload) = connection.receive_frame();
        if kind == DATA {
            data += 1;
            bytes += payload.len();
            // As gRPC's clients do: a PING for what came, and both windows opened by that much.
            let window = |stream| frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes());
            connection.write([frame(PING, 0, 0, &[0; 8]), window(0), window(1)].concat()).unwrap();
        }
        assert_ne!(kind, GOAWAY, "after {data} frames");
    }
    assert!(data >= 1000, "{data} frames");
}

/// A connection with `streams` requests to an upstream that speaks HTTP/2 and opens no window: their bodies stay where
/// they are.
fn stalled(streams: u32) -> (Gateway, Connection, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = RawUpstream::start(move |stream| {
        // SETTINGS_INITIAL_WINDOW_SIZE: nothing.
        stream.write("\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0");
        while stream.read() {}
        let _ = held.lock().unwrap().recv_timeout(PATIENCE);
    });
    let service = format!("[upstreams.service]\nservers = [\"{}\"]\nhttp = \"2\"", upstream.address);
    let gateway = Config::new().text(&service).route("public", "/public", "auth = \"public\"").start_bare();
    let mut connection = opened(&gateway);
    let post = [b"\x83", &head()[1..]].concat();
    let heads = (0..streams).flat_map(|at| frame(HEADERS, END_HEADERS, 2 * at + 1, &post));
    connection.write(heads.collect::<Vec<u8>>()).unwrap();
    // Until then the connection's window is that of RFC 9113 section 6.9.2.
    connection.receive_frame_of(WINDOW_UPDATE);
    (gateway, connection, release)
}

#[test]
fn windows_full_of_small_messages_end_no_connection() {
    for bytes in [16, 20, 100] {
        let (_gateway, mut connection, _release) = stalled(8);
        let message = |stream| frame(DATA, 0, stream, &vec![b'm'; bytes]);
        for at in 0..8 {
            // All that flow control lets through.
            connection.write(message(2 * at + 1).repeat((128 << 10) / bytes)).unwrap();
        }
        connection.write(frame(PING, 0, 0, b"are you?")).unwrap();
        loop {
            match connection.receive_frame() {
                (PING, payload) if payload == b"are you?" => break,
                (kind, _) => assert_ne!(kind, GOAWAY, "messages of {bytes} bytes"),
            }
        }
    }
}

#[test]
fn windows_full_of_single_bytes_take_no_more_than_a_bound() {
    let (gateway, mut connection, _release) = stalled(8);
    let before = gateway.resident_kib();
    for at in 0..8 {
        // What is written after the end breaks the pipe.
        let _ = connection.write(frame(DATA, 0, 2 * at + 1, b"m").repeat(128 << 10));
    }
    frames_until_closed(&mut connection);
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB");
}

#[test]
fn one_client_has_so_many_requests_in_flight_and_no_more() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = RawUpstream::start(move |stream| {
        while stream.read() {
            let _ = held.lock().unwrap().recv_timeout(PATIENCE);
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let limits = "requests_per_address = 3\nrequests_per_connection = 2\ntrusted_proxies = [\"127.0.0.2\"]";
    let gateway = Config::standard(upstream.address).server(limits).start_bare();
    let arrived = |requests: usize| {
        wait_until("they are at the service", PATIENCE, || upstream.bytes().matches("GET /public").count() == requests);
    };
    let stream = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, &head());
    let (mut one, mut other) = (opened(&gateway), opened(&gateway));
    // The third of one connection is refused before it is read.
    one.write([stream(1), stream(3), stream(5)].concat()).unwrap();
    assert_eq!(one.receive_frame_of(RST_STREAM), 7_u32.to_be_bytes(), "REFUSED_STREAM");
    arrived(2);
    other.write(stream(1)).unwrap();
    arrived(3);
    other.write(stream(3)).unwrap();
    let answer = other.receive_frame_of(HEADERS);
    assert!(!answer.is_empty());
    let refused = gateway.process.access_line("the fourth", |line| line["status"] == 429);
    assert_eq!((&refused["reason"], &refused["client"]), (&"too_many_requests".into(), &"127.0.0.1".into()));
    // A connection of HTTP/1 has one request in flight: so many connections are so many requests.
    let mut plain = Connection::open(gateway.front);
    plain.write(get("/public").bytes()).unwrap();
    arrived(4);
    // Behind a trusted proxy the client that it names is counted, and never the proxy.
    let through = |client: &str| {
        let mut connection = Connection::open_from(std::net::Ipv4Addr::new(127, 0, 0, 2), gateway.front);
        connection.write(get("/public").header("X-Forwarded-For", client).bytes()).unwrap();
        connection
    };
    let mut named: Vec<_> = (0..3).map(|_| through("203.0.113.1")).collect();
    arrived(7);
    assert_eq!(through("203.0.113.1").receive().status, 429);
    named.push(through("203.0.113.2"));
    arrived(8);
    // Places are free again when their requests have ended.
    drop((one, other));
    drop(release);
    assert_eq!(plain.receive().status, 200);
    assert!(named.iter_mut().all(|connection| connection.receive().status == 200));
    let mut again: Vec<_> = (0..3).map(|_| through("203.0.113.1")).collect();
    assert!(again.iter_mut().all(|connection| connection.receive().status == 200));
}

#[test]
fn a_connection_without_streams_is_closed_and_one_that_drains_ends_its_own() {
    let (upstream, release) = RawUpstream::late();
    let config = Config::standard(upstream.address);
    let hasty = config.clone().server("keepalive_timeout = \"2s\"\nhead_timeout = \"2s\"").start_bare();
    let frames = frames_until_closed(&mut opened(&hasty));
    assert_eq!(frames.first(), Some(&SETTINGS));
    assert!(frames.contains(&GOAWAY), "{frames:?}");
    let gateway = config.start_bare();
    with_client(gateway.front, async |mut sender| {
        poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
        let (response, _) = sender.send_request(request("GET", "http://a.test/public"), true).unwrap();
        wait_until_async("it is at the service", PATIENCE, async || upstream.bytes().contains("/public")).await;
        gateway.process.signal("TERM");
        // What comes after the GOAWAY is refused; what was in work is answered.
        let mut refused = async || poll_fn(|cx| sender.poll_ready(cx)).await.is_err();
        wait_until_async("it is told to open no more", PATIENCE, &mut refused).await;
        release.send(()).unwrap();
        assert_eq!(response.await.unwrap().status().as_u16(), 200);
    });
    assert_eq!(gateway.process.finish().code, 0);
}

#[test]
fn h2load_has_every_request_answered() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Become);
    let output = Command::new("h2load")
        .args(["-n", "2000", "-c", "4", "-m", "20", "-H", &format!("authorization: Bearer {token}")])
        .arg(format!("http://{}/become", gateway.front))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
    assert!(text.contains("status codes: 2000 2xx"), "{text}");
}
