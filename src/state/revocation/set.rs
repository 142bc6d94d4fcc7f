//! A set of 128-bit ids that each end at some time, for tens of millions of them.
//!
//! 256 tables, chosen by an id's uppermost 8 bits. These need not be kept, since the table says them,
//! and make room for the number of the id's bucket: an entry takes 16 bytes with its expiry. Readers
//! never wait: an id is put into its table in place, and a table that grows or shrinks is made anew
//! beside the old one, a 256th of the set at a time, and then swapped in.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use uuid::Uuid;

use super::{
    bucket::Buckets,
    filter::Filter,
    primitives::{ArcSwap, AtomicUsize, FILTERED_MIN, Mutex, MutexGuard, OnceLock, TAG_BITS},
    table::{Key, Table},
};
use crate::domain::Timestamp;

/// An odd number whose bits are mixed: the golden ratio's fraction.
pub(super) const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// What undoes the multiplication by it: the inverse of an odd number, by Newton's method.
const SPREAD_UNDONE: u128 = {
    let mut inverse = SPREAD;
    let mut steps = 0;
    // Each step doubles the bits that are right; an odd number is its own inverse in three of them.
    while steps < 6 {
        inverse = inverse.wrapping_mul(2_u128.wrapping_sub(SPREAD.wrapping_mul(inverse)));
        steps += 1;
    }
    inverse
};

/// Tables of a set.
pub(in crate::state) const TABLES: usize = 1 << TAG_BITS;

/// Ids, each with the bucket of its expiry.
pub(in crate::state) struct Set {
    tables: Box<[ArcSwap<Table>]>,
    /// What takes the place of a table that became empty.
    empty: Arc<Table>,
    len: AtomicUsize,
    /// Lets most ids pass that are not in it; worth its memory where most are not.
    filter: Option<OnceLock<Filter>>,
    /// Held while a table is changed.
    buckets: Mutex<Buckets>,
}

impl Default for Set {
    fn default() -> Self {
        let empty = Arc::new(Table::default());
        Self {
            tables: (0..TABLES).map(|_| ArcSwap::new(Arc::clone(&empty))).collect(),
            empty,
            len: AtomicUsize::new(0),
            filter: Some(OnceLock::new()),
            buckets: Mutex::default(),
        }
    }
}

impl Set {
    /// A set for ids of which most that are looked for are in it.
    pub(in crate::state) fn unfiltered() -> Self {
        Self { filter: None, ..Self::default() }
    }

    /// The id of a UUID. A UUID is uniform in some bits only. Folding its halves and multiplying by an odd number
    /// spreads them; both can be undone, so that two UUIDs never get the same id.
    pub(in crate::state) const fn id_of(uuid: Uuid) -> u128 {
        let bits = uuid.as_u128();
        (bits ^ (bits >> 64)).wrapping_mul(SPREAD)
    }

    /// The UUID that has this id.
    pub(in crate::state) const fn uuid_of(id: u128) -> Uuid {
        let bits = id.wrapping_mul(SPREAD_UNDONE);
        Uuid::from_u128(bits ^ (bits >> 64))
    }

    /// Whether the set holds this id. An id that passed its expiry may be held or not.
    #[inline]
    pub(in crate::state) fn contains(&self, id: u128) -> bool {
        match self.filter() {
            Some(filter) if filter.excludes(id) => false,
            None if self.len() == 0 => false,
            _ => self.tables[table_of(id)].load().find(Key::new(id)).is_some(),
        }
    }

    /// The ids in it.
    pub(in crate::state) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Puts ids in, each until its expiry, at least; without one forever. Of an id that is in it the
    /// longer expiry wins. All of them are found by who looks after this returned.
    pub(in crate::state) fn extend(&self, entries: impl IntoIterator<Item = (u128, Option<Timestamp>)>) {
        let mut buckets = self.writing();
        for (id, expires_at) in entries {
            self.insert(&mut buckets, id, expires_at);
        }
        if let Some(place) = self.filter.as_ref().filter(|place| place.get().is_none())
            && self.len() >= FILTERED_MIN
        {
            let filter = Filter::default();
            (0..TABLES).for_each(|table| self.refill(&filter, table));
            // Nobody else sets it: the writer has the turn.
            let _ = place.set(filter);
        }
    }

    /// The ids in one of its [`TABLES`] tables, each with the end of its bucket: its own, or up to a bucket's width
    /// later.
    pub(in crate::state) fn held(&self, table: usize) -> Vec<(u128, Option<Timestamp>)> {
        let buckets = self.writing();
        let keys = self.tables[table].load();
        keys.iter().map(|(key, tag)| (whole_id(key, table), buckets.end_of(tag))).collect()
    }

    /// Forgets the buckets that ended before `now`. Their memory is free when this returns. Before that `forget` hears
    /// the latest of their ends: no id that is forgotten has a later expiry.
    ///
    /// Writers get their turn between two tables; how long it takes grows with the whole set.
    pub(super) fn prune(&self, now: Timestamp, forget: impl FnOnce(Timestamp)) {
        let closed = self.writing().close(now);
        let Some(end) = closed.end() else { return };
        forget(end);
        let past = closed.by_tag();
        for (index, table) in self.tables.iter().enumerate() {
            let _writing = self.writing();
            let present = table.load();
            let kept = present.iter().filter(|(_, tag)| !past[tag.index()]).count();
            let gone = present.len() - kept;
            if gone > 0 {
                let empty = || Arc::clone(&self.empty);
                table.store(if kept == 0 { empty() } else { Arc::new(present.rebuilt(|tag| !past[tag.index()], 0)) });
                self.len.fetch_sub(gone, Ordering::Relaxed);
                if let Some(filter) = self.filter() {
                    self.refill(filter, index);
                }
            }
        }
        self.writing().release(closed);
    }

    fn insert(&self, buckets: &mut Buckets, id: u128, expires_at: Option<Timestamp>) {
        let (table, key, tag) = (&self.tables[table_of(id)], Key::new(id), buckets.tag(expires_at));
        let present = table.load();
        if let Some(place) = present.find(key) {
            if buckets.ends_later(tag, present.tag(place)) {
                present.set_tag(place, tag);
            }
            return;
        }
        // The filter first: what is in a table must never be excluded.
        if let Some(filter) = self.filter() {
            filter.add(id);
        }
        if present.is_full() {
            let larger = present.rebuilt(|_| true, 1);
            larger.insert(key, tag);
            table.store(Arc::new(larger));
        } else {
            present.insert(key, tag);
        }
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()?.get()
    }

    fn refill(&self, filter: &Filter, table: usize) {
        let keys = self.tables[table].load();
        filter.refill(table, keys.iter().map(|(key, _)| whole_id(key, table)));
    }

    /// The turn to write. A writer that panicked left every table as it was or with its entry.
    fn writing(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of a key in a table.
const fn whole_id(key: Key, table: usize) -> u128 {
    key.bits() | (table as u128) << (u128::BITS - TAG_BITS)
}

/// The table where an id is, if it is.
const fn table_of(id: u128) -> usize {
    (id >> (u128::BITS - TAG_BITS)) as usize
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set").field("len", &self.len()).finish_non_exhaustive()
    }
}
