//! A connection to a server as bytes: in the clear or through TLS.

use std::{
    fmt,
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
    sync::Notify,
};
use tokio_rustls::client::TlsStream;

use crate::{gather, timer::WriteTimeout};

/// A connection to a server. Writing fails with [`io::ErrorKind::TimedOut`] when the server takes nothing for
/// `timeouts.write`.
///
/// Writing to a server that has closed the connection does not fail: what it wrote before is still to be read, perhaps
/// the response that says why (RFC 9112 section 9.5). Reading comes to the connection's end behind that, or to its
/// reset.
#[derive(Debug)]
pub struct Transport {
    stream: Stream,
    received: Received,
    write_timeout: Duration,
    writing: WriteTimeout,
    /// Whether the server has closed the connection, so that what is written goes nowhere.
    is_closed: bool,
    /// Whether it has reset it: what it sent may lack its end.
    was_reset: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How many bytes came on a connection, and how many may: whether a response had begun when it broke off, and that its
/// head comes to an end.
#[derive(Clone, Debug)]
pub struct Received(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    bytes: AtomicU64,
    bytes_max: AtomicU64,
    /// Told of the first.
    began: Notify,
}

/// A server sent more bytes than [`Received::let_come`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyBytes;

impl fmt::Display for TooManyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server sent more bytes than it may before its response")
    }
}

impl std::error::Error for TooManyBytes {}

impl Received {
    fn new() -> Self {
        Self(Arc::new(Counts { bytes: AtomicU64::new(0), bytes_max: AtomicU64::new(u64::MAX), began: Notify::new() }))
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Ready when the first bytes have come, for one that waits for them.
    pub async fn began(&self) {
        self.0.began.notified().await;
    }

    /// Lets so many bytes come, `None` for any number. Reading fails with [`TooManyBytes`] behind them.
    pub fn let_come(&self, more: Option<u64>) {
        let bytes_max = more.map_or(u64::MAX, |more| self.bytes().saturating_add(more));
        self.0.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Counts bytes that came.
    fn add(&self, bytes: usize) -> io::Result<()> {
        let before = self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before == 0 && bytes > 0 {
            self.0.began.notify_one();
        }
        let may_come = before.saturating_add(bytes as u64) <= self.0.bytes_max.load(Ordering::Relaxed);
        if may_come { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, TooManyBytes)) }
    }
}

impl Transport {
    pub(in crate::upstream) fn plain(stream: TcpStream, write_timeout: Duration) -> Self {
        Self::new(Stream::Plain(stream), write_timeout)
    }

    pub(in crate::upstream) fn tls(stream: TlsStream<TcpStream>, write_timeout: Duration) -> Self {
        Self::new(Stream::Tls(Box::new(stream)), write_timeout)
    }

    fn new(stream: Stream, write_timeout: Duration) -> Self {
        Self {
            stream,
            received: Received::new(),
            write_timeout,
            writing: WriteTimeout::default(),
            is_closed: false,
            was_reset: false,
        }
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

    /// What became of writing to a server: one that takes nothing has the time that it has, and one that has closed the
    /// connection takes `all`. What it sent before that is read still.
    fn outcome<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        all: impl FnOnce() -> T,
    ) -> Poll<io::Result<T>> {
        match self.writing.within(cx, written, || self.write_timeout) {
            Poll::Ready(Err(error)) if is_close(&error) => {
                self.is_closed = true;
                self.was_reset = error.kind() == io::ErrorKind::ConnectionReset;
                Poll::Ready(Ok(all()))
            }
            written => written,
        }
    }
}

/// Whether a write failed because the other side has closed the connection.
fn is_close(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
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
        let bytes = buffer.filled().len() - before;
        if bytes == 0 && transport.was_reset && buffer.remaining() > 0 {
            // Whoever writes takes the socket's error away, and reading then ends as if the server had ended in order.
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(transport.received.add(bytes))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let transport = self.get_mut();
        if transport.is_closed {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = stream!(transport.poll_write(cx, bytes));
        transport.outcome(cx, written, || bytes.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let transport = self.get_mut();
        let all = || slices.iter().map(|slice| slice.len()).sum();
        if transport.is_closed {
            return Poll::Ready(Ok(all()));
        }
        let written = match &mut transport.stream {
            Stream::Plain(stream) => gather::poll_write(Pin::new(stream), cx, slices),
            Stream::Tls(stream) => gather::poll_write(Pin::new(&mut **stream), cx, slices),
        };
        transport.outcome(cx, written, all)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let transport = self.get_mut();
        if transport.is_closed {
            return Poll::Ready(Ok(()));
        }
        let flushed = stream!(transport.poll_flush(cx));
        transport.outcome(cx, flushed, || ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let transport = self.get_mut();
        stream!(transport.poll_shutdown(cx))
    }
}
