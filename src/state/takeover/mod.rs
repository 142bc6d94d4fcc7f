//! What is remembered while accounts are taken over from an old system.
//!
//! ```text
//! confirmation  when an old system confirmed an account's hash, or refused what it had confirmed
//! trusted       logins that a confirmed hash decided alone while the old system was away
//! old_tokens    opaque tokens of an old system, by their hashes
//! counts        logins by verifier and step, tokens by imported key, by the day
//! steps         who decides at each token endpoint, so that going back is noticed
//! ```

pub mod confirmation;
pub mod counts;
pub mod old_tokens;
pub mod steps;
pub mod trusted;

use aws_lc_rs::digest;

use super::account::PasswordHash;

/// What tells a password's hash from any other: a confirmation is of one hash alone.
fn fingerprint(hash: &PasswordHash) -> Vec<u8> {
    digest::digest(&digest::SHA256, hash.text().as_bytes()).as_ref().to_vec()
}
