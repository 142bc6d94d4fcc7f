//! Bytes in both directions, until one side ends it, nothing moves any more, or the token ends.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};

use super::frames::{Frames, close_frame};

/// What one direction holds.
const BUFFER_BYTES: usize = 8 << 10;

/// How long a frame that has begun may take to its end, when the tunnel is closed; with the sweeper's
/// interval this stays below a second.
const FRAME_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the second direction may be silent when the first has ended.
const HALF_CLOSED_IDLE: Duration = Duration::from_secs(60);

/// How long the two sides are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct TunnelTimeouts {
    /// For bytes in any direction.
    pub(super) idle: Duration,
    /// For bytes to be taken.
    pub(super) write: Duration,
}

/// A tunnel's two directions and what is on its way in them.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) up: Direction,
    pub(super) down: Direction,
    activity: Activity,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Direction {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where its frames stand, for a `WebSocket`.
    frames: Option<Frames>,
    /// Bytes that were handed on.
    pub(super) moved: u64,
}

/// When bytes moved last, in either direction.
#[derive(Debug)]
struct Activity {
    begun: Instant,
    millis: AtomicU64,
    half_closed: AtomicU64,
}

/// Why a pump stopped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Both sides ended, or one broke off.
    Closed,
    /// Nothing moved for too long.
    Idle,
}

impl Pump {
    /// With what either side sent already; `framed` for a `WebSocket`.
    pub(super) fn new(up: &[u8], down: &[u8], framed: bool) -> Self {
        let activity = Activity { begun: Instant::now(), millis: AtomicU64::new(0), half_closed: AtomicU64::new(0) };
        Self { up: Direction::new(up, framed), down: Direction::new(down, framed), activity }
    }

    /// Moves bytes until it stops. It may be dropped at any point, and nothing is lost or sent twice.
    pub(super) async fn run<A, B>(&mut self, client: &mut A, upstream: &mut B, timeouts: TunnelTimeouts) -> Stopped
    where
        A: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut client_in, mut client_out) = tokio::io::split(client);
        let (mut upstream_in, mut upstream_out) = tokio::io::split(upstream);
        let activity = &self.activity;
        let both = async {
            tokio::try_join!(
                self.up.run(&mut client_in, &mut upstream_out, timeouts.write, activity),
                self.down.run(&mut upstream_in, &mut client_out, timeouts.write, activity),
            )
        };
        tokio::select! {
            _ = both => Stopped::Closed,
            () = activity.idle_for(timeouts.idle) => Stopped::Idle,
        }
    }

    /// Tells a `WebSocket`'s two ends that it is over, each at the end of the frame that it was receiving. False when
    /// the client could not be told, and is to be cut off.
    pub(super) async fn close<A, B>(mut self, client: &mut A, upstream: &mut B, code: u16, text: &str) -> bool
    where
        A: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        let to_client = close_frame(code, text, false);
        let closed = timeout(FRAME_TIMEOUT, self.down.close(upstream, client, &to_client)).await;
        let told = matches!(closed, Ok(Ok(())));
        if !told {
            tracing::debug!("a frame did not end in time; its tunnel was cut");
        }
        if self.up.is_at_boundary() {
            let to_upstream = close_frame(code, text, true);
            // The service may have gone first.
            let _ = timeout(FRAME_TIMEOUT, async {
                upstream.write_all(&to_upstream).await?;
                upstream.flush().await
            })
            .await;
        }
        told
    }
}

impl Direction {
    fn new(first: &[u8], framed: bool) -> Self {
        let mut buffer = vec![0; BUFFER_BYTES.max(first.len())];
        buffer[..first.len()].copy_from_slice(first);
        Self { buffer, start: 0, end: first.len(), frames: framed.then(Frames::default), moved: 0 }
    }

