//! What of a throttle goes to the store, and what comes from there.

use super::{known::Known, settings::Table, throttle::Throttle};
use crate::{
    domain::Timestamp,
    rules::limit::{Changed, Origin, Share},
};

/// What changed in one process since the last batch that arrived. A batch that is written twice counts once: it says
/// how things are, and not what was added.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) shares: Vec<(Table, Changed)>,
    pub(super) known: Vec<Known>,
}

/// A share of another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    pub(super) table: Table,
    pub(super) origin: Origin,
    pub(super) key: u128,
    pub(super) share: Share,
}

impl Batch {
    pub(super) const fn is_empty(&self) -> bool {
        self.shares.is_empty() && self.known.is_empty()
    }
}

impl Throttle {
    /// The next batch: at most so many shares of each table, and so many logins.
    pub(super) fn take_batch(&self, shares_max: usize, known_max: usize) -> Batch {
        let mut tables = self.tables();
        let mut shares = vec![];
        for table in Table::ALL {
            shares.extend(tables.of(table).take_changed(shares_max).into_iter().map(|changed| (table, changed)));
        }
        Batch { shares, known: tables.known.pending(known_max) }
    }

    /// The batch is in the store.
    pub(super) fn written(&self, batch: &Batch) {
        self.tables().known.written(&batch.known);
    }

    /// Nobody knows whether the batch is in the store: it is to be written again.
    pub(super) fn give_back(&self, batch: &Batch) {
        let mut tables = self.tables();
        for (table, changed) in &batch.shares {
            tables.of(*table).give_back(changed.key);
        }
    }

    /// Takes over what other processes have counted.
    pub(super) fn merge(&self, foreign: &[Foreign], now: Timestamp) {
        let mut tables = self.tables();
        for &Foreign { table, origin, key, share } in foreign {
            tables.of(table).merge(key, origin, share, &self.settings.bounds(table), now);
        }
    }
}
