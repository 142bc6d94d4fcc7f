//! Requests: sections 7, 8.1, 8.4 and 8.5.

use super::{
    super::h2::{END_HEADERS, END_STREAM, frame},
    case::Case,
    wire::{PROTOCOL_ERROR, PUSH_PROMISE, WHOLE, data, field, headers, reset},
};

pub(super) const CASES: &[Case] = &[
    Case::new("RFC 9113 7", "a RST_STREAM with an unknown code is as any other", |peer| {
        peer.send(&[headers(1, END_HEADERS, &peer.post()), reset(1, 0xff)]);
        peer.goes_on()
    }),
    Case::new("RFC 9113 8.1", "a HEAD is answered", |peer| {
        peer.send(&[headers(1, WHOLE, &peer.head("HEAD").block())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 8.1", "a POST with a length is answered", |peer| {
        let head = peer.head("POST").with("content-length", "4").block();
        peer.send(&[headers(1, END_HEADERS, &head), data(1, END_STREAM, b"body")]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 8.1", "a POST with trailers is answered", |peer| {
        let head = peer.head("POST").with("trailer", "x-test").block();
        let trailers = headers(1, WHOLE, &field("x-test", "ok"));
        peer.send(&[headers(1, END_HEADERS, &head), data(1, 0, b"body"), trailers]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 8.1", "a second HEADERS without END_STREAM is malformed", |peer| {
        let again = [headers(1, END_HEADERS, &field("x-test", "ok")), data(1, END_STREAM, b"body")].concat();
        peer.send(&[headers(1, END_HEADERS, &peer.post()), data(1, 0, b"body"), again]);
        peer.is_malformed(1)
    }),
    Case::new("RFC 9113 8.1.1", "more DATA than content-length says is malformed", |peer| {
        let head = peer.head("POST").with("content-length", "1").block();
        peer.send(&[headers(1, END_HEADERS, &head), data(1, END_STREAM, b"body")]);
        peer.is_malformed(1)
    }),
    Case::new("RFC 9113 8.1.1", "more DATA in several frames than content-length says is malformed", |peer| {
        let head = peer.head("POST").with("content-length", "5").block();
        peer.send(&[headers(1, END_HEADERS, &head), data(1, 0, b"body"), data(1, END_STREAM, b"body")]);
        peer.is_malformed(1)
    }),
    Case::new("RFC 9113 8.1.1", "less DATA than content-length says is malformed", |peer| {
        let head = peer.head("POST").with("content-length", "8").block();
        peer.send(&[headers(1, END_HEADERS, &head), data(1, END_STREAM, b"body")]);
        peer.is_malformed(1)
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.1.1", "a content-length without any DATA is malformed", |peer| {
        peer.send(&[headers(1, WHOLE, &peer.head("POST").with("content-length", "1").block())]);
        peer.is_malformed(1)
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.4, 6.6", "a PUSH_PROMISE is a connection error", |peer| {
        let promise = [&3_u32.to_be_bytes()[..], &peer.get()].concat();
        peer.send(&[headers(1, END_HEADERS, &peer.post()), frame(PUSH_PROMISE, END_HEADERS, 1, &promise)]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 8.5", "a CONNECT with a path is malformed", |peer| {
        peer.send(&[headers(1, WHOLE, &peer.head("CONNECT").block())]);
        peer.is_malformed(1)
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 8.5", "a CONNECT without an authority is malformed", |peer| {
        let head = peer.head("CONNECT").without(":scheme").without(":path").without(":authority");
        peer.send(&[headers(1, WHOLE, &head.block())]);
        peer.is_malformed(1)
    })
    .beyond_h2spec(),
];
