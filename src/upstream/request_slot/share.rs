//! How many slots each client has, in bounded memory.

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicU32, Ordering},
};

use foldhash::quality::RandomState;

use crate::rules::limit::ClientKey;

/// Counters of a row. Two clients that meet in both rows count as one, and nobody can choose whom it meets.
const CELLS: usize = 2048;

/// A client's part of the slots while others wait, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub(super) u16);

impl Share {
    /// All of it: clients are not told apart.
    pub const ALL: Self = Self(1000);

    /// A half.
    pub const HALF: Self = Self(500);

    /// From a fraction above 0, up to 1.
    #[must_use]
    pub fn of(fraction: f64) -> Option<Self> {
        let is_fraction = fraction > 0.0 && fraction <= 1.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
        is_fraction.then(|| Self(((fraction * 1000.0).round() as u16).max(1)))
    }

    /// This part of so many, at least one.
    pub(super) fn part_of(self, most: usize) -> usize {
        (most.saturating_mul(usize::from(self.0)) / 1000).max(1)
    }

    pub(super) const fn is_all(self) -> bool {
        self.0 >= Self::ALL.0
    }
}

/// Counts slots by client, without a lock: a count may be too high where clients meet, and never too low.
#[derive(Debug)]
pub(super) struct Counts {
    rows: [Box<[AtomicU32]>; 2],
    hashers: [RandomState; 2],
}

impl Counts {
    pub(super) fn new() -> Self {
        let row = || (0..CELLS).map(|_| AtomicU32::new(0)).collect();
        Self { rows: [row(), row()], hashers: [RandomState::default(), RandomState::default()] }
    }

    fn cells(&self, client: ClientKey) -> [&AtomicU32; 2] {
        let network = client.network();
        let at = |row: usize| {
            let hash = self.hashers[row].hash_one(network);
            &self.rows[row][usize::try_from(hash % CELLS as u64).unwrap_or_default()]
        };
        [at(0), at(1)]
    }

    pub(super) fn add(&self, client: ClientKey) {
        for cell in self.cells(client) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn take(&self, client: ClientKey) {
        for cell in self.cells(client) {
            cell.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The slots of a client.
    pub(super) fn of(&self, client: ClientKey) -> usize {
        let [one, other] = self.cells(client).map(|cell| cell.load(Ordering::Relaxed));
        usize::try_from(one.min(other)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_fraction_and_never_nothing() {
        assert_eq!((Share::of(0.5), Share::of(1.0)), (Some(Share::HALF), Some(Share::ALL)));
        assert_eq!([0.0, -0.5, 1.01, f64::NAN, f64::INFINITY].map(Share::of), [None; 5]);
        assert_eq!((Share::HALF.part_of(4096), Share::HALF.part_of(1)), (2048, 1));
        assert_eq!(Share::of(0.000_1).unwrap().part_of(100), 1);
    }

    #[test]
    fn clients_are_counted_by_their_network() {
        let counts = Counts::new();
        let client = |text: &str| ClientKey::of(text.parse().unwrap());
        for _ in 0..3 {
            counts.add(client("2001:db8:0:1::1"));
        }
        counts.add(client("2001:db8:0:2::1"));
        assert_eq!(counts.of(client("2001:db8:0:3::1")), 4);
        counts.take(client("2001:db8:0:2::1"));
        assert_eq!(counts.of(client("2001:db8:0:1::1")), 3);
    }
}
