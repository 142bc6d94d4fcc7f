//! Requests over HTTP/2 that one server could read otherwise than another, frame by frame: each with `END_STREAM` on
//! HEADERS, and with a body in DATA that would be a request, were it read as one. The upstream receives whole requests
//! alone, and those that are allowed.
//!
//! Fields that no head may have are in `conformance/fields.rs`, hosts other than the authority in `h2_streams.rs`, and
//! methods in lower case in `proxy/methods.rs`.

use super::{
    conformance::{
        peer::{
            Gets::{self, GoAway, Reset, Status},
            Peer,
        },
        wire::{Head, PROTOCOL_ERROR, WHOLE, data, headers},
    },
    h2::{END_HEADERS, END_STREAM},
};
use crate::support::{Config, RawUpstream, answer_every_request, request_end, requests};

/// The body of each request, of 37 bytes.
const SMUGGLED: &[u8] = b"GET /sws/hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// One head, and what the client gets for it without a body and with one.
struct Attempt {
    change: fn(Head) -> Head,
    gets: [Gets; 2],
    /// Whether the upstream may see the beginning of it: what is wrong shows when the body comes.
    may_begin: bool,
}

fn attempt(change: fn(Head) -> Head, gets: [Gets; 2]) -> Attempt {
    Attempt { change, gets, may_begin: false }
}

fn refused(change: fn(Head) -> Head) -> Attempt {
    attempt(change, [Status(400), Status(400)])
}

fn malformed(change: fn(Head) -> Head) -> Attempt {
    attempt(change, [Reset(PROTOCOL_ERROR), Reset(PROTOCOL_ERROR)])
}

/// The `h2` crate takes it for an error of the connection.
fn undecodable(change: fn(Head) -> Head) -> Attempt {
    attempt(change, [GoAway(PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR)])
}

