//! How long the next head of a connection is waited for, and when a connection rests.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::state::Http1State;
use crate::timer::LazyTimeout;

/// A connection on which nothing happened for so long after a response rests.
const REST_AFTER: Duration = Duration::from_secs(5);

/// Between two looks while a response is on its way, at least: the shortest times that a config may set are no reason
/// to look all the time.
const ANSWERING_LOOK_MIN: Duration = Duration::from_millis(100);

/// How long a client is waited for.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct ClientTimeouts {
    /// For a whole head, from its first byte or the connection.
    pub(in crate::edge) head: Duration,
    /// For the next request.
    pub(in crate::edge) keepalive: Duration,
    /// Until it takes some of what is sent to it.
    pub(in crate::edge) write: Duration,
}

/// The present timeouts: a reload may change them.
pub(in crate::edge) type Timeouts = Arc<dyn Fn() -> ClientTimeouts + Send + Sync>;

/// Until when the next head has to come.
pub(super) struct HeadDeadline {
    accepted: Instant,
    /// When the head began, with its first byte.
    began: Option<Instant>,
    is_first: bool,
    timer: LazyTimeout,
    /// Whether that was set since the last head was handed on.
    is_set: bool,
    /// Whether it was told that the connection rests, since then.
    rests: bool,
}

/// What is under way on a connection while its next head is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnItsWay {
    /// Some of the head has come.
    pub(super) head: bool,
    /// Bytes wait: what came, line ends too, to be handed on, or an informational response to go out.
    pub(super) bytes: bool,
    /// Something that hyper wrote goes out.
    pub(super) response: bool,
}

impl HeadDeadline {
    /// Of a connection that was `accepted` then, with the timer that ran meanwhile.
    pub(super) const fn new(accepted: Instant, timer: LazyTimeout) -> Self {
        Self { accepted, began: None, is_first: true, timer, is_set: false, rests: false }
    }

    /// A head was handed on: the next one is waited for.
    pub(super) const fn wait_for_next(&mut self) {
        (self.began, self.is_first, self.is_set, self.rests) = (None, false, false, false);
    }

    /// Ready when the next head did not come in time.
    ///
    /// hyper does not ask again when a response has ended, while reading waits. So a timer runs meanwhile too, and what
    /// it is for is seen when it goes off.
    pub(super) fn poll_late(
        &mut self,
        cx: &mut Context<'_>,
        on_its_way: OnItsWay,
        state: &Http1State,
        timeouts: &Timeouts,
    ) -> Poll<()> {
        if on_its_way.head {
            self.began.get_or_insert_with(Instant::now);
        }
        if state.is_answering() && self.is_set {
            // Each turn of the connection's task asks. What the timer is for is seen when it goes off.
            ready!(self.timer.poll_over(cx));
        }
        let timeouts = timeouts();
        self.is_set = true;
        loop {
            let now = Instant::now();
            let late = self.end(state, &timeouts, on_its_way, now);
            self.timer.set(self.rest_look(state, on_its_way, now).map_or(late, |look| look.min(late)));
            ready!(self.timer.poll_over(cx));
            let now = Instant::now();
            if state.is_answering() {
                continue;
            }
            if self.end(state, &timeouts, on_its_way, now) <= now {
                return Poll::Ready(());
            }
            if self.rest_look(state, on_its_way, now).is_some_and(|look| look <= now) {
                self.rests = true;
                state.rest();
            }
        }
    }

    /// When to look whether the connection rests: after each response once, and not while something is on its way.
    fn rest_look(&self, state: &Http1State, on_its_way: OnItsWay, now: Instant) -> Option<Instant> {
        if self.is_first || self.rests || on_its_way.bytes {
            return None;
        }
        match state.response_ended() {
            Some(ended) if !on_its_way.response && !state.is_answering() => Some(ended + REST_AFTER),
            _ => Some(now + REST_AFTER),
        }
    }

