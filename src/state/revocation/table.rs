//! A table of 128-bit keys that is read without a lock while one writer adds to it.
//!
//! Open addressing with linear probing in an array of fixed size. Nothing is ever taken out: who wants
//! less or more makes a new table.

use std::sync::atomic::Ordering;

use super::{
    bucket::Tag,
    primitives::{AtomicU64, AtomicUsize, TAG_BITS},
};

/// One slot of so many stays free, at least, so that a search ends soon.
const SLOTS_FOR_ONE_FREE: usize = 8;

/// Tables have 8, 9, … 15 times a power of two slots, so that seven of nine slots are in use at least.
const SIZES_A_DOUBLING: usize = 8;

/// A number whose bits are mixed: the golden ratio's fraction.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The bits of a key's upper half that it keeps: the others make way for the tag.
const UPPER_MASK: u64 = u64::MAX >> TAG_BITS;

/// A key: 128 uniformly distributed bits, of which a table compares all but the uppermost
/// [`TAG_BITS`]. Those must be equal in all keys of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    upper: u64,
    lower: u64,
}

impl Key {
    /// A key of these bits.
    #[expect(clippy::cast_possible_truncation, reason = "they are taken apart into halves")]
    pub(super) const fn new(bits: u128) -> Self {
        Self { upper: (bits >> 64) as u64 & UPPER_MASK, lower: bits as u64 }
    }

    /// The bits, zeros where the uppermost were.
    pub(super) const fn bits(self) -> u128 {
        (self.upper as u128) << 64 | self.lower as u128
    }
}

/// Where a table keeps a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotIndex(usize);

/// Room for one key. The uppermost [`TAG_BITS`] of the upper half are its tag; without one the slot is free.
#[derive(Debug, Default)]
struct Slot {
    upper: AtomicU64,
    lower: AtomicU64,
}

impl Slot {
    fn read(&self) -> Option<(Key, Tag)> {
        let upper = self.upper.load(Ordering::Acquire);
        let tag = Tag::from_bits(upper >> (u64::BITS - TAG_BITS));
        let lower = self.lower.load(Ordering::Relaxed);
        (tag != Tag::FREE).then_some((Key { upper: upper & UPPER_MASK, lower }, tag))
    }

    /// The half with the tag comes last: who sees that sees the other half too.
    fn write(&self, key: Key, tag: Tag) {
        self.lower.store(key.lower, Ordering::Relaxed);
        self.upper.store(key.upper | (tag.bits() << (u64::BITS - TAG_BITS)), Ordering::Release);
    }
}

/// A table of fixed size. Readers find a key from the moment that [`insert`](Self::insert) returned;
/// writers must take turns.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Box<[Slot]>,
    len: AtomicUsize,
}

impl Table {
    /// An empty one in the smallest size that takes so many keys.
    pub(super) fn for_keys(keys: usize) -> Self {
        Self { slots: (0..slots_for(keys)).map(|_| Slot::default()).collect(), len: AtomicUsize::new(0) }
    }

    /// The keys in it.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether it takes no more keys.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= keys_max(self.slots.len())
    }

    /// Where `key` is.
    pub(super) fn find(&self, key: Key) -> Option<SlotIndex> {
        if self.slots.is_empty() {
            return None;
        }
        self.probe(key).ok()
    }

    /// Puts a key into a bucket. The key must not be in it yet, and it must not be full.
    pub(super) fn insert(&self, key: Key, tag: Tag) {
        debug_assert!(!self.is_full() && tag != Tag::FREE, "a key needs a slot and a bucket");
        let Err(index) = self.probe(key) else { return };
        self.slots[index.0].write(key, tag);
        self.len.store(self.len() + 1, Ordering::Relaxed);
    }

    /// The bucket of the key at `index`.
    pub(super) fn tag(&self, index: SlotIndex) -> Tag {
        self.slots[index.0].read().map_or(Tag::FREE, |(_, tag)| tag)
    }

    /// Brings the key at `index` into another bucket.
    pub(super) fn set_tag(&self, index: SlotIndex, tag: Tag) {
        if let Some((key, _)) = self.slots[index.0].read() {
            self.slots[index.0].write(key, tag);
        }
    }

    /// All keys, each with its bucket.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, Tag)> {
        self.slots.iter().filter_map(Slot::read)
    }

    /// A table of the keys whose bucket `stays`, with room for so many more.
    pub(super) fn rebuilt(&self, stays: impl Fn(Tag) -> bool, more: usize) -> Self {
        let kept = || self.iter().filter(|(_, tag)| stays(*tag));
        let table = Self::for_keys(kept().count() + more);
        kept().for_each(|(key, tag)| table.insert(key, tag));
        table
    }

    /// Where `key` is, or else the free slot where it would come.
    fn probe(&self, key: Key) -> Result<SlotIndex, SlotIndex> {
        let mut index = first_index(key, self.slots.len());
        // Some slots are always free, so the search ends.
        loop {
            match self.slots[index].read() {
                None => return Err(SlotIndex(index)),
                Some((held, _)) if held == key => return Ok(SlotIndex(index)),
                Some(_) => index = if index + 1 == self.slots.len() { 0 } else { index + 1 },
            }
        }
    }
}

/// Keys that a table of so many slots takes.
const fn keys_max(slots: usize) -> usize {
    slots - slots.div_ceil(SLOTS_FOR_ONE_FREE)
}

/// The smallest size that takes so many keys.
fn slots_for(keys: usize) -> usize {
    if keys == 0 {
        return 0;
    }
    let mut step = 1;
    let mut slots = SIZES_A_DOUBLING;
    while keys_max(slots) < keys {
        slots += step;
        if slots == 2 * SIZES_A_DOUBLING * step {
            step *= 2;
        }
    }
    slots
}

