//! The circuit breaker of a server: open after failures in a row, closed by one trial that succeeds.
//! Time is a number of milliseconds that only grows; no lock, and nothing is written while all is healthy.
//!
//! Connections that could not be made count by themselves: no client can cause them. A failure after a request was sent
//! may be the request's own doing: such failures open the breaker only where [`super::pool`] has nothing against it.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::settings::Eject;

/// A pause grows to this many times the first one, at most.
const PAUSE_GROWTH_MAX: u32 = 10;

/// How long a server that is back takes less than its share: a service that has just started is slow.
pub(super) const SLOW_START: Duration = Duration::from_secs(10);

/// What it takes of its share at first.
const SHARE_MIN: f64 = 0.1;

/// What a breaker knows.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Of either kind, in a row.
    failures: AtomicU32,
    /// Connections in a row that could not be made.
    unreachable: AtomicU32,
    /// How often it was opened in a row.
    openings: AtomicU32,
    /// Until when it is open, in milliseconds; 0 while it is closed.
    until: AtomicU64,
    /// Whether it was opened for failures after requests were sent.
    suspected: AtomicBool,
    /// When the server was back, in milliseconds; 0 once it takes its share.
    back: AtomicU64,
    /// Turns that came to it since then.
    turns: AtomicU32,
}

/// How a request failed, as far as that says something about its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    Unreachable,
    /// It was sent and came to nothing.
    AfterSending,
}

/// How a request may go to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// As any other.
    Ordinary,
    /// As the one that finds out whether the server is back. The next one goes there at this time, in milliseconds,
    /// where nothing is heard of this one.
    Trial(u64),
}

impl Admission {
    /// A trial that keeps nobody else from one.
    pub(super) const EXTRA_TRIAL: Self = Self::Trial(0);
}

impl Breaker {
    /// Whether a request may be sent at `now`, which is asked for only while the breaker is open.
    pub(super) fn admits(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until == 0 || until <= now()
    }

    /// Whether it is open or waits for a trial.
    pub(super) fn is_open(&self) -> bool {
        self.until.load(Ordering::Relaxed) != 0
    }

    /// Whether it is open for failures that may be their requests' own doing.
    pub(super) fn is_suspected(&self) -> bool {
        self.is_open() && self.suspected.load(Ordering::Relaxed)
    }

