//! The heads of HTTP/2 frames in a stream of bytes (RFC 9113 section 4.1).

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(in crate::edge) const CONTINUATION: u8 = 9;

/// Bytes that a client sends before its first frame (RFC 9113 section 3.4).
pub(super) const PREFACE_BYTES: usize = 24;

const HEAD_BYTES: usize = 9;

/// The flag of the last frame of a stream's side.
const END_STREAM: u8 = 1;

/// The flag of the last frame of a head.
const END_HEADERS: u8 = 4;

/// A frame's head, as far as anybody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(in crate::edge) kind: u8,
    pub(super) payload_bytes: usize,
    /// Whether it has the flag of that name, where its kind has one.
    pub(super) ends_stream: bool,
    /// The same.
    pub(super) ends_headers: bool,
    pub(super) stream: u32,
}

/// Finds the heads of frames, however the bytes are cut. What is no frame is for somebody else to refuse.
#[derive(Debug)]
pub(super) struct FrameHeads {
    /// Bytes until the next head begins.
    payload_left: usize,
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that are there.
    head_bytes: usize,
}

impl FrameHeads {
    /// The frames behind this many bytes.
    pub(in crate::edge) const fn after(bytes: usize) -> Self {
        Self { payload_left: bytes, head: [0; HEAD_BYTES], head_bytes: 0 }
    }

    /// Whether the next byte would be a frame's first.
    pub(super) const fn is_at_boundary(&self) -> bool {
        self.payload_left == 0 && self.head_bytes == 0
    }

    /// Whether nothing is missing of the frame that was told of last.
    pub(super) const fn is_payload_in(&self) -> bool {
        self.payload_left == 0
    }

    /// Passes over bytes, and tells of each frame whose head ends in them.
    pub(in crate::edge) fn pass(&mut self, mut bytes: &[u8], mut frame: impl FnMut(Frame)) {
        loop {
            let skipped = self.payload_left.min(bytes.len());
            self.payload_left -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let missing = (HEAD_BYTES - self.head_bytes).min(bytes.len());
            self.head[self.head_bytes..][..missing].copy_from_slice(&bytes[..missing]);
            self.head_bytes += missing;
            bytes = &bytes[missing..];
            if self.head_bytes == HEAD_BYTES {
                let [a, b, c, kind, flags, stream @ ..] = self.head;
                self.payload_left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.head_bytes = 0;
                frame(Frame {
                    kind,
                    payload_bytes: self.payload_left,
                    ends_stream: matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0,
                    ends_headers: matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0,
                    // The first bit means nothing.
                    stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        let mut bytes = vec![b'p'; PREFACE_BYTES];
        for (kind, length) in [(SETTINGS, 0), (HEADERS, 300), (PING, 8), (DATA, 70_000), (WINDOW_UPDATE, 4)] {
            bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes()[1..]);
            bytes.extend_from_slice(&[kind, 1, 0, 0, 0, 1]);
            bytes.resize(bytes.len() + length, PING);
        }
        for size in [1, 2, 8, 9, 10, 1000, bytes.len()] {
            let (mut heads, mut seen) = (FrameHeads::after(PREFACE_BYTES), vec![]);
            bytes.chunks(size).for_each(|piece| {
                heads.pass(piece, |frame| seen.push((frame.kind, frame.payload_bytes, frame.ends_stream)));
            });
            let all = [
                (SETTINGS, 0, false),
                (HEADERS, 300, true),
                (PING, 8, false),
                (DATA, 70_000, true),
                (WINDOW_UPDATE, 4, false),
            ];
            assert_eq!(seen, all, "in pieces of {size}");
        }
    }
}
