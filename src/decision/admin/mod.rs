//! What operators do, for the admin API and the commands alike: both only read what is asked and write what came of it.
//!
//! ```text
//! service      AdminService: the store, the keys and the live state behind every operation; AdminError
//! accounts     making, changing and deleting accounts
//! companies    the same for companies
//! revocations  ending tokens, sessions and all that a principal has; listing sessions
//! keys         rotating, retiring, importing and revoking keys
//! migration    how far a migration from old systems is, and going back
//! everywhere   waiting until every gateway knows of a revocation
//! ```
//!
//! What was done is in the store when an operation returns, and in force in the gateway of the same process.

pub mod accounts;
pub mod companies;
mod everywhere;
mod keys;
pub mod migration;
mod revocations;
mod service;

pub use everywhere::Everywhere;
pub use keys::Rotated;
pub use revocations::{Revoked, SESSIONS_LISTED_MAX};
pub use service::{AdminError, AdminService};

/// Accounts or companies in one page of a list.
const PAGE_ROWS: u32 = 500;