    /// Takes the right to send a request at `now`. Of the requests that ask when a pause is over one
    /// gets the trial; when nothing is heard of it, the next gets one a pause later.
    pub(super) fn admit(&self, now: impl FnOnce() -> u64, eject: Eject) -> Option<Admission> {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return Some(Admission::Ordinary);
        }
        let now = now();
        if now < until {
            return None;
        }
        let next = now.saturating_add(millis(eject.pause));
        let taken = self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
        taken.ok().map(|_| Admission::Trial(next))
    }

    /// Gives a trial back of which nothing was heard: the next that asks gets one.
    pub(super) fn give_back(&self, admission: Admission) {
        if let Admission::Trial(next) = admission
            && next != 0
        {
            // Not where the breaker was opened again, or another trial began. 0 would mean closed.
            let _ = self.until.compare_exchange(next, 1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// A trial's connection was made at `now`; true where the server is back with that. A client takes part in what
    /// comes after, so nothing else is waited for where only connections failed.
    pub(super) fn connected(&self, now: u64) -> bool {
        let disproved = self.is_open() && !self.suspected.load(Ordering::Relaxed);
        if disproved {
            self.recovered(now);
        }
        disproved
    }

    /// What the server takes of its share at `now`, which is asked for only while it is coming back; 1 for all of it.
    pub(super) fn share(&self, now: impl FnOnce() -> u64) -> f64 {
        let back = self.back.load(Ordering::Relaxed);
        if back == 0 {
            return 1.0;
        }
        let passed = Duration::from_millis(now().saturating_sub(back));
        if passed >= SLOW_START {
            self.back.store(0, Ordering::Relaxed);
            return 1.0;
        }
        (passed.as_secs_f64() / SLOW_START.as_secs_f64()).max(SHARE_MIN)
    }

    /// Whether the server takes the turn that came to it: one of so many as its share says, the first among them.
    pub(super) fn takes_turn(&self, now: impl FnOnce() -> u64) -> bool {
        let share = self.share(now);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 10")]
        let one_of = (1.0 / share).round() as u32;
        one_of <= 1 || self.turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(one_of)
    }

    /// The server is back at `now`, and takes its share little by little.
    pub(super) fn starts_slowly(&self, now: u64) {
        self.turns.store(0, Ordering::Relaxed);
        // 0 would mean that it takes its share.
        self.back.store(now.max(1), Ordering::Relaxed);
    }

    /// A request went well. Only a trial closes an open breaker: others were sent before it opened.
    pub(super) fn succeeded(&self) {
        if self.is_open() {
            return;
        }
        self.forget();
    }

    /// A trial went well at `now`.
    pub(super) fn recovered(&self, now: u64) {
        self.forget();
        if self.until.swap(0, Ordering::Relaxed) != 0 {
            self.starts_slowly(now);
        }
    }

    fn forget(&self) {
        for word in [&self.failures, &self.unreachable, &self.openings] {
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// A request failed at `now`; true when that opened the breaker, again or for the first time. Whether a server
    /// `may` be left alone for failures after requests were sent is asked only when there are enough of them.
    pub(super) fn failed(
        &self,
        failure: Failure,
        admission: Admission,
        now: u64,
        eject: Eject,
        may: impl FnOnce() -> bool,
    ) -> bool {
        let more = |word: &AtomicU32| word.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let failures = more(&self.failures);
        let unreachable = match failure {
            Failure::Unreachable => more(&self.unreachable),
            Failure::AfterSending => 0,
        };
        let opens = |count| match admission {
            Admission::Trial(_) => true,
            Admission::Ordinary => !self.is_open() && count >= eject.failures,
        };
        if eject.failures == 0 {
            return false;
        }
        let suspected = failure == Failure::AfterSending;
        if !(opens(unreachable) && !suspected || opens(failures) && suspected && may()) {
            return false;
        }
        let openings = self.openings.fetch_add(1, Ordering::Relaxed).min(u32::BITS - 1);
        let growth = 2_u32.saturating_pow(openings).min(PAUSE_GROWTH_MAX);
        let until = now.saturating_add(millis(eject.pause).saturating_mul(u64::from(growth)));
        self.suspected.store(suspected, Ordering::Relaxed);
        // 0 would mean closed.
        self.until.store(until.max(1), Ordering::Relaxed);
        true
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EJECT: Eject = Eject { failures: 3, pause: Duration::from_millis(100) };

    /// A failure that nothing speaks against.
    fn failed(breaker: &Breaker, admission: Admission, now: u64) -> bool {
        breaker.failed(Failure::AfterSending, admission, now, EJECT, || true)
    }

    fn is_trial(admission: Option<Admission>) -> bool {
        matches!(admission, Some(Admission::Trial(_)))
    }

    fn opened(at: u64) -> Breaker {
        let breaker = Breaker::default();
        let opened: Vec<_> = (0..3).map(|_| failed(&breaker, Admission::Ordinary, at)).collect();
        assert_eq!(opened, [false, false, true]);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not_let_them_add_up() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            assert!(!failed(&breaker, Admission::Ordinary, 0));
            assert!(!failed(&breaker, Admission::Ordinary, 0));
            breaker.succeeded();
        }
        assert!(breaker.admits(|| 0));
        let breaker = opened(0);
        assert!(!breaker.admits(|| 99));
        assert_eq!(breaker.admit(|| 99, EJECT), None);
    }

    #[test]
    fn one_request_is_the_trial_and_closes_it() {
        let breaker = opened(0);
        assert!(is_trial(breaker.admit(|| 100, EJECT)));
        assert_eq!(breaker.admit(|| 101, EJECT), None, "one trial at a time");
        breaker.succeeded();
        assert!(breaker.is_open(), "what was sent before it opened proves nothing");
        breaker.recovered(101);
        assert_eq!(breaker.admit(|| 102, EJECT), Some(Admission::Ordinary));
    }

    #[test]
    fn a_trial_of_which_nothing_is_heard_is_followed_by_another() {
        let breaker = opened(0);
        assert!(is_trial(breaker.admit(|| 100, EJECT)));
        assert_eq!(breaker.admit(|| 199, EJECT), None);
        assert!(is_trial(breaker.admit(|| 200, EJECT)));
    }

    #[test]
    fn pauses_double_up_to_ten_times_the_first() {
        let breaker = opened(0);
        let mut now = 100;
        for pause in [200, 400, 800, 1000, 1000] {
            assert!(is_trial(breaker.admit(|| now, EJECT)), "at {now}");
            assert!(failed(&breaker, Admission::EXTRA_TRIAL, now));
            assert_eq!(breaker.admit(|| now + pause - 1, EJECT), None, "{pause}");
            now += pause;
        }
        breaker.admit(|| now, EJECT).unwrap();
        breaker.recovered(now);
        let opened: Vec<_> = (0..3).map(|_| failed(&breaker, Admission::Ordinary, now)).collect();
        assert_eq!(opened, [false, false, true]);
        assert!(is_trial(breaker.admit(|| now + 100, EJECT)), "it begins anew");
    }

    #[test]
    fn stragglers_do_not_prolong_a_pause() {
        let breaker = opened(0);
        assert!(!failed(&breaker, Admission::Ordinary, 50));
        assert!(is_trial(breaker.admit(|| 100, EJECT)));
    }

    #[test]
    fn it_can_be_left_out() {
        let never = Eject { failures: 0, ..EJECT };
        let breaker = Breaker::default();
        assert!((0..100).all(|_| !breaker.failed(Failure::Unreachable, Admission::Ordinary, 0, never, || true)));
        assert!(breaker.admits(|| 0));
    }

    #[test]
    fn what_a_request_may_have_done_itself_opens_it_only_where_nothing_speaks_against_that() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            assert!(!breaker.failed(Failure::AfterSending, Admission::Ordinary, 0, EJECT, || false));
        }
        assert!(!breaker.failed(Failure::Unreachable, Admission::Ordinary, 0, EJECT, || false), "one of three");
        assert!(!breaker.failed(Failure::Unreachable, Admission::Ordinary, 0, EJECT, || false));
        assert!(breaker.failed(Failure::Unreachable, Admission::Ordinary, 0, EJECT, || false), "nobody is asked");
        assert!(!breaker.is_suspected());
        assert!(opened(0).is_suspected());
    }

    #[test]
    fn a_server_that_is_back_takes_its_share_little_by_little() {
        let breaker = opened(0);
        assert!((breaker.share(|| 0) - 1.0).abs() < f64::EPSILON);
        breaker.admit(|| 100, EJECT).unwrap();
        breaker.recovered(100);
        let share = |now| breaker.share(|| now);
        assert!((share(100) - SHARE_MIN).abs() < f64::EPSILON);
        let taken: Vec<_> = (0..30).filter(|_| breaker.takes_turn(|| 100)).collect();
        assert_eq!(taken, [0, 10, 20]);
        assert!((share(5100) - 0.5).abs() < f64::EPSILON);
        assert!((share(10_100) - 1.0).abs() < f64::EPSILON);
        breaker.recovered(11_000);
        assert!((share(11_000) - 1.0).abs() < f64::EPSILON, "it was there already");
    }

    #[test]
    fn a_connection_disproves_that_there_is_none_and_nothing_else() {
        let breaker = Breaker::default();
        let unreachable =
            |breaker: &Breaker, admission, now| breaker.failed(Failure::Unreachable, admission, now, EJECT, || true);
        assert!((0..3).any(|_| unreachable(&breaker, Admission::Ordinary, 0)));
        let trial = breaker.admit(|| 100, EJECT).unwrap();
        assert!(breaker.connected(101) && !breaker.is_open(), "whatever the trial's client does now");
        breaker.give_back(trial);
        assert!(!breaker.is_open() && !breaker.connected(102));
        let breaker = opened(0);
        breaker.admit(|| 100, EJECT).unwrap();
        assert!(!breaker.connected(101) && breaker.is_suspected());
    }

    #[test]
    fn a_trial_that_is_given_back_goes_to_the_next() {
        let breaker = opened(0);
        let first = breaker.admit(|| 100, EJECT).unwrap();
        assert_eq!(breaker.admit(|| 101, EJECT), None);
        breaker.give_back(first);
        let second = breaker.admit(|| 101, EJECT).unwrap();
        assert!(is_trial(Some(second)));
        breaker.give_back(first);
        assert_eq!(breaker.admit(|| 102, EJECT), None, "only its own");
        assert!(failed(&breaker, second, 102));
        breaker.give_back(second);
        assert_eq!(breaker.admit(|| 103, EJECT), None, "something was heard of it");
    }
}
