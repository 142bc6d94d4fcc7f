//! What goes on by itself: following the store, keeping keys, clearing away what has ended.
//!
//! ```text
//! store_sync   brings what other processes changed into force
//! key_lifecycle  makes, promotes and retires keys
//! external     keys of external issuers
//! prune        forgets revocations that are past
//! upkeep       clears rows away, and empties the journal
//! wrapping     argon2id over hashes that imports left
//! clock_watch  compares the clocks
//! ```

pub(super) mod clock_watch;
pub(super) mod external;
pub mod key_lifecycle;
pub(super) mod prune;
mod rounds;
pub(super) mod store_sync;
pub mod upkeep;
pub mod wrapping;
