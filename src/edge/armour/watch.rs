//! Sees a client leave while something is done for it that reads nothing of it.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of its next requests that a client may send before it is answered. One that sends more is not waited for:
/// behind bytes that nobody reads, its end would not be seen.
const EARLY_BYTES_MAX: usize = 16 << 10;

/// Whether a connection is only watched. While it is, reading from it ends when the client leaves and not before; what
/// comes meanwhile is kept for who reads it afterwards.
#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct Watch(Arc<AtomicBool>);

impl Watch {
    /// Watches for as long as the guard lives.
    pub(in crate::edge) fn begin(&self) -> Watching {
        self.0.store(true, Ordering::Relaxed);
        Watching(self.clone())
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection is watched while this lives.
#[derive(Debug)]
pub(in crate::edge) struct Watching(Watch);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// The reading side of a connection that can be watched.
#[derive(Debug)]
pub(in crate::edge) struct Watched {
    watch: Watch,
    early: BytesMut,
}

impl Watched {
    pub(in crate::edge) fn new(watch: Watch) -> Self {
        Self { watch, early: BytesMut::new() }
    }

    pub(in crate::edge) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.is_on() {
            return self.poll_end(stream, cx);
        }
        if self.early.is_empty() {
            return Pin::new(stream).poll_read(cx, buffer);
        }
        let bytes = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early[..bytes]);
        self.early.advance(bytes);
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready, with nothing read, once the client has left or sends too much.
    fn poll_end<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.early.len() < EARLY_BYTES_MAX {
            let mut room = [MaybeUninit::uninit(); 1024];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                break;
            }
            self.early.extend_from_slice(read.filled());
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    async fn read(watched: &mut Watched, stream: &mut DuplexStream) -> Vec<u8> {
        let mut room = [0; 8];
        let mut buffer = ReadBuf::new(&mut room);
        poll_fn(|cx| watched.poll_read(stream, cx, &mut buffer)).await.unwrap();
        buffer.filled().to_vec()
    }

    #[tokio::test]
    async fn what_comes_early_is_kept_and_the_end_is_seen_behind_it() {
        let (mut near, mut far) = duplex(64);
        let watch = Watch::default();
        let mut watched = Watched::new(watch.clone());
        let watching = watch.begin();
        far.write_all(b"GET /next").await.unwrap();
        assert!(futures_util::poll!(Box::pin(read(&mut watched, &mut near))).is_pending());
        drop(watching);
        assert_eq!(read(&mut watched, &mut near).await, b"GET /nex");
        assert_eq!(read(&mut watched, &mut near).await, b"t");
        let _watching = watch.begin();
        far.write_all(b"more").await.unwrap();
        drop(far);
        assert_eq!(read(&mut watched, &mut near).await, b"");
    }

    #[tokio::test]
    async fn who_sends_without_end_is_not_waited_for() {
        let (mut near, mut far) = duplex(2 * EARLY_BYTES_MAX);
        let watch = Watch::default();
        let mut watched = Watched::new(watch.clone());
        let _watching = watch.begin();
        far.write_all(&[b'x'; EARLY_BYTES_MAX]).await.unwrap();
        assert_eq!(read(&mut watched, &mut near).await, b"");
    }
}
