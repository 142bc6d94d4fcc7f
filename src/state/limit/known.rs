//! Addresses from which an account's owner has logged in: the cap on tries does not touch them. They are kept in the
//! store, by keyed hashes; here are those that are still to be written.

use std::{collections::HashMap, time::Duration};

use super::key::Subjects;
use crate::domain::Timestamp;

/// Addresses that an account is known to use, at most: those that were used last.
pub const KNOWN_MAX: u32 = 16;

/// How long an address is known after a right login from it: 90 days.
pub const KNOWN_FOR: Duration = Duration::from_hours(90 * 24);

/// How long a login from the same address is not written again.
const NOTED_FOR: Duration = Duration::from_hours(24);

/// Logins that are remembered as written, at most. Above it they are written again.
const NOTED_MAX: usize = 65_536;

/// Logins that wait for being written, at most. One more is noted at the next login from there.
const PENDING_MAX: usize = 4_096;

/// A right login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: u128,
    pub(super) address: u128,
    pub(super) pair: u128,
    pub(super) seen: Timestamp,
}

/// What is to be written, and what was.
#[derive(Debug, Default)]
pub(super) struct KnownAddresses {
    pending: HashMap<u128, Known>,
    noted: HashMap<u128, Timestamp>,
}

impl KnownAddresses {
    /// Notes a right login.
    pub(super) fn note(&mut self, subjects: &Subjects, now: Timestamp) {
        let &Subjects { name, address, pair } = subjects;
        let is_noted = |&noted: &Timestamp| noted <= now && now.since(noted) < NOTED_FOR;
        if self.noted.get(&pair).is_some_and(is_noted) || self.pending.len() >= PENDING_MAX {
            return;
        }
        if self.noted.len() >= NOTED_MAX {
            self.noted.clear();
        }
        self.noted.insert(pair, now);
        self.pending.insert(pair, Known { name, address, pair, seen: now });
    }

    /// Whether a right login from there is still to be written.
    pub(super) fn is_pending(&self, pair: u128) -> bool {
        self.pending.contains_key(&pair)
    }

    /// Logins to be written, at most so many. They are pending until [`written`](Self::written).
    pub(super) fn pending(&self, at_most: usize) -> Vec<Known> {
        self.pending.values().take(at_most).copied().collect()
    }

    /// These are in the store.
    pub(super) fn written(&mut self, known: &[Known]) {
        for known in known {
            self.pending.remove(&known.pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn from(address: u128) -> Subjects {
        Subjects { name: 1 << 64, address, pair: (1 << 64) | address }
    }

    #[test]
    fn a_login_is_written_once_a_day_and_stays_until_it_is() {
        let mut known = KnownAddresses::default();
        known.note(&from(7), at(0));
        known.note(&from(7), at(10));
        let pending = known.pending(9);
        assert_eq!(pending, [Known { name: 1 << 64, address: 7, pair: (1 << 64) | 7, seen: at(0) }]);
        assert_eq!(known.pending(9), pending, "it was not written");
        known.written(&pending);
        assert!(known.pending(9).is_empty());
        known.note(&from(7), at(86_399));
        assert!(!known.is_pending(from(7).pair));
        known.note(&from(7), at(86_400));
        assert!(known.is_pending(from(7).pair));
        // A clock that was ahead keeps nothing from being written.
        known.written(&known.pending(9));
        known.note(&from(7), at(100));
        assert!(known.is_pending(from(7).pair));
    }

    #[test]
    fn memory_is_bounded() {
        let mut known = KnownAddresses::default();
        for address in 0..2 * NOTED_MAX as u128 {
            known.note(&from(address), at(0));
            assert!(known.pending.len() <= PENDING_MAX && known.noted.len() <= NOTED_MAX);
            if address % 1_000 == 0 {
                known.written(&known.pending(PENDING_MAX));
            }
        }
    }
}
