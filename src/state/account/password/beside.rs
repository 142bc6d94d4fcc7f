//! Two secrets of one account that are taken side by side, so that a login costs one hash; and what a check costs.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, phc},
};

use super::{
    password_hash::PasswordHash,
    todays_hash::{ARGON2ID, DUMMY, PasswordError, check, salted},
};
use crate::domain::Secret;

/// Which of an account's secrets a password is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The one that it has.
    Current,
    /// The one before.
    Previous,
}

impl PasswordHash {
    /// What a check of it costs: hashes with the same word take the same time. It is the algorithm with its parameters,
    /// without the salt and what follows; of a sealed or wrapped one its kind.
    #[must_use]
    pub fn cost_class(&self) -> &str {
        let text = self.text();
        let is_sealed = self.needs_key();
        let is_parameter = |(at, field): &(usize, &str)| {
            *at < 2
                || !is_sealed
                    && (field.contains('=') || (field.len() <= 2 && field.bytes().all(|b| b.is_ascii_digit())))
        };
        let bytes: usize = text.split('$').enumerate().take_while(is_parameter).map(|(_, field)| field.len() + 1).sum();
        text.get(..bytes.saturating_sub(1)).unwrap_or(text)
    }
}

/// What an unknown account costs.
#[must_use]
pub fn todays_cost_class() -> Box<str> {
    DUMMY.to_stored().cost_class().into()
}

/// Hashes `password` so that one computation tells it from the one of `beside`: with the same salt, where that hash is
/// one of today's. Else it has a salt of its own, and telling them apart takes two.
///
/// # Errors
/// Fails when the password is empty or too long.
pub fn hash_beside(password: &Secret, beside: &PasswordHash) -> Result<PasswordHash, PasswordError> {
    check(password)?;
    let todays = DUMMY.to_stored();
    let beside = phc::PasswordHash::new(beside.text())
        .ok()
        .filter(|beside| phc::PasswordHash::new(todays.text()).is_ok_and(|todays| is_made_alike(beside, &todays)));
    let secret = password.expose().as_bytes();
    let Some(salt) = beside.and_then(|beside| beside.salt) else { return Ok(salted(secret)) };
    let hash: phc::PasswordHash =
        ARGON2ID.hash_password_with_salt(secret, &salt).expect("the password and the salt are in argon2's range");
    Ok(PasswordHash(hash.to_string()))
}

/// Whether one computation tells both.
#[must_use]
pub fn are_told_together(current: &PasswordHash, previous: &PasswordHash) -> bool {
    let [current, previous] = [current, previous].map(|hash| phc::PasswordHash::new(hash.text()));
    matches!((current, previous), (Ok(current), Ok(previous))
        if Algorithm::try_from(current.algorithm.as_str()).is_ok()
            && is_made_alike(&current, &previous) && current.salt == previous.salt)
}

/// Whether `password` is the one of each, by one computation; `None` where it takes two.
pub(in crate::state::account) fn verify_together(
    password: &Secret,
    current: &PasswordHash,
    previous: &PasswordHash,
) -> Option<[bool; 2]> {
    if !are_told_together(current, previous) {
        return None;
    }
    if check(password).is_err() {
        return Some([false; 2]);
    }
    let [current, previous] = [current, previous].map(|hash| phc::PasswordHash::new(hash.text()).ok());
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
