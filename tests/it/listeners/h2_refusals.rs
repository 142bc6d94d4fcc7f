//! Heads that are refused before anybody decides about them: each has its line in the access log and its count, whether
//! the gateway refuses it or the library that speaks HTTP/2.

use serde_json::Value;

use super::{
    conformance::{
        peer::{
            Gets::{self, GoAway, Reset, Status},
            Peer,
        },
        wire::{Head, PROTOCOL_ERROR, REFUSED_STREAM, WHOLE, continuation, field, headers, large_field},
    },
    h2::{END_HEADERS, END_STREAM, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, frames_until_closed},
};
use crate::support::{Config, Connection, Gateway, PATIENCE, RawUpstream, get, wait_until};

/// How many heads were refused as malformed.
const MALFORMED: &str = r#"portero_decisions_total{decision="deny",reason="malformed_request",route="-"}"#;

/// What a frame may carry.
const FRAME_BYTES_MAX: usize = 16 << 10;

/// What the log says of the requests, in their order.
fn logged(gateway: Gateway) -> Vec<(u64, String)> {
    let written = gateway.stop().stdout;
    let lines = written.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["kind"] == "access")
        .map(|line| (line["status"].as_u64().unwrap(), line["reason"].as_str().unwrap().to_owned()))
        .collect()
}

fn expected(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
    lines.iter().map(|&(status, reason)| (status, reason.to_owned())).collect()
}

/// Sends the head of a GET on this stream.
fn sent(peer: &mut Peer, stream: u32, change: fn(Head) -> Head) -> Gets {
    peer.send(&[headers(stream, WHOLE, &change(peer.head("GET")).block())]);
    peer.gets(stream)
}

/// The frames of a head that is a GET's, with `fields` fields of some 4,000 bytes.
fn large(peer: &Peer, stream: u32, fields: usize) -> Vec<Vec<u8>> {
    let block = [peer.head("GET").block(), large_field().repeat(fields)].concat();
    let pieces: Vec<_> = block.chunks(FRAME_BYTES_MAX).collect();
    let (first, others) = pieces.split_first().unwrap();
    let mut frames = vec![headers(stream, END_STREAM | if others.is_empty() { END_HEADERS } else { 0 }, first)];
    for (at, piece) in others.iter().enumerate() {
        frames.push(continuation(stream, if at + 1 == others.len() { END_HEADERS } else { 0 }, piece));
    }
    frames
}

#[test]
fn a_malformed_head_is_logged_and_counted_and_no_other_is() {
    let (gateway, upstream) = Gateway::with_upstream();
    let mut peer = Peer::open(gateway.front);
    for (stream, change, gets) in [
        (1, (|head| head) as fn(Head) -> Head, Status(200)),
        (3, |head| head.with("te", "gzip"), Reset(PROTOCOL_ERROR)),
        (5, |head| head.with("content-length", "1").with("content-length", "2"), Reset(PROTOCOL_ERROR)),
        (7, |head| head.with("content-length", "x"), Reset(PROTOCOL_ERROR)),
        (9, |head| head.without(":path"), Reset(PROTOCOL_ERROR)),
        (11, |head| head.set(":path", "/public/%2F"), Status(400)),
        (13, |head| head, Status(200)),
    ] {
        assert_eq!(sent(&mut peer, stream, change), gets, "{stream}");
    }
    // Of what comes in one write too, each has one line.
    let bad = peer.head("GET").with("te", "gzip").block();
    peer.send(&[15, 17, 19].map(|stream| headers(stream, WHOLE, &bad)));
    assert_eq!(peer.gets(19), Reset(PROTOCOL_ERROR));
    assert_eq!(sent(&mut peer, 21, |head| head), Status(200));
    let metrics = gateway.ask("/metrics").text();
    for count in [format!("{MALFORMED} 7"), r#"portero_requests_total{code="400",route="-"} 8"#.to_owned()] {
        assert!(metrics.contains(&count), "{metrics}");
    }
    (0..3).for_each(|_| drop(upstream.received()));
    let malformed = (400, "malformed_request");
    assert_eq!(
        logged(gateway),
        expected(&[
            (200, "public"),
            malformed,
            malformed,
            malformed,
            malformed,
            (400, "ambiguous_path"),
            (200, "public"),
            malformed,
            malformed,
            malformed,
            (200, "public"),
        ])
    );
}

