//! How long somebody is waited for.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// An end that moves with every request and is seldom reached. While it moves away, the runtime's timer stays where it
/// is; only one that goes off too early is set anew. So a request costs no timer.
#[derive(Debug)]
pub(in crate::edge) struct Patience {
    end: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    /// Waits until `end`.
    pub(in crate::edge) fn until(end: Instant) -> Self {
        Self { end, timer: Box::pin(sleep_until(end)) }
    }

    /// Waits until `end` from now on.
    pub(in crate::edge) fn set(&mut self, end: Instant) {
        self.end = end;
        if end < self.timer.deadline() {
            self.timer.as_mut().reset(end);
        }
    }

    /// What comes of `work`, when it is done before the end.
    pub(in crate::edge) async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll_over(cx).map(|()| None),
        })
        .await
    }

    /// Ready at the end.
    pub(in crate::edge) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= self.end {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_its_end_wherever_that_was_moved() {
        let start = Instant::now();
        let mut patience = Patience::until(start + 10 * SECOND);
        assert_eq!(patience.bound(async { 7 }).await, Some(7));
        for seconds in [30, 5, 20] {
            let began = Instant::now();
            patience.set(began + seconds * SECOND);
            assert_eq!(patience.bound(pending::<()>()).await, None);
            assert_eq!((Instant::now() - began).as_secs(), u64::from(seconds));
        }
    }
}