    /// When the next head is late, as far as can be said now.
    fn end(&mut self, state: &Http1State, timeouts: &ClientTimeouts, on_its_way: OnItsWay, now: Instant) -> Instant {
        if state.is_answering() {
            // While a response is on its way, nobody waits for the next request.
            return now + timeouts.head.min(timeouts.keepalive).max(ANSWERING_LOOK_MIN);
        }
        if self.is_first {
            return self.accepted + timeouts.head;
        }
        let response_ended = state.response_ended().unwrap_or(self.accepted);
        if on_its_way.head {
            (*self.began.get_or_insert(now)).max(response_ended) + timeouts.head
        } else {
            response_ended + timeouts.keepalive
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const TIMEOUTS: ClientTimeouts = ClientTimeouts {
        head: Duration::from_secs(10),
        keepalive: Duration::from_secs(60),
        write: Duration::from_secs(30),
    };

    const NOTHING: OnItsWay = OnItsWay { head: false, bytes: false, response: false };
    const A_HEAD: OnItsWay = OnItsWay { head: true, bytes: true, response: false };

    struct Client {
        deadline: HeadDeadline,
        state: Http1State,
    }

    impl Client {
        fn new() -> Self {
            Self { deadline: HeadDeadline::new(Instant::now(), LazyTimeout::default()), state: Http1State::default() }
        }

        /// A request came and has its response.
        fn served() -> Self {
            let mut client = Self::new();
            client.head_comes();
            client.state.response_ends(Instant::now());
            client
        }

        fn head_comes(&mut self) {
            self.state.request_begins();
            self.deadline.wait_for_next();
        }

        /// Whole seconds until the next head is late, while nothing else happens; `None` for more than an hour.
        async fn late_after(&mut self, on_its_way: OnItsWay) -> Option<u64> {
            let timeouts: Timeouts = Arc::new(|| TIMEOUTS);
            let begun = Instant::now();
            let late = poll_fn(|cx| self.deadline.poll_late(cx, on_its_way, &self.state, &timeouts));
            timeout(Duration::from_secs(3600), late).await.ok().map(|()| begun.elapsed().as_secs())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_its_time_from_the_connection_on() {
        for on_its_way in [NOTHING, A_HEAD] {
            let mut client = Client::new();
            advance(Duration::from_secs(4)).await;
            assert_eq!(client.late_after(on_its_way).await, Some(6), "{on_its_way:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_may_begin_until_the_connection_is_idle_for_too_long() {
        assert_eq!(Client::served().late_after(NOTHING).await, Some(60));
        let mut client = Client::served();
        advance(Duration::from_secs(50)).await;
        assert_eq!(client.late_after(A_HEAD).await, Some(10));
        assert_eq!(client.late_after(A_HEAD).await, Some(0), "it stays late");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_head_while_a_response_is_on_its_way() {
        let mut client = Client::new();
        client.head_comes();
        assert_eq!(client.late_after(A_HEAD).await, None);
        client.state.response_ends(Instant::now());
        // A head that began meanwhile has its time from the end of the response on.
        assert_eq!(client.late_after(A_HEAD).await, Some(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_once_after_each_response() {
        let mut client = Client::served();
        assert!(timeout(REST_AFTER / 2, client.late_after(NOTHING)).await.is_err());
        assert!(!client.state.take_rest());
        assert!(timeout(REST_AFTER, client.late_after(NOTHING)).await.is_err());
        assert!(client.state.take_rest());
        assert_eq!(client.late_after(NOTHING).await, Some(52), "it says so once");
        assert!(!client.state.take_rest());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_something_on_its_way_does_not_rest() {
        let bytes = OnItsWay { bytes: true, ..NOTHING };
        let response = OnItsWay { response: true, ..NOTHING };
        for on_its_way in [bytes, response] {
            let mut client = Client::served();
            assert!(timeout(4 * REST_AFTER, client.late_after(on_its_way)).await.is_err());
            assert!(!client.state.take_rest(), "{on_its_way:?}");
        }
    }
}
