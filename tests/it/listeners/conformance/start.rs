//! The start, and what holds for each frame: sections 3.4, 4.1, 4.2, 5.4 and 5.5.

use super::{
    super::h2::{END_HEADERS, END_STREAM, PING, PREFACE, SETTINGS, frame},
    case::{Case, Held},
    peer::allowed,
    wire::{
        ACK, FRAME_SIZE_ERROR, MAX_FRAME_SIZE, PROTOCOL_ERROR, UNKNOWN, WHOLE, continuation, data, headers,
        large_field, ping, settings,
    },
};

/// What `SETTINGS_MAX_FRAME_SIZE` is before a server changes it, and at the most (section 6.5.2).
const FRAME_BYTES: u32 = 1 << 14;
const FRAME_BYTES_MAX: u32 = (1 << 24) - 1;

pub(super) const CASES: &[Case] = &[
    Case::from_the_start("RFC 9113 3.4", "the server's first frame is its SETTINGS", |peer| {
        peer.send(&[PREFACE.to_owned(), settings(&[])]);
        let first = peer.first_frame()?;
        if first.kind == SETTINGS && first.flags & ACK == 0 { Ok(Held::AsAsked) } else { Err(format!("{first:?}")) }
    }),
    Case::from_the_start("RFC 9113 3.4", "another preface ends the connection", |peer| {
        peer.send(&[b"PRJ * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()]);
        peer.closes()
    }),
    Case::from_the_start("RFC 9113 3.4", "a preface without SETTINGS is a connection error", |peer| {
        peer.send(&[PREFACE.to_owned(), ping(0, *b"too soon")]);
        peer.is_refused(&[PROTOCOL_ERROR])
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 4.1, 5.5", "a frame of an unknown type is ignored", |peer| {
        peer.send(&[frame(UNKNOWN, 0, 0, &[0; 8])]);
        peer.goes_on()
    }),
    Case::new("RFC 9113 4.1, 5.5", "a frame of an unknown type on a stream is ignored", |peer| {
        let body = [frame(UNKNOWN, 0xff, 1, &[0; 8]), data(1, END_STREAM, b"body")].concat();
        peer.send(&[headers(1, END_HEADERS, &peer.post()), body]);
        peer.is_answered(1)
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 4.1", "flags that are not defined are ignored", |peer| {
        peer.answers_ping(&ping(0xfe, *b"0xfe set"), *b"0xfe set")
    }),
    Case::new("RFC 9113 4.1", "the reserved bit is ignored", |peer| {
        peer.answers_ping(&frame(PING, 0, 0x8000_0000, b"R is set"), *b"R is set")
    }),
    Case::new("RFC 9113 4.2", "a DATA frame of 2^14 bytes is taken", |peer| {
        let body = vec![b'd'; FRAME_BYTES.try_into().unwrap()];
        peer.send(&[headers(1, END_HEADERS, &peer.post()), data(1, END_STREAM, &body)]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 4.2", "a DATA frame that is too large is an error of its size", |peer| {
        let most = peer.setting(MAX_FRAME_SIZE).unwrap_or(FRAME_BYTES);
        if most == FRAME_BYTES_MAX {
            return Ok(allowed("takes the largest frames that there are"));
        }
        let body = vec![b'd'; usize::try_from(most).unwrap() + 1];
        peer.send(&[headers(1, END_HEADERS, &peer.post()), data(1, END_STREAM, &body)]);
        peer.refuses_stream(1, &[FRAME_SIZE_ERROR])
    }),
    Case::new("RFC 9113 4.2", "a HEADERS frame that is too large is a connection error", |peer| {
        let most = peer.setting(MAX_FRAME_SIZE).unwrap_or(FRAME_BYTES);
        if most == FRAME_BYTES_MAX {
            return Ok(allowed("takes the largest frames that there are"));
        }
        let fields = usize::try_from(most).unwrap() / large_field().len() + 1;
        peer.send(&[headers(1, WHOLE, &[peer.get(), large_field().repeat(fields)].concat())]);
        peer.is_refused(&[FRAME_SIZE_ERROR])
    }),
    Case::new("RFC 9113 5.4.1", "after a connection error the connection is closed", |peer| {
        peer.send(&[frame(PING, 0, 3, &[0; 8])]);
        peer.closes()
    }),
    // It should: h2spec asks for it where it is strict.
    Case::new("RFC 9113 5.4.1", "a connection error is told with a GOAWAY", |peer| {
        peer.send(&[frame(PING, 0, 3, &[0; 8])]);
        peer.says_goodbye_and_closes(PROTOCOL_ERROR)
    }),
    Case::new("RFC 9113 5.5", "a frame of an unknown type amid a field block is a connection error", |peer| {
        let amid = frame(UNKNOWN, 0, 1, &[0; 8]);
        let rest = continuation(1, END_HEADERS, b"");
        peer.send(&[headers(1, END_STREAM, &peer.get()), amid, rest]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
];
