//! What a login is held against: an account's secret, and the one before it while both are taken.

use std::borrow::Cow;

use super::{
    PasswordHash,
    password::{self, Check, Matched},
    record::Account,
};
use crate::domain::{Secret, Timestamp};

/// What a login is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The hash of the account's secret.
    pub current: PasswordHash,
    /// That of the one before, while it is taken.
    pub previous: Option<PasswordHash>,
}

/// The same, opened: what a password is held against.
pub struct OpenCredentials {
    hashes: Credentials,
    current: Check,
    previous: Option<Check>,
}

impl OpenCredentials {
    /// Which of the secrets this is. Hashes that [`password::hash_beside`] made are told apart by one computation.
    #[must_use]
    pub fn verify(&self, password: &Secret) -> Option<Matched> {
        let Credentials { current, previous } = &self.hashes;
        let together = previous.as_ref().and_then(|previous| password::verify_together(password, current, previous));
        if let Some([is_current, is_previous]) = together {
            return if is_current { Some(Matched::Current) } else { is_previous.then_some(Matched::Previous) };
        }
        if password::verify(password, Some(&self.current)) {
            return Some(Matched::Current);
        }
        let previous = self.previous.as_ref()?;
        password::verify(password, Some(previous)).then_some(Matched::Previous)
    }
}

impl Credentials {
    /// With what its hashes were opened to.
    #[must_use]
    pub fn opened(self, current: Check, previous: Option<Check>) -> OpenCredentials {
        OpenCredentials { hashes: self, current, previous }
    }

    /// The hash of the secret that matched.
    #[must_use]
    pub fn hash_of(&self, matched: Matched) -> &PasswordHash {
        match (matched, &self.previous) {
            (Matched::Previous, Some(previous)) => previous,
            _ => &self.current,
        }
    }

    /// Whether a wrong secret costs two hashes: those of the two secrets share no salt.
    #[must_use]
    pub fn takes_two(&self) -> bool {
        self.previous.as_ref().is_some_and(|previous| !password::are_told_together(&self.current, previous))
    }

    /// What a wrong secret costs: credentials with the same word take the same time.
    #[must_use]
    pub fn cost_class(&self) -> Cow<'_, str> {
        match self.previous.as_ref().filter(|_| self.takes_two()) {
            Some(previous) => format!("{} {}", self.current.cost_class(), previous.cost_class()).into(),
            None => self.current.cost_class().into(),
        }
    }
}

impl Account {
    /// What a login is held against at this time
    /// ([`TrustedClock::witnessed`](crate::state::clock::TrustedClock::witnessed)).
    #[must_use]
    pub fn credentials(&self, now: Timestamp) -> Credentials {
        let previous = self.previous_secret.as_ref().filter(|previous| now < previous.ends_at);
        Credentials { current: self.password_hash.clone(), previous: previous.map(|previous| previous.hash.clone()) }
    }

    /// The same with another secret that somebody chose, and no secret before it.
    #[must_use]
    pub fn with_secret(self, hash: PasswordHash) -> Self {
        Self { password_hash: hash, secret_made: false, previous_secret: None, ..self }
    }

    /// Whether every secret that opens the account was made by Portero: nobody guesses such a one. What is not known
    /// to be so counts as chosen by somebody.
    #[must_use]
    pub fn is_secret_made(&self) -> bool {
        self.secret_made && self.previous_secret.as_ref().is_none_or(|previous| previous.made)
    }
}
