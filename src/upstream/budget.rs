//! How many retries a pool may make, so that a failing upstream is not asked twice as much as one
//! that is healthy: a fifth of its requests, and a few beside.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Thousandths of a retry that each request adds: 20%.
const DEPOSIT_MILLIS: i64 = 200;
/// Retries that each second adds, whatever is asked.
const FLOOR_PER_SECOND: u64 = 10;
/// Retries that can be saved up, at most; as many there are at the start.
const SAVED_MAX: i64 = 50;

/// A token bucket in thousandths of a retry.
#[derive(Debug)]
pub(super) struct Budget {
    millis: AtomicI64,
    /// Until when seconds were added up, in milliseconds.
    filled: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { millis: AtomicI64::new(SAVED_MAX * 1000), filled: AtomicU64::new(0) }
    }
}

impl Budget {
    /// A request was sent for the first time. Writes nothing while the budget is full, as it is while all is healthy.
    pub(super) fn deposit(&self) {
        if self.millis.load(Ordering::Relaxed) < SAVED_MAX * 1000 {
            self.millis.fetch_add(DEPOSIT_MILLIS, Ordering::Relaxed);
        }
    }

    /// Whether one more retry may be made at `now`, in milliseconds; it is taken then.
    pub(super) fn withdraw(&self, now: u64) -> bool {
        let filled = self.filled.fetch_max(now, Ordering::Relaxed);
        let added = now.saturating_sub(filled).saturating_mul(FLOOR_PER_SECOND);
        let added = i64::try_from(added).unwrap_or(i64::MAX);
        let take = |millis: i64| {
            let millis = millis.saturating_add(added).min(SAVED_MAX * 1000);
            Some(if millis >= 1000 { millis - 1000 } else { millis })
        };
        let before = self.millis.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        before.is_ok_and(|millis| millis.saturating_add(added) >= 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained() -> Budget {
        let budget = Budget::default();
        assert_eq!((0..1000).filter(|_| budget.withdraw(0)).count(), 50);
        budget
    }

    #[test]
    fn retries_are_a_fifth_of_the_requests() {
        let budget = drained();
        let retries = (0..1000)
            .filter(|_| {
                budget.deposit();
                budget.withdraw(0)
            })
            .count();
        assert_eq!(retries, 200);
    }

    #[test]
    fn a_few_retries_a_second_are_always_there() {
        let budget = drained();
        assert!(!budget.withdraw(99));
        assert_eq!((0..1000).filter(|_| budget.withdraw(1099)).count(), 10);
        assert_eq!((0..1000).filter(|_| budget.withdraw(3_600_000)).count(), 50, "no more than can be saved");
    }
}
