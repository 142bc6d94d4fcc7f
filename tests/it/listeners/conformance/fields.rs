//! The fields of a request: sections 8.2 and 8.3. Each of these requests is malformed, and none may be forwarded,
//! with a body or without.

use super::{
    super::h2::{END_HEADERS, END_STREAM},
    case::{Case, Verdict},
    peer::Peer,
    wire::{Head, WHOLE, data, field, headers},
};

/// The path of these requests, at which no upstream sees one.
pub(super) const PATH: &str = "/public/malformed";

pub(super) const CASES: &[Case] = &[
    Case::new("RFC 9113 8.2", "a name in upper case", |peer| sent(peer, |head| head.with("X-TEST", "ok"))),
    Case::new("RFC 9113 8.2.1", "a name with a space", |peer| sent(peer, |head| head.with("x test", "ok")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a name with a control character", |peer| {
        sent(peer, |head| head.with("x-\x7ftest", "ok"))
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a name with a letter outside of ASCII", |peer| {
        sent(peer, |head| head.with("x-ñ", "ok"))
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a name with a colon", |peer| sent(peer, |head| head.with("x:test", "ok")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a name without a letter", |peer| sent(peer, |head| head.with("", "ok")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a value with NUL", |peer| sent(peer, |head| head.with("x-test", "a\0b")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a value with CR", |peer| sent(peer, |head| head.with("x-test", "a\rb")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a value with LF", |peer| sent(peer, |head| head.with("x-test", "a\nb")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a value that begins with a space", |peer| {
        sent(peer, |head| head.with("x-test", " ok"))
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.2.1", "a value that ends with a tab", |peer| sent(peer, |head| head.with("x-test", "ok\t")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.2.2", "connection", |peer| sent(peer, |head| head.with("connection", "keep-alive"))),
    Case::new("RFC 9113 8.2.2", "keep-alive", |peer| sent(peer, |head| head.with("keep-alive", "timeout=5")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.2.2", "proxy-connection", |peer| {
        sent(peer, |head| head.with("proxy-connection", "keep-alive"))
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.2.2", "transfer-encoding", |peer| {
        sent(peer, |head| head.with("transfer-encoding", "chunked"))
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.2.2", "upgrade", |peer| sent(peer, |head| head.with("upgrade", "websocket"))).beyond_h2spec(),
    Case::new("RFC 9113 8.2.2", "te with more than trailers", |peer| {
        sent(peer, |head| head.with("te", "trailers, deflate"))
    }),
    Case::new("RFC 9113 8.2.2", "te with trailers alone is taken", |peer| {
        peer.send(&[headers(1, WHOLE, &peer.head("GET").with("te", "trailers").block())]);
        peer.is_answered(1)
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.3", "a pseudo-header field that nobody knows", |peer| {
        sent(peer, |head| head.with(":test", "ok"))
    }),
    Case::new("RFC 9113 8.3", "a pseudo-header field of responses", |peer| {
        sent(peer, |head| head.with(":status", "200"))
    }),
    Case::new("RFC 9113 8.3", "a pseudo-header field after another field", |peer| {
        sent(peer, |head| head.first("x-test", "ok"))
    }),
    Case::new("RFC 9113 8.3, 8.1", "a pseudo-header field in trailers", |peer| {
        let trailers = headers(1, WHOLE, &field(":method", "POST"));
        peer.send(&[headers(1, END_HEADERS, &peer.post()), data(1, 0, b"body"), trailers]);
        peer.is_malformed(1)
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.3, 8.1", "a pseudo-header field in a second HEADERS without END_STREAM", |peer| {
        let again = [headers(1, END_HEADERS, &field(":method", "POST")), data(1, END_STREAM, b"body")].concat();
        peer.send(&[headers(1, END_HEADERS, &peer.post()), data(1, 0, b"body"), again]);
        peer.is_malformed(1)
    }),
    Case::new("RFC 9113 8.3.1", "an empty :path", |peer| sent(peer, |head| head.set(":path", ""))),
    Case::new("RFC 9113 8.3.1", "a :path that does not begin with a slash", |peer| {
        sent(peer, |head| head.set(":path", "public/malformed"))
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.3.1", "no :method", |peer| sent(peer, |head| head.without(":method"))),
    Case::new("RFC 9113 8.3.1", "no :scheme", |peer| sent(peer, |head| head.without(":scheme"))),
    Case::new("RFC 9113 8.3.1", "no :path", |peer| sent(peer, |head| head.without(":path"))),
    Case::new("RFC 9113 8.3.1", "two :method", |peer| sent(peer, |head| head.first(":method", "GET"))),
    Case::new("RFC 9113 8.3.1", "two :scheme", |peer| sent(peer, |head| head.first(":scheme", "http"))),
    Case::new("RFC 9113 8.3.1", "two :path", |peer| sent(peer, |head| head.first(":path", PATH))).beyond_h2spec(),
    Case::new("RFC 9113 8.3", "two :authority", |peer| sent(peer, |head| head.first(":authority", "a.test")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.3.1", "a user in :authority", |peer| {
        sent(peer, |head| head.set(":authority", "user@a.test"))
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.3.1", "no :authority and no host", |peer| sent(peer, |head| head.without(":authority")))
        .beyond_h2spec(),
    Case::new("RFC 9113 8.1.1", "a malformed POST", |peer| {
        let head = peer.head("POST").set(":path", PATH).with("connection", "close").block();
        peer.send(&[headers(1, END_HEADERS, &head), data(1, END_STREAM, b"body")]);
        peer.is_malformed(1)
    })
    .beyond_h2spec(),
];

/// Sends a GET that was changed, and a POST with a body that was changed likewise.
fn sent(peer: &mut Peer, change: fn(Head) -> Head) -> Verdict {
    let [get, post] = ["GET", "POST"].map(|method| change(peer.head(method).set(":path", PATH)).block());
    peer.send(&[headers(1, WHOLE, &get)]);
    let verdict = peer.is_malformed(1)?;
    peer.send(&[headers(3, END_HEADERS, &post), data(3, END_STREAM, b"body")]);
    peer.is_malformed(3).map_err(|seen| format!("with a body: {seen}"))?;
    Ok(verdict)
}