#[test]
fn what_a_client_does_beside_it_hides_no_refusal() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let malformed = |peer: &Peer| peer.head("GET").with("te", "gzip").block();
    // A stream that no client may open, and a head that does not end: both are reset for their content.
    let mut peer = Peer::open(gateway.front);
    let bad = malformed(&peer);
    peer.send(&[headers(0x7fff_fffe, WHOLE, &bad), headers(1, END_STREAM, &bad), headers(3, WHOLE, &bad)]);
    assert_eq!(peer.gets(3), Reset(PROTOCOL_ERROR));
    assert_eq!(sent(&mut peer, 5, |head| head), Status(200));
    // One that is large is answered, and those behind it are not taken for it.
    let frames = large(&peer, 7, 17);
    peer.send(&frames);
    assert_eq!(peer.gets(7), Status(431));
    assert_eq!(sent(&mut peer, 9, |head| head.with("te", "gzip")), Reset(PROTOCOL_ERROR));
    // The client says all that it has to say, and leaves.
    let mut client = Connection::open(gateway.front);
    let heads = [1, 3].map(|stream| headers(stream, WHOLE, &bad)).concat();
    client.write([PREFACE, &frame(SETTINGS, 0, 0, b""), &heads].concat()).unwrap();
    client.end();
    wait_until("all are counted", PATIENCE, || gateway.metric(MALFORMED) >= 6.0);
    let bad = (400, "malformed_request");
    assert_eq!(logged(gateway), expected(&[bad, bad, bad, (200, "public"), (431, "head_too_large"), bad, bad, bad]));
}

#[test]
fn what_comes_with_the_connections_end_is_logged() {
    let (gateway, upstream) = Gateway::with_upstream();
    let peer = Peer::open(gateway.front);
    let heads = [peer.head("GET").block(), peer.head("GET").with("te", "gzip").block()];
    let all = (0..10).map(|at: u32| headers(2 * at + 1, WHOLE, &heads[usize::from(at % 2 == 1)])).collect::<Vec<_>>();
    let mut client = Connection::open(gateway.front);
    client.write([PREFACE, &frame(SETTINGS, 0, 0, b""), &all.concat()].concat()).unwrap();
    client.end();
    frames_until_closed(&mut client);
    drop((client, peer));
    wait_until("all are counted", PATIENCE, || gateway.metric(MALFORMED) >= 5.0);
    let lines = logged(gateway);
    assert_eq!(lines.iter().filter(|(_, reason)| reason == "malformed_request").count(), 5, "{lines:?}");
    // Whether a good one is answered before the end is seen is open.
    assert_eq!(lines.len(), 10, "{lines:?}");
    drop(upstream);
}

#[test]
fn heads_that_end_with_their_connection_have_one_line() {
    let upstream = RawUpstream::start(|_| {});
    let gateway = Config::standard(upstream.address).start_bare();
    let pings = || (0..1000).map(|_| frame(PING, 0, 0, &[0; 8])).collect::<Vec<_>>().concat();
    let window = frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes());
    let mut peer = Peer::open(gateway.front);
    let bad = peer.head("GET").with("te", "gzip").block();
    peer.send(&[headers(1, WHOLE, &bad), headers(3, WHOLE, &bad), window]);
    assert!(matches!(peer.gets(5), GoAway(_)));
    let mut peer = Peer::open(gateway.front);
    peer.send(&[[headers(1, WHOLE, &bad), headers(3, WHOLE, &bad), pings()].concat()]);
    assert!(matches!(peer.gets(5), GoAway(_) | Gets::Nothing(_)));
    // More resets than are allowed.
    let mut peer = Peer::open(gateway.front);
    let many: Vec<_> = (0..1100).map(|at| headers(2 * at + 1, WHOLE, &bad)).collect();
    peer.send(&[many.concat()]);
    assert!(matches!(peer.gets(u32::MAX), GoAway(_) | Gets::Nothing(_)));
    let lines = logged(gateway);
    assert!(lines.contains(&(429, "too_many_requests".to_owned())), "{lines:?}");
    assert!(lines.iter().all(|(_, reason)| reason != "head_too_large"), "{lines:?}");
}

#[test]
fn a_head_that_is_cut_off_by_the_connections_end_keeps_nobody_busy() {
    let upstream = RawUpstream::start(|_| {});
    // No deadline ends the connection in the place of its own end.
    let gateway = Config::standard(upstream.address).server("head_timeout = \"10m\"").start_bare();
    let head = headers(1, WHOLE, &field("x-cut", "off"));
    for cut in [9, 10, head.len() - 1] {
        let mut client = Connection::open(gateway.front);
        client.write([PREFACE, &frame(SETTINGS, 0, 0, b""), &head[..cut]].concat()).unwrap();
        client.end();
        frames_until_closed(&mut client);
    }
    assert_eq!(logged(gateway), []);
}

