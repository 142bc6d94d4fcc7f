//! Who is waited for in an exchange with a request body, and until when.

use std::{
    io,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;

use super::super::patience::Patience;
use crate::domain::Reason;

/// How long a verdict may stay unheard before the exchange is cut off without an answer: pingora does not read from a
/// client while it waits for something else.
const UNHEARD: Duration = Duration::from_secs(1);

/// How long the two sides of an exchange are waited for.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Waits {
    /// For the next bytes of the body.
    pub(in super::super) body_timeout: Duration,
    /// Bytes a second that a body has at least, once `rate_grace` is used up; 0 for no minimum.
    pub(in super::super) rate_min: u64,
    /// How long the client is waited for in all before `rate_min` matters.
    pub(in super::super) rate_grace: Duration,
    /// How long the client is waited for in all.
    pub(in super::super) body_total: Duration,
    /// For the next bytes of the server, once it has the whole request.
    pub(in super::super) read: Duration,
    /// When the exchange has had all of its time.
    pub(in super::super) ends_at: Instant,
    /// Whether the client said how long its body is. One that did not may be half of a stream both ways.
    pub(in super::super) declared: bool,
}

/// Whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Overdue {
    /// The client owes bytes of its body.
    Client,
    /// The server has the whole request and is silent.
    Server,
    /// The exchange has had all of its time, which says nothing about the server.
    Exchange,
}

impl Overdue {
    /// The reason to answer with.
    pub(in super::super) const fn reason(self) -> Reason {
        match self {
            Self::Client => Reason::RequestTimeout,
            Self::Server | Self::Exchange => Reason::UpstreamTimeout,
        }
    }
}

/// How far an exchange with a body has come. The hooks and the client's connection tell it what happens.
#[derive(Debug, Default)]
pub(in super::super) struct Progress(Mutex<State>);

/// What [`Progress`] knows; pure.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each notes one thing that happened, and they happen in any order")]
struct State {
    /// `None` until a server was handed the request: before that nobody is waited for here.
    waits: Option<Waits>,
    /// When the client's next bytes began to be waited for; `None` while they are not.
    asked: Option<Instant>,
    /// How long the client was waited for before `asked`.
    waited: Duration,
    /// Bytes of the body that came, framing included.
    bytes: u64,
    /// When the server was sent something, or sent something, or the client made room for more of it.
    moved: Option<Instant>,
    /// When the client stopped taking its answer; `None` while it takes it.
    held_up: Option<Instant>,
    /// How long it held the answer up before that.
    held: Duration,
    /// All of the body came.
    whole: bool,
    /// The final answer began.
    answering: bool,
    /// All of the answer came.
    answered: bool,
    /// Whose time was over, and since when.
    overdue: Option<(Overdue, Instant)>,
    /// Whether pingora was told.
    told: bool,
}

/// What the watch does next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Nothing until something happens.
    Rest,
    /// Looks again then.
    Wait(Instant),
    /// There is a verdict that pingora can hear now.
    Tell,
    /// pingora did not hear it.
    CutOff(Overdue),
}

impl State {
    /// Until when who is waited for.
    fn deadline(&self) -> Option<(Instant, Overdue)> {
        let waits = self.waits?;
        let over = (waits.ends_at, if self.whole { Overdue::Exchange } else { Overdue::Client });
        Some(self.wait(&waits).filter(|(end, _)| *end <= over.0).unwrap_or(over))
    }

    fn wait(&self, waits: &Waits) -> Option<(Instant, Overdue)> {
        if self.whole {
            let silent = !self.answered && self.held_up.is_none();
            return self.moved.filter(|_| silent).map(|moved| (moved + waits.read, Overdue::Server));
        }
        if self.answering && !self.answered && !waits.declared {
            // A stream both ways, on which either side may be silent: its token and its total time end it.
            return None;
        }
        let paced = self
            .bytes
            .checked_div(waits.rate_min)
            .map(|seconds| waits.rate_grace.saturating_add(Duration::from_secs(seconds)).saturating_sub(self.waited));
        let left = waits.body_total.saturating_sub(self.waited).min(waits.body_timeout);
        self.asked.map(|asked| (asked + paced.map_or(left, |paced| paced.min(left)), Overdue::Client))
    }

