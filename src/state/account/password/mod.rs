//! Passwords and client secrets, as they are kept: argon2id, and what other systems made until its owner's next login.
//!
//! ```text
//! foreign   reads a hash of another system: one of a closed list of spellings
//! slow      hashes that are slow on purpose, kept as they are: argon · bcrypt · scrypt · pbkdf2 · sha_crypt · phpass
//! fast      clear secrets and digests, by a rule: sealed at once, wrapped in argon2id later
//! stored    the text in the store, the key that seals, and what a login is held against
//! encoding  bytes in text
//! beside    two secrets of an account that are taken side by side
//! ```

mod argon;
mod bcrypt;
mod beside;
mod encoding;
mod fast;
mod foreign;
mod md5_crypt;
mod pbkdf2;
mod phpass;
mod rule;
mod scrypt;
mod sha_crypt;
mod slow;
mod stored;
#[cfg(test)]
mod vectors;

use std::{borrow::Cow, fmt, ops::RangeInclusive, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, phc},
};
use aws_lc_rs::constant_time;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use thiserror::Error;

pub(in crate::state::account) use self::beside::verify_together;
pub use self::{
    beside::{Matched, are_told_together, hash_beside, todays_cost_class},
    fast::FastHash,
    foreign::{Encoding, Foreign, Reading},
    rule::Rule,
    slow::SlowHash,
    stored::{Check, MARK_BYTES, PASSWORD_KEY_BYTES, PasswordKey, Unopenable, format_of, to_stored},
};
use crate::domain::{Secret, made_secret, random};

/// Bytes of a password, at most: beyond it hashing would cost what the sender chooses.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Memory of a hash that another system made, at most: 128 MiB. What would take more is not taken over.
pub const MEMORY_KIB_MAX: u32 = 128 * 1024;

/// Bytes of an output that another system made. A shorter one could be met by chance.
const OUTPUT_BYTES: RangeInclusive<usize> = 16..=64;

/// Bytes of its salt, at most.
const SALT_BYTES_MAX: usize = 256;

/// Memory of one hash, the floor of OWASP's password storage cheat sheet with two passes: 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory.
const PASSES: u32 = 2;

/// Parallel lanes.
const LANES: u32 = 1;

/// Bytes of salt, as the PHC string format recommends.
const SALT_BYTES: usize = 16;

/// What hashes are made with today.
fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the floor's parameters are in argon2's range")
}

static ARGON2ID: LazyLock<Argon2<'static>> =
    LazyLock::new(|| Argon2::new(Algorithm::Argon2id, Version::V0x13, params()));

/// Bytes of a hash, as argon2 has them by default.
const HASH_BYTES: usize = 32;

/// What an unknown account is checked against, so that it costs the same as a wrong password. It is drawn, and no
/// password's: to make it from one would cost a start the memory and the time of a hash.
static DUMMY: LazyLock<SlowHash> = LazyLock::new(|| {
    let (salt, hash) = (random::bytes::<SALT_BYTES>(), random::bytes::<HASH_BYTES>());
    let [salt, hash] = [&salt[..], &hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    let text = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}");
    SlowHash::read(&text).expect("a hash of today's parameters is one")
});

/// A password's hash as the store has it. It is no secret that opens anything, yet worth guessing at, and so redacted
/// in `Debug`.
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

/// Why a hash or a rule is not taken over: a sentence, without any part of the hash.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct FormatError(Cow<'static, str>);

