//! Counts what a client sends beneath HTTP/2: frames that cost it nothing and carry no request.
//!
//! The `h2` crate answers each PING and SETTINGS, and works through each PRIORITY, `WINDOW_UPDATE` and unknown frame,
//! however many come. Here each kind has an allowance: some at once, some each second, and more for what we send and
//! what the client asks for. A client that measures the round trip with a PING for each of our DATA frames, as gRPC
//! does, or opens windows as fast as we fill them, never meets it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    h2_frames::{DATA, Frame, FrameHeads, HEADERS, PING, PREFACE_BYTES, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE},
    h2_heads::{HeadCounter, ReceivedHeads},
};
use crate::domain::Clock;

/// How many frames of a kind are allowed.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// At once.
    burst: u64,
    /// More each second, up to that again.
    per_second: u64,
    /// More for each DATA frame that we send, of whatever size.
    per_data: u64,
    /// More for each that has [`EARNING_BYTES`], or is its stream's last.
    per_large_data: u64,
    /// More for each HEADERS frame that the client sends: each is a request, or ends one.
    per_headers: u64,
}

/// What a DATA frame must carry for a client to open a window again. A client that opens windows by single bytes gets
/// frames of single bytes, which must not earn it the next (CVE-2019-9511).
const EARNING_BYTES: usize = 1024;

/// What may be saved up of that which DATA and HEADERS bring: more frames than this are never under way to a client.
const SAVED_MAX: u64 = 65_536;

/// gRPC's clients change their windows a handful of times as they learn what the way bears.
const SETTINGS_LIMIT: Limit = Limit { burst: 64, per_second: 1, per_data: 0, per_large_data: 0, per_headers: 0 };
const PING_LIMIT: Limit = Limit { burst: 128, per_second: 16, per_data: 1, per_large_data: 0, per_headers: 1 };
/// Some browsers build a tree of priorities when they connect, and change it with each request.
const PRIORITY_LIMIT: Limit = Limit { burst: 512, per_second: 64, per_data: 0, per_large_data: 0, per_headers: 8 };
/// A stream's and the connection's for each large DATA frame, and as many again for those who open them in halves.
const WINDOW_UPDATE_LIMIT: Limit =
    Limit { burst: 4096, per_second: 1024, per_data: 0, per_large_data: 4, per_headers: 4 };
/// A stream can be reset once.
const RST_STREAM_LIMIT: Limit = Limit { burst: 256, per_second: 16, per_data: 0, per_large_data: 0, per_headers: 1 };
/// Frames that mean nothing here, `PRIORITY_UPDATE` (RFC 9218) among them.
const OTHER_LIMIT: Limit = Limit { burst: 512, per_second: 64, per_data: 0, per_large_data: 0, per_headers: 8 };

/// What is left of an allowance, in thousandths of a frame.
#[derive(Debug)]
struct Bucket {
    limit: Limit,
    left: u64,
}

impl Bucket {
    const fn full(limit: Limit) -> Self {
        Self { limit, left: limit.burst * 1000 }
    }

    fn pass(&mut self, millis: u64) {
        let burst = self.limit.burst * 1000;
        if self.left < burst {
            self.left = self.left.saturating_add(millis.saturating_mul(self.limit.per_second)).min(burst);
        }
    }

    fn earn(&mut self, frames: u64) {
        if frames > 0 {
            self.left = self.left.saturating_add(frames * 1000).min(SAVED_MAX * 1000);
        }
    }

    fn take(&mut self) -> bool {
        let rest = self.left.checked_sub(1000);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

/// What a connection may still send of each kind.
#[derive(Debug)]
struct Allowance {
    settings: Bucket,
    ping: Bucket,
    priority: Bucket,
    window_update: Bucket,
    rst_stream: Bucket,
    other: Bucket,
    refilled: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            settings: Bucket::full(SETTINGS_LIMIT),
            ping: Bucket::full(PING_LIMIT),
            priority: Bucket::full(PRIORITY_LIMIT),
            window_update: Bucket::full(WINDOW_UPDATE_LIMIT),
            rst_stream: Bucket::full(RST_STREAM_LIMIT),
            other: Bucket::full(OTHER_LIMIT),
            refilled: now,
        }
    }

