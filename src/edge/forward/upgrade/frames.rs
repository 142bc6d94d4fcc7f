//! `WebSocket` frames (RFC 6455 section 5), as much of them as it takes to know where one ends.

use std::borrow::Cow;

use crate::domain::random;

/// Going away: the gateway stops, or nothing was said for too long (RFC 6455 section 7.4.1).
pub(super) const GOING_AWAY: u16 = 1001;

/// The token ended: 4000 and above are applications' own (RFC 6455 section 7.4.2).
pub(super) const UNAUTHORIZED: u16 = 4401;

/// Bytes of a frame's head: two, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;

const CLOSE: u8 = 8;

/// Text bytes of a close frame, at most: its payload has 125, two of them are the code.
const CLOSE_TEXT_BYTES_MAX: usize = 123;

/// Where a stream of frames stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    payload_left: u64,
    /// Whether a close frame has begun: nothing may follow it.
    pub(super) closing: bool,
}

impl Frames {
    /// Whether the next byte would be a frame's first.
    pub(super) const fn at_boundary(&self) -> bool {
        self.head_bytes == 0 && self.payload_left == 0
    }

    /// Passes over bytes.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// How many of the bytes belong to the frame that has begun: all of them where it goes on.
    pub(super) fn until_boundary(&self, bytes: &[u8]) -> usize {
        let mut ahead = self.clone();
        let mut passed = 0;
        while passed < bytes.len() && !ahead.at_boundary() {
            passed += ahead.step(&bytes[passed..]);
        }
        passed
    }

    /// Passes over at least one byte, and not beyond the frame's end.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.payload_left > 0 {
            let passed = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
            self.payload_left -= passed as u64;
            return passed;
        }
        self.head[self.head_bytes] = bytes[0];
        self.head_bytes += 1;
        if self.head_bytes == 1 {
            self.closing |= bytes[0] & 0x0f == CLOSE;
        }
        if let Some(length) = self.payload() {
            self.payload_left = length;
            self.head_bytes = 0;
        }
        1
    }

    /// The payload's length, once the head is complete.
    fn payload(&self) -> Option<u64> {
        let head = &self.head[..self.head_bytes];
        let second = *head.get(1)?;
        let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if head.len() < 2 + length_bytes + mask_bytes {
            return None;
        }
        Some(match length_bytes {
            0 => u64::from(second & 0x7f),
            _ => head[2..2 + length_bytes].iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        })
    }
}

/// A close frame; one to a server is `masked` (RFC 6455 section 5.3).
pub(super) fn close_frame(code: u16, text: &str, masked: bool) -> Vec<u8> {
    let text: Cow<'_, [u8]> = text.as_bytes()[..text.len().min(CLOSE_TEXT_BYTES_MAX)].into();
    let payload = [&code.to_be_bytes(), &*text].concat();
    // The text's bound above keeps it below 126.
    let length = u8::try_from(payload.len()).unwrap_or(0);
    let mut frame = vec![0x80 | CLOSE, if masked { 0x80 | length } else { length }];
    if masked {
        let mask: [u8; 4] = random::bytes();
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend_from_slice(&payload);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Vec<u8>> {
        let long = [&[0x82, 126, 1, 0][..], &[0; 256]].concat();
        let longer = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &vec![7; 65536]].concat();
        vec![vec![0x81, 2, b'h', b'i'], vec![0x89, 0], long, longer, close_frame(4401, "expired", true)]
    }

    #[test]
    fn every_frame_ends_where_the_next_begins() {
        for cut in [1, 3, 1000] {
            let mut state = Frames::default();
            for frame in frames() {
                for part in frame.chunks(cut) {
                    assert!(!state.closing || frame[0] == 0x88);
                    state.advance(part);
                }
                assert!(state.at_boundary(), "{:?}", &frame[..2]);
            }
            assert!(state.closing);
        }
    }

    #[test]
    fn what_is_left_of_a_frame_is_known() {
        let mut state = Frames::default();
        assert_eq!(state.until_boundary(b"\x81\x02hi"), 0);
        state.advance(b"\x81");
        assert!(!state.at_boundary());
        assert_eq!(state.until_boundary(b"\x02hi\x81\x00"), 3);
        assert_eq!(state.until_boundary(b"\x02h"), 2);
    }

    #[test]
    fn a_close_frame_says_code_and_text() {
        assert_eq!(close_frame(4401, "expired", false), b"\x88\x09\x11\x31expired");
        assert_eq!(close_frame(1001, &"x".repeat(500), true).len(), 2 + 4 + 125);
    }
}
