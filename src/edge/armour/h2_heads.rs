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
    has_ended: AtomicBool,
    /// Whether the reader may hear of that.
    may_end: AtomicBool,
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

    /// Those of them that took more bytes on the wire than a head may have.
    pub(in crate::edge) fn large(&self) -> usize {
        self.large.load(Relaxed)
    }

    /// Lets the reader hear of the connection's end, where that has come: what came before it is handed on or refused
    /// now. Says whether to ask the reader at once: nothing else wakes it.
    pub(in crate::edge) fn let_end(&self) -> bool {
        self.has_ended.load(Relaxed) && !self.may_end.swap(true, Relaxed)
    }

    /// The connection's end has come. Says whether the reader hears of it yet.
    pub(super) fn end(&self) -> bool {
        self.has_ended.store(true, Relaxed);
        self.may_end.load(Relaxed)
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
    /// The last streams that a head opened, of even numbers, which no client may open, and of odd ones: what comes on
    /// one later are trailers.
    last_streams: [u32; 2],
    /// Bytes of the head that more frames belong to.
    under_way: Option<usize>,
    /// Heads of which no other frame comes, and those of them that are large.
    whole: usize,
    large: usize,
    /// The last of them, where its frame is the last one.
    last_frame: Option<Last>,
}

/// A head whose last frame has begun.
#[derive(Clone, Copy, Debug)]
struct Last {
    is_large: bool,
}

impl HeadCounter {
    pub(super) fn new(received: &Arc<ReceivedHeads>) -> Self {
        let received = Arc::clone(received);
        Self { received, last_streams: [0; 2], under_way: None, whole: 0, large: 0, last_frame: None }
    }

    /// A frame came, or its first bytes.
    pub(super) fn receive(&mut self, frame: Frame) {
        self.last_frame = None;
        if frame.kind != CONTINUATION && self.under_way.is_some() {
            // Its first frame was malformed, and the reader has forgotten it; or this frame ends the connection.
            self.whole += 1;
        }
        let before = match frame.kind {
            HEADERS if self.opens(frame.stream) => {
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
            let last = Last { is_large: bytes > HEAD_BYTES_MAX };
            self.whole += 1;
            self.large += usize::from(last.is_large);
            self.last_frame = Some(last);
        }
    }

    fn opens(&mut self, stream: u32) -> bool {
        let last = &mut self.last_streams[usize::from(stream % 2 == 1)];
        let is_new = stream > *last;
        *last = stream.max(*last);
        is_new
    }

    /// More is about to be read: the reader has decoded all whole frames before it asks for more.
    pub(super) fn publish(&self, is_payload_in: bool) {
        let cut = self.last_frame.filter(|_| !is_payload_in);
        self.received.decoded.store(self.whole - usize::from(cut.is_some()), Relaxed);
        self.received.large.store(self.large - usize::from(cut.is_some_and(|last| last.is_large)), Relaxed);
    }

    /// The connection's end has come. Says whether the reader hears of it now, or once it is let.
    pub(super) fn end(&self) -> bool {
        self.received.end()
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
    fn a_stream_that_no_client_may_open_hides_no_other() {
        let (heads, received) =
            received(&[(HEADERS, 0x7fff_fffe, 1, true), (HEADERS, 1, 1, true), (HEADERS, 3, 1, true)]);
        heads.publish(true);
        assert_eq!((received.begun(), received.decoded()), (3, 3));
    }

    #[test]
    fn a_head_that_is_left_for_another_frame_counts() {
        let (heads, received) = received(&[(HEADERS, 1, 1, false), (HEADERS, 3, 1, false), (DATA, 3, 1, false)]);
        heads.publish(true);
        assert_eq!((received.begun(), received.decoded()), (2, 2));
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
    fn the_end_is_heard_of_once_it_is_let() {
        let (heads, received) = received(&[]);
        assert!(!received.let_end(), "there is none");
        assert!(!heads.end());
        assert!(received.let_end());
        assert!(heads.end());
        assert!(!received.let_end(), "it was let");
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
