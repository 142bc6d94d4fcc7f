//! Deadlines that move with what happens on a connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    task::coop::has_budget_remaining,
    time::{Instant, Sleep, sleep_until},
};

/// A deadline that moves with every request and is seldom reached. While it moves away, the runtime's timer stays where
/// it is. Only a timer that goes off too early is set anew. So a request costs no timer. Without an end it never goes
/// off.
#[derive(Debug, Default)]
pub(crate) struct LazyTimeout {
    /// `None` until it is first set.
    end: Option<Instant>,
    /// `None` until it is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
    /// Where the waker points that the timer keeps: while it does, nothing else lies there. A task that is woken for
    /// something else asks at once whether it is over.
    kept: Option<usize>,
}

impl LazyTimeout {
    /// Waits until `end`.
    pub(crate) fn until(end: Instant) -> Self {
        Self { end: Some(end), timer: None, kept: None }
    }

    /// Waits until `end` from now on.
    pub(crate) fn set(&mut self, end: Instant) {
        self.end = Some(end);
        if let Some(timer) = &mut self.timer
            && end < timer.deadline()
        {
            timer.as_mut().reset(end);
            self.kept = None;
        }
    }

    /// Ready at the end.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(end) = self.end else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        let waker = cx.waker().data().addr();
        if self.kept == Some(waker) && !timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            // Without budget the timer keeps no waker: the task is woken at once, and asks again.
            self.kept = has_budget_remaining().then_some(waker);
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}

/// How long the other side of a connection may take nothing of what is written. The time runs from the first write that
/// has to wait, until one is taken.
#[derive(Debug, Default)]
pub(crate) struct WriteTimeout {
    /// `None` until a write has to wait for the first time.
    timer: Option<LazyTimeout>,
    runs: bool,
}

impl WriteTimeout {
    /// What a write came to, which fails with [`io::ErrorKind::TimedOut`] once nothing was taken for `limit`. That is
    /// asked for when the time begins to run.
    pub(crate) fn within<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        limit: impl FnOnce() -> Duration,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.runs = false;
            return written;
        }
        let timer = self.timer.get_or_insert_default();
        if !std::mem::replace(&mut self.runs, true) {
            timer.set(Instant::now() + limit());
        }
        ready!(timer.poll_over(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{task::coop::poll_proceed, time::interval};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn who_is_woken_for_something_else_is_told_of_the_end_too() {
        for first_with_budget in [true, false] {
            let start = Instant::now();
            let mut lazy = LazyTimeout::until(start + 10 * SECOND);
            let mut ticks = interval(3 * SECOND);
            let (mut asked, mut has_budget) = (0, first_with_budget);
            poll_fn(|cx| {
                asked += 1;
                while ticks.poll_tick(cx).is_ready() {}
                while !has_budget && has_budget_remaining() {
                    let _ = poll_proceed(cx).map(|budget| budget.made_progress());
                }
                has_budget = true;
                lazy.poll_over(cx)
            })
            .await;
            assert_eq!((Instant::now() - start).as_secs(), 10);
            assert!(asked >= 5, "{asked}");
        }
    }

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

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_when_nothing_was_taken_for_as_long_as_it_may() {
        let mut writing = WriteTimeout::default();
        for _ in 0..3 {
            let began = Instant::now();
            let failed = poll_fn(|cx| writing.within::<()>(cx, Poll::Pending, || 10 * SECOND)).await;
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!((Instant::now() - began).as_secs(), 10);
            // What is taken lets the time begin anew.
            let taken = poll_fn(|cx| writing.within(cx, Poll::Ready(Ok(1)), || Duration::ZERO)).await;
            assert_eq!(taken.unwrap(), 1);
        }
    }
}
