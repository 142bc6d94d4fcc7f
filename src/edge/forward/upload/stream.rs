//! The connection of an HTTP/1 client while it sends a body: reading fails when somebody's time is over.

use std::{
    io,
    os::fd::RawFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::progress::Progress;

#[derive(Debug)]
struct Watched {
    stream: Stream,
    progress: Arc<Progress>,
}

/// A client's connection of which `progress` is told.
pub(in crate::edge) fn watched_stream(stream: Stream, progress: &Arc<Progress>) -> Stream {
    Box::new(Watched { stream, progress: Arc::clone(progress) })
}

/// The connection without what [`watched_stream`] put around it; `None` where there was nothing.
pub(in crate::edge) fn unwatched(stream: Stream) -> Option<Stream> {
    stream.into_any().downcast::<Watched>().ok().map(|watched| watched.stream)
}

impl Watched {
    /// Notes whether the client takes what is written.
    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        self.progress.takes(Instant::now(), written.is_ready());
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.progress.verdict()?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match &read {
            Poll::Ready(_) => self.progress.came(Instant::now(), buffer.filled().len() - before),
            Poll::Pending => self.progress.asked(Instant::now()),
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.stream).await;
    }
}

impl UniqueID for Watched {
    fn id(&self) -> RawFd {
        self.stream.id()
    }
}

impl Ssl for Watched {}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[async_trait]
impl Peek for Watched {}
