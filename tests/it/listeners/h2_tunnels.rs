//! No stream of HTTP/2 becomes a tunnel, with DATA or without: not for the fields of HTTP/1 that ask for one, not for
//! the `:protocol` of RFC 8441, and not because a service says so.

use super::{
    conformance::{
        peer::{
            Gets::{self, Reset, Status},
            Peer,
        },
        wire::{Head, PROTOCOL_ERROR, WHOLE, data, headers},
    },
    h2::{DATA, END_HEADERS, END_STREAM, frame},
};
use crate::support::{Config, Gateway, RawStream, RawUpstream, requests};

/// `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 8441 section 3).
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// Switches whatever it is asked.
fn switch(stream: &mut RawStream) {
    while stream.read_request() {
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    }
}

/// What a client gets for a head that ends its stream, for one whose stream DATA ends, and for one whose stream stays
/// open as a tunnel does.
fn tried(gateway: &Gateway, change: fn(Head) -> Head) -> [Gets; 3] {
    let frame_of_a_web_socket = b"\x81\x84\0\0\0\0ping";
    ["bare", "data", "open"].map(|form| {
        let mut peer = Peer::open(gateway.front);
        let block = change(peer.head("GET")).block();
        match form {
            "bare" => peer.send(&[headers(1, WHOLE, &block)]),
            "data" => peer.send(&[headers(1, END_HEADERS, &block), data(1, END_STREAM, frame_of_a_web_socket)]),
            _ => peer.send(&[headers(1, END_HEADERS, &block), frame(DATA, 0, 1, frame_of_a_web_socket)]),
        }
        let gets = peer.gets(1);
        peer.send(&[headers(3, WHOLE, &peer.head("GET").set(":path", "/none").block())]);
        assert_eq!(peer.gets(3), Status(404), "the connection goes on after {form}");
        gets
    })
}

#[test]
fn a_stream_that_asks_for_a_tunnel_is_refused() {
    let upstream = RawUpstream::start(switch);
    let gateway = Config::standard(upstream.address).start_bare();
    assert_eq!(Peer::open(gateway.front).setting(ENABLE_CONNECT_PROTOCOL).unwrap_or_default(), 0);
    let refused = [const { Reset(PROTOCOL_ERROR) }; 3];
    for change in [
        |head: Head| head.with("connection", "Upgrade").with("upgrade", "websocket"),
        |head| head.with("connection", "Upgrade").with("upgrade", "h2c").with("http2-settings", "AAMAAABkAARAAAAA"),
        |head| head.set(":method", "CONNECT").with(":protocol", "websocket").with("sec-websocket-version", "13"),
        |head| head.set(":method", "CONNECT").with(":protocol", "connect-udp").with("capsule-protocol", "?1"),
        |head| head.set(":method", "CONNECT").without(":path").without(":scheme").with(":protocol", "websocket"),
        |head| head.with(":protocol", "websocket"),
        |head| head.set(":method", "POST").with(":protocol", "websocket"),
        |head| head.set(":method", "CONNECT").with(":protocol", "websocket").with(":protocol", "websocket"),
    ] as [fn(Head) -> Head; 8]
    {
        assert_eq!(tried(&gateway, change), refused, "{:?}", change(Head(vec![])));
    }
    let connect = tried(&gateway, |head| head.set(":method", "CONNECT").without(":path").without(":scheme"));
    assert_eq!(connect, [const { Status(405) }; 3]);
    assert_eq!(upstream.bytes(), "");
    assert!(gateway.metric("portero_connections{state=\"tunnel\"}") < 0.5);
}

#[test]
fn a_service_that_switches_for_a_stream_is_a_bad_gateway() {
    let upstream = RawUpstream::start(switch);
    let gateway = Config::standard(upstream.address).start_bare();
    for method in ["GET", "POST"] {
        let mut peer = Peer::open(gateway.front);
        // Such a request over HTTP/1 would be a WebSocket's, but for the fields that HTTP/2 has no more.
        let block = |peer: &Peer| {
            peer.head(method).with("sec-websocket-version", "13").with("sec-websocket-key", "dGhlIHNhbXBsZQ==").block()
        };
        peer.send(&[headers(1, WHOLE, &block(&peer))]);
        assert_eq!(peer.gets(1), Status(502), "{method}");
        peer.send(&[headers(3, END_HEADERS, &block(&peer)), data(3, END_STREAM, b"ping")]);
        assert_eq!(peer.gets(3), Status(502), "{method}");
    }
    assert!(gateway.metric("portero_connections{state=\"tunnel\"}") < 0.5);
    gateway.stop();
    let connections = upstream.by_connection();
    assert_eq!(connections.len(), 4, "each was asked once, on a connection of its own: {connections:?}");
    for bytes in connections {
        assert_eq!(requests(&bytes).len(), 1, "{bytes}");
        assert!(!bytes.to_lowercase().contains("upgrade"), "{bytes}");
    }
}
