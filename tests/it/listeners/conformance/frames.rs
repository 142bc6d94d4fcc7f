//! DATA, HEADERS, PRIORITY and `RST_STREAM`: sections 6.1 to 6.4.

use super::{
    super::h2::{END_HEADERS, END_STREAM, PRIORITY, RST_STREAM, frame},
    case::Case,
    wire::{
        CANCEL, FRAME_SIZE_ERROR, INITIAL_WINDOW_SIZE, PADDED, PRIORITISED, PROTOCOL_ERROR, WHOLE, data, headers,
        priority, reset,
    },
};

pub(super) const CASES: &[Case] = &[
    Case::new("RFC 9113 6.1", "a DATA frame is taken", |peer| {
        peer.send(&[headers(1, END_HEADERS, &peer.post()), data(1, END_STREAM, b"body")]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.1", "several DATA frames are taken", |peer| {
        let body = [data(1, 0, b"body"), data(1, END_STREAM, b"body")].concat();
        peer.send(&[headers(1, END_HEADERS, &peer.post()), body]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.1", "a DATA frame with padding is taken", |peer| {
        let padded = data(1, END_STREAM | PADDED, b"\x06body\0\0\0\0\0\0");
        peer.send(&[headers(1, END_HEADERS, &peer.head("POST").with("content-length", "4").block()), padded]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.1", "DATA on stream 0 is a connection error", |peer| {
        peer.send(&[data(0, END_STREAM, b"body")]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.1", "padding as long as its DATA frame is a connection error", |peer| {
        let head = peer.head("POST").with("content-length", "4").block();
        peer.send(&[headers(1, END_HEADERS, &head), data(1, END_STREAM | PADDED, b"\x05body")]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.1", "a DATA frame with the flag and without its length is a connection error", |peer| {
        peer.send(&[headers(1, END_HEADERS, &peer.post()), data(1, END_STREAM | PADDED, b"")]);
        peer.is_refused(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR])
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 6.2, 8.1", "a HEADERS frame is taken", |peer| {
        peer.send(&[headers(1, WHOLE, &peer.get())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.2", "a HEADERS frame with padding is taken", |peer| {
        peer.send(&[headers(1, WHOLE | PADDED, &[vec![8], peer.get(), vec![0; 8]].concat())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.2", "a HEADERS frame with a priority is taken", |peer| {
        peer.send(&[headers(1, WHOLE | PRIORITISED, &[vec![0, 0, 0, 0, 255], peer.get()].concat())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.2", "HEADERS on stream 0 are a connection error", |peer| {
        peer.send(&[headers(0, WHOLE, &peer.get())]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.2", "padding longer than its HEADERS frame is a connection error", |peer| {
        let block = peer.get();
        let padding = u8::try_from(block.len() + 1).unwrap();
        peer.send(&[headers(1, WHOLE | PADDED, &[vec![padding], block].concat())]);
        peer.refuses_stream(1, &[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.3", "a PRIORITY with the least weight is taken", |peer| {
        peer.send(&[priority(1, 0, 0), headers(1, WHOLE, &peer.get())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.3", "a PRIORITY with the greatest weight is taken", |peer| {
        peer.send(&[priority(1, 0, 255), headers(1, WHOLE, &peer.get())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.3", "a PRIORITY that depends on another stream is taken", |peer| {
        peer.send(&[priority(3, 1, 0), headers(1, WHOLE, &peer.get())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.3", "an exclusive PRIORITY is taken", |peer| {
        peer.send(&[priority(1, 0x8000_0000, 0), headers(1, WHOLE, &peer.get())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.3", "a PRIORITY uses up no number: a lower stream is answered after it", |peer| {
        peer.send(&[priority(3, 0, 255), headers(1, WHOLE, &peer.get())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.3", "a PRIORITY on stream 0 is a connection error", |peer| {
        peer.send(&[priority(0, 0, 255)]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.3", "a PRIORITY of another length is a stream error", |peer| {
        peer.set(&[(INITIAL_WINDOW_SIZE, 0)])?;
        peer.send(&[headers(1, WHOLE, &peer.get()), frame(PRIORITY, 0, 1, &[0x80, 0, 0, 1])]);
        peer.refuses_stream(1, &[FRAME_SIZE_ERROR])
    }),
    Case::new("RFC 9113 6.4", "a RST_STREAM is taken", |peer| {
        peer.send(&[headers(1, END_HEADERS, &peer.post()), reset(1, CANCEL)]);
        peer.goes_on()
    }),
    Case::new("RFC 9113 6.4", "a RST_STREAM on stream 0 is a connection error", |peer| {
        peer.send(&[reset(0, CANCEL)]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.4", "a RST_STREAM of another length is a connection error", |peer| {
        peer.set(&[(INITIAL_WINDOW_SIZE, 0)])?;
        peer.send(&[headers(1, WHOLE, &peer.get()), frame(RST_STREAM, 0, 1, &[0; 3])]);
        peer.is_refused(&[FRAME_SIZE_ERROR])
    }),
];
