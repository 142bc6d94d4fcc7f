//! A counter for what happens on every request, on every thread at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads that count without waiting for one another; all further ones share one more place.
const THREADS_APART_MAX: usize = 64;

/// A count that threads raise beside one another: each has its own place, on its own cache line, so
/// that counting costs no more than an addition.
pub(super) struct ShardedCounter {
    apart: [Place; THREADS_APART_MAX],
    shared: Place,
}

/// Two lines of 64 bytes, for processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Place(AtomicU64);

impl ShardedCounter {
    pub(super) fn new() -> Self {
        Self { apart: std::array::from_fn(|_| Place::default()), shared: Place::default() }
    }

    /// Adds one.
    pub(super) fn raise(&self) {
        match self.apart.get(thread_number()) {
            // Nobody else writes here: no two threads ever have the same number.
            Some(Place(own)) => own.store(own.load(Ordering::Relaxed) + 1, Ordering::Relaxed),
            None => {
                self.shared.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The sum of all threads' counts.
    pub(super) fn sum(&self) -> u64 {
        self.apart.iter().chain([&self.shared]).map(|place| place.0.load(Ordering::Relaxed)).sum()
    }
}

/// The number of this thread among those that ever counted, which no later one takes over.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // While a thread ends it has no number any more; the shared place takes everybody.
    NUMBER.try_with(|number| *number).unwrap_or(THREADS_APART_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_whether_threads_have_a_place_of_their_own_or_share() {
        let counter = ShardedCounter::new();
        std::thread::scope(|scope| {
            for _ in 0..THREADS_APART_MAX + 8 {
                scope.spawn(|| (0..1000).for_each(|_| counter.raise()));
            }
        });
        assert_eq!(counter.sum(), (THREADS_APART_MAX as u64 + 8) * 1000);
        assert!(counter.shared.0.load(Ordering::Relaxed) >= 8000, "the last ones shared");
    }
}