#[test]
fn a_head_that_ends_its_connection_is_logged() {
    let (gateway, _upstream) = Gateway::with_upstream();
    for block in [
        // No entry of any table.
        vec![0xff, 0xff, 0xff, 0x0f],
        // A name with a letter that no name has is no field.
        field("Te st", "1"),
    ] {
        let mut peer = Peer::open(gateway.front);
        peer.send(&[headers(1, WHOLE, &block)]);
        assert_eq!(peer.gets(1), GoAway(PROTOCOL_ERROR));
    }
    // A frame that is no head ends a connection too, and is no request.
    let mut peer = Peer::open(gateway.front);
    assert_eq!(sent(&mut peer, 1, |head| head), Status(200));
    peer.send(&[frame(SETTINGS, 0, 1, b"")]);
    assert_eq!(peer.gets(3), GoAway(PROTOCOL_ERROR));
    let malformed = (400, "malformed_request");
    assert_eq!(logged(gateway), expected(&[malformed, malformed, (200, "public")]));
}

#[test]
fn a_head_that_is_too_large_is_answered_and_logged() {
    let (gateway, upstream) = Gateway::with_upstream();
    let mut peer = Peer::open(gateway.front);
    // 15 fields fit, as they do over HTTP/1; 17 are refused by the gateway, and 40 by the library.
    for (stream, fields, status) in [(1, 15, 200), (3, 17, 431), (5, 40, 431), (7, 1, 200)] {
        let frames = large(&peer, stream, fields);
        peer.send(&frames);
        assert_eq!(peer.gets(stream), Status(status), "{fields}");
        let mut plain = get("/public");
        for _ in 0..fields {
            plain = plain.header("x-large", "l".repeat(4000));
        }
        if fields < 40 {
            assert_eq!(gateway.send(&plain).status, status, "{fields} over HTTP/1");
        }
    }
    (0..4).for_each(|_| drop(upstream.received()));
    upstream.received_nothing();
    let (good, large) = ((200, "public"), (431, "head_too_large"));
    assert_eq!(logged(gateway), expected(&[good, good, large, large, large, good, good]));
}

#[test]
fn a_head_that_does_not_end_is_logged() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let mut peer = Peer::open(gateway.front);
    let mut frames = vec![headers(1, END_STREAM, &peer.head("GET").block())];
    frames.extend((0..200).map(|_| continuation(1, 0, &field("x", "1"))));
    peer.send(&frames);
    assert!(matches!(peer.gets(1), GoAway(_)));
    assert_eq!(logged(gateway), expected(&[(431, "head_too_large")]));
}

#[test]
fn too_many_resets_are_no_head_that_is_too_large() {
    let (gateway, _upstream) = Gateway::with_upstream();
    for streams in [30, 100, 200] {
        let mut peer = Peer::open(gateway.front);
        let block = peer.head("GET").block();
        let reset = |stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        let frames: Vec<_> =
            (0..streams).flat_map(|at| [headers(2 * at + 1, WHOLE, &block), reset(2 * at + 1)]).collect();
        // In one write, so that they are read together.
        peer.send(&[frames.concat()]);
        assert!(matches!(peer.gets(1), GoAway(_)), "{streams}");
    }
    let lines = logged(gateway);
    let of = |reason: &str| lines.iter().filter(|(_, said)| said == reason).count();
    assert_eq!((of("too_many_requests"), of("head_too_large")), (3, 0), "{lines:?}");
}

#[test]
fn a_stream_more_than_may_be_open_is_logged() {
    let (upstream, release) = RawUpstream::late();
    let gateway = Config::standard(upstream.address).server("requests_per_connection = 2").start_bare();
    let mut peer = Peer::open(gateway.front);
    let block = peer.head("GET").block();
    peer.send(&[1, 3].map(|stream| headers(stream, WHOLE, &block)));
    wait_until("both are at the service", PATIENCE, || upstream.bytes().matches("GET /public").count() == 2);
    assert_eq!(sent(&mut peer, 5, |head| head), Reset(REFUSED_STREAM));
    (0..2).for_each(|_| release.send(()).unwrap());
    let good = (200, "public");
    assert_eq!(logged(gateway), expected(&[(429, "too_many_requests"), good, good]));
}