    fn all(&mut self) -> [&mut Bucket; 6] {
        let Self { settings, ping, priority, window_update, rst_stream, other, .. } = self;
        [settings, ping, priority, window_update, rst_stream, other]
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled);
        let Some(millis) = u64::try_from(passed.as_millis()).ok().filter(|&millis| millis > 0) else { return };
        self.refilled = now;
        for bucket in self.all() {
            bucket.pass(millis);
        }
    }

    /// A frame came; whether it is allowed.
    fn receive(&mut self, kind: u8) -> bool {
        match kind {
            HEADERS => {
                for bucket in self.all() {
                    bucket.earn(bucket.limit.per_headers);
                }
                true
            }
            SETTINGS => self.settings.take(),
            PING => self.ping.take(),
            PRIORITY => self.priority.take(),
            WINDOW_UPDATE => self.window_update.take(),
            RST_STREAM => self.rst_stream.take(),
            // `h2` bounds both: what a frame without data costs, and how many CONTINUATIONs a head has.
            DATA | super::h2_frames::CONTINUATION => true,
            _ => self.other.take(),
        }
    }

    /// A frame went out.
    fn send(&mut self, frame: Frame) {
        if frame.kind == DATA {
            let is_large = frame.payload_bytes >= EARNING_BYTES || frame.ends_stream;
            for bucket in self.all() {
                let limit = bucket.limit;
                bucket.earn(limit.per_data + if is_large { limit.per_large_data } else { 0 });
            }
        }
    }
}

/// GOAWAY with `ENHANCE_YOUR_CALM` (RFC 9113 sections 6.8 and 7), which leaves it open how many streams were served.
const GOODBYE: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb];

/// Says that a connection's client sent more than is allowed.
#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct Flood(Arc<AtomicBool>);

