//! SETTINGS, PING and GOAWAY: sections 6.5 to 6.8.

use super::{
    super::h2::{GOAWAY, PING, SETTINGS, frame},
    case::{Case, Held},
    wire::{
        ACK, ENABLE_PUSH, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE,
        MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, NO_ERROR, PROTOCOL_ERROR, WHOLE, goaway, headers,
        ping, settings,
    },
};

pub(super) const CASES: &[Case] = &[
    Case::new("RFC 9113 6.5, 6.5.3", "SETTINGS with every setting are acknowledged", |peer| {
        peer.set(&[
            (HEADER_TABLE_SIZE, 4096),
            (ENABLE_PUSH, 1),
            (MAX_CONCURRENT_STREAMS, 100),
            (INITIAL_WINDOW_SIZE, 65_535),
            (MAX_FRAME_SIZE, 16_384),
            (MAX_HEADER_LIST_SIZE, 100),
        ])?;
        peer.goes_on()
    }),
    Case::new("RFC 9113 6.5.3", "SETTINGS with one setting are acknowledged", |peer| {
        peer.set(&[(ENABLE_PUSH, 0)])?;
        Ok(Held::AsAsked)
    }),
    Case::new("RFC 9113 6.5", "an acknowledgement with a payload is a connection error", |peer| {
        peer.send(&[frame(SETTINGS, ACK, 0, b"\0")]);
        peer.is_refused(&[FRAME_SIZE_ERROR])
    }),
    Case::new("RFC 9113 6.5", "SETTINGS on a stream are a connection error", |peer| {
        peer.send(&[frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100])]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.5", "SETTINGS whose length is no multiple of 6 are a connection error", |peer| {
        peer.send(&[frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100, 0, 2])]);
        peer.is_refused(&[FRAME_SIZE_ERROR])
    }),
    Case::new("RFC 9113 6.5.2", "SETTINGS_ENABLE_PUSH other than 0 and 1 is a connection error", |peer| {
        peer.send(&[settings(&[(ENABLE_PUSH, 2)])]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.5.2, 6.9.2", "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1 is a connection error", |peer| {
        peer.send(&[settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)])]);
        peer.is_refused(&[FLOW_CONTROL_ERROR])
    }),
    Case::new("RFC 9113 6.5.2", "SETTINGS_MAX_FRAME_SIZE below 2^14 is a connection error", |peer| {
        peer.send(&[settings(&[(MAX_FRAME_SIZE, (1 << 14) - 1)])]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.5.2", "SETTINGS_MAX_FRAME_SIZE above 2^24-1 is a connection error", |peer| {
        peer.send(&[settings(&[(MAX_FRAME_SIZE, 1 << 24)])]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.5.2", "an unknown setting is ignored", |peer| {
        peer.set(&[(0xff, 1)])?;
        peer.goes_on()
    }),
    Case::new("RFC 9113 6.5.3", "values are taken in their order: the last one counts", |peer| {
        peer.set(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)])?;
        peer.send(&[headers(1, WHOLE, &peer.get())]);
        peer.takes(1, 1)
    }),
    Case::new("RFC 9113 6.7", "a PING is answered with its own bytes", |peer| {
        peer.answers_ping(&ping(0, *b"\0\x01\x02 abcd"), *b"\0\x01\x02 abcd")
    }),
    Case::new("RFC 9113 6.7", "the answer to a PING is not answered", |peer| {
        peer.send(&[ping(ACK, *b"unasked!")]);
        peer.goes_on()
    }),
    Case::new("RFC 9113 6.7", "a PING on a stream is a connection error", |peer| {
        peer.send(&[frame(PING, 0, 1, &[0; 8])]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.7", "a PING of another length than 8 is a connection error", |peer| {
        peer.send(&[frame(PING, 0, 0, &[0; 6])]);
        peer.is_refused(&[FRAME_SIZE_ERROR])
    }),
    Case::new("RFC 9113 6.8", "a GOAWAY is taken", |peer| {
        peer.send(&[goaway(NO_ERROR)]);
        peer.goes_on_or_closes()
    }),
    Case::new("RFC 9113 6.8", "a GOAWAY on a stream is a connection error", |peer| {
        peer.send(&[frame(GOAWAY, 0, 1, &[0; 8])]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 7", "a GOAWAY with an unknown code is as any other", |peer| {
        peer.send(&[goaway(0xff)]);
        peer.goes_on_or_closes()
    }),
];
