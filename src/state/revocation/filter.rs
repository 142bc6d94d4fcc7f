//! A Bloom filter of fixed size that says at once of most ids that they are not in a set.
//!
//! The bits of an id all lie in one word, so that a look costs one access to memory. Ids only ever come
//! in, until a part of the filter is made anew. No reader waits for that: one that was interrupted by
//! it learns that it knows nothing (a sequence lock, whose readers only read).

use std::sync::atomic::Ordering;

use super::primitives::{AtomicU64, FILTER_BYTES, TAG_BITS, fence};

/// Words of a filter.
const WORDS: usize = FILTER_BYTES / size_of::<u64>();

/// Parts of a filter, each for the ids that share a table.
const PARTS: usize = 1 << TAG_BITS;

/// The filter of one set. Writers must take turns.
#[derive(Debug)]
pub(super) struct Filter {
    words: Box<[AtomicU64]>,
    /// Odd while a part is made anew.
    version: AtomicU64,
}

impl Default for Filter {
    fn default() -> Self {
        Self { words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(), version: AtomicU64::new(0) }
    }
}

impl Filter {
    /// Whether `id` is certainly not in the set. False says nothing.
    pub(super) fn excludes(&self, id: u128) -> bool {
        let bits = bits_of(id);
        let before = self.version.load(Ordering::Acquire);
        let word = self.words[word_of(id)].load(Ordering::Relaxed);
        // What was read above was read before what is read below.
        fence(Ordering::Acquire);
        let after = self.version.load(Ordering::Relaxed);
        word & bits != bits && before == after && before.is_multiple_of(2)
    }

    /// Lets `id` pass from now on.
    pub(super) fn add(&self, id: u128) {
        let word = &self.words[word_of(id)];
        word.store(word.load(Ordering::Relaxed) | bits_of(id), Ordering::Release);
    }

    /// Makes one part anew, for these ids and no others.
    pub(super) fn refill(&self, part: usize, ids: impl Iterator<Item = u128>) {
        let odd = self.version.load(Ordering::Relaxed) | 1;
        self.version.store(odd, Ordering::Relaxed);
        // A reader that sees a word written below sees the odd version too.
        fence(Ordering::Release);
        let words = &self.words[part * (WORDS / PARTS)..][..WORDS / PARTS];
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        ids.for_each(|id| self.add(id));
        self.version.store(odd + 1, Ordering::Release);
    }
}

/// An id's word: by its uppermost bits, so that the ids of one table share a part.
const fn word_of(id: u128) -> usize {
    (id >> (u128::BITS - WORDS.trailing_zeros())) as usize
}

/// An id's bits in its word: by its lowest bits, which choose neither word nor slot.
#[expect(clippy::cast_possible_truncation, reason = "24 bits are looked at")]
const fn bits_of(id: u128) -> u64 {
    let low = id as u64;
    1 << (low & 63) | 1 << (low >> 6 & 63) | 1 << (low >> 12 & 63) | 1 << (low >> 18 & 63)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::domain::random;

    fn ids(n: usize) -> Vec<u128> {
        (0..n).map(|_| u128::from_be_bytes(random::bytes())).collect()
    }

    #[test]
    fn what_was_added_passes_and_little_else() {
        let filter = Filter::default();
        let held = ids(100_000);
        for id in &held {
            filter.add(*id);
        }
        assert!(!held.iter().any(|id| filter.excludes(*id)));
        let passed = ids(10_000).into_iter().filter(|id| !filter.excludes(*id)).count();
        assert!(passed < 100, "{passed} of 10,000");
    }

    #[test]
    fn a_part_that_is_made_anew_forgets_the_others() {
        let filter = Filter::default();
        let of_part = |part: u128, id: u128| part << 120 | id >> 8;
        let (gone, kept, elsewhere) = (of_part(255, ids(1)[0]), of_part(255, ids(1)[0]), of_part(254, ids(1)[0]));
        for id in [gone, kept, elsewhere] {
            filter.add(id);
        }
        filter.refill(255, [kept].into_iter());
        assert!(filter.excludes(gone) && !filter.excludes(kept) && !filter.excludes(elsewhere));
    }

    #[test]
    fn while_a_part_is_made_anew_nothing_is_excluded() {
        let filter = Filter::default();
        let held = ids(2);
        filter.refill(3, held.iter().inspect(|_| assert!(!filter.excludes(!0))).copied());
        assert!(filter.excludes(!0));
    }
}
