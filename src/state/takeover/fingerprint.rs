//! What tells a password's hash from any other.

use aws_lc_rs::digest;

use crate::state::account::PasswordHash;

/// What tells a password's hash from any other: a confirmation is of one hash alone.
pub(super) fn fingerprint(hash: &PasswordHash) -> Vec<u8> {
    digest::digest(&digest::SHA256, hash.text().as_bytes()).as_ref().to_vec()
}
