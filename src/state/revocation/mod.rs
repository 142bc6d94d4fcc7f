//! What is refused before its time: the durable log, and what of it is in force in memory.

pub mod log;
mod memory;

pub use memory::{Counts, Revocations};
