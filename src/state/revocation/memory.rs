//! Revocations in memory: what every request is checked against.
//!
//! Verified tokens carry the *generation* in which they were last found good. A writer of
//! revocations or keys raises the generation *after* the change is visible; a check reads it
//! *before* looking. So a token that carries the present generation needs no look-up, and one
//! revocation makes every token be looked through again, once.

use std::{sync::atomic::Ordering, time::Duration};

use dashmap::{DashMap, mapref::multiple::RefMulti};
use foldhash::fast::RandomState;

use super::{
    log::{Record, RevokedSubject},
    primitives::{ArcSwap, AtomicU64},
    set::{Set, TABLES},
};
use crate::{
    domain::{Claims, EPOCH_DELETED, PrincipalId, Reason, RevocationId, SessionId, Timestamp, TrustedNow},
    state::clock::Pruned,
};

/// What is revoked at present.
#[derive(Debug)]
pub struct Revocations {
    tokens: Set,
    sessions: Set,
    /// Ids of tokens that nobody has, each for [`CANARY_HELD`].
    canaries: Set,
    epochs: DashMap<PrincipalId, u32, RandomState>,
    generation: AtomicU64,
    /// What is not known any more.
    pruned: ArcSwap<Pruned>,
}

/// How long a revocation is held after its expiry: longer than any leeway (60 s), and than a clock that is trusted at
/// a start can be ahead ([`ABSENCE_MAX`](crate::domain::trusted_time::ABSENCE_MAX)), so that no good token falls under
/// [`Revocations::note_pruned`] when such a clock is put right.
pub const EXPIRED_HELD: Duration = Duration::from_hours(26);

