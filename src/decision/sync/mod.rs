//! What goes on by itself: following the store, keeping keys, clearing away what has ended.
//!
//! ```text
//! follow       brings what other processes changed into force
//! keeper       makes, promotes and retires keys
//! foreign      keys of foreign issuers
//! prune        forgets revocations that are past
//! upkeep       clears rows away, and empties the journal
//! clock_watch  compares the clocks
//! ```

pub(super) mod clock_watch;
pub(super) mod follow;
pub(super) mod foreign;
pub mod keeper;
pub(super) mod prune;
pub mod upkeep;
