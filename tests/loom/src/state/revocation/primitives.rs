//! loom's primitives under the names of the standard library's, and those that loom lacks, made of its own.

use std::sync::{Arc, Mutex as Unmodelled, OnceLock as Unordered, PoisonError, atomic::Ordering};

pub(super) use loom::sync::{Mutex, MutexGuard, atomic::fence};

/// Four tables: a thread that goes through all of them takes few steps.
pub(super) const TAG_BITS: u32 = 2;

/// One word a table.
pub(super) const FILTER_BYTES: usize = 4 * size_of::<u64>();

pub(super) const FILTERED_MIN: usize = 2;

/// loom's atomic, of which every access may be the place where threads change.
///
/// loom itself looks for another order only at the last access before a store. Where a thread loads a value and then
/// stores one, that is its own load, and an earlier load of another thread is never tried after the store. A store to
/// `turn` before each access has no such gap; nobody loads it, so it orders nothing.
macro_rules! atomic {
    ($name:ident, $number:ty) => {
        #[derive(Debug, Default)]
        pub(super) struct $name {
            value: loom::sync::atomic::$name,
            turn: loom::sync::atomic::AtomicBool,
        }

        impl $name {
            pub(super) fn new(value: $number) -> Self {
                Self { value: loom::sync::atomic::$name::new(value), turn: loom::sync::atomic::AtomicBool::default() }
            }

            pub(super) fn load(&self, order: Ordering) -> $number {
                self.take_turn().load(order)
            }

            pub(super) fn store(&self, value: $number, order: Ordering) {
                self.take_turn().store(value, order);
            }

            pub(super) fn swap(&self, value: $number, order: Ordering) -> $number {
                self.take_turn().swap(value, order)
            }

            pub(super) fn fetch_add(&self, value: $number, order: Ordering) -> $number {
                self.take_turn().fetch_add(value, order)
            }

            pub(super) fn fetch_sub(&self, value: $number, order: Ordering) -> $number {
                self.take_turn().fetch_sub(value, order)
            }

            pub(super) fn compare_exchange(
                &self,
                seen: $number,
                value: $number,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$number, $number> {
                self.take_turn().compare_exchange(seen, value, success, failure)
            }

            fn take_turn(&self) -> &loom::sync::atomic::$name {
                self.turn.store(true, Ordering::Relaxed);
                &self.value
            }
        }
    };
}

atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);

/// `arc_swap`'s, with the orderings that it promises and no stronger ones.
#[derive(Debug)]
pub(super) struct ArcSwap<T> {
    /// loom runs one thread at a time, so this lock orders nothing that `present` does not.
    versions: Unmodelled<Vec<Arc<T>>>,
    present: AtomicUsize,
}

impl<T> ArcSwap<T> {
    pub(super) fn new(first: Arc<T>) -> Self {
        Self { versions: Unmodelled::new(vec![first]), present: AtomicUsize::new(0) }
    }

    pub(super) fn load(&self) -> Arc<T> {
        self.version(self.present.load(Ordering::Acquire))
    }

    pub(super) fn store(&self, value: Arc<T>) {
        self.present.swap(self.add(value), Ordering::AcqRel);
    }

    pub(super) fn rcu<R: Into<Arc<T>>>(&self, change: impl Fn(&T) -> R) -> Arc<T> {
        let mut seen = self.present.load(Ordering::Acquire);
        loop {
            let before = self.version(seen);
            let changed = self.add(change(&before).into());
            match self.present.compare_exchange(seen, changed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return before,
                Err(other) => seen = other,
            }
        }
    }

    fn version(&self, at: usize) -> Arc<T> {
        Arc::clone(&self.versions.lock().unwrap_or_else(PoisonError::into_inner)[at])
    }

    fn add(&self, value: Arc<T>) -> usize {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.push(value);
        versions.len() - 1
    }
}

impl<T: Default> Default for ArcSwap<T> {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

/// The standard library's, with the orderings that it promises and no stronger ones.
#[derive(Debug)]
pub(super) struct OnceLock<T> {
    value: Unordered<T>,
    is_set: AtomicUsize,
}

impl<T> OnceLock<T> {
    pub(super) fn new() -> Self {
        Self { value: Unordered::new(), is_set: AtomicUsize::new(0) }
    }

    pub(super) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) == 0 { None } else { self.value.get() }
    }

    pub(super) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.is_set.store(1, Ordering::Release);
        Ok(())
    }
}
