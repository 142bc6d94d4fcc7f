//! A client that is being answered: it is written to, and that it goes away is noticed.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, timeout},
};

/// What is read at most of a request that comes before the answer to the one before it.
const EARLY_BYTES_MAX: usize = 4096;

/// A client's connection between a request and the end of its answer.
#[derive(Debug)]
pub(in crate::edge) struct Client<'s, S> {
    stream: &'s mut S,
    write_timeout: Duration,
    early: BytesMut,
    held_up: Duration,
}

/// The client went away, or took nothing for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl<'s, S: AsyncRead + AsyncWrite + Unpin> Client<'s, S> {
    /// One that is given `write_timeout` to take some of what is written.
    pub(in crate::edge) fn new(stream: &'s mut S, write_timeout: Duration) -> Self {
        Self { stream, write_timeout, early: BytesMut::new(), held_up: Duration::ZERO }
    }

    /// What it sent before it was answered: its next request begins with that.
    pub(super) fn into_early(self) -> BytesMut {
        self.early
    }

    /// How long it was waited for in all until it took what was written.
    pub(super) const fn held_up(&self) -> Duration {
        self.held_up
    }

    /// Writes all of it; small pieces may wait for the next, a flush, or until somebody else is waited for.
    pub(in crate::edge) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            match within(self.write_timeout, &mut self.held_up, self.stream.write(bytes)).await {
                Ok(written @ 1..) => bytes = &bytes[written..],
                _ => return Err(Gone),
            }
        }
        Ok(())
    }

    pub(in crate::edge) async fn flush(&mut self) -> Result<(), Gone> {
        within(self.write_timeout, &mut self.held_up, self.stream.flush()).await.map_err(|_| Gone)
    }

    /// What comes of `work`, unless the client goes away first.
    pub(super) async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Gone> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_gone(cx).map(|()| Err(Gone)),
        })
        .await
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.early.is_empty() {
            let mut bytes = [MaybeUninit::uninit(); EARLY_BYTES_MAX];
            let mut bytes = ReadBuf::uninit(&mut bytes);
            // A stream that has nothing to read sends what it gathered.
            let read = ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut bytes));
            if read.is_err() || bytes.filled().is_empty() {
                return Poll::Ready(());
            }
            self.early.extend_from_slice(bytes.filled());
        }
        // Whoever sends his next request is there. No more of it is read before its time.
        match ready!(Pin::new(&mut *self.stream).poll_flush(cx)) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }
}

/// What comes of `work`, for which there is a timer only where it must be waited for; that is added up.
async fn within<T>(limit: Duration, waited: &mut Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut work = pin!(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => done,
        Poll::Pending => {
            let start = Instant::now();
            let done = timeout(limit, work).await;
            *waited += start.elapsed();
            done.map_err(io::Error::from)?
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    #[tokio::test]
    async fn a_client_that_sends_its_next_request_has_not_gone() {
        let (mut near, mut far) = duplex(64);
        let mut client = Client::new(&mut near, LIMIT);
        far.write_all(b"GET").await.unwrap();
        let work = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(client.unless_gone(work).await, Ok(7));
        client.write(b"answer").await.unwrap();
        assert_eq!(client.into_early(), "GET");
        let mut answer = [0; 6];
        far.read_exact(&mut answer).await.unwrap();
        drop(far);
        let mut client = Client::new(&mut near, LIMIT);
        assert_eq!(client.unless_gone(std::future::pending::<()>()).await, Err(Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_nothing_is_not_waited_for_without_end() {
        let (mut near, _far) = duplex(4);
        let mut client = Client::new(&mut near, LIMIT);
        assert_eq!(client.write(b"four").await, Ok(()));
        assert_eq!(client.held_up(), Duration::ZERO);
        assert_eq!(client.write(b"more").await, Err(Gone));
        assert_eq!(client.held_up(), LIMIT);
    }
}
