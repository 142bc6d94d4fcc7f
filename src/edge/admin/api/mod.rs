//! The operations of the API. JSON in, JSON out; what is answered with 200 is on the disk and in force.
//! `docs/admin-api.md` is its reference.
//!
//! ```text
//! operations   each with its path, its role, and what the document says of it
//! served       all of them, by what stands around them
//! message      what requests and responses have in common: bodies, queries, errors
//! revocations  revoking, and sessions      accounts    accounts and their secrets
//! companies    companies of accounts       limits      what holds logins up
//! explain      what would become of a request
//! process      reload, upgrade, serving while stale
//! openapi      the document
//! ```

mod accounts;
mod companies;
mod explain;
mod limits;
mod message;
mod openapi;
mod operations;
mod process;
mod revocations;
mod served;

pub use explain::explain;
pub(super) use message::BODY_BYTES_MAX;
pub(super) use openapi::API;
pub(super) use served::Served;
