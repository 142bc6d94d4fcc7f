//! Passwords and client secrets, as they are kept: argon2id in the PHC string format.

use std::{fmt, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use thiserror::Error;

use crate::domain::{Secret, made_secret, random};

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
/// makes has 187 random bits: it needs no cap on tries. The secret itself must tell, by its form, and not its account:
/// else the cap would tell which names exist.
#[must_use]
pub fn is_guessable(presented: &Secret) -> bool {
    !made_secret::is_whole(presented)
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

    /// What a check of it costs: hashes with the same word take the same time. It is the algorithm with its parameters,
    /// without the salt and what follows.
    #[must_use]
    pub fn cost_class(&self) -> &str {
        let is_parameter = |(at, field): &(usize, &str)| {
            *at < 2 || field.contains('=') || (field.len() <= 2 && field.bytes().all(|b| b.is_ascii_digit()))
        };
        let bytes: usize =
            self.0.split('$').enumerate().take_while(is_parameter).map(|(_, field)| field.len() + 1).sum();
        self.0.get(..bytes.saturating_sub(1)).unwrap_or(&self.0)
    }
}

/// What an unknown account costs.
#[must_use]
pub fn todays_cost_class() -> &'static str {
    DUMMY.cost_class()
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

/// Hashes `password` so that one computation tells it from the one of `beside`: with the same salt, where that hash is one
/// of today's. Else it has a salt of its own, and telling them apart takes two.
///
/// # Errors
/// Fails when the password is empty or too long.
pub fn hash_beside(password: &Secret, beside: &PasswordHash) -> Result<PasswordHash, PasswordError> {
    check(password)?;
    let beside = phc::PasswordHash::new(beside.as_phc())
        .ok()
        .filter(|beside| phc::PasswordHash::new(DUMMY.as_phc()).is_ok_and(|todays| is_made_alike(beside, &todays)));
    let salt = beside.and_then(|beside| beside.salt);
    Ok(salt.map_or_else(|| salted(password.expose()), |salt| hashed(password.expose(), &salt)))
}

/// Which of an account's secrets `password` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The one that it has.
    Current,
    /// The one before.
    Previous,
}

/// Which of an account's two secrets `password` is. Hashes that [`hash_beside`] made are told apart by one computation.
#[must_use]
pub fn verify_either(password: &Secret, current: &PasswordHash, previous: &PasswordHash) -> Option<Matched> {
    if check(password).is_err() {
        return None;
    }
    if let Some([is_current, is_previous]) = verify_together(password, current, previous) {
        return if is_current { Some(Matched::Current) } else { is_previous.then_some(Matched::Previous) };
    }
    if verify(password, Some(current)) {
        return Some(Matched::Current);
    }
    verify(password, Some(previous)).then_some(Matched::Previous)
}

/// Whether one computation tells both.
#[must_use]
pub fn are_told_together(current: &PasswordHash, previous: &PasswordHash) -> bool {
    let [current, previous] = [current, previous].map(|hash| phc::PasswordHash::new(hash.as_phc()));
    matches!((current, previous), (Ok(current), Ok(previous))
        if is_made_alike(&current, &previous) && current.salt == previous.salt)
}

/// Whether `password` is the one of each, by one computation; `None` where it takes two.
fn verify_together(password: &Secret, current: &PasswordHash, previous: &PasswordHash) -> Option<[bool; 2]> {
    if !are_told_together(current, previous) {
        return None;
    }
    let [current, previous] = [current, previous].map(|hash| phc::PasswordHash::new(hash.as_phc()).ok());
    let (current, previous) = current.zip(previous)?;
    let argon2 = Argon2::new(
        Algorithm::try_from(current.algorithm.as_str()).ok()?,
        Version::try_from(current.version?).ok()?,
        Params::try_from(&current).ok()?,
    );
    let salt = current.salt?;
    let made: phc::PasswordHash = argon2.hash_password_with_salt(password.expose().as_bytes(), &salt).ok()?;
    // In constant time; an output that is not there is none that matches.
    let is = |stored: &Option<phc::Output>| made.hash.is_some() && made.hash == *stored;
    Some([is(&current.hash), is(&previous.hash)])
}

