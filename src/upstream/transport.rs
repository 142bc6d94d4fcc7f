//! A connection to a server as bytes: in the clear or through TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::client::TlsStream;

use crate::{gather, timer::LazyTimeout};

/// A connection to a server. Writing fails with [`io::ErrorKind::TimedOut`] when the server takes nothing for
/// `timeouts.write`.
#[derive(Debug)]
pub struct Transport {
    stream: Stream,
    received: Received,
    write_timeout: Duration,
    /// Runs while the server takes nothing.
    stalled: Option<LazyTimeout>,
    is_stalled: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How many bytes came on a connection: whether a response had begun when it broke off.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Transport {
    pub(super) fn plain(stream: TcpStream, write_timeout: Duration) -> Self {
        Self::new(Stream::Plain(stream), write_timeout)
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, write_timeout: Duration) -> Self {
        Self::new(Stream::Tls(Box::new(stream)), write_timeout)
    }

    fn new(stream: Stream, write_timeout: Duration) -> Self {
        Self { stream, received: Received::default(), write_timeout, stalled: None, is_stalled: false }
    }

    /// Counts what comes.
    #[must_use]
    pub fn received(&self) -> Received {
        self.received.clone()
    }

    /// Whether TLS agreed on HTTP/2 (RFC 7301).
    #[must_use]
    pub fn agreed_on_http2(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Gives a server that takes nothing the time that it has.
    fn within_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_stalled = false;
            return written;
        }
        let end = || Instant::now() + self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| LazyTimeout::until(end()));
        if !std::mem::replace(&mut self.is_stalled, true) {
            stalled.set(end());
        }
        ready!(stalled.poll_over(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Calls the method of the stream that there is.
macro_rules! stream {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &mut $self.stream {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let transport = self.get_mut();
        let before = buffer.filled().len();
        ready!(stream!(transport.poll_read(cx, buffer)))?;
        transport.received.0.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let transport = self.get_mut();
        let written = stream!(transport.poll_write(cx, bytes));
        transport.within_time(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let transport = self.get_mut();
        let written = match &mut transport.stream {
            Stream::Plain(stream) => gather::poll_write(Pin::new(stream), cx, slices),
            Stream::Tls(stream) => gather::poll_write(Pin::new(&mut **stream), cx, slices),
        };
        transport.within_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let transport = self.get_mut();
        let flushed = stream!(transport.poll_flush(cx));
        transport.within_time(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let transport = self.get_mut();
        stream!(transport.poll_shutdown(cx))
    }
}
