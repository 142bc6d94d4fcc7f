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