/// How long a canary is of use.
const CANARY_HELD: Duration = Duration::from_mins(2);

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
            canaries: Set::default(),
            epochs: DashMap::default(),
            generation: AtomicU64::new(1),
            pruned: ArcSwap::default(),
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
            RevokedSubject::Token(id) => Some((token_key(id), record.expires_at)),
            _ => None,
        }));
        self.sessions.extend(records.iter().filter_map(|record| match record.subject {
            RevokedSubject::Session(id) => Some((session_key(id), record.expires_at)),
            _ => None,
        }));
        for record in records {
            if let RevokedSubject::Principal(id, epoch) = record.subject {
                self.epochs.entry(id).and_modify(|held| *held = epoch.max(*held)).or_insert(epoch);
            }
        }
        if !records.is_empty() {
            self.next_generation();
        }
    }

    /// Revokes a canary, which is counted nowhere and kept for a short time only.
    pub fn apply_canary(&self, id: RevocationId, now: Timestamp) {
        self.canaries.extend([(token_key(id), Some(now.plus(CANARY_HELD)))]);
        self.next_generation();
    }

    /// Whether a token is revoked, by itself, with its session, or with its principal.
    ///
    /// # Errors
    /// The reason for which it is refused.
    pub fn check(&self, claims: &Claims) -> Result<(), Reason> {
        if self.is_token_revoked(claims.revocation_id) {
            return Err(Reason::TokenRevoked);
        }
        if claims.session.is_some_and(|session| self.sessions.contains(session_key(session))) {
            return Err(Reason::SessionRevoked);
        }
        if claims.subject.accounts().any(|id| self.epochs.get(&id).is_some_and(|epoch| claims.epoch < *epoch)) {
            return Err(Reason::PrincipalRevoked);
        }
        // No account has such an epoch, and a token with it would outlive its account's end.
        if claims.epoch >= EPOCH_DELETED {
            return Err(Reason::UnknownEpoch);
        }
        // Last: what is dropped while this looks is then seen here. It is refused whatever the civil clock says, since
        // nobody knows any more whether it was revoked.
        if claims.expires_at.is_some_and(|end| self.pruned.load().covers(claims.issued_at, end)) {
            return Err(Reason::Expired);
        }
        Ok(())
    }

    /// Whether this id is a revoked token's.
    #[must_use]
    pub fn is_token_revoked(&self, id: RevocationId) -> bool {
        self.tokens.contains(token_key(id)) || self.canaries.contains(token_key(id))
    }

    /// Whether a token's epoch is above all that is known of its principal. Our own tokens may be ahead of memory by
    /// a step; another holder of their key may have invented it.
    #[must_use]
    pub fn is_ahead(&self, claims: &Claims) -> bool {
        let epoch_of = |id| self.epochs.get(&id).map_or(0, |epoch| *epoch);
        claims.subject.accounts().any(|id| claims.epoch > epoch_of(id))
    }

    /// Says which revocations the store has dropped. Tokens that may have had one are refused from now on, even if the
    /// civil clock is set back to when they held.
    pub fn note_pruned(&self, stored: Pruned) {
        let before = self.pruned.rcu(|pruned| pruned.with_stored(stored));
        if before.with_stored(stored) != *before {
            self.next_generation();
        }
    }

    /// Forgets what ended more than [`EXPIRED_HELD`] ago, bucket by bucket: up to an hour later than it could (a day,
    /// where expiries lie years apart). What has no end is never forgotten.
    ///
    /// It takes as long as going through all that is held; neither readers nor writers wait for it.
    pub fn prune(&self, now: TrustedNow) {
        let cutoff = now.cutoff(EXPIRED_HELD);
        // Nothing falls under them that anybody could show.
        self.canaries.prune(now.cutoff(CANARY_HELD), drop);
        for set in [&self.tokens, &self.sessions] {
            // Before anything is dropped, see `check`.
            set.prune(cutoff, |end| drop(self.pruned.rcu(|pruned| pruned.and(end))));
        }
    }

    /// What is not known any more: what the store dropped, and what was dropped here.
    #[must_use]
    pub fn pruned(&self) -> Pruned {
        Pruned::clone(&self.pruned.load())
    }

    /// Parts that [`held`](Self::held) gives all that is held in.
    pub(in crate::state) const PARTS: usize = TABLES + 1;

    /// A part of all that is held, as records of this moment: ends are those of whole buckets, and none of them is too
    /// early.
    pub(in crate::state) fn held(&self, part: usize, now: Timestamp) -> Vec<Record> {
        let record = |subject, expires_at| Record { subject, expires_at, created_at: now };
        if part == TABLES {
            let principal = |entry: RefMulti<'_, PrincipalId, u32>| {
                record(RevokedSubject::Principal(*entry.key(), *entry.value()), None)
            };
            return self.epochs.iter().map(principal).collect();
        }
        let token = |id: u128| RevokedSubject::Token(RevocationId::from_bytes(id.to_be_bytes()));
        let session = |id| RevokedSubject::Session(SessionId::from_uuid(Set::uuid_of(id)));
        let tokens = self.tokens.held(part).into_iter().map(|(id, end)| record(token(id), end));
        tokens.chain(self.sessions.held(part).into_iter().map(|(id, end)| record(session(id), end))).collect()
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

