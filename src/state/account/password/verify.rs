//! Whether a password is the one of an account.

use super::{
    stored::Check,
    todays_hash::{check, verify_none},
};
use crate::domain::{Secret, made_secret};

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

/// Whether a presented secret is of the kind that people choose, so that somebody may guess it. A secret that Portero
/// makes has 187 random bits: it needs no cap on tries. The secret itself must tell, by its form, and not its account:
/// else the cap would tell which names exist.
#[must_use]
pub fn is_guessable(presented: &Secret) -> bool {
    !made_secret::is_whole(presented)
}