    fn next(&mut self, now: Instant) -> Next {
        if self.told {
            return Next::Rest;
        }
        if let Some((overdue, since)) = self.overdue {
            let end = since + UNHEARD;
            return if now >= end { Next::CutOff(overdue) } else { Next::Wait(end) };
        }
        match self.deadline() {
            None => Next::Rest,
            Some((end, _)) if now < end => Next::Wait(end),
            Some((_, overdue)) => {
                self.overdue = Some((overdue, now));
                Next::Tell
            }
        }
    }
}

impl Progress {
    /// A server is handed the request; on another attempt, another one.
    pub(in super::super) fn begin(&self, now: Instant, waits: Waits) {
        let mut state = self.lock();
        state.waits = Some(waits);
        state.moved = Some(now);
    }

    /// The client is waited for.
    pub(super) fn asked(&self, now: Instant) {
        let mut state = self.lock();
        if !state.whole && state.waits.is_some() {
            state.asked.get_or_insert(now);
        }
    }

    /// The client sent this many bytes.
    pub(super) fn came(&self, now: Instant, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_add(bytes as u64);
        if let Some(asked) = state.asked.take() {
            state.waited = state.waited.saturating_add(now.saturating_duration_since(asked));
        }
    }

    /// A piece of the body is passed on; `end` where it is the last.
    pub(in super::super) fn passed_on(&self, now: Instant, end: bool) {
        let mut state = self.lock();
        state.moved = Some(now);
        if end {
            (state.whole, state.asked) = (true, None);
        }
    }

    /// The server sent something.
    pub(in super::super) fn received(&self, now: Instant) {
        self.lock().moved = Some(now);
    }

    /// The server sent the head of its final answer.
    pub(in super::super) fn answering(&self, now: Instant) {
        let mut state = self.lock();
        (state.moved, state.answering) = (Some(now), true);
    }

    /// The server sent all of its answer.
    pub(in super::super) fn answered(&self) {
        self.lock().answered = true;
    }

    /// Whether the client takes its answer.
    pub(super) fn takes(&self, now: Instant, takes: bool) {
        let mut state = self.lock();
        if !takes {
            state.held_up.get_or_insert(now);
        } else if let Some(since) = state.held_up.take() {
            state.held = state.held.saturating_add(now.saturating_duration_since(since));
            state.moved = Some(now);
        }
    }

    /// Whose time was over.
    pub(in super::super) fn overdue(&self) -> Option<Overdue> {
        self.lock().overdue.map(|(overdue, _)| overdue)
    }

    /// Whether the client owes the server bytes of its body right now.
    pub(in super::super) fn client_owes(&self) -> bool {
        let state = self.lock();
        !state.whole && state.asked.is_some()
    }

    /// How long the client held its answer up.
    pub(in super::super) fn held_up(&self, now: Instant) -> Duration {
        let state = self.lock();
        let present = state.held_up.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        state.held.saturating_add(present)
    }

