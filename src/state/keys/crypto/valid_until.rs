//! Until when keys are believed that somebody else must confirm again and again.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crate::domain::Timestamp;

/// What stands for no time at all: before every time.
const NEVER: i64 = i64::MIN;

/// Until when the keys of an external issuer are believed. Cloning is cheap and shares the time; reading costs one
/// load.
#[derive(Clone, Debug)]
pub struct ValidUntil(Arc<AtomicI64>);

impl Default for ValidUntil {
    /// Never yet.
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NEVER)))
    }
}

impl ValidUntil {
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
        let valid_until = ValidUntil::default();
        let at = Timestamp::from_secs;
        assert!(!valid_until.holds(at(0)) && !valid_until.holds(Timestamp::from_millis(i64::MIN)));
        valid_until.set(Some(at(30)));
        assert!(valid_until.clone().holds(at(29)) && !valid_until.holds(at(30)));
    }
}
