//! Milliseconds since a pool began, for what counts time in an atomic number.

use std::{sync::OnceLock, time::Instant};

/// The first instant that anybody asked about.
#[derive(Debug, Default)]
pub(super) struct Epoch(OnceLock<Instant>);

impl Epoch {
    /// Milliseconds from the first instant to this one; 0 for any before it.
    pub(super) fn millis(&self, now: Instant) -> u64 {
        let begun = *self.0.get_or_init(|| now);
        u64::try_from(now.saturating_duration_since(begun).as_millis()).unwrap_or(u64::MAX)
    }
}
