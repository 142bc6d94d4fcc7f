//! What is remembered while accounts are taken over from an old system.
//!
//! ```text
//! confirmation  when an old system confirmed an account's hash, or refused what it had confirmed
//! trusted       logins that a confirmed hash decided alone while the old system was away
//! old_tokens    opaque tokens of an old system, by their hashes
//! counts        logins by verifier and step, tokens by imported key, by the day
//! fingerprint   what tells a hash from any other: a confirmation is of one alone
//! steps         who decides at each token endpoint, so that going back is noticed
//! ```

pub mod confirmation;
pub mod counts;
mod fingerprint;
pub mod old_tokens;
pub mod steps;
pub mod trusted;

use fingerprint::fingerprint;
