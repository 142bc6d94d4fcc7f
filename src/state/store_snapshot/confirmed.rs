//! When what is in force was confirmed, in a form that outlives the process and the boot.

use std::{fs, time::Duration};

use uuid::Uuid;

use crate::{
    domain::{Clock, Timestamp},
    state::store::Position,
};

/// Where the kernel says which boot this is (`random(4)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// One boot of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot(Option<Uuid>);

impl Boot {
    /// This one.
    #[must_use]
    pub fn present() -> Self {
        Self::from_id(fs::read_to_string(BOOT_ID).ok().and_then(|id| id.trim().parse().ok()))
    }

    /// The boot with this id; without one it is unknown, and like no other.
    #[must_use]
    pub const fn from_id(id: Option<Uuid>) -> Self {
        Self(id)
    }

    pub(super) const fn id(self) -> Option<Uuid> {
        self.0
    }

    /// Whether the clock that runs on while the machine sleeps means the same in both.
    fn is(self, other: Self) -> bool {
        self.0.is_some() && self.0 == other.0
    }
}

/// A moment by all clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// The civil time.
    pub civil: Timestamp,
    /// The time since the machine started.
    pub since_boot: Duration,
    /// Which start that was.
    pub boot: Boot,
}

impl Instant {
    /// Now.
    #[must_use]
    pub fn now(clock: &dyn Clock, boot: Boot) -> Self {
        Self { civil: clock.now(), since_boot: clock.since_boot(), boot }
    }

    /// The time from `earlier` to this: by the clock that nobody sets where both are of one boot, and by the civil
    /// clock, whichever says more. `None` where nobody can tell: a clock is behind.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        if self.civil < earlier.civil {
            return None;
        }
        let by_civil = self.civil.since(earlier.civil);
        if !self.boot.is(earlier.boot) {
            return Some(by_civil);
        }
        Some(by_civil.max(self.since_boot.checked_sub(earlier.since_boot)?))
    }
}

/// What was confirmed: everything that was acknowledged before an instant is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// How far the feed was read.
    pub position: Position,
    /// The number up to which accounts were read.
    pub accounts_seen: i64,
    /// When the round began that confirmed it.
    pub at: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(civil: i64, since_boot: u64, boot: Option<u128>) -> Instant {
        Instant {
            civil: Timestamp::from_secs(civil),
            since_boot: Duration::from_secs(since_boot),
            boot: Boot::from_id(boot.map(Uuid::from_u128)),
        }
    }

    #[test]
    fn an_age_is_never_less_than_any_clock_says_and_a_clock_that_is_behind_says_nothing() {
        let then = at(1_000, 100, Some(1));
        for (now, age) in [
            (at(1_007, 107, Some(1)), Some(7)),
            // The civil clock was set, ahead or a little back: within one boot the other one counts.
            (at(2_000, 107, Some(1)), Some(1_000)),
            (at(1_003, 107, Some(1)), Some(7)),
            (at(999, 107, Some(1)), None),
            (at(1_007, 99, Some(1)), None),
            // Another boot, or one that is not known.
            (at(1_007, 3, Some(2)), Some(7)),
            (at(1_007, 500, None), Some(7)),
            (at(999, 500, Some(2)), None),
        ] {
            assert_eq!(now.since(&then), age.map(Duration::from_secs), "{now:?}");
        }
        let unknown = at(1_000, 100, None);
        assert_eq!(at(1_000, 900, None).since(&unknown), Some(Duration::ZERO), "two that are not known are not one");
    }

    #[test]
    fn this_boot_has_an_id() {
        assert!(Boot::present().is(Boot::present()));
    }
}