    /// What who waits for the client is told, once, when somebody's time is over.
    pub(super) fn verdict(&self) -> io::Result<()> {
        let mut state = self.lock();
        if state.overdue.is_none() || state.told {
            return Ok(());
        }
        state.told = true;
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Serves an exchange. It must be polled where the client's connection is: what happens there is seen here at once.
    ///
    /// # Errors
    /// Whose time is over, where pingora could not be told: the exchange has been dropped where it stood then.
    pub(in super::super) async fn watch<T>(&self, exchange: impl Future<Output = T>) -> Result<T, Overdue> {
        let mut exchange = pin!(exchange);
        let mut patience = Patience::until(Instant::now());
        std::future::poll_fn(|context| {
            loop {
                if let Poll::Ready(done) = exchange.as_mut().poll(context) {
                    return Poll::Ready(Ok(done));
                }
                let next = self.lock().next(Instant::now());
                match next {
                    Next::Rest => return Poll::Pending,
                    Next::Wait(end) => {
                        patience.set(end);
                        if patience.poll_over(context).is_pending() {
                            return Poll::Pending;
                        }
                    }
                    Next::Tell => {}
                    Next::CutOff(overdue) => return Poll::Ready(Err(overdue)),
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No lock is held over anything that could leave its data half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn waits(start: Instant) -> Waits {
        Waits {
            body_timeout: seconds(30),
            rate_min: 500,
            rate_grace: seconds(60),
            body_total: seconds(600),
            read: seconds(10),
            ends_at: start + seconds(3600),
            declared: true,
        }
    }

    fn begun(waits: Waits, start: Instant) -> Progress {
        let progress = Progress::default();
        progress.begin(start, waits);
        progress
    }

    fn deadline(progress: &Progress) -> Option<(Instant, Overdue)> {
        progress.lock().deadline()
    }

    #[test]
    fn a_client_that_owes_its_body_is_waited_for_and_the_server_is_not() {
        let start = Instant::now();
        let progress = begun(waits(start), start);
        assert_eq!(deadline(&progress), Some((start + seconds(3600), Overdue::Client)), "nobody asked it yet");
        progress.asked(start + seconds(1));
        assert_eq!(deadline(&progress), Some((start + seconds(31), Overdue::Client)));
        progress.came(start + seconds(20), 8);
        progress.passed_on(start + seconds(20), false);
        assert!(!progress.client_owes());
        progress.asked(start + seconds(21));
        assert_eq!(deadline(&progress), Some((start + seconds(51), Overdue::Client)));
        progress.came(start + seconds(40), 8);
        progress.passed_on(start + seconds(40), true);
        assert_eq!(deadline(&progress), Some((start + seconds(50), Overdue::Server)));
    }

    #[test]
    fn each_byte_of_the_server_restarts_its_time_and_a_client_that_reads_slowly_stops_it() {
        let start = Instant::now();
        let progress = begun(waits(start), start);
        progress.passed_on(start, true);
        progress.received(start + seconds(9));
        assert_eq!(deadline(&progress), Some((start + seconds(19), Overdue::Server)));
        progress.answering(start + seconds(12));
        progress.takes(start + seconds(13), false);
        assert_eq!(deadline(&progress), Some((start + seconds(3600), Overdue::Exchange)));
        progress.takes(start + seconds(40), true);
        assert_eq!(deadline(&progress), Some((start + seconds(50), Overdue::Server)));
        assert_eq!(progress.held_up(start + seconds(60)), seconds(27));
        progress.answered();
        assert_eq!(deadline(&progress), Some((start + seconds(3600), Overdue::Exchange)));
    }

    #[test]
    fn either_side_of_a_stream_may_be_silent_and_a_body_of_known_length_is_none() {
        let start = Instant::now();
        for (declared, expected) in
            [(false, (start + seconds(3600), Overdue::Client)), (true, (start + seconds(31), Overdue::Client))]
        {
            let progress = begun(Waits { declared, ..waits(start) }, start);
            progress.answering(start);
            progress.asked(start + seconds(1));
            assert_eq!(deadline(&progress), Some(expected), "declared: {declared}");
            progress.answered();
            assert_eq!(deadline(&progress), Some((start + seconds(31), Overdue::Client)), "the answer is whole");
        }
    }

    #[test]
    fn a_body_has_its_grace_and_a_second_for_each_so_many_bytes() {
        let start = Instant::now();
        for (rate_min, pauses) in [(500, 5), (1_000_000, 3), (0, 30)] {
            let waits = Waits { rate_min, ..waits(start) };
            let progress = begun(waits, start);
            let mut now = start;
            let mut served = 0;
            // 5000 bytes after 20 s each: 250 a second.
            loop {
                progress.asked(now);
                let (end, overdue) = deadline(&progress).unwrap();
                assert_eq!(overdue, Overdue::Client);
                if end < now + seconds(20) {
                    break;
                }
                now += seconds(20);
                progress.came(now, 5000);
                served += 1;
            }
            assert_eq!(served, pauses, "{rate_min}");
        }
    }

    #[test]
    fn a_server_that_does_not_take_the_body_costs_the_client_no_time() {
        let start = Instant::now();
        let progress = begun(waits(start), start);
        progress.asked(start);
        progress.came(start + seconds(1), 1 << 20);
        // For ten minutes nobody reads from the client: its time in all is still there.
        progress.asked(start + seconds(600));
        assert_eq!(deadline(&progress), Some((start + seconds(630), Overdue::Client)));
    }

    #[test]
    fn a_verdict_is_told_once_and_cuts_off_where_nobody_hears_it() {
        let start = Instant::now();
        let progress = begun(waits(start), start);
        progress.passed_on(start, true);
        let over = start + seconds(10);
        let next = |now| progress.lock().next(now);
        assert_eq!(next(over - seconds(1)), Next::Wait(over));
        assert!(progress.verdict().is_ok());
        assert_eq!(next(over), Next::Tell);
        assert_eq!(next(over), Next::Wait(over + UNHEARD));
        assert_eq!(next(over + UNHEARD), Next::CutOff(Overdue::Server));
        assert!(progress.verdict().is_err() && progress.verdict().is_ok());
        assert_eq!(next(over + UNHEARD), Next::Rest);
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_the_verdict_ends_in_his_own_way() {
        let progress = begun(waits(Instant::now()), Instant::now());
        progress.passed_on(Instant::now(), true);
        let began = Instant::now();
        let listens = std::future::poll_fn(|_| match progress.verdict() {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error.kind()),
        });
        assert_eq!(progress.watch(listens).await, Ok(io::ErrorKind::TimedOut));
        assert_eq!(began.elapsed(), seconds(10));
        let deaf = begun(waits(Instant::now()), Instant::now());
        deaf.passed_on(Instant::now(), true);
        assert_eq!(deaf.watch(std::future::pending::<()>()).await, Err(Overdue::Server));
        assert_eq!(began.elapsed(), seconds(21));
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Asked,
        Came(u16),
        PassedOn(bool),
        Received,
        Answering,
        Answered,
        Takes(bool),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Asked),
            3 => any::<u16>().prop_map(Event::Came),
            2 => prop::bool::weighted(0.2).prop_map(Event::PassedOn),
            2 => Just(Event::Received),
            1 => Just(Event::Answering),
            1 => Just(Event::Answered),
            2 => any::<bool>().prop_map(Event::Takes),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: the server is blamed only when it has the whole request, has not
        /// answered all of it, nothing keeps us from reading from it, and nothing moved for `read`.
        #[test]
        fn a_server_is_blamed_for_its_own_silence_alone(
            events in prop::collection::vec((event(), 0..40_u64), 1..60),
            declared: bool,
        ) {
            let start = Instant::now();
            let progress = begun(Waits { declared, ..waits(start) }, start);
            let (mut now, mut moved) = (start, start);
            let (mut whole, mut answered, mut held) = (false, false, false);
            for (event, pause) in events {
                let end = now + seconds(pause);
                if let Some((at, Overdue::Server)) = deadline(&progress) {
                    prop_assert!(whole && !answered && !held);
                    prop_assert_eq!(at, moved + seconds(10));
                }
                if whole {
                    prop_assert!(!matches!(deadline(&progress), Some((_, Overdue::Client))));
                    prop_assert!(!progress.client_owes());
                }
                now = end;
                match event {
                    Event::Asked => progress.asked(now),
                    Event::Came(bytes) => progress.came(now, usize::from(bytes)),
                    Event::PassedOn(last) => {
                        progress.passed_on(now, last);
                        (moved, whole) = (now, whole || last);
                    }
                    Event::Received => {
                        progress.received(now);
                        moved = now;
                    }
                    Event::Answering => {
                        progress.answering(now);
                        moved = now;
                    }
                    Event::Answered => {
                        progress.answered();
                        answered = true;
                    }
                    Event::Takes(takes) => {
                        progress.takes(now, takes);
                        if takes && held {
                            moved = now;
                        }
                        held = !takes;
                    }
                }
            }
        }
    }
}