impl Flood {
    /// Whether it did.
    pub(in crate::edge) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A connection whose frames are counted. Once there are too many, it fails.
#[derive(Debug)]
pub(in crate::edge) struct Counted<S> {
    stream: S,
    clock: Arc<dyn Clock>,
    received: FrameHeads,
    sent: FrameHeads,
    allowance: Allowance,
    flood: Flood,
    heads: HeadCounter,
    /// Whether a frame came: the first one must be SETTINGS (RFC 9113 section 3.4).
    has_begun: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Counted<S> {
    /// Counts the frames of a connection that begins with the preface, and the heads that `received` tells of.
    pub(in crate::edge) fn new(stream: S, clock: &Arc<dyn Clock>, received: &Arc<ReceivedHeads>) -> (Self, Flood) {
        let flood = Flood::default();
        let counted = Self {
            stream,
            clock: Arc::clone(clock),
            received: FrameHeads::after(PREFACE_BYTES),
            sent: FrameHeads::after(0),
            allowance: Allowance::new(clock.instant()),
            flood: flood.clone(),
            heads: HeadCounter::new(received),
            has_begun: false,
        };
        (counted, flood)
    }

    /// Says why the connection ends, where no frame of ours is cut by that, and as far as the client takes it at once.
    fn end(&mut self, cx: &mut Context<'_>) -> io::Error {
        self.flood.0.store(true, Ordering::Release);
        if self.sent.is_at_boundary()
            && let Poll::Ready(Ok(_)) = Pin::new(&mut self.stream).poll_write(cx, &GOODBYE)
        {
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
        io::ErrorKind::ConnectionAborted.into()
    }

    fn count_sent<'b>(&mut self, slices: impl Iterator<Item = &'b [u8]>, mut written: usize) {
        for bytes in slices {
            let passed = written.min(bytes.len());
            written -= passed;
            let allowance = &mut self.allowance;
            self.sent.pass(&bytes[..passed], |frame| allowance.send(frame));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let counted = self.get_mut();
        if counted.flood.has_begun() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        counted.heads.publish(counted.received.is_payload_in());
        let before = buffer.filled().len();
        ready!(Pin::new(&mut counted.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() == before {
            // hyper forgets what it has not taken when it hears of the end. The connection's task asks once more.
            return if counted.heads.end() { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        counted.allowance.refill(counted.clock.instant());
        let allowance = &mut counted.allowance;
        let (mut is_allowed, mut in_order) = (true, true);
        let (has_begun, heads) = (&mut counted.has_begun, &mut counted.heads);
        counted.received.pass(&buffer.filled()[before..], |frame| {
            in_order &= std::mem::replace(has_begun, true) || frame.kind == SETTINGS;
            heads.receive(frame);
            is_allowed &= allowance.receive(frame.kind);
        });
        if !in_order {
            // No flood, and nothing that speaks HTTP/2 would understand a word about it.
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if is_allowed { Poll::Ready(Ok(())) } else { Poll::Ready(Err(counted.end(cx))) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let counted = self.get_mut();
        let written = ready!(Pin::new(&mut counted.stream).poll_write(cx, bytes))?;
        counted.count_sent(std::iter::once(bytes), written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let counted = self.get_mut();
        let written = ready!(Pin::new(&mut counted.stream).poll_write_vectored(cx, slices))?;
        counted.count_sent(slices.iter().map(|slice| &**slice), written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::SystemClock;

    fn data(payload_bytes: usize) -> Frame {
        Frame { kind: DATA, payload_bytes, ends_stream: false, ends_headers: false, stream: 1 }
    }

    /// How many frames of a kind are allowed at once.
    fn allowed_at_once(allowance: &mut Allowance, kind: u8) -> usize {
        (0..1_000_000).take_while(|_| allowance.receive(kind)).count()
    }

    #[test]
    fn each_kind_has_its_own_allowance_which_time_gives_back() {
        let start = SystemClock.instant();
        let mut allowance = Allowance::new(start);
        for (kind, burst, ten_seconds) in [
            (SETTINGS, 64, 10),
            (PING, 128, 128),
            (PRIORITY, 512, 512),
            (WINDOW_UPDATE, 4096, 4096),
            (RST_STREAM, 256, 160),
            (200, 512, 512),
        ] {
            let mut later = Allowance::new(start);
            assert_eq!(
                (allowed_at_once(&mut allowance, kind), allowed_at_once(&mut later, kind)),
                (burst, burst),
                "{kind}"
            );
            later.refill(start + Duration::from_secs(10));
            assert_eq!(allowed_at_once(&mut later, kind), ten_seconds, "{kind}");
            later.refill(start + Duration::from_secs(5));
            assert_eq!(allowed_at_once(&mut later, kind), 0, "a clock that stands still gives nothing back");
        }
    }

    #[test]
    fn a_ping_and_four_windows_for_each_large_data_frame_are_borne_for_ever() {
        let mut allowance = Allowance::new(SystemClock.instant());
        for frame in 0..100_000 {
            allowance.send(data(EARNING_BYTES));
            let is_allowed = allowance.receive(PING) && (0..4).all(|_| allowance.receive(WINDOW_UPDATE));
            assert!(is_allowed, "after {frame} frames");
        }
    }

    #[test]
    fn a_client_that_opens_windows_by_single_bytes_meets_the_bound() {
        let start = SystemClock.instant();
        let mut allowance = Allowance::new(start);
        let mut exchanges = (0..1_000_000_u32).take_while(|_| {
            allowance.send(data(1));
            allowance.receive(PING) && allowance.receive(WINDOW_UPDATE)
        });
        assert_eq!(exchanges.by_ref().count(), 4096);
        // The last piece of each response is small as a rule, and a stream ends once.
        allowance.send(Frame { ends_stream: true, ..data(0) });
        assert_eq!(allowed_at_once(&mut allowance, WINDOW_UPDATE), 4);
    }

    #[test]
    fn what_is_saved_up_is_bounded() {
        let mut allowance = Allowance::new(SystemClock.instant());
        (0..1_000_000).for_each(|_| allowance.send(data(1)));
        let saved = usize::try_from(SAVED_MAX).unwrap();
        assert_eq!((allowed_at_once(&mut allowance, PING), allowed_at_once(&mut allowance, SETTINGS)), (saved, 64));
    }

    #[test]
    fn requests_that_are_cancelled_are_borne_for_ever() {
        let mut allowance = Allowance::new(SystemClock.instant());
        assert!((0..100_000).all(|_| allowance.receive(HEADERS) && allowance.receive(RST_STREAM)));
    }
}
