//! What the set is made of: atomics, locks and sizes. `tests/loom` has its own file in the place of this one, with
//! loom's primitives and sizes so small that every interleaving can be tried.

pub(super) use std::sync::{
    Mutex, MutexGuard, OnceLock,
    atomic::{AtomicU64, AtomicUsize, fence},
};

pub(super) use arc_swap::ArcSwap;

/// Bits of a tag: as many as an entry's place in the set spares (see `Set`).
pub(super) const TAG_BITS: u32 = 8;

/// Size of a filter. With 10 million ids about 6 % of other ids pass it, with a million almost none;
/// a larger one would fall out of the caches and cost more than it saves.
pub(super) const FILTER_BYTES: usize = 8 << 20;

/// Ids from which on a set has a filter. Fewer are in the processor's caches anyway.
pub(super) const FILTERED_MIN: usize = 1 << 16;
