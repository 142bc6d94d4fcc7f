//! Counts the request heads that come over HTTP/2, to find those that the `h2` crate refuses by itself.
//!
//! That crate resets a stream whose head is malformed, and answers one that is far too large, and tells nobody. But of
//! what it has decoded it hands on the rest: heads that came less heads that were handed on are those that it refused.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use super::{
    h2_frames::{CONTINUATION, Frame, HEADERS},
    head::HEAD_BYTES_MAX,
};

/// The request heads that came over a connection. Its task alone counts them, and reads the counts.
#[derive(Debug, Default)]
pub(in crate::edge) struct ReceivedHeads {
    begun: AtomicUsize,
    decoded: AtomicUsize,
    large: AtomicUsize,
    is_last_frame_of_head: AtomicBool,
}

impl ReceivedHeads {
    /// Those of which at least the first frame is there.
    pub(in crate::edge) fn begun(&self) -> usize {
        self.begun.load(Relaxed)
    }

    /// Those that were decoded for certain: they are refused, handed on, or about to be.
    pub(in crate::edge) fn decoded(&self) -> usize {
        self.decoded.load(Relaxed)
    }

    /// Those that took more bytes on the wire than a head may have.
    pub(in crate::edge) fn large(&self) -> usize {
        self.large.load(Relaxed)
    }

    /// Whether the last frame that came is part of a request's head.
    pub(in crate::edge) fn is_last_frame_of_head(&self) -> bool {
        self.is_last_frame_of_head.load(Relaxed)
    }
}

/// Finds the heads among a connection's frames.
#[derive(Debug)]
pub(super) struct HeadCounter {
    received: Arc<ReceivedHeads>,
    /// The last stream that a head opened: what comes on it later are trailers.
    last_stream: u32,
    /// Bytes of the head that more frames belong to.
    under_way: Option<usize>,
    /// Heads whose last frame has begun.
    whole: usize,
    /// Whether the last of them is the last frame.
    is_last_frame: bool,
}

impl HeadCounter {
    pub(super) fn new(received: &Arc<ReceivedHeads>) -> Self {
        let received = Arc::clone(received);
        Self { received, last_stream: 0, under_way: None, whole: 0, is_last_frame: false }
    }

    /// A frame came, or its first bytes.
    pub(super) fn receive(&mut self, frame: Frame) {
        self.is_last_frame = false;
        let before = match frame.kind {
            HEADERS if frame.stream > self.last_stream => {
                self.last_stream = frame.stream;
                self.received.begun.fetch_add(1, Relaxed);
                Some(0)
            }
            CONTINUATION => self.under_way,
            _ => None,
        };
        self.under_way = before.map(|bytes| bytes + frame.payload_bytes);
        self.received.is_last_frame_of_head.store(before.is_some(), Relaxed);
        if frame.ends_headers
            && let Some(bytes) = self.under_way.take()
        {
            self.whole += 1;
            self.is_last_frame = true;
            self.received.large.fetch_add(usize::from(bytes > HEAD_BYTES_MAX), Relaxed);
        }
    }

    /// More is about to be read: the reader has decoded all whole frames before it asks for more.
    pub(super) fn publish(&self, is_payload_in: bool) {
        let cut = self.is_last_frame && !is_payload_in;
        self.received.decoded.store(self.whole - usize::from(cut), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::h2_frames::DATA, *};

    /// Frames as (kind, stream, payload, is the head's last).
    fn received(frames: &[(u8, u32, usize, bool)]) -> (HeadCounter, Arc<ReceivedHeads>) {
        let received = Arc::default();
        let mut heads = HeadCounter::new(&received);
        for &(kind, stream, payload_bytes, ends_headers) in frames {
            heads.receive(Frame { kind, payload_bytes, ends_stream: false, ends_headers, stream });
        }
        (heads, received)
    }

    #[test]
    fn a_head_counts_once_and_its_trailers_do_not() {
        let (heads, received) = received(&[
            (HEADERS, 1, 10, true),
            (HEADERS, 3, 10, false),
            (CONTINUATION, 3, 10, false),
            (CONTINUATION, 3, 10, true),
            (DATA, 3, 10, false),
            (HEADERS, 3, 10, true),
            (HEADERS, 1, 10, false),
            (CONTINUATION, 1, 10, true),
        ]);
        heads.publish(true);
        assert_eq!((received.begun(), received.decoded(), received.large()), (2, 2, 0));
        assert!(!received.is_last_frame_of_head());
    }

    #[test]
    fn a_head_is_decoded_once_its_last_byte_is_in() {
        let (heads, received) = received(&[(HEADERS, 1, 10, true), (HEADERS, 3, 10, true)]);
        assert_eq!(received.decoded(), 0, "nobody asked for more");
        heads.publish(false);
        assert_eq!((received.begun(), received.decoded()), (2, 1));
        heads.publish(true);
        assert_eq!((received.decoded(), received.is_last_frame_of_head()), (2, true));
    }

    #[test]
    fn a_head_that_does_not_end_is_begun_and_a_large_one_is_told() {
        let (heads, received) = received(&[
            (HEADERS, 1, HEAD_BYTES_MAX, false),
            (CONTINUATION, 1, 1, true),
            (HEADERS, 3, 9, false),
            (CONTINUATION, 3, 9, false),
        ]);
        heads.publish(true);
        assert_eq!((received.begun(), received.decoded(), received.large()), (2, 1, 1));
        assert!(received.is_last_frame_of_head());
    }
}