/// Sends each attempt on a connection of its own, which goes on afterwards, and looks at what the upstream received.
#[track_caller]
fn try_all(attempts: &[Attempt]) {
    let upstream = RawUpstream::start(answer_every_request);
    // A route for every path: what is refused is refused for its form.
    let gateway = Config::standard(upstream.address).route("root", "/", "auth = \"public\"").start_bare();
    let (mut whole, mut begun, mut wrong) = (vec![], vec![], vec![]);
    for (number, Attempt { change, gets, may_begin }) in attempts.iter().enumerate() {
        for (form, expected) in ["bare", "data"].into_iter().zip(gets) {
            let mut peer = Peer::open(gateway.front);
            let path = format!("/public/{number}/{form}").leak();
            let head = change(peer.head("POST").set(":path", path));
            match form {
                "bare" => peer.send(&[headers(1, WHOLE, &head.block())]),
                _ => peer.send(&[headers(1, END_HEADERS, &head.block()), data(1, END_STREAM, SMUGGLED)]),
            }
            let gets = peer.gets(1);
            if gets != *expected {
                wrong.push(format!("{gets:?} for {form} {head:?}"));
            }
            if matches!(expected, GoAway(_)) {
                continue;
            }
            if *expected == Status(200) {
                whole.push(head.target());
            } else if *may_begin {
                begun.push(head.target());
            }
            peer.send(&[headers(3, WHOLE, &peer.head("GET").set(":path", "/public/after").block())]);
            assert_eq!(peer.gets(3), Status(200), "the connection goes on after {form} {head:?}");
            whole.push("/public/after".to_owned());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    gateway.stop();
    let mut received = vec![];
    for bytes in upstream.by_connection() {
        let mut rest = bytes.as_bytes();
        let mut ended = 0;
        while let Some(end) = request_end(rest) {
            rest = &rest[end..];
            ended += 1;
        }
        for (at, head) in requests(&bytes).iter().enumerate() {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if at < ended {
                received.push(path);
            } else {
                assert!(begun.contains(&path), "a part of what is refused is at the upstream: {head}");
            }
        }
    }
    received.sort_unstable();
    whole.sort_unstable();
    assert_eq!(received, whole);
}

#[test]
fn a_length_is_that_of_the_data() {
    let late = |change, bare| Attempt { change, gets: [bare, Reset(PROTOCOL_ERROR)], may_begin: true };
    try_all(&[
        attempt(|head| head, [Status(200), Status(200)]),
        attempt(|head| head.set(":method", "GET"), [Status(200), Status(200)]),
        attempt(|head| head.with("content-length", "37"), [Reset(PROTOCOL_ERROR), Status(200)]),
        late(|head| head.with("content-length", "0"), Status(200)),
        late(|head| head.with("content-length", "4"), Reset(PROTOCOL_ERROR)),
        late(|head| head.with("content-length", "38"), Reset(PROTOCOL_ERROR)),
        late(|head| head.set(":method", "GET").with("content-length", "4"), Reset(PROTOCOL_ERROR)),
        attempt(
            |head| head.with("content-length", "37").with("content-length", "37"),
            [Reset(PROTOCOL_ERROR), Status(400)],
        ),
        malformed(|head| head.with("content-length", "37").with("content-length", "4")),
        malformed(|head| head.with("content-length", "4").with("content-length", "37")),
        malformed(|head| head.with("content-length", "0").with("content-length", "37")),
        malformed(|head| head.with("content-length", "37, 37")),
        malformed(|head| head.with("content-length", "+37")),
        malformed(|head| head.with("content-length", "-37")),
        malformed(|head| head.with("content-length", "0x25")),
        malformed(|head| head.with("content-length", "3 7")),
        attempt(|head| head.with("content-length", ""), [Status(400), Reset(PROTOCOL_ERROR)]),
        malformed(|head| head.with("content-length", "99999999999999999999999")),
    ]);
}

#[test]
fn a_target_is_a_path_of_one_service() {
    try_all(&[
        malformed(|head| head.set(":path", "http://a.test/public")),
        malformed(|head| head.set(":path", "http://b.test/public")),
        refused(|head| head.set(":path", "?public")),
        refused(|head| head.set(":path", "#public")),
        refused(|head| head.set(":path", "*")),
        malformed(|head| head.set(":path", "/public x")),
        malformed(|head| head.set(":path", "/public\tx")),
        malformed(|head| head.set(":path", "/public\0")),
        malformed(|head| head.set(":path", "/public HTTP/1.1\r\nX-Auth-Subject: eve")),
        refused(|head| head.set(":path", "/public\\x")),
        // The `http` crate drops the fragment before anybody sees it. HTTP/1 refuses it.
        attempt(|head| head.set(":path", "/public#x"), [Status(200), Status(200)]),
        attempt(|head| head.set(":method", "OPTIONS").set(":path", "*"), [Status(204), Status(204)]),
    ]);
}

#[test]
fn an_authority_is_one_host() {
    try_all(&[
        attempt(|head| head.without(":authority").with("host", "a.test"), [Status(200), Status(200)]),
        attempt(|head| head.with("host", "a.test"), [Status(200), Status(200)]),
        refused(|head| head.with("host", "a.test").with("host", "a.test")),
        refused(|head| head.without(":authority").with("host", "a.test").with("host", "b.test")),
        refused(|head| head.without(":authority").with("host", "a.test, b.test")),
        refused(|head| head.without(":authority").with("host", "")),
        malformed(|head| head.set(":authority", "").with("host", "a.test")),
        malformed(|head| head.set(":authority", "a.test b.test")),
        malformed(|head| head.set(":authority", "a.test/public")),
        malformed(|head| head.set(":authority", "a.test\r\nX-Auth-Subject: eve")),
    ]);
}

#[test]
fn a_method_is_one_that_is_served() {
    try_all(&[
        attempt(|head| head.set(":method", "TRACE"), [Status(405), Status(405)]),
        attempt(|head| head.set(":method", "CONNECT").without(":scheme").without(":path"), [Status(405), Status(405)]),
        undecodable(|head| head.set(":method", "")),
        undecodable(|head| head.set(":method", "PO ST")),
        undecodable(|head| head.set(":method", "GET /sws/hidden HTTP/1.1\r\nX-Method:")),
    ]);
}

#[test]
fn an_expectation_is_the_gateways_to_answer() {
    try_all(&[
        attempt(|head| head.with("expect", "100-continue"), [Status(200), Status(200)]),
        attempt(|head| head.set(":method", "GET").with("expect", "100-continue"), [Status(200), Status(200)]),
        attempt(|head| head.with("expect", "wonders"), [Status(417), Status(417)]),
        attempt(|head| head.with("expect", "100-continue").with("expect", "wonders"), [Status(417), Status(417)]),
    ]);
}