impl FormatError {
    const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    const fn of(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// A cost above the limit.
    fn above(what: &str, found: u64, max: u64, unit: &str) -> Self {
        Self::of(format!(
            "{what} of {found}{unit} is above {max}{unit}: every login would cost that. Set a new password"
        ))
    }

    const fn unknown() -> Self {
        Self::new(
            "this is no hash that Portero knows; docs/migration.md has the list, and portero import --probe tries one",
        )
    }
}

impl PasswordHash {
    /// A hash as the store has it. A malformed one matches no password.
    #[must_use]
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text that the store has.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// Says whether `password` could be any account's. There is no shortest length: accounts are taken over with
/// the passwords that their clients have. New ones are held against [`PasswordRules`](super::PasswordRules).
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
    Ok(salted(password.expose().as_bytes()))
}

/// Whether `password` is the one of the account; of no account (`None`) never, in the time of an argon2id hash. One
/// that could not be set never matches, and is not hashed.
///
/// A format of another system that is slower than argon2id still shows by its time. What makes every refusal of a realm
/// take as long as its slowest format belongs around this call, on a timer, and not into it: a thread here is dear.
#[must_use]
pub fn verify(password: &Secret, account: Option<&Check>) -> bool {
    if check(password).is_err() {
        return false;
    }
    let Some(account) = account else {
        verify_none(password.expose().as_bytes());
        return false;
    };
    account.matches(password)
}

/// Whether `hash` was made otherwise than today's are: weaker, or by another algorithm.
#[must_use]
pub fn needs_rehash(hash: &PasswordHash) -> bool {
    !SlowHash::read_stored(hash.text()).is_ok_and(|hash| hash.is_current(&params()))
}

/// Whether a presented secret is of the kind that people choose, so that somebody may guess it. A secret that Portero
/// makes has 187 random bits: it needs no cap on tries. The secret itself must tell, by its form, and not its account:
/// else the cap would tell which names exist.
#[must_use]
pub fn is_guessable(presented: &Secret) -> bool {
    !made_secret::is_whole(presented)
}

/// Takes as long as a wrong password does.
fn verify_none(password: &[u8]) {
    std::hint::black_box(DUMMY.verify(password));
}

fn salted(secret: &[u8]) -> PasswordHash {
    let hash: phc::PasswordHash = ARGON2ID
        .hash_password_with_salt(secret, &random::bytes::<SALT_BYTES>())
        .expect("the password and the salt are in argon2's range");
    PasswordHash(hash.to_string())
}

/// Compares in a time that depends on the lengths alone.
fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Refuses an output or a salt of a length that no system has.
fn check_output(salt: &[u8], output: &[u8]) -> Result<(), FormatError> {
    if !OUTPUT_BYTES.contains(&output.len()) {
        return Err(FormatError::new("the hash is cut: its output must have from 16 to 64 bytes"));
    }
    if salt.len() > SALT_BYTES_MAX {
        return Err(FormatError::new("a salt has at most 256 bytes"));
    }
    Ok(())
}

/// The numbers of `ln=14,r=8,p=1`, with these names in this order.
fn parameters<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let mut fields = text.split(',');
    for (number, name) in numbers.iter_mut().zip(names) {
        *number = fields.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
    }
    fields.next().is_none().then_some(numbers)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::PrincipalId;

    /// A hash of half the memory of today's.
    pub(crate) fn weak_hash(password: &str) -> PasswordHash {
        let params = Params::new(MEMORY_KIB / 2, PASSES, LANES, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash: phc::PasswordHash = argon2.hash_password_with_salt(password.as_bytes(), &[7; SALT_BYTES]).unwrap();
        PasswordHash(hash.to_string())
    }

    fn check_of(hash: &PasswordHash) -> Check {
        hash.open(PrincipalId::generate(), None).unwrap()
    }

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let stored = hash(&"1234".into()).unwrap();
        assert!(stored.text().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&"1234".into(), Some(&check_of(&stored))));
        assert!(!verify(&"1235".into(), Some(&check_of(&stored))));
        assert!(!verify(&"1234".into(), None));
        assert_ne!(hash(&"1234".into()).unwrap(), stored);
        assert_eq!(format!("{stored:?}"), "PasswordHash(…)");
    }

    #[test]
    fn what_an_unknown_account_is_checked_against_is_a_hash_like_any_other() {
        let stored = hash(&"1234".into()).unwrap();
        let shape = |hash: &PasswordHash| {
            let parsed = phc::PasswordHash::new(hash.text()).unwrap();
            (parsed.algorithm, parsed.version, parsed.params.clone(), parsed.hash.map(|output| output.as_bytes().len()))
        };
        assert_eq!(shape(&DUMMY.to_stored()), shape(&stored));
        assert!(!needs_rehash(&DUMMY.to_stored()));
    }

    #[test]
    fn what_could_not_be_set_never_matches() {
        let longest = Secret::new("ñ".repeat(PASSWORD_BYTES_MAX / 2));
        let longer = Secret::new(format!("{}x", longest.expose()));
        assert!(verify(&longest, Some(&check_of(&hash(&longest).unwrap()))));
        assert_eq!(hash(&longer), Err(PasswordError::TooLong));
        assert_eq!(hash(&"".into()), Err(PasswordError::Empty));
        assert!(!verify(&longer, Some(&check_of(&hash(&longest).unwrap()))));
        assert!(!verify(&"1234".into(), Some(&check_of(&PasswordHash::from_stored("1234".into())))));
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
        assert!(verify(&"1234".into(), Some(&check_of(&weak))));
        assert!(needs_rehash(&weak));
        assert!(needs_rehash(&made_with(MEMORY_KIB, PASSES, Algorithm::Argon2i)));
        assert!(!needs_rehash(&made_with(MEMORY_KIB, PASSES + 1, Algorithm::Argon2id)));
        assert!(needs_rehash(&PasswordHash::from_stored("$2b$12$x".into())));
    }
}
