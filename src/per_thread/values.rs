//! Values that threads change on every request. Each thread has its own, so that no two threads write to one cache
//! line: between cores, a line that both write to costs more than everything else that a counter does.

use std::sync::{
    OnceLock,
    atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
};

/// Threads that have a value of their own. A further one shares that of another.
pub(super) const THREADS_APART_MAX: usize = 32;

/// One value for each thread, made ahead or when the thread first asks for it.
#[derive(Debug)]
pub struct PerThread<T>([OnceLock<Box<Apart<T>>>; THREADS_APART_MAX]);

/// Two lines of 64 bytes, for processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T: Default> PerThread<T> {
    /// With every value made: no thread allocates when it asks.
    #[must_use]
    pub fn made_ahead() -> Self {
        let values = Self::default();
        for value in &values.0 {
            value.get_or_init(Box::default);
        }
        values
    }

    /// The value of this thread.
    pub fn own(&self) -> &T {
        &self.0[thread_number()].get_or_init(Box::default).0
    }

    /// The values that there are.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get).map(|apart| &apart.0)
    }
}

impl<T> PerThread<T> {
    /// Puts all values into one, for what no thread changes any more.
    pub fn gather(&mut self, add: impl Fn(&T, &T)) {
        let mut made = self.0.iter_mut().filter(|value| value.get().is_some());
        let Some(first) = made.next().and_then(|first| first.get_mut()) else { return };
        for other in made {
            if let Some(other) = other.take() {
                add(&first.0, &other.0);
            }
        }
    }
}

impl<T> Default for PerThread<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl PerThread<AtomicU64> {
    /// Adds one.
    pub fn raise(&self) {
        self.own().fetch_add(1, Ordering::Relaxed);
    }

    /// The sum of all threads' counts.
    pub fn sum(&self) -> u64 {
        self.all().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl PerThread<AtomicI64> {
    /// Adds `change`. What one thread has added another may take away.
    pub fn add(&self, change: i64) {
        self.own().fetch_add(change, Ordering::Relaxed);
    }

    /// The sum of all threads' changes.
    pub fn sum(&self) -> i64 {
        self.all().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// The number of this thread's value.
pub(super) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed) % THREADS_APART_MAX;
    }
    // While a thread ends it has no number any more.
    NUMBER.try_with(|number| *number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_whether_threads_have_a_value_of_their_own_or_share() {
        let (counter, gauge) = (PerThread::<AtomicU64>::default(), PerThread::<AtomicI64>::default());
        let threads = 2 * THREADS_APART_MAX;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    (0..1000).for_each(|_| counter.raise());
                    gauge.add(5);
                });
            }
            scope.spawn(|| gauge.add(-5));
        });
        assert_eq!(counter.sum(), threads as u64 * 1000);
        assert_eq!(gauge.sum(), i64::try_from(threads).unwrap() * 5 - 5);
        assert!(counter.all().count() > 1, "there is one for each thread");
    }
}
