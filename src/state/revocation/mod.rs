//! What is refused before its time: the durable log, and what of it is in force in memory.

mod bucket;
mod filter;
pub mod log;
mod memory;
mod primitives;
mod set;
mod table;

pub use memory::{Counts, EXPIRED_HELD, Revocations};
pub(in crate::state) use set::Set;
