//! References to what all threads share. An [`Arc`] has one count, which every request would raise and lower: the
//! threads would take its cache line from each other all the time, and with it what lies beside the count.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use super::values::{THREADS_APART_MAX, thread_number};

/// A value that all threads share, and that gives each of them handles of its own.
pub struct Spread<T>(Arc<Shared<T>>);

struct Shared<T> {
    value: Arc<T>,
    /// The first handle of each thread, made when it first asks. Written once, and only read from then on.
    first: [OnceLock<Handle<T>>; THREADS_APART_MAX],
}

/// A reference to a shared value, which keeps it. To copy and to drop it changes a count of the thread that asked for
/// it. Another thread may do both, too.
pub struct Handle<T>(Arc<Counted<T>>);

/// What the handles of one thread count.
struct Counted<T>(Arc<T>);

impl<T> Spread<T> {
    /// Shares a value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared { value: Arc::new(value), first: std::array::from_fn(|_| OnceLock::new()) }))
    }

    /// A handle of this thread.
    pub fn handle(&self) -> Handle<T> {
        self.0.first[thread_number()].get_or_init(|| Handle::of(Arc::clone(&self.0.value))).clone()
    }

    /// Whether both share one value, and not only equal ones.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Handle<T> {
    fn of(value: Arc<T>) -> Self {
        Self(Arc::new(Counted(value)))
    }
}

impl<T> Clone for Spread<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Spread<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Spread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_value_lives_as_long_as_its_last_handle_whichever_thread_has_it() {
        let value = Arc::new(());
        let spread = Spread::new(Arc::clone(&value));
        let (here, there) = (spread.handle(), thread::scope(|scope| scope.spawn(|| spread.handle()).join().unwrap()));
        let copy = thread::spawn(move || there.clone()).join().unwrap();
        drop((spread, here));
        assert_eq!(Arc::strong_count(&value), 2);
        drop(copy);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn each_thread_counts_its_own_handles() {
        let spread = Spread::new(());
        let here = spread.handle();
        let counted = |handle: &Handle<()>| Arc::strong_count(&handle.0);
        // Its first one, which stays, and this.
        assert_eq!(counted(&here), 2);
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(counted(&spread.handle()), 2));
        });
        assert_eq!(counted(&here), 2);
        assert_eq!(counted(&spread.handle()), 3);
    }
}
