//! Passwords and client secrets, as they are kept: argon2id in the PHC string format.

use std::{fmt, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use thiserror::Error;

use crate::domain::{Secret, random};

/// Bytes of a password, at most: beyond it hashing would cost what the sender chooses.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Memory of one hash, the floor of OWASP's password storage cheat sheet with two passes: 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory.
const PASSES: u32 = 2;

/// Parallel lanes.
const LANES: u32 = 1;

/// Bytes of salt, as the PHC string format recommends.
const SALT_BYTES: usize = 16;

static ARGON2ID: LazyLock<Argon2<'static>> = LazyLock::new(|| {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the floor's parameters are in argon2's range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
});

/// Bytes of a hash, as argon2 has them by default.
const HASH_BYTES: usize = 32;

/// What an unknown account is checked against, so that it costs the same as a wrong password. It is drawn, and no
/// password's: to make it from one would cost a start the memory and the time of a hash.
static DUMMY: LazyLock<PasswordHash> = LazyLock::new(|| {
    let (salt, hash) = (random::bytes::<SALT_BYTES>(), random::bytes::<HASH_BYTES>());
    let [salt, hash] = [&salt[..], &hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    PasswordHash(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"))
});

/// Whether a presented secret is of the kind that people choose, so that somebody may guess it. A secret that Portero
/// makes has 187 random bits: it needs no cap on tries. It bears no mark yet that tells it from a chosen one, so every
/// secret counts as chosen. The secret itself must tell, and not its account: else the cap would tell which names exist.
#[must_use]
pub const fn is_guessable(_presented: &Secret) -> bool {
    true
}

/// A password's hash in the PHC string format. It is no secret that opens anything, yet worth
/// guessing at, and so redacted in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// A password that cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// It has no characters.
    #[error("the password is empty")]
    Empty,
    /// It is longer than [`PASSWORD_BYTES_MAX`].
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
}

impl PasswordHash {
    /// A hash as the store has it. What is no PHC string matches no password.
    #[must_use]
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// The PHC string.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// Says whether `password` could be set. There is no shortest length: accounts are taken over with
/// the passwords that their clients have.
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
/// the [`Hasher`](super::Hasher).
///
/// # Errors
/// Fails when the password is empty or too long.
pub fn hash(password: &Secret) -> Result<PasswordHash, PasswordError> {
    check(password)?;
    Ok(salted(password.expose()))
}

/// Whether `password` is the one of `hash`; of no account (`None`) never, in the same time. One that
/// could not be set never matches, and is not hashed.
#[must_use]
pub fn verify(password: &Secret, hash: Option<&PasswordHash>) -> bool {
    if check(password).is_err() {
        return false;
    }
    let parsed = phc::PasswordHash::new(hash.unwrap_or(&DUMMY).as_phc());
    let matches = parsed.is_ok_and(|parsed| ARGON2ID.verify_password(password.expose().as_bytes(), &parsed).is_ok());
    matches && hash.is_some()
}

/// Whether `hash` was made otherwise than today's are: weaker, or by another algorithm.
#[must_use]
pub fn needs_rehash(hash: &PasswordHash) -> bool {
    let Ok(parsed) = phc::PasswordHash::new(hash.as_phc()) else { return true };
    let current = parsed.algorithm == Algorithm::Argon2id.ident() && parsed.version == Some(Version::V0x13.into());
    let stronger = Params::try_from(&parsed)
        .is_ok_and(|params| params.m_cost() >= MEMORY_KIB && params.t_cost() >= PASSES && params.p_cost() >= LANES);
    !(current && stronger)
}

fn salted(password: &str) -> PasswordHash {
    let hash: phc::PasswordHash = ARGON2ID
        .hash_password_with_salt(password.as_bytes(), &random::bytes::<SALT_BYTES>())
        .expect("the password and the salt are in argon2's range");
    PasswordHash(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let stored = hash(&"1234".into()).unwrap();
        assert!(stored.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&"1234".into(), Some(&stored)));
        assert!(!verify(&"1235".into(), Some(&stored)));
        assert!(!verify(&"1234".into(), None));
        assert_ne!(hash(&"1234".into()).unwrap(), stored);
        assert_eq!(format!("{stored:?}"), "PasswordHash(…)");
    }

    #[test]
    fn what_an_unknown_account_is_checked_against_is_a_hash_like_any_other() {
        let stored = hash(&"1234".into()).unwrap();
        let shape = |hash: &PasswordHash| {
            let parsed = phc::PasswordHash::new(hash.as_phc()).unwrap();
            (parsed.algorithm, parsed.version, parsed.params.clone(), parsed.hash.map(|output| output.as_bytes().len()))
        };
        assert_eq!(shape(&DUMMY), shape(&stored));
        assert!(!needs_rehash(&DUMMY));
    }

    #[test]
    fn what_could_not_be_set_never_matches() {
        let longest = Secret::new("ñ".repeat(PASSWORD_BYTES_MAX / 2));
        let longer = Secret::new(format!("{}x", longest.expose()));
        assert!(verify(&longest, Some(&hash(&longest).unwrap())));
        assert_eq!(hash(&longer), Err(PasswordError::TooLong));
        assert_eq!(hash(&"".into()), Err(PasswordError::Empty));
        assert!(!verify(&longer, Some(&hash(&longest).unwrap())));
        assert!(!verify(&"1234".into(), Some(&PasswordHash::from_phc("1234".into()))));
    }

    #[test]
    fn a_weaker_hash_is_made_again_and_a_stronger_one_kept() {
        assert!(!needs_rehash(&hash(&"1234".into()).unwrap()));
        let made_with = |memory, passes, algorithm| {
            let argon2 = Argon2::new(algorithm, Version::V0x13, Params::new(memory, passes, 1, None).unwrap());
            let hash: phc::PasswordHash = argon2.hash_password_with_salt(b"1234", &[7; SALT_BYTES]).unwrap();
            PasswordHash(hash.to_string())
        };
        let weak = made_with(MEMORY_KIB / 2, PASSES, Algorithm::Argon2id);
        assert!(verify(&"1234".into(), Some(&weak)));
        assert!(needs_rehash(&weak));
        assert!(needs_rehash(&made_with(MEMORY_KIB, PASSES, Algorithm::Argon2i)));
        assert!(!needs_rehash(&made_with(MEMORY_KIB, PASSES + 1, Algorithm::Argon2id)));
        assert!(needs_rehash(&PasswordHash::from_phc("$2b$12$x".into())));
    }
}
