//! Failures counted by key, each in a window of its own, in bounded memory.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crate::domain::Timestamp;

/// Windows of failures by key; a key is 128 bits, however long the name is.
#[derive(Debug, Default)]
pub struct Windows {
    by_key: HashMap<u128, Window>,
    /// The same entries by their start, for dropping the oldest.
    by_start: BTreeSet<(Timestamp, u128)>,
}

/// The failures since `start`, the first one's time.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: Timestamp,
    failures: u32,
}

impl Window {
    /// What is left of it; `None` when it has ended.
    ///
    /// One that starts in the future has its whole length left: another thread read the clock a little later.
    /// If it starts further ahead than that, the clock was set back and it has ended, so that nobody waits until
    /// the clock is there again.
    fn rest(self, now: Timestamp, length: Duration) -> Option<Duration> {
        let rest = length.checked_sub(now.since(self.start))?;
        (!rest.is_zero() && self.start.since(now) < length).then_some(rest)
    }
}

impl Windows {
    /// What is left of the key's window, when it holds as many failures as are borne.
    #[must_use]
    pub fn wait(&self, key: u128, failures_max: u32, now: Timestamp, length: Duration) -> Option<Duration> {
        let window = self.by_key.get(&key).filter(|window| window.failures >= failures_max)?;
        window.rest(now, length)
    }

    /// Counts a failure, in the key's window or in a new one.
    pub fn count(&mut self, key: u128, now: Timestamp, length: Duration, entries_max: usize) {
        let known = self.by_key.get(&key).copied().filter(|window| window.rest(now, length).is_some());
        self.forget(key);
        self.make_room(now, length, entries_max);
        let window = known.unwrap_or(Window { start: now, failures: 0 });
        let window = Window { start: window.start.min(now), failures: window.failures.saturating_add(1) };
        self.by_start.insert((window.start, key));
        self.by_key.insert(key, window);
    }

    /// Forgets the key's window.
    pub fn forget(&mut self, key: u128) {
        if let Some(window) = self.by_key.remove(&key) {
            self.by_start.remove(&(window.start, key));
        }
    }

    /// Drops what has ended, then the oldest until there is room for one more.
    fn make_room(&mut self, now: Timestamp, length: Duration, entries_max: usize) {
        while let Some(&(start, key)) = self.by_start.first() {
            let ended = Window { start, failures: 0 }.rest(now, length).is_none();
            if !ended && self.by_key.len() < entries_max.max(1) {
                return;
            }
            self.forget(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_mins(1);

    proptest! {
        #[test]
        fn memory_is_bounded(
            failures in proptest::collection::vec((0u128..32, 0i64..100), 0..200),
            entries_max in 0usize..8,
        ) {
            let mut windows = Windows::default();
            for (key, secs) in failures {
                windows.count(key, Timestamp::from_secs(secs), LENGTH, entries_max);
                prop_assert!(windows.by_key.len() <= entries_max.max(1));
                prop_assert!(windows.by_key.contains_key(&key), "the newest is never the one pushed out");
                prop_assert_eq!(windows.by_key.len(), windows.by_start.len());
            }
        }
    }
}
