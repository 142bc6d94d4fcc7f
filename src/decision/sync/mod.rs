//! What goes on by itself: following the store, keeping keys, clearing away what has ended.
//!
//! ```text
//! store_sync   brings what other processes changed into force
//! error        why the store cannot be followed
//! recording    hands what came in to the store's snapshot
//! resuming     starts by that while the store is away
//! restoring    writes down what a store with another history lacks
//! key_lifecycle  makes, promotes and retires keys
//! external     keys of external issuers
//! prune        forgets revocations that are past
//! upkeep       clears rows away, and empties the journal
//! throttle_sync  writes failed logins down, and adds up what other gateways have counted
//! record_logins  writes down who logged in
//! wrapping     argon2id over hashes that imports left
//! clock_watch  compares the clocks
//! audit_keeper keeps the audit log's anchors
//! ```

pub mod audit_keeper;
pub(super) mod clock_watch;
pub(super) mod error;
pub(super) mod external;
pub mod key_lifecycle;
pub(super) mod prune;
pub mod record_logins;
mod recording;
mod restoring;
pub(super) mod resuming;
pub mod rounds;
pub(super) mod store_sync;
pub mod throttle_sync;
pub mod upkeep;
pub mod wrapping;

pub use clock_watch::ClockWatch;
pub use error::StoreSyncError;
pub use external::{ExternalIssuerError, ExternalIssuers, IssuerProblem, examine_issuers};
pub use prune::Pruner;
pub use resuming::{Reopening, Resumed};
pub use store_sync::{POLL, StoreSync};
