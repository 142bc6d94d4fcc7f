//! What operators do, for the admin API and the commands alike: both only read what is asked and write what came of it.
//!
//! ```text
//! service      AdminService: the store, the keys and the live state behind every operation; AdminError
//! accounts     making, changing and deleting accounts (changed: one after that); companies: the same
//! secrets      giving accounts other passwords and secrets
//! import       the accounts of another system, many at a time
//! revocations  ending tokens, sessions and all that a principal has; listing sessions
//! keys         rotating, retiring, importing and revoking keys
//! migration    how far a migration from old systems is, and going back
//! tokens       admin tokens
//! audit        reading the audit log, and holding it against itself
//! services     a service for each who asks over the API
//! limits       what restrains failed logins
//! everywhere   waiting until every gateway knows of a revocation
//! ```
//!
//! What was done is in the store when an operation returns, and in force in the gateway of the same process.

pub mod accounts;
pub mod audit;
pub mod changed;
pub mod companies;
mod everywhere;
pub mod import;
mod keys;
mod limits;
pub mod migration;
mod revocations;
pub mod secrets;
mod service;
mod services;
mod tokens;

pub use everywhere::Everywhere;
pub use keys::Rotated;
pub use limits::Limits;
pub use revocations::{Elsewhere, Revoked, SESSIONS_LISTED_MAX};
pub use service::{AdminError, AdminService, PAGE_ROWS};
pub use services::AdminServices;
