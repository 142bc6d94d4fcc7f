//! Argon2id as hashes are made today.

use std::sync::LazyLock;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, phc},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use thiserror::Error;

use super::{password_hash::PasswordHash, slow::SlowHash};
use crate::domain::{Secret, random};

/// Bytes of a password, at most: beyond it hashing would cost what the sender chooses.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Memory of one hash, the floor of OWASP's password storage cheat sheet with two passes: 19 MiB.
pub(super) const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory.
pub(super) const PASSES: u32 = 2;

/// Parallel lanes.
pub(super) const LANES: u32 = 1;

/// Bytes of salt, as the PHC string format recommends.
pub(super) const SALT_BYTES: usize = 16;

/// What hashes are made with today.
fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the floor's parameters are in argon2's range")
}

pub(super) static ARGON2ID: LazyLock<Argon2<'static>> =
    LazyLock::new(|| Argon2::new(Algorithm::Argon2id, Version::V0x13, params()));

/// Bytes of a hash, as argon2 has them by default.
const HASH_BYTES: usize = 32;

/// What an unknown account is checked against, so that it costs the same as a wrong password. It is drawn, and no
/// password's: to make it from one would cost a start the memory and the time of a hash.
pub(super) static DUMMY: LazyLock<SlowHash> = LazyLock::new(|| {
    let (salt, hash) = (random::bytes::<SALT_BYTES>(), random::bytes::<HASH_BYTES>());
    let [salt, hash] = [&salt[..], &hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    let text = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}");
    SlowHash::read(&text).expect("a hash of today's parameters is one")
});

/// A password that cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// It has no characters.
    #[error("the password is empty")]
    Empty,
    /// It is longer than [`PASSWORD_BYTES_MAX`].
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// It has fewer than eight characters.
    #[error("the password has fewer than 8 characters")]
    TooShort,
    /// It stands in the operator's list.
    #[error("the password stands in passwords.refused_file: many people use it, so it is guessed first")]
    Refused,
    /// It begins like a secret that Portero made, and its checksum is wrong.
    #[error("the secret begins with pto_ and its checksum is wrong: it was cut or mistyped")]
    Damaged,
}

/// Says whether `password` could be any account's. There is no shortest length: accounts are taken over with
/// the passwords that their clients have. New ones are held against [`PasswordRules`](super::super::PasswordRules).
///
/// # Errors
/// Fails when the password is empty or too long.
pub fn check(password: &Secret) -> Result<(), PasswordError> {
    match password.expose().len() {
        0 => Err(PasswordError::Empty),
        1..=PASSWORD_BYTES_MAX => Ok(()),
        _ => Err(PasswordError::TooLong),
    }
}

/// Hashes `password` under a new salt. This takes tens of milliseconds of a core: on a server, ask
/// the [`Hasher`](super::super::Hasher).
///
/// # Errors
/// Fails when the password is empty or too long.
pub fn hash(password: &Secret) -> Result<PasswordHash, PasswordError> {
    check(password)?;
    Ok(salted(password.expose().as_bytes()))
}

/// Whether `hash` was made otherwise than today's are: weaker, or by another algorithm.
#[must_use]
pub fn needs_rehash(hash: &PasswordHash) -> bool {
    !SlowHash::read_stored(hash.text()).is_ok_and(|hash| hash.is_current(&params()))
}

/// Takes as long as a wrong password does.
pub(super) fn verify_none(password: &[u8]) {
    std::hint::black_box(DUMMY.verify(password));
}

pub(super) fn salted(secret: &[u8]) -> PasswordHash {
    let hash: phc::PasswordHash = ARGON2ID
        .hash_password_with_salt(secret, &random::bytes::<SALT_BYTES>())
        .expect("the password and the salt are in argon2's range");
    PasswordHash(hash.to_string())
}