    async fn run<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        write_timeout: Duration,
        activity: &Activity,
    ) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while self.start < self.end {
                let bytes = &self.buffer[self.start..self.end];
                let written = timeout(write_timeout, writer.write(bytes)).await.map_err(io::Error::from)??;
                self.took(written)?;
                activity.note();
            }
            timeout(write_timeout, writer.flush()).await.map_err(io::Error::from)??;
            if !self.fill(reader).await? {
                activity.note_half_closed();
                return writer.shutdown().await;
            }
            activity.note();
        }
    }

    /// Hands on the rest of the frame that has begun, and `frame` behind it.
    async fn close<R, W>(&mut self, reader: &mut R, writer: &mut W, frame: &[u8]) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if self.start == self.end && self.is_within_frame() && !self.fill(reader).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let bytes = &self.buffer[self.start..self.end];
            let rest = self.frames.as_ref().map_or(0, |frames| frames.until_boundary(bytes));
            if rest == 0 {
                break;
            }
            let written = writer.write(&bytes[..rest]).await?;
            self.took(written)?;
        }
        if self.is_at_boundary() {
            writer.write_all(frame).await?;
        }
        writer.flush().await?;
        writer.shutdown().await
    }

    fn is_within_frame(&self) -> bool {
        self.frames.as_ref().is_some_and(|frames| !frames.at_boundary())
    }

    /// Whether a frame of ours may stand here.
    fn is_at_boundary(&self) -> bool {
        self.frames.as_ref().is_some_and(|frames| frames.at_boundary() && !frames.closing)
    }

    /// Reads into the empty buffer; false at the end.
    async fn fill<R: AsyncRead + Unpin>(&mut self, reader: &mut R) -> io::Result<bool> {
        (self.start, self.end) = (0, 0);
        self.end = reader.read(&mut self.buffer).await?;
        Ok(self.end > 0)
    }

    fn took(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if let Some(frames) = &mut self.frames {
            frames.advance(&self.buffer[self.start..self.start + written]);
        }
        self.start += written;
        self.moved += written as u64;
        Ok(())
    }
}

impl Activity {
    fn note(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    fn note_half_closed(&self) {
        self.note();
        self.half_closed.store(1, Ordering::Relaxed);
    }

    async fn idle_for(&self, idle: Duration) {
        loop {
            let half_closed = self.half_closed.load(Ordering::Relaxed) != 0;
            let idle = if half_closed { idle.min(HALF_CLOSED_IDLE) } else { idle };
            let end = self.begun + Duration::from_millis(self.millis.load(Ordering::Relaxed)) + idle;
            if end <= Instant::now() {
                return;
            }
            // What is half closed in between is seen within its own shorter time.
            sleep_until(end.min(Instant::now() + HALF_CLOSED_IDLE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: TunnelTimeouts = TunnelTimeouts { idle: Duration::from_secs(3600), write: Duration::from_secs(30) };

    #[tokio::test(start_paused = true)]
    async fn what_is_silent_for_too_long_ends() {
        let (mut client, _client) = tokio::io::duplex(64);
        let (mut upstream, _upstream) = tokio::io::duplex(64);
        let begun = Instant::now();
        let stopped = Pump::new(b"", b"", false).run(&mut client, &mut upstream, TIMEOUTS).await;
        assert_eq!((stopped, begun.elapsed().as_secs()), (Stopped::Idle, 3600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_that_ended_leaves_the_other_going() {
        let (mut client, mut client_far) = tokio::io::duplex(64);
        let (mut upstream, mut upstream_far) = tokio::io::duplex(64);
        let pumping = tokio::spawn(async move {
            let mut pump = Pump::new(b"early", b"", false);
            let stopped = pump.run(&mut client, &mut upstream, TIMEOUTS).await;
            (stopped, pump.up.moved, pump.down.moved)
        });
        client_far.write_all(b" and late").await.unwrap();
        client_far.shutdown().await.unwrap();
        let mut received = String::new();
        upstream_far.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "early and late");
        upstream_far.write_all(b"answer").await.unwrap();
        drop(upstream_far);
        let mut answer = String::new();
        client_far.read_to_string(&mut answer).await.unwrap();
        assert_eq!((answer.as_str(), pumping.await.unwrap()), ("answer", (Stopped::Closed, 14, 6)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_frame_waits_for_the_end_of_another() {
        let (mut client, mut client_far) = tokio::io::duplex(64);
        let (mut upstream, mut upstream_far) = tokio::io::duplex(64);
        let mut pump = Pump::new(b"", b"\x81\x04ab", true);
        assert!(timeout(Duration::from_millis(1), pump.run(&mut client, &mut upstream, TIMEOUTS)).await.is_err());
        upstream_far.write_all(b"cd\x81\x01x").await.unwrap();
        assert!(pump.close(&mut client, &mut upstream, 4401, "expired").await);
        drop((client, upstream));
        let mut received = vec![];
        client_far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"\x81\x04abcd\x88\x09\x11\x31expired");
        let mut told = vec![];
        upstream_far.read_to_end(&mut told).await.unwrap();
        assert_eq!((told[0], told[1], told.len()), (0x88, 0x89, 15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_does_not_end_is_cut() {
        let (mut client, mut client_far) = tokio::io::duplex(64);
        let (mut upstream, _upstream_far) = tokio::io::duplex(64);
        let mut pump = Pump::new(b"", b"\x81\x04ab", true);
        assert!(timeout(Duration::from_millis(1), pump.run(&mut client, &mut upstream, TIMEOUTS)).await.is_err());
        assert!(!pump.close(&mut client, &mut upstream, 4401, "expired").await);
        drop((client, upstream));
        let mut received = vec![];
        client_far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"\x81\x04ab");
    }
}
