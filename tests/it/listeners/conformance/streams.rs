//! The states and numbers of streams: sections 5.1 and 5.3.
//!
//! RFC 7540 asked for an error for each frame on a closed stream. RFC 9113 lets a server discard such frames.

use super::{
    super::h2::{END_HEADERS, END_STREAM},
    case::{Case, Verdict},
    peer::{Peer, allowed},
    wire::{
        CANCEL, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PRIORITISED, PROTOCOL_ERROR, REFUSED_STREAM,
        STREAM_CLOSED, WHOLE, continuation, data, field, headers, priority, reset, window_update,
    },
};

pub(super) const CASES: &[Case] = &[
    Case::new("RFC 9113 5.1", "idle: DATA is a connection error", |peer| {
        peer.send(&[data(1, END_STREAM, b"body")]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1, 6.4", "idle: RST_STREAM is a connection error", |peer| {
        peer.send(&[reset(1, CANCEL)]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1", "idle: WINDOW_UPDATE is a connection error", |peer| {
        peer.send(&[window_update(1, 100)]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1", "idle: CONTINUATION is a connection error", |peer| {
        peer.send(&[continuation(1, END_HEADERS, &peer.get())]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1", "idle: PRIORITY is taken", |peer| {
        peer.send(&[priority(1, 0, 255)]);
        peer.goes_on()
    }),
    Case::new("RFC 9113 5.1", "half-closed: WINDOW_UPDATE is taken", |peer| {
        half_closed(peer)?;
        peer.send(&[window_update(1, 1)]);
        peer.takes(1, 1)
    }),
    Case::new("RFC 9113 5.1", "half-closed: PRIORITY is taken", |peer| {
        half_closed(peer)?;
        peer.send(&[priority(1, 0, 255), window_update(1, 1)]);
        peer.takes(1, 1)
    }),
    Case::new("RFC 9113 5.1", "half-closed: RST_STREAM is taken", |peer| {
        half_closed(peer)?;
        peer.send(&[reset(1, CANCEL)]);
        peer.goes_on()
    }),
    Case::new("RFC 9113 5.1, 6.1", "half-closed: DATA is a stream error", |peer| {
        half_closed(peer)?;
        peer.send(&[data(1, END_STREAM, b"body")]);
        peer.refuses_stream(1, &[STREAM_CLOSED])
    }),
    Case::new("RFC 9113 5.1, 5.1.1", "half-closed: HEADERS are a stream error", |peer| {
        half_closed(peer)?;
        peer.send(&[headers(1, WHOLE, &peer.get())]);
        peer.refuses_stream(1, &[STREAM_CLOSED])
    }),
    Case::new("RFC 9113 5.1, 6.10", "half-closed: CONTINUATION is an error", |peer| {
        half_closed(peer)?;
        peer.send(&[continuation(1, END_HEADERS, &peer.get())]);
        peer.refuses_stream(1, &[STREAM_CLOSED, PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1, 6.1", "closed with RST_STREAM: DATA is an error, or discarded", |peer| {
        cancelled(peer);
        peer.send(&[data(1, END_STREAM, b"body")]);
        peer.refuses_or_discards(1, &[STREAM_CLOSED])
    }),
    Case::new("RFC 9113 5.1", "closed with RST_STREAM: HEADERS are an error, or discarded", |peer| {
        cancelled(peer);
        peer.send(&[headers(1, WHOLE, &peer.get())]);
        peer.refuses_or_discards(1, &[STREAM_CLOSED])
    }),
    Case::new("RFC 9113 5.1, 6.10", "closed with RST_STREAM: CONTINUATION is an error", |peer| {
        cancelled(peer);
        peer.send(&[continuation(1, END_HEADERS, &field("x-more", "1"))]);
        peer.refuses_stream(1, &[STREAM_CLOSED, PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1, 6.1", "closed at its end: DATA is an error, or discarded", |peer| {
        finished(peer)?;
        peer.send(&[data(1, END_STREAM, b"body")]);
        peer.refuses_or_discards(1, &[STREAM_CLOSED])
    }),
    Case::new("RFC 9113 5.1, 5.1.1", "closed at its end: HEADERS are an error, or discarded", |peer| {
        finished(peer)?;
        peer.send(&[headers(1, WHOLE, &peer.get())]);
        // The number of a stream is used once.
        peer.refuses_or_discards(1, &[STREAM_CLOSED, PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1, 6.10", "closed at its end: CONTINUATION is a connection error", |peer| {
        finished(peer)?;
        peer.send(&[continuation(1, END_HEADERS, &field("x-more", "1"))]);
        peer.is_refused(&[STREAM_CLOSED, PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1", "closed at its end: PRIORITY is taken", |peer| {
        finished(peer)?;
        peer.send(&[priority(1, 0, 255)]);
        peer.goes_on()
    }),
    Case::new("RFC 9113 5.1", "closed at its end: WINDOW_UPDATE and RST_STREAM may still come", |peer| {
        finished(peer)?;
        peer.send(&[window_update(1, 1), reset(1, CANCEL)]);
        peer.goes_on()
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 5.1.1", "an even stream number is a connection error", |peer| {
        peer.send(&[headers(2, WHOLE, &peer.get())]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1.1", "a stream number below the last one is a connection error", |peer| {
        peer.send(&[headers(5, WHOLE, &peer.get()), headers(3, WHOLE, &peer.get())]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.1.2", "a stream above SETTINGS_MAX_CONCURRENT_STREAMS is refused", |peer| {
        let Some(most) = peer.setting(MAX_CONCURRENT_STREAMS) else { return Ok(allowed("has no limit")) };
        // No answer comes to its end.
        peer.set(&[(INITIAL_WINDOW_SIZE, 0)])?;
        let all: Vec<_> = (0..=most).map(|at| headers(2 * at + 1, WHOLE, &peer.get())).collect();
        peer.send(&all);
        peer.refuses_stream(2 * most + 1, &[PROTOCOL_ERROR, REFUSED_STREAM])
    }),
    // RFC 7540 section 5.3.1 asked for an error. RFC 9113 dropped the tree of priorities.
    Case::new("RFC 9113 5.3.2", "HEADERS that depend on themselves are an error, or served", |peer| {
        let own = [&1_u32.to_be_bytes()[..], &[255]].concat();
        peer.send(&[headers(1, WHOLE | PRIORITISED, &[own, peer.get()].concat())]);
        peer.may_refuse(1, &[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 5.3.2", "a PRIORITY that depends on itself is an error, or ignored", |peer| {
        peer.send(&[priority(1, 1, 255)]);
        peer.may_refuse(1, &[PROTOCOL_ERROR])
    }),
];

/// A request without a body on stream 1, whose answer waits for its window.
fn half_closed(peer: &mut Peer) -> Result<(), String> {
    peer.set(&[(INITIAL_WINDOW_SIZE, 0)])?;
    peer.send(&[headers(1, WHOLE, &peer.get())]);
    Ok(())
}

/// A request on stream 1 that was reset before it had a body.
fn cancelled(peer: &mut Peer) {
    peer.send(&[headers(1, END_HEADERS, &peer.post()), reset(1, CANCEL)]);
}

/// A request on stream 1 that was answered to its end.
fn finished(peer: &mut Peer) -> Verdict {
    peer.send(&[headers(1, WHOLE, &peer.get())]);
    peer.is_answered(1)
}
