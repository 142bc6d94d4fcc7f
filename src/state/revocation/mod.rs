//! What is refused before its time: the durable log, and what of it is in force in memory.

mod bucket;
mod cursor;
mod filter;
mod follow;
pub mod log;
mod memory;
mod primitives;
mod restore;
mod set;
mod table;

pub use follow::{Caught, RevocationReader};
pub use memory::{Counts, EXPIRED_HELD, Revocations};
pub use restore::restore;
pub(in crate::state) use set::{Set, TABLES};
