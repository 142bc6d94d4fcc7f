//! Revocations in memory: what every request is checked against.
//!
//! Verified tokens carry the *generation* in which they were last found good. Whoever changes
//! revocations or keys raises the generation *after* the change is visible; whoever checks reads it
//! *before* looking. So a token that carries the present generation needs no look-up, and one
//! revocation makes every token be looked through again, once.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use super::{
    log::{Record, Subject},
    set::Set,
};
use crate::domain::{Claims, PrincipalId, Reason, RevocationId, SessionId, Timestamp};

/// An odd number whose bits are mixed: the golden ratio's fraction.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// What is revoked at present.
#[derive(Debug)]
pub struct Revocations {
    tokens: Set,
    sessions: Set,
    epochs: DashMap<PrincipalId, u32>,
    generation: AtomicU64,
}

/// How many revocations of each kind are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Single tokens.
    pub tokens: usize,
    /// Sessions.
    pub sessions: usize,
    /// Principals with a raised epoch.
    pub principals: usize,
}

impl Default for Revocations {
    fn default() -> Self {
        // Generation 0 is the stamp of tokens that were never looked through.
        Self {
            tokens: Set::default(),
            sessions: Set::default(),
            epochs: DashMap::default(),
            generation: AtomicU64::new(1),
        }
    }
}

impl Revocations {
    /// The present generation. Read it before the snapshot and before looking anything up.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes every verified token be looked through again. Call it after a change of keys is visible.
    pub fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Puts records in force: on the next request. The longer expiry and the higher epoch win.
    pub fn apply(&self, records: &[Record]) {
        self.tokens.extend(records.iter().filter_map(|record| match record.subject {
            Subject::Token(id) => Some((token_key(id), record.expires_at)),
            _ => None,
        }));
        self.sessions.extend(records.iter().filter_map(|record| match record.subject {
            Subject::Session(id) => Some((session_key(id), record.expires_at)),
            _ => None,
        }));
        for record in records {
            if let Subject::Principal(id, epoch) = record.subject {
                self.epochs.entry(id).and_modify(|held| *held = epoch.max(*held)).or_insert(epoch);
            }
        }
        if !records.is_empty() {
            self.next_generation();
        }
    }

    /// Whether a token is revoked, by itself, with its session, or with its principal.
    pub fn check(&self, claims: &Claims) -> Result<(), Reason> {
        if self.tokens.contains(token_key(claims.revocation_id)) {
            return Err(Reason::TokenRevoked);
        }
        if claims.session.is_some_and(|session| self.sessions.contains(session_key(session))) {
            return Err(Reason::SessionRevoked);
        }
        if self.epochs.get(&claims.subject).is_some_and(|epoch| claims.epoch < *epoch) {
            return Err(Reason::PrincipalRevoked);
        }
        Ok(())
    }

    /// Forgets what ended before `now`, bucket by bucket: up to an hour later than it could (a day, where
    /// expiries lie years apart). What has no end is never forgotten.
    ///
    /// It takes as long as going through all that is held; neither readers nor writers wait for it.
    pub fn prune(&self, now: Timestamp) {
        self.tokens.prune(now);
        self.sessions.prune(now);
    }

    /// How many are held.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { tokens: self.tokens.len(), sessions: self.sessions.len(), principals: self.epochs.len() }
    }
}

/// A revocation id is a digest: uniform as it is.
fn token_key(id: RevocationId) -> u128 {
    u128::from_be_bytes(id.to_bytes())
}

/// A UUID is uniform in some bits only. Folding its halves and multiplying by an odd number spreads
/// them; both can be undone, so that two sessions never get the same key.
fn session_key(id: SessionId) -> u128 {
    let bits = id.uuid().as_u128();
    (bits ^ (bits >> 64)).wrapping_mul(SPREAD)
}
