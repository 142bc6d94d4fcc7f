//! The circuit breaker of a server: open after failures in a row, closed by one trial that succeeds.
//! Time is a number of milliseconds that only grows; no lock, and nothing is written while all is well.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::settings::Eject;

/// A pause grows to this many times the first one, at most.
const PAUSE_GROWTH_MAX: u32 = 10;

/// What a breaker knows.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// In a row.
    failures: AtomicU32,
    /// How often it was opened in a row.
    openings: AtomicU32,
    /// Until when it is open, in milliseconds; 0 while it is closed.
    until: AtomicU64,
}

/// How a request may go to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// As any other.
    Ordinary,
    /// As the one that finds out whether the server is back.
    Trial,
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

    /// Takes the right to send a request at `now`. Of those who ask when a pause is over one gets
    /// the trial; when nothing is heard of it, the next gets one a pause later.
    pub(super) fn admit(&self, now: impl FnOnce() -> u64, eject: Eject) -> Option<Admission> {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return Some(Admission::Ordinary);
        }
        let now = now();
        if now < until {
            return None;
        }
        let next = now.saturating_add(millis(eject));
        let taken = self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
        taken.ok().map(|_| Admission::Trial)
    }

    /// A request went well. Only a trial closes an open breaker: others were sent before it opened.
    pub(super) fn succeeded(&self, admission: Admission) {
        if self.is_open() && admission != Admission::Trial {
            return;
        }
        for word in [&self.failures, &self.openings] {
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
        if self.is_open() {
            self.until.store(0, Ordering::Relaxed);
        }
    }

    /// A request failed at `now`; true when that opened the breaker, again or for the first time.
    pub(super) fn failed(&self, admission: Admission, now: u64, eject: Eject) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let opens = match admission {
            Admission::Trial => true,
            Admission::Ordinary => !self.is_open() && failures >= eject.failures,
        };
        if !opens || eject.failures == 0 {
            return false;
        }
        let openings = self.openings.fetch_add(1, Ordering::Relaxed).min(u32::BITS - 1);
        let growth = 2_u32.saturating_pow(openings).min(PAUSE_GROWTH_MAX);
        let until = now.saturating_add(millis(eject).saturating_mul(u64::from(growth)));
        // 0 would mean closed.
        self.until.store(until.max(1), Ordering::Relaxed);
        true
    }
}

fn millis(eject: Eject) -> u64 {
    u64::try_from(eject.pause.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EJECT: Eject = Eject { failures: 3, pause: Duration::from_millis(100) };

    fn opened(at: u64) -> Breaker {
        let breaker = Breaker::default();
        let opened: Vec<_> = (0..3).map(|_| breaker.failed(Admission::Ordinary, at, EJECT)).collect();
        assert_eq!(opened, [false, false, true]);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not_let_them_add_up() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            assert!(!breaker.failed(Admission::Ordinary, 0, EJECT));
            assert!(!breaker.failed(Admission::Ordinary, 0, EJECT));
            breaker.succeeded(Admission::Ordinary);
        }
        assert!(breaker.admits(|| 0));
        let breaker = opened(0);
        assert!(!breaker.admits(|| 99));
        assert_eq!(breaker.admit(|| 99, EJECT), None);
    }

    #[test]
    fn one_request_is_the_trial_and_closes_it() {
        let breaker = opened(0);
        assert_eq!(breaker.admit(|| 100, EJECT), Some(Admission::Trial));
        assert_eq!(breaker.admit(|| 101, EJECT), None, "one trial at a time");
        breaker.succeeded(Admission::Ordinary);
        assert!(breaker.is_open(), "what was sent before it opened proves nothing");
        breaker.succeeded(Admission::Trial);
        assert_eq!(breaker.admit(|| 102, EJECT), Some(Admission::Ordinary));
    }

    #[test]
    fn a_trial_of_which_nothing_is_heard_is_followed_by_another() {
        let breaker = opened(0);
        assert_eq!(breaker.admit(|| 100, EJECT), Some(Admission::Trial));
        assert_eq!(breaker.admit(|| 199, EJECT), None);
        assert_eq!(breaker.admit(|| 200, EJECT), Some(Admission::Trial));
    }

    #[test]
    fn pauses_double_up_to_ten_times_the_first() {
        let breaker = opened(0);
        let mut now = 100;
        for pause in [200, 400, 800, 1000, 1000] {
            assert_eq!(breaker.admit(|| now, EJECT), Some(Admission::Trial), "at {now}");
            assert!(breaker.failed(Admission::Trial, now, EJECT));
            assert_eq!(breaker.admit(|| now + pause - 1, EJECT), None, "{pause}");
            now += pause;
        }
        breaker.admit(|| now, EJECT).unwrap();
        breaker.succeeded(Admission::Trial);
        let opened: Vec<_> = (0..3).map(|_| breaker.failed(Admission::Ordinary, now, EJECT)).collect();
        assert_eq!(opened, [false, false, true]);
        assert_eq!(breaker.admit(|| now + 100, EJECT), Some(Admission::Trial), "it begins anew");
    }

    #[test]
    fn stragglers_do_not_prolong_a_pause() {
        let breaker = opened(0);
        assert!(!breaker.failed(Admission::Ordinary, 50, EJECT));
        assert_eq!(breaker.admit(|| 100, EJECT), Some(Admission::Trial));
    }

    #[test]
    fn it_can_be_left_out() {
        let never = Eject { failures: 0, ..EJECT };
        let breaker = Breaker::default();
        assert!((0..100).all(|_| !breaker.failed(Admission::Ordinary, 0, never)));
        assert!(breaker.admits(|| 0));
    }
}