/// Whether two hashes were made by the same algorithm with the same parameters.
fn is_made_alike(one: &phc::PasswordHash, other: &phc::PasswordHash) -> bool {
    one.algorithm == other.algorithm && one.version == other.version && one.params == other.params
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
    hashed(password, &random::bytes::<SALT_BYTES>())
}

fn hashed(password: &str, salt: &[u8]) -> PasswordHash {
    let hash: phc::PasswordHash = ARGON2ID
        .hash_password_with_salt(password.as_bytes(), salt)
        .expect("the password and the salt are in argon2's range");
    PasswordHash(hash.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A hash of half the memory of today's.
    pub(crate) fn weak_hash(password: &str) -> PasswordHash {
        made_with(password, MEMORY_KIB / 2, PASSES, Algorithm::Argon2id)
    }

    fn made_with(password: &str, memory: u32, passes: u32, algorithm: Algorithm) -> PasswordHash {
        let argon2 = Argon2::new(algorithm, Version::V0x13, Params::new(memory, passes, 1, None).unwrap());
        let hash: phc::PasswordHash = argon2.hash_password_with_salt(password.as_bytes(), &[7; SALT_BYTES]).unwrap();
        PasswordHash(hash.to_string())
    }

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
    fn two_secrets_are_told_apart_whether_they_share_a_salt_or_not() {
        let first = hash(&"first secret".into()).unwrap();
        let beside = hash_beside(&"second secret".into(), &first).unwrap();
        assert!(are_told_together(&beside, &first) && beside != first);
        let apart = hash(&"second secret".into()).unwrap();
        assert!(!are_told_together(&apart, &first));
        let unknown = PasswordHash::from_phc("$9$".into());
        let foreign = hash_beside(&"second secret".into(), &unknown).unwrap();
        for (current, previous) in [(&beside, &first), (&apart, &first), (&foreign, &first)] {
            let told = |password: &str| verify_either(&password.into(), current, previous);
            assert_eq!(told("second secret"), Some(Matched::Current));
            assert_eq!(told("first secret"), Some(Matched::Previous));
            assert_eq!(told("third secret"), None);
            assert_eq!(told(""), None);
        }
        assert_eq!(verify_either(&"second secret".into(), &unknown, &unknown), None);
        // A third secret beside the second one has the salt too.
        let third = hash_beside(&"third secret".into(), &beside).unwrap();
        assert!(are_told_together(&third, &beside));
    }

    #[test]
    fn hashes_of_one_cost_have_one_word() {
        let class = |text: &str| PasswordHash::from_phc(text.to_owned()).cost_class().to_owned();
        let todays = hash(&"1234".into()).unwrap();
        assert_eq!(todays.cost_class(), "$argon2id$v=19$m=19456,t=2,p=1");
        assert_eq!(todays.cost_class(), todays_cost_class());
        assert_eq!(class("$argon2id$v=19$m=4096,t=3,p=1$c2FsdA$aGFzaA"), "$argon2id$v=19$m=4096,t=3,p=1");
        assert_eq!(class("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"), "$2b$12");
        assert_eq!(class("$6$rounds=5000$saltsalt$x"), "$6$rounds=5000");
        for odd in ["", "$", "$$", "x", "ñ$ñ$ñ"] {
            assert!(odd.starts_with(&class(odd)), "{odd}");
        }
    }

    #[test]
    fn a_weaker_hash_is_made_again_and_a_stronger_one_kept() {
        assert!(!needs_rehash(&hash(&"1234".into()).unwrap()));
        let made_with = |memory, passes, algorithm| made_with("1234", memory, passes, algorithm);
        let weak = weak_hash("1234");
        assert!(verify(&"1234".into(), Some(&weak)));
        assert!(needs_rehash(&weak));
        assert!(needs_rehash(&made_with(MEMORY_KIB, PASSES, Algorithm::Argon2i)));
        assert!(!needs_rehash(&made_with(MEMORY_KIB, PASSES + 1, Algorithm::Argon2id)));
        assert!(needs_rehash(&PasswordHash::from_phc("$2b$12$x".into())));
    }
}