/// Where the search for a key begins. In each size of table that is somewhere else: keys that come in the order of
/// their numbers, or of another table's slots, would stand in one row otherwise, and each search would pass all of
/// them.
const fn first_index(key: Key, slots: usize) -> usize {
    let odd = SPREAD.wrapping_mul(slots as u64) | 1;
    scale((key.upper << TAG_BITS).wrapping_mul(odd), slots)
}

/// Spreads 64 random bits over the numbers below `len`.
#[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below `len`")]
const fn scale(bits: u64, len: usize) -> usize {
    ((bits as u128 * len as u128) >> 64) as usize
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::domain::random;

    fn keys(n: usize) -> Vec<Key> {
        (0..n).map(|_| Key::new(u128::from_be_bytes(random::bytes()))).collect()
    }

    #[test]
    fn sizes_grow_by_an_eighth_and_always_leave_a_slot_free() {
        let mut before = SIZES_A_DOUBLING;
        for keys in 1..10_000 {
            let slots = slots_for(keys);
            assert!(keys_max(slots) >= keys && keys_max(slots) < slots, "{keys}");
            assert!(slots * 8 <= before * 9 + 8 && slots >= before, "{keys}: {before} {slots}");
            before = slots;
        }
        assert_eq!([0, 7, 8, 13, 14, 15].map(slots_for), [0, 8, 10, 15, 16, 18]);
    }

    #[test]
    fn a_full_table_finds_its_keys_with_their_buckets_and_no_others() {
        for n in [1, 3, 100, 2_400] {
            let table = Table::for_keys(n);
            let held = keys(n);
            for key in &held {
                assert!(table.find(*key).is_none());
                table.insert(*key, Tag::NEVER);
            }
            assert_eq!((table.len(), table.iter().count()), (n, n));
            for key in &held {
                assert_eq!(table.tag(table.find(*key).unwrap()), Tag::NEVER);
            }
            assert!(keys(10_000).iter().all(|key| table.find(*key).is_none()));
        }
        assert!(Table::default().is_full() && Table::default().find(Key::new(0)).is_none());
    }

    #[test]
    fn keys_that_differ_in_one_bit_are_two_keys() {
        let key = 0x1234_5678_9abc_def0_0fed_cba9_8765_4321_u128;
        let table = Table::for_keys(121);
        table.insert(Key::new(key), Tag::NEVER);
        for bit in 0..u128::BITS - TAG_BITS {
            let other = Key::new(key ^ (1 << bit));
            assert!(table.find(other).is_none(), "{bit}");
            table.insert(other, Tag::NEVER);
        }
        assert_eq!(table.len(), 121);
    }

    #[test]
    fn keys_that_all_belong_into_one_slot_go_round() {
        let slots = slots_for(50);
        let in_the_last = |key: &Key| first_index(*key, slots) == slots - 1;
        let held: Vec<_> = (0_u128..).map(|n| Key::new(n << 64)).filter(in_the_last).take(50).collect();
        let table = Table::for_keys(held.len());
        for key in &held {
            table.insert(*key, Tag::NEVER);
        }
        assert!(held.iter().all(|key| table.find(*key).is_some()));
        assert!(table.find(Key::new(held[49].bits() + 1)).is_none());
    }

    /// How many slots a search for one of its keys looks at, on average.
    fn looks(table: &Table) -> f64 {
        let slots = table.slots.len();
        let look =
            |(at, slot): (usize, &Slot)| slot.read().map(|(key, _)| (at + slots - first_index(key, slots)) % slots);
        let looks: usize = table.slots.iter().enumerate().filter_map(look).map(|passed| passed + 1).sum();
        f64::from(u32::try_from(looks).unwrap()) / f64::from(u32::try_from(table.len()).unwrap())
    }

    #[test]
    fn keys_stand_apart_in_whatever_order_they_come() {
        let mut numbers = keys(40_000);
        let random = filled(&numbers);
        numbers.sort_unstable_by_key(|key| key.bits());
        for order in [numbers, random.iter().map(|(key, _)| key).collect()] {
            let table = filled(&order);
            assert!(looks(&table) < 6.0, "{}", looks(&table));
            // Half way, too: that is where a row would be.
            let half = filled(&order[..order.len() / 2]);
            assert!(looks(&half) < 6.0, "{}", looks(&half));
        }
    }

    /// A table that grew while these came.
    fn filled(keys: &[Key]) -> Table {
        let mut table = Table::default();
        for key in keys {
            if table.is_full() {
                table = table.rebuilt(|_| true, 1);
            }
            table.insert(*key, Tag::NEVER);
        }
        table
    }

    #[test]
    fn a_rebuilt_table_keeps_what_stays() {
        let table = Table::for_keys(100);
        let (gone, kept) = (Tag::from_bits(2), Tag::from_bits(255));
        let all = keys(100);
        for key in &all {
            table.insert(*key, gone);
        }
        for key in &all[..10] {
            table.set_tag(table.find(*key).unwrap(), kept);
        }
        let rebuilt = table.rebuilt(|tag| tag != gone, 1);
        assert_eq!(rebuilt.len(), 10);
        assert!(rebuilt.slots.len() < table.slots.len() && !rebuilt.is_full());
        for key in &all[..10] {
            assert_eq!(rebuilt.tag(rebuilt.find(*key).unwrap()), kept);
        }
        assert!(all[10..].iter().all(|key| rebuilt.find(*key).is_none()));
        assert_eq!(table.rebuilt(|_| false, 0).slots.len(), 0);
    }
}
