//! A deadline that moves with every request.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that moves with every request and is seldom reached. While it moves away, the runtime's timer stays where
/// it is. Only a timer that goes off too early is set anew. So a request costs no timer. Without an end it never goes off.
#[derive(Debug, Default)]
pub(crate) struct LazyTimeout {
    /// `None` until it is first set.
    end: Option<Instant>,
    /// `None` until it is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl LazyTimeout {
    /// Waits until `end`.
    pub(crate) fn until(end: Instant) -> Self {
        Self { end: Some(end), timer: None }
    }

    /// Waits until `end` from now on.
    pub(crate) fn set(&mut self, end: Instant) {
        self.end = Some(end);
        if let Some(timer) = &mut self.timer
            && end < timer.deadline()
        {
            timer.as_mut().reset(end);
        }
    }

    /// Ready at the end.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(end) = self.end else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_its_end_wherever_that_was_moved() {
        let start = Instant::now();
        let mut lazy = LazyTimeout::until(start + 10 * SECOND);
        assert!(futures_util::poll!(poll_fn(|cx| lazy.poll_over(cx))).is_pending());
        for seconds in [30, 5, 20] {
            let began = Instant::now();
            lazy.set(began + seconds * SECOND);
            poll_fn(|cx| lazy.poll_over(cx)).await;
            assert_eq!((Instant::now() - began).as_secs(), u64::from(seconds));
        }
    }
}