fn session_key(id: SessionId) -> u128 {
    Set::id_of(id.uuid())
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{
        collections::HashMap,
        sync::atomic::AtomicUsize,
        thread::{scope, yield_now},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::{PrincipalKind, TokenKind, trusted_time::trusted},
        state::revocation::set::SPREAD,
    };

    const HOUR: i64 = 3600;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_secs(hours * HOUR)
    }

    /// When what ended before `cutoff` is forgotten.
    fn after(cutoff: Timestamp) -> TrustedNow {
        trusted(cutoff.plus(EXPIRED_HELD))
    }

    fn record(subject: RevokedSubject, expires_at: Option<Timestamp>) -> Record {
        Record { subject, expires_at, created_at: at(0) }
    }

    fn claims(token: RevocationId, session: SessionId, subject: PrincipalId, epoch: u32) -> Claims {
        Claims {
            realm: "sws".parse().unwrap(),
            kind: TokenKind::Access,
            subject: crate::domain::TokenSubject::Account(subject),
            principal: Some(PrincipalKind::User),
            session: Some(session),
            revocation_id: token,
            epoch,
            issued_at: at(0),
            not_before: at(0),
            expires_at: None,
            name: "ana".into(),
            legacy_id: None,
            roles: crate::domain::Roles::none(),
            scopes: vec![],
            organization: None,
            extra: serde_json::Map::new(),
        }
    }

    /// The token `n`: a number that looks random, and is another one for another `n`.
    fn token(n: u64) -> RevocationId {
        RevocationId::from_bytes((u128::from(n) + 1).wrapping_mul(SPREAD).to_be_bytes())
    }

    fn holds(revocations: &Revocations, token: RevocationId) -> bool {
        revocations.tokens.contains(token_key(token))
    }

    #[test]
    fn a_token_falls_by_itself_with_its_session_and_below_its_principals_epoch() {
        let revocations = Revocations::default();
        let (session, principal) = (SessionId::generate(), PrincipalId::generate());
        let (other_session, other_principal) = (SessionId::generate(), PrincipalId::generate());
        let before = revocations.generation();
        revocations.apply(&[
            record(RevokedSubject::Token(token(1)), None),
            record(RevokedSubject::Session(session), None),
            record(RevokedSubject::Principal(principal, 3), None),
            record(RevokedSubject::Principal(principal, 2), None),
        ]);
        assert!(revocations.generation() > before);
        assert_eq!(revocations.counts(), Counts { tokens: 1, sessions: 1, principals: 1 });
        let check = |n, session, principal, epoch| revocations.check(&claims(token(n), session, principal, epoch));
        assert_eq!(check(1, other_session, principal, 3), Err(Reason::TokenRevoked));
        assert_eq!(check(2, session, principal, 3), Err(Reason::SessionRevoked));
        assert_eq!(check(2, other_session, principal, 2), Err(Reason::PrincipalRevoked));
        assert_eq!(check(2, other_session, principal, 3), Ok(()));
        assert_eq!(check(2, other_session, other_principal, 0), Ok(()));
    }

    #[test]
    fn sessions_whose_ids_differ_little_are_spread_and_told_apart() {
        let revocations = Revocations::default();
        let session =
            |n: u128| SessionId::from_uuid(uuid::Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 | n));
        let all: Vec<_> = (0..10_000).map(|n| record(RevokedSubject::Session(session(n)), None)).collect();
        revocations.apply(&all);
        assert_eq!(revocations.counts().sessions, all.len());
        let held = |n| revocations.sessions.contains(session_key(session(n)));
        assert!((0..10_000).all(held) && !(10_000..20_000).any(held));
    }

    #[test]
    fn what_ended_goes_and_what_has_no_end_stays() {
        let revocations = Revocations::default();
        let all: Vec<_> = (0..100_000_u64)
            .map(|n| record(RevokedSubject::Token(token(n)), (n % 5 > 0).then(|| at(i64::try_from(n % 5).unwrap()))))
            .collect();
        revocations.apply(&all);
        assert_eq!(revocations.counts().tokens, 100_000);
        for (now, left) in [(0, 100_000), (1, 100_000), (3, 60_000), (5, 20_000), (1_000_000_000, 20_000)] {
            revocations.prune(after(at(now)));
            assert_eq!(revocations.counts().tokens, left, "{now}");
        }
        assert!((0..100_000).all(|n| holds(&revocations, token(n)) == (n % 5 == 0)));
        revocations.apply(&all[1..2]);
        assert!(holds(&revocations, token(1)), "it may come again");
    }

    /// While one thread revokes, lets tables grow and forgets what is past, others ask for what was
    /// revoked before: none of it may be missed, in no moment.
    #[test]
    fn nobody_misses_what_is_in_force_while_tables_are_made_anew() {
        const TOKENS: usize = 120_000;
        const PAGE: usize = 4_000;
        let revocations = Revocations::default();
        let ids: Vec<_> = (0..TOKENS as u64).map(token).collect();
        // How many of `ids` are in force. Every third of them ends before the next one comes.
        let applied = AtomicUsize::new(0);
        let lasts = |n: usize| !n.is_multiple_of(3);
        scope(|scope| {
            for reader in 1..=2 {
                let (revocations, ids, applied) = (&revocations, &ids, &applied);
                scope.spawn(move || {
                    let mut n = reader;
                    while applied.load(Ordering::Acquire) < TOKENS {
                        let applied = applied.load(Ordering::Acquire);
                        if applied == 0 {
                            yield_now();
                            continue;
                        }
                        n = (n * 31 + 7) % applied;
                        assert!(!lasts(n) || holds(revocations, ids[n]), "{n} of {applied} was missed");
                    }
                });
            }
            for (page, chunk) in ids.chunks(PAGE).enumerate() {
                let now = i64::try_from(page).unwrap();
                let end = |n: usize| if lasts(n) { n.is_multiple_of(2).then(|| at(1_000)) } else { Some(at(now)) };
                let page: Vec<_> = chunk
                    .iter()
                    .enumerate()
                    .map(|(n, id)| record(RevokedSubject::Token(*id), end(page * PAGE + n)))
                    .collect();
                revocations.apply(&page);
                applied.fetch_add(page.len(), Ordering::Release);
                revocations.prune(after(at(now + 1)));
            }
        });
        assert_eq!(revocations.counts().tokens, (0..TOKENS).filter(|n| lasts(*n)).count());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Apply(Vec<(u8, Option<i64>)>),
        Prune(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let expiry = prop_oneof![1 => Just(None), 6 => (0..400 * HOUR).prop_map(Some)];
        let step = prop_oneof![
            4 => prop::collection::vec((any::<u8>(), expiry), 1..60).prop_map(Step::Apply),
            1 => (0..400 * HOUR).prop_map(Step::Prune),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        /// Against a map that keeps each token's latest expiry: what did not end is held, what ended
        /// longer ago than a bucket is wide is not, and what never came never is.
        #[test]
        fn it_holds_what_a_map_would(steps in steps()) {
            let revocations = Revocations::default();
            let mut model: HashMap<u8, Option<Timestamp>> = HashMap::new();
            for step in steps {
                match step {
                    Step::Apply(entries) => {
                        let entries: Vec<_> =
                            entries.into_iter().map(|(n, end)| (n, end.map(Timestamp::from_secs))).collect();
                        let records: Vec<_> =
                            entries.iter().map(|(n, end)| record(RevokedSubject::Token(token(u64::from(*n))), *end)).collect();
                        revocations.apply(&records);
                        for (n, end) in entries {
                            let held = model.entry(n).or_insert(end);
                            *held = held.zip(end).map(|(held, end)| held.max(end));
                        }
                    }
                    Step::Prune(secs) => {
                        let now = Timestamp::from_secs(secs);
                        revocations.prune(after(now));
                        // Both a day and an hour are whole hours, so buckets end with the hour or the day.
                        model.retain(|n, end| {
                            let held = holds(&revocations, token(u64::from(*n)));
                            let ended = |end: Timestamp| end < now;
                            assert!(held || end.is_some_and(ended), "{n} was forgotten before {end:?}");
                            held
                        });
                    }
                }
                for n in 0..=u8::MAX {
                    prop_assert_eq!(holds(&revocations, token(u64::from(n))), model.contains_key(&n));
                }
                prop_assert_eq!(revocations.counts().tokens, model.len());
            }
            // In the end no more than a bucket's width is left.
            revocations.prune(after(Timestamp::from_secs(800 * HOUR + 24 * HOUR * 31)));
            model.retain(|_, end| end.is_none());
            prop_assert_eq!(revocations.counts().tokens, model.len());
        }
    }
}
