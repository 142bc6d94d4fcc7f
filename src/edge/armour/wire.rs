//! Connections as pingora takes them, over streams of ours: in the clear, TLS, and bytes that are put back.

use std::{
    io::{self, IoSlice},
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use super::watch::{Watch, Watched};

/// What is gathered before it is sent: a head and a short body go in one segment, or one TLS record.
const GATHERED_BYTES_MAX: usize = 1460;

/// How long a client may take to take our last bytes.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a stream that only looks at what is read does with what is written: the stream below has it.
macro_rules! writes_through {
    () => {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::pin::Pin::new(&mut self.stream).poll_write(cx, bytes)
        }

        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    };
}
pub(super) use writes_through;

/// A connection in the clear.
pub(in crate::edge) fn plain(stream: TcpStream, watch: Watch) -> Stream {
    let fd = stream.as_raw_fd();
    Box::new(Wire::new(stream, fd, watch))
}

/// A connection behind TLS.
pub(in crate::edge) fn over_tls(stream: TlsStream<TcpStream>, watch: Watch) -> Stream {
    let fd = stream.get_ref().0.as_raw_fd();
    Box::new(Wire::new(stream, fd, watch))
}

/// A connection in the clear of which `read` was read already.
pub(in crate::edge) fn with_bytes_put_back(stream: TcpStream, read: BytesMut, watch: Watch) -> Stream {
    let fd = stream.as_raw_fd();
    Box::new(Wire::new(Prefixed { read, stream }, fd, watch))
}

/// A stream that gathers small writes until it is flushed, or somebody waits for the client: what an answer begins with
/// is not kept from a client because the rest takes long. One that is idle holds no buffer.
///
/// pingora's own stream over a socket that it did not accept itself gathers nothing, and would send an answer's head
/// and its body apart: that is the dearest system call of a request, twice.
#[derive(Debug)]
struct Wire<S: AsyncWrite + Unpin> {
    stream: S,
    gathered: BytesMut,
    watched: Watched,
    fd: RawFd,
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S, fd: RawFd, watch: Watch) -> Self {
        Self { stream, gathered: BytesMut::new(), watched: Watched::new(watch), fd }
    }
}

/// What was gathered goes as far as it does at once: who gets half of an answer knows that there was one.
impl<S: AsyncWrite + Unpin> Drop for Wire<S> {
    fn drop(&mut self) {
        if !self.gathered.is_empty() {
            let _ = Pin::new(self).poll_flush(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Sends what was gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered))?;
            self.take(sent)?;
        }
        self.gathered = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, sent: usize) -> io::Result<()> {
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.gathered.advance(sent);
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        let read = wire.watched.poll_read(&mut wire.stream, cx, buffer);
        if read.is_pending() {
            // Who waits for the client, if only for its end, has nothing more to write for now.
            if let Poll::Ready(Err(error)) = self.as_mut().poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = &mut *self;
        if wire.gathered.len() + bytes.len() <= GATHERED_BYTES_MAX {
            wire.gathered.reserve(GATHERED_BYTES_MAX - wire.gathered.len());
            wire.gathered.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        while !wire.gathered.is_empty() {
            let both = [IoSlice::new(&wire.gathered), IoSlice::new(bytes)];
            let sent = ready!(Pin::new(&mut wire.stream).poll_write_vectored(cx, &both))?;
            if let Some(of_these) = sent.checked_sub(wire.gathered.len()).filter(|&sent| sent > 0) {
                wire.gathered = BytesMut::new();
                return Poll::Ready(Ok(of_these));
            }
            wire.take(sent)?;
        }
        Pin::new(&mut wire.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl<S: AsyncWrite + Unpin + Send> Shutdown for Wire<S> {
    async fn shutdown(&mut self) {
        // Whether the client takes it or not: the connection ends here.
        let _ = timeout(FAREWELL, AsyncWriteExt::shutdown(self)).await;
    }
}

impl<S: AsyncWrite + Unpin> UniqueID for Wire<S> {
    fn id(&self) -> RawFd {
        self.fd
    }
}

impl<S: AsyncWrite + Unpin> Ssl for Wire<S> {}

impl<S: AsyncWrite + Unpin> GetTimingDigest for Wire<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![]
    }
}

impl<S: AsyncWrite + Unpin> GetProxyDigest for Wire<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<S: AsyncWrite + Unpin> GetSocketDigest for Wire<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[async_trait]
impl<S: AsyncWrite + Unpin + Send> Peek for Wire<S> {}

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
    writes_through!();
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::AsyncReadExt;

    use super::*;

    /// Takes as many bytes at a time, and keeps what it took at once.
    #[derive(Clone)]
    struct Narrow(usize, Arc<Mutex<Vec<Vec<u8>>>>);

    impl AsyncWrite for Narrow {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.0);
            self.1.lock().unwrap().push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncRead for Narrow {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn what_was_gathered_goes_when_the_client_is_waited_for() {
        let narrow = Narrow(3, Arc::default());
        let mut wire = Wire::new(narrow.clone(), 0, Watch::default());
        wire.write_all(b"part").await.unwrap();
        let mut rest = [0];
        tokio::select! {
            biased;
            read = wire.read(&mut rest) => panic!("{read:?}"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(narrow.1.lock().unwrap().concat(), b"part");
    }

    #[tokio::test]
    async fn small_writes_are_one_and_large_ones_take_them_along() {
        let large: Vec<u8> = (0..5000_u32).map(|at| at.to_le_bytes()[0]).collect();
        for (width, sent) in [(usize::MAX, 2), (1000, 7), (7, 717)] {
            let narrow = Narrow(width, Arc::default());
            let mut wire = Wire::new(narrow.clone(), 0, Watch::default());
            wire.write_all(b"head ").await.unwrap();
            wire.write_all(b"body").await.unwrap();
            assert!(narrow.1.lock().unwrap().is_empty());
            wire.flush().await.unwrap();
            wire.write_all(b"head ").await.unwrap();
            wire.write_all(&large).await.unwrap();
            wire.flush().await.unwrap();
            let writes = narrow.1.lock().unwrap();
            assert_eq!(writes.concat(), [b"head bodyhead ", large.as_slice()].concat());
            assert_eq!(writes.len(), sent);
        }
    }
}
