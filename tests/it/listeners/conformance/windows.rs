//! Flow control: section 6.9.

use super::{
    super::h2::{END_HEADERS, WINDOW_UPDATE, frame},
    case::Case,
    wire::{
        FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, INITIAL_WINDOW_SIZE, PROTOCOL_ERROR, WHOLE, headers, settings,
        window_update,
    },
};

/// What a window is at the most.
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

pub(super) const CASES: &[Case] = &[
    Case::new("RFC 9113 6.9", "the connection's window is opened", |peer| {
        peer.send(&[window_update(0, 1)]);
        peer.goes_on()
    }),
    Case::new("RFC 9113 6.9", "a stream's window is opened", |peer| {
        peer.send(&[headers(1, WHOLE, &peer.get()), window_update(1, 1)]);
        peer.is_answered(1)
    }),
    Case::new("RFC 9113 6.9", "a WINDOW_UPDATE of the connection by 0 is a connection error", |peer| {
        peer.send(&[window_update(0, 0)]);
        peer.is_refused(&[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.9", "a WINDOW_UPDATE of a stream by 0 is a stream error", |peer| {
        peer.send(&[headers(1, END_HEADERS, &peer.post()), window_update(1, 0)]);
        peer.refuses_stream(1, &[PROTOCOL_ERROR])
    }),
    Case::new("RFC 9113 6.9", "a WINDOW_UPDATE of another length than 4 is a connection error", |peer| {
        peer.send(&[frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])]);
        peer.is_refused(&[FRAME_SIZE_ERROR])
    }),
    Case::new("RFC 9113 6.9.1", "no more is sent than the stream's window takes", |peer| {
        peer.set(&[(INITIAL_WINDOW_SIZE, 1)])?;
        peer.send(&[headers(1, WHOLE, &peer.get())]);
        peer.takes(1, 1)
    }),
    Case::new("RFC 9113 6.9.1", "no more is sent than the connection's window takes", |peer| {
        peer.set(&[(INITIAL_WINDOW_SIZE, 1 << 20)])?;
        peer.send(&[headers(1, WHOLE, &peer.head("GET").set(":path", "/public?bytes=1048576").block())]);
        // Which SETTINGS do not change (section 6.9.2).
        peer.takes(1, 65_535)
    })
    .beyond_h2spec(),
    Case::new("RFC 9113 6.9.1", "a connection's window above 2^31-1 is a connection error", |peer| {
        peer.send(&[window_update(0, WINDOW_BYTES_MAX).repeat(2)]);
        peer.says_goodbye_and_closes(FLOW_CONTROL_ERROR)
    }),
    Case::new("RFC 9113 6.9.1", "a stream's window above 2^31-1 is a stream error", |peer| {
        peer.send(&[headers(1, END_HEADERS, &peer.post()), window_update(1, WINDOW_BYTES_MAX).repeat(2)]);
        peer.refuses_stream(1, &[FLOW_CONTROL_ERROR])
    }),
    Case::new("RFC 9113 6.9.2", "another SETTINGS_INITIAL_WINDOW_SIZE changes the windows that there are", |peer| {
        peer.set(&[(INITIAL_WINDOW_SIZE, 0)])?;
        peer.send(&[headers(1, WHOLE, &peer.get()), settings(&[(INITIAL_WINDOW_SIZE, 1)])]);
        peer.takes(1, 1)
    }),
    Case::new("RFC 9113 6.9.2", "a window may be negative", |peer| {
        peer.set(&[(INITIAL_WINDOW_SIZE, 3)])?;
        peer.send(&[headers(1, WHOLE, &peer.get())]);
        peer.takes(1, 3)?;
        peer.set(&[(INITIAL_WINDOW_SIZE, 2)])?;
        peer.send(&[window_update(1, 2)]);
        peer.takes(1, 1)
    }),
    Case::new("RFC 9113 6.9.2", "SETTINGS that bring a window above 2^31-1 are a connection error", |peer| {
        peer.set(&[(INITIAL_WINDOW_SIZE, 0)])?;
        let more = settings(&[(INITIAL_WINDOW_SIZE, 1)]);
        peer.send(&[headers(1, WHOLE, &peer.get()), window_update(1, WINDOW_BYTES_MAX), more]);
        peer.is_refused(&[FLOW_CONTROL_ERROR])
    })
    .beyond_h2spec(),
];
