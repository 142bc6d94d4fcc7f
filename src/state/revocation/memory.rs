//! Revocations in memory: what every request is checked against.
//!
//! Verified tokens carry the *generation* in which they were last found good. Whoever changes
//! revocations or keys raises the generation *after* the change is visible; whoever checks reads it
//! *before* looking. So a token that carries the present generation needs no look-up, and one
//! revocation makes every token be looked through again, once.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use super::log::{Record, Subject};
use crate::domain::{Claims, PrincipalId, Reason, RevocationId, SessionId, Timestamp};

/// What is revoked at present.
#[derive(Debug)]
pub struct Revocations {
    tokens: DashMap<RevocationId, Option<Timestamp>>,
    sessions: DashMap<SessionId, Option<Timestamp>>,
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
        Self { tokens: DashMap::new(), sessions: DashMap::new(), epochs: DashMap::new(), generation: AtomicU64::new(1) }
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
        for record in records {
            match record.subject {
                Subject::Token(id) => keep_longer(&self.tokens, id, record.expires_at),
                Subject::Session(id) => keep_longer(&self.sessions, id, record.expires_at),
                Subject::Principal(id, epoch) => {
                    self.epochs.entry(id).and_modify(|held| *held = epoch.max(*held)).or_insert(epoch);
                }
            }
        }
        if !records.is_empty() {
            self.next_generation();
        }
    }

    /// Whether a token is revoked, by itself, with its session, or with its principal.
    pub fn check(&self, claims: &Claims) -> Result<(), Reason> {
        if self.tokens.contains_key(&claims.revocation_id) {
            return Err(Reason::TokenRevoked);
        }
        if claims.session.is_some_and(|session| self.sessions.contains_key(&session)) {
            return Err(Reason::SessionRevoked);
        }
        if claims.subject.account().and_then(|id| self.epochs.get(&id)).is_some_and(|epoch| claims.epoch < *epoch) {
            return Err(Reason::PrincipalRevoked);
        }
        Ok(())
    }

    /// Forgets what ended before `now`. What has no end is never forgotten.
    pub fn prune(&self, now: Timestamp) {
        let holds = |expires_at: &Option<Timestamp>| expires_at.is_none_or(|end| end >= now);
        self.tokens.retain(|_, expires_at| holds(expires_at));
        self.sessions.retain(|_, expires_at| holds(expires_at));
    }

    /// How many are held.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { tokens: self.tokens.len(), sessions: self.sessions.len(), principals: self.epochs.len() }
    }
}

fn keep_longer<K: std::hash::Hash + Eq>(map: &DashMap<K, Option<Timestamp>>, id: K, expires_at: Option<Timestamp>) {
    let longer = |held: &mut Option<Timestamp>| {
        *held = held.zip(expires_at).map(|(held, new)| held.max(new));
    };
    map.entry(id).and_modify(longer).or_insert(expires_at);
}
