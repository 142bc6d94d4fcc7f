//! Until when keys are believed that somebody else must confirm again and again.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crate::domain::Timestamp;

/// What stands for no time at all: before every time.
const NEVER: i64 = i64::MIN;

/// Until when the keys of a foreign issuer are believed. Cloning is cheap and shares the time; reading costs one load.
#[derive(Clone, Debug)]
pub struct GoodUntil(Arc<AtomicI64>);

impl Default for GoodUntil {
    /// Never yet.
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NEVER)))
    }
}

impl GoodUntil {
    /// Whether the keys are believed at `now`, even if nobody refreshes them any more.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        now.as_millis() < self.0.load(Ordering::Acquire)
    }

    /// Moves the time; `None` is never.
    pub fn set(&self, until: Option<Timestamp>) {
        self.0.store(until.map_or(NEVER, Timestamp::as_millis), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_good_until_a_time_or_not_at_all() {
        let good_until = GoodUntil::default();
        let at = Timestamp::from_secs;
        assert!(!good_until.holds(at(0)) && !good_until.holds(Timestamp::from_millis(i64::MIN)));
        good_until.set(Some(at(30)));
        assert!(good_until.clone().holds(at(29)) && !good_until.holds(at(30)));
    }
}
