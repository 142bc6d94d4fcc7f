//! Connections as pingora takes them, over streams of ours: TLS, and bytes that are put back.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

/// What is gathered before it is sent: a head and the body's first bytes go in one segment, or one TLS record.
const WRITE_BUFFER_BYTES: usize = 1460;

/// How long a client may take to take our last bytes.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection behind TLS.
pub(super) fn over_tls(stream: TlsStream<TcpStream>) -> Stream {
    let fd = stream.get_ref().0.as_raw_fd();
    Box::new(Wire { stream: BufWriter::with_capacity(WRITE_BUFFER_BYTES, stream), fd })
}

/// A connection in the clear of which `read` was read already.
pub(super) fn with_bytes_put_back(stream: TcpStream, read: BytesMut) -> Stream {
    let fd = stream.as_raw_fd();
    let stream = BufWriter::with_capacity(WRITE_BUFFER_BYTES, Prefixed { read, stream });
    Box::new(Wire { stream, fd })
}

#[derive(Debug)]
struct Wire<S: AsyncWrite> {
    stream: BufWriter<S>,
    fd: RawFd,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl<S: AsyncWrite + Unpin + Send> Shutdown for Wire<S> {
    async fn shutdown(&mut self) {
        // Whether the client takes it or not: the connection ends here.
        let _ = timeout(FAREWELL, AsyncWriteExt::shutdown(&mut self.stream)).await;
    }
}

impl<S: AsyncWrite> UniqueID for Wire<S> {
    fn id(&self) -> RawFd {
        self.fd
    }
}

impl<S: AsyncWrite> Ssl for Wire<S> {}

impl<S: AsyncWrite> GetTimingDigest for Wire<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![]
    }
}

impl<S: AsyncWrite> GetProxyDigest for Wire<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<S: AsyncWrite> GetSocketDigest for Wire<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[async_trait]
impl<S: AsyncWrite + Send> Peek for Wire<S> {}

/// A stream that yields what was read of it once more.
#[derive(Debug)]
struct Prefixed {
    read: BytesMut,
    stream: TcpStream,
}

impl AsyncRead for Prefixed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..length]);
        self.read.advance(length);
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
