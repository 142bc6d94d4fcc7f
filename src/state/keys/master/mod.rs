//! The key that seals the others.
//!
//! ```text
//! key   seals and opens, and has a fingerprint by which a store knows it
//! file  where it is, while a reseal replaces it
//! ```
//!
//! A path and a store's fingerprint go in; the one key that fits comes out, or why there is none.

mod file;
mod key;

pub(super) use file::{MasterFile, examine, find};
pub use key::{MasterKey, MasterKeyError};
