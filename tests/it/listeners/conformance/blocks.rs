//! Field blocks in pieces: sections 4.3 and 6.10.

use super::{
    super::h2::{END_HEADERS, END_STREAM},
    case::Case,
    wire::{COMPRESSION_ERROR, PROTOCOL_ERROR, WHOLE, continuation, data, field, headers, large_field, priority},
};

pub(super) const CASES: &[Case] = &[
    Case::new("RFC 9113 4.3", "a block that cannot be decoded is a connection error", |peer| {
        // A literal that ends before its name.
        peer.send(&[headers(1, WHOLE, b"\x40")]);
        peer.is_refused(&[COMPRESSION_ERROR])
    }),
    Case::new("RFC 9113 4.3, 6.2", "a PRIORITY amid a block is a connection error", |peer| {
        let rest = continuation(1, END_HEADERS, &field("x-more", "1"));
        peer.send(&[headers(1, END_STREAM, &peer.get()), priority(1, 0, 255), rest]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 4.3, 6.2", "the HEADERS of another stream amid a block are a connection error", |peer| {
        let rest = continuation(1, END_HEADERS, &field("x-more", "1"));
        peer.send(&[headers(1, END_STREAM, &peer.get()), headers(3, WHOLE, &peer.get()), rest]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.10", "a block in two pieces is taken", |peer| {
        let block = peer.get();
        peer.send(&[headers(1, END_STREAM, &block[..5]), continuation(1, END_HEADERS, &block[5..])]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.10", "a block in three pieces is taken", |peer| {
        let block = peer.get();
        let rest = [continuation(1, 0, &block[5..10]), continuation(1, END_HEADERS, &block[10..])].concat();
        peer.send(&[headers(1, END_STREAM, &block[..5]), rest]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.10", "two CONTINUATION frames with large fields are taken", |peer| {
        let rest = [continuation(1, 0, &large_field()), continuation(1, END_HEADERS, &large_field())].concat();
        peer.send(&[headers(1, END_STREAM, &peer.get()), rest]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.10", "another frame after a CONTINUATION that ends no block is a connection error", |peer| {
        let amid = [continuation(1, 0, &field("x-more", "1")), data(1, END_STREAM, b"body")].concat();
        peer.send(&[headers(1, 0, &peer.post()), amid, continuation(1, END_HEADERS, b"")]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.10", "a CONTINUATION on stream 0 is a connection error", |peer| {
        let rest = continuation(0, END_HEADERS, &field("x-more", "1"));
        peer.send(&[headers(1, END_STREAM, &peer.get()), rest, continuation(1, END_HEADERS, b"")]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.10", "a CONTINUATION on another stream is a connection error", |peer| {
        let rest = continuation(3, END_HEADERS, &field("x-more", "1"));
        peer.send(&[headers(1, END_STREAM, &peer.get()), rest, continuation(1, END_HEADERS, b"")]);
        peer.is_refused(&[PROTOCOL_ERROR])
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 6.10", "a CONTINUATION after a whole HEADERS is a connection error", |peer| {
        peer.send(&[headers(1, WHOLE, &peer.get()), continuation(1, END_HEADERS, &field("x-more", "1"))]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.10", "a CONTINUATION after one that ended the block is a connection error", |peer| {
        let twice = continuation(1, END_HEADERS, &field("x-more", "1")).repeat(2);
        peer.send(&[headers(1, END_STREAM, &peer.get()), twice]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.10", "a CONTINUATION after DATA is a connection error", |peer| {
        let rest = [data(1, 0, b"body"), continuation(1, END_HEADERS, &field("x-more", "1"))].concat();
        peer.send(&[headers(1, END_HEADERS, &peer.post()), rest]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
];
