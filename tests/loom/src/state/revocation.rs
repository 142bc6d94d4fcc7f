//! The gateway's own sources, over the primitives of this crate.

#[path = "../../../../src/state/revocation/bucket.rs"]
mod bucket;
#[path = "../../../../src/state/revocation/filter.rs"]
mod filter;
mod log;
#[path = "../../../../src/state/revocation/memory.rs"]
mod memory;
mod primitives;
#[path = "../../../../src/state/revocation/set.rs"]
mod set;
#[path = "../../../../src/state/revocation/table.rs"]
mod table;
#[cfg(test)]
mod tests;
