//! A contract from a file, at work. Everything that depends on the file alone was done when it was read.
//!
//! ```text
//! requests  reads a token request: its announcement, its members, the life that its query asks for
//! replies   writes what came of it
//! translations   the same contract in each of its languages
//! replay    holds recorded exchanges against it
//! file_contract  the contract itself
//! ```

mod file_contract;
mod replay;
mod replies;
mod requests;
mod translations;

pub(super) use self::replay::BODY_BYTES_MAX;
pub use self::{
    replay::{Difference, Endpoint, Recorded, Verdict},
    translations::Translations,
};
pub(super) use self::{
    replies::{Replies, Reply, Status},
    requests::{LoginReader, Requests, ValidityReader},
};
pub use file_contract::FileContract;
pub(super) use file_contract::{Claim, Fingerprint};
