//! Whether an old system is believed, and whether it is away. Pure.

use std::time::{Duration, Instant};

/// Exchanges in a row that fail until it counts as away.
const FAILURES_MAX: u32 = 3;

/// How long it is not asked then, at first and at most.
const AWAY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Whether a system's yes counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// It was not asked yet what it says to a name that nobody has.
    #[default]
    Unproved,
    /// It refused that.
    Believed,
    /// It said yes to that.
    Closed,
}

/// How often a system failed in a row, and until when it counts as away.
#[derive(Debug, Default)]
pub(super) struct Availability {
    failures: u32,
    away_until: Option<Instant>,
}

/// Whether it may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Ask,
    Away { retry_after: Duration },
}

impl Availability {
    /// Of those who ask while it is away, one a pause gets through.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match self.away_until {
            Some(until) if now < until => Admission::Away { retry_after: until.saturating_duration_since(now) },
            Some(_) => {
                self.away_until = Some(now + self.pause());
                Admission::Ask
            }
            None => Admission::Ask,
        }
    }

    /// It answered.
    pub(super) const fn reached(&mut self) {
        self.failures = 0;
        self.away_until = None;
    }

    /// It did not; answers whether it counts as away from now on, and did not before.
    pub(super) fn missed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES_MAX {
            return false;
        }
        let began = self.away_until.is_none();
        self.away_until = Some(now + self.pause());
        began
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(FAILURES_MAX).min(8);
        (AWAY[0] * 2u32.saturating_pow(doublings)).min(AWAY[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, SystemClock};

    #[test]
    fn three_failures_in_a_row_are_away_and_one_answer_ends_it() {
        let mut availability = Availability::default();
        let now = SystemClock.instant();
        let after = |millis| now + Duration::from_millis(millis);
        assert!(!availability.missed(now) && !availability.missed(now));
        availability.reached();
        assert!(!availability.missed(now) && !availability.missed(now));
        assert_eq!(availability.admit(now), Admission::Ask);
        assert!(availability.missed(now));
        assert_eq!(availability.admit(after(400)), Admission::Away { retry_after: Duration::from_millis(600) });
        assert_eq!(availability.admit(after(1000)), Admission::Ask, "one tries");
        assert!(matches!(availability.admit(after(1001)), Admission::Away { .. }), "the others wait for it");
        assert!(!availability.missed(after(1100)), "it was said once");
        assert!(matches!(availability.admit(after(3000)), Admission::Away { .. }), "the pause grows");
        assert_eq!(availability.admit(after(3100)), Admission::Ask);
        availability.reached();
        assert_eq!(availability.admit(after(3101)), Admission::Ask);
        for _ in 0..100 {
            availability.missed(now);
        }
        assert_eq!(availability.admit(now), Admission::Away { retry_after: AWAY[1] });
    }
}
