//! Who a token speaks for, and whether it still does.

use std::sync::Arc;

use super::snapshot::View;
use crate::{
    domain::{Reason, Secret, Timestamp},
    state::{
        keys::KeyState,
        token::{self, TOKEN_BYTES_MAX, Verified},
    },
};

/// A token that must be opened before the request can be decided.
#[derive(Debug)]
pub struct Job {
    token: Secret,
}

/// What came of a [`Job`]. It speaks about its own token only.
#[derive(Debug)]
pub struct Proof {
    token: Secret,
    outcome: Result<Arc<Verified>, Reason>,
}

impl Job {
    /// A job for `token`, unless its size alone says that it is none.
    pub(super) fn new(token: &str) -> Result<Self, Reason> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Reason::TokenTooLarge);
        }
        Ok(Self { token: Secret::from(token) })
    }

    /// Opens the token, and remembers it when it is one of ours.
    #[must_use]
    pub fn run(self, view: &View<'_>) -> Proof {
        let outcome = view.open(self.token.expose()).map(|verified| {
            let verified = Arc::new(verified);
            view.verified.insert(self.token.expose(), Arc::clone(&verified));
            verified
        });
        if outcome.is_err() {
            view.verified.note_refused();
        }
        Proof { token: self.token, outcome }
    }
}

impl Proof {
    /// What is known about `token`, if this proof is about it.
    pub(super) fn about(&self, token: &[u8]) -> Option<Result<Arc<Verified>, Reason>> {
        (self.token.expose().as_bytes() == token).then(|| self.outcome.clone())
    }
}

impl View<'_> {
    /// Opens a token of one of our realms, without asking whether it still holds.
    pub fn open(&self, token: &str) -> Result<Verified, Reason> {
        let snapshot = self.snapshot();
        let (claims, key) = token::open(token, &snapshot.keys, &snapshot.realms)?;
        let realm = snapshot.realms.get(&claims.realm).ok_or(Reason::UnknownKey)?;
        Ok(Verified::new(claims, key, Arc::clone(realm)))
    }

    /// The entry of a token that was opened before, if its realm still reads it so.
    pub(super) fn remembered(&self, token: &[u8]) -> Option<Arc<Verified>> {
        let verified = self.verified.get(token)?;
        let realm = self.snapshot().realms.get(&verified.claims.realm)?;
        if !verified.was_opened_like(realm) {
            return None;
        }
        self.verified.note_hit();
        Some(verified)
    }

    /// Whether an opened token holds now: its times, its key and its revocations. Cached identity,
    /// fresh verdict.
    ///
    /// Keys and revocations are looked up only when they changed since this token was last looked
    /// at; the generation that is noted was read before anything was looked up, so a change that
    /// comes in between is seen by the next request.
    pub fn check_standing(&self, verified: &Verified, now: Timestamp) -> Result<(), Reason> {
        let snapshot = self.snapshot();
        let realm = snapshot.realms.get(&verified.claims.realm).ok_or(Reason::UnknownKey)?;
        token::check_times(&verified.claims, realm, now)?;
        if verified.is_good_in(self.generation) {
            return Ok(());
        }
        match snapshot.keys.get(verified.key.as_str()) {
            None => return Err(Reason::UnknownKey),
            Some(key) if key.state == KeyState::Revoked => return Err(Reason::KeyRevoked),
            Some(key) if key.realm != verified.claims.realm => return Err(Reason::UnknownKey),
            Some(_) => {}
        }
        self.revocations.check(&verified.claims)?;
        verified.mark_good_in(self.generation);
        Ok(())
    }
}
