//! When keys change their state: pure, from what the store says of them and the time.

use std::{sync::Arc, time::Duration};

use crate::{
    decision::{decide::internal::INTERNAL_LIFETIME, decide::lifetimes},
    domain::{Algorithm, KeyId, RealmName, Timestamp, TrustedNow},
    rules::realm::Realm,
    state::{
        clock,
        keys::{KeyRecord, KeyState, RETIRED_KEPT, SEALED_KEPT},
        store::{Store, StoreError},
    },
};

/// Retiring keys of one realm, at most: with more, its signing key is kept until some have retired.
pub const RETIRING_KEYS_MAX: usize = 256;

/// A gateway that is late to see that a key signs no more may still sign with it for so long.
const FOLLOWING_LATE: Duration = Duration::from_secs(10);

/// `[keys]`: how keys rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// How long a key signs; `None` is until somebody asks for another. Default `None`.
    pub rotate_every: Option<Duration>,
    /// How long a next key is published before it signs; less than `rotate_every`. Default 1 day.
    pub publish_ahead: Duration,
    /// How long a key is kept when its last token has ended. Default 1 hour.
    pub retire_after: Duration,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self { rotate_every: None, publish_ahead: Duration::from_hours(24), retire_after: Duration::from_hours(1) }
    }
}

/// The owner of keys: a realm, or the gateway itself for its internal tokens.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Its name in the store.
    pub name: RealmName,
    /// What its new keys are.
    pub algorithm: Algorithm,
    realm: Option<Arc<Realm>>,
}

impl Owner {
    /// A realm.
    #[must_use]
    pub fn realm(realm: &Arc<Realm>) -> Self {
        Self { name: realm.name.clone(), algorithm: realm.algorithm, realm: Some(Arc::clone(realm)) }
    }

    /// The gateway itself. `EdDSA`: small and quick to sign, and every service that can check a JWKS knows it.
    #[must_use]
    pub fn internal() -> Self {
        Self { name: RealmName::internal(), algorithm: Algorithm::EdDsa, realm: None }
    }

    /// All that have keys under these realms.
    pub fn all<'r>(realms: impl IntoIterator<Item = &'r Arc<Realm>>) -> Vec<Self> {
        realms.into_iter().map(Self::realm).chain([Self::internal()]).collect()
    }

    /// This owner as these keys have it: one that names no algorithm keeps that of its active key.
    #[must_use]
    pub fn settled(self, records: &[KeyRecord]) -> Self {
        let keeps = self.realm.as_ref().is_some_and(|realm| realm.keeps_algorithm);
        let active = OwnKeys::of(&self.name, records).active.filter(|_| keeps);
        Self { algorithm: active.map_or(self.algorithm, |active| active.algorithm), ..self }
    }

    /// When a key that stops signing `now` retires: when the last token that it can have signed has ended, under
    /// any config that a gateway had, and everybody has seen that. `None` where tokens live for ever.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn retires_at(
        &self,
        store: &Store,
        settings: &ScheduleSettings,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (end, leeway) = match &self.realm {
            Some(realm) => (lifetimes::latest_expiry(store, realm, now).await?, realm.leeway),
            None => (Some(clock::latest_seen(store, now).await?.plus(INTERNAL_LIFETIME)), Duration::ZERO),
        };
        Ok(end.map(|end| end.plus(leeway).plus(FOLLOWING_LATE).plus(settings.retire_after)))
    }

    /// What is due for this owner's keys `now`.
    #[must_use]
    pub fn due(&self, records: &[KeyRecord], settings: &ScheduleSettings, now: Timestamp) -> KeyAction {
        let keys = OwnKeys::of(&self.name, records);
        let Some(active) = keys.active else { return KeyAction::Replace { seen: None } };
        let fits = |next: &&KeyRecord| next.algorithm == self.algorithm;
        if active.algorithm != self.algorithm {
            let Some(next) = keys.next.filter(fits) else {
                return KeyAction::Replace { seen: Some(active.id.clone()) };
            };
            return match next.created_at.plus(settings.publish_ahead) {
                ready if ready <= now => KeyAction::Promote { next: next.id.clone(), seen: active.id.clone() },
                ready => KeyAction::Later(Some(ready)),
            };
        }
        if let Some(next) = keys.next.filter(|next| !fits(next)) {
            return KeyAction::Discard { next: next.id.clone() };
        }
        if active.pinned {
            return KeyAction::Later(None);
        }
        let began = active.activated_at.unwrap_or(active.created_at);
        let ends = settings.rotate_every.map(|every| began.plus(every));
        if let Some(next) = keys.next {
            let ready = next.created_at.plus(settings.publish_ahead);
            let at = if next.asked { Some(ready) } else { ends.map(|ends| ends.max(ready)) };
            return match at {
                Some(at) if at <= now => KeyAction::Promote { next: next.id.clone(), seen: active.id.clone() },
                at => KeyAction::Later(at),
            };
        }
        if keys.retiring >= RETIRING_KEYS_MAX {
            return KeyAction::TooMany;
        }
        match ends.map(|ends| ends.minus(settings.publish_ahead)) {
            Some(at) if at <= now => KeyAction::Prepare { seen: active.id.clone(), asked: false },
            at => KeyAction::Later(at),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// A key of the config's algorithm is missing. Where none signs it must sign at once; where one of another
    /// algorithm does, it is published first. Only a gateway that takes over a config may do the latter.
    Replace {
        /// The key that signs now.
        seen: Option<KeyId>,
    },
    /// The next key is of another algorithm than the config says: it was made under another config. Only a gateway that
    /// takes over a config may discard it.
    Discard {
        /// It.
        next: KeyId,
    },
    /// A next key is to be published.
    Prepare {
        /// The key that signs now.
        seen: KeyId,
        /// Whether an administrator asked for it.
        asked: bool,
    },
    /// The next key is to sign.
    Promote {
        /// It.
        next: KeyId,
        /// The key that signs now.
        seen: KeyId,
    },
    /// Nothing before this; `None` is nothing at all.
    Later(Option<Timestamp>),
    /// Something, but [`RETIRING_KEYS_MAX`] stand in the way.
    TooMany,
}

/// One owner's keys among all.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnKeys<'r> {
    /// The one that signs.
    pub active: Option<&'r KeyRecord>,
    /// The one that will.
    pub next: Option<&'r KeyRecord>,
    /// How many did.
    pub retiring: usize,
}

impl<'r> OwnKeys<'r> {
    /// Those of `owner`.
    #[must_use]
    pub fn of(owner: &RealmName, records: &'r [KeyRecord]) -> Self {
        let own = |state| records.iter().filter(move |key| key.state == state && key.realm == *owner);
        Self {
            active: own(KeyState::Active).next(),
            next: own(KeyState::Next).next(),
            retiring: own(KeyState::Retiring).count(),
        }
    }
}

/// A point in time as RFC 3339 has it, for people.
pub(in crate::decision) fn spelt(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| at.as_millis().to_string(), |at| at.to_string())
}

/// Whether material is to be wiped, or rows of retired keys are to be forgotten, `now`.
#[must_use]
pub fn has_leftovers(records: &[KeyRecord], now: TrustedNow) -> bool {
    let retired = records.iter().filter(|key| key.state == KeyState::Retired);
    let kept = |key: &KeyRecord| if key.wiped { RETIRED_KEPT } else { SEALED_KEPT };
    retired.filter_map(|key| key.ended_at.map(|at| (at, kept(key)))).any(|(at, kept)| at < now.cutoff(kept))
}

/// When the next key retires by itself.
#[must_use]
pub fn next_retirement(records: &[KeyRecord]) -> Option<Timestamp> {
    records.iter().filter(|key| key.state == KeyState::Retiring).filter_map(|key| key.retires_at).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const SETTINGS: ScheduleSettings = ScheduleSettings {
        rotate_every: Some(Duration::from_hours(240)),
        publish_ahead: DAY,
        retire_after: Duration::ZERO,
    };

    fn key(id: &str, state: KeyState, created_at: Timestamp) -> KeyRecord {
        KeyRecord {
            id: KeyId::from_text(id),
            realm: RealmName::internal(),
            algorithm: Algorithm::EdDsa,
            state,
            verify_only: false,
            imported: false,
            pinned: false,
            wiped: false,
            asked: false,
            unknown_accounts: false,
            profile: None,
            created_at,
            activated_at: (state == KeyState::Active).then_some(created_at),
            retiring_since: None,
            retires_at: None,
            ended_at: None,
        }
    }

    fn at(days: i64) -> Timestamp {
        Timestamp::from_secs(days * 86_400)
    }

    fn due(keys: &[KeyRecord], settings: &ScheduleSettings, now: Timestamp) -> KeyAction {
        Owner::internal().due(keys, settings, now)
    }

    #[test]
    fn a_key_signs_for_its_time_and_the_next_is_published_ahead() {
        let (seen, next) = (KeyId::from_text("a"), KeyId::from_text("b"));
        assert_eq!(due(&[], &SETTINGS, at(0)), KeyAction::Replace { seen: None });
        let mut keys = vec![key("a", KeyState::Active, at(0))];
        assert_eq!(due(&keys, &SETTINGS, at(8)), KeyAction::Later(Some(at(9))));
        assert_eq!(due(&keys, &SETTINGS, at(9)), KeyAction::Prepare { seen: seen.clone(), asked: false });
        keys.push(key("b", KeyState::Next, at(9)));
        assert_eq!(due(&keys, &SETTINGS, at(9)), KeyAction::Later(Some(at(10))));
        assert_eq!(due(&keys, &SETTINGS, at(10)), KeyAction::Promote { next, seen });
        // Nobody was there to publish it in time: it signs later, not unpublished.
        keys[1].created_at = at(50);
        assert_eq!(due(&keys, &SETTINGS, at(50)), KeyAction::Later(Some(at(51))));
    }

    #[test]
    fn without_a_schedule_only_what_was_asked_for_happens() {
        let never = ScheduleSettings { rotate_every: None, ..SETTINGS };
        let mut keys = vec![key("a", KeyState::Active, at(0)), key("b", KeyState::Next, at(1))];
        assert_eq!(due(&keys[..1], &never, at(9_999)), KeyAction::Later(None));
        assert_eq!(due(&keys, &never, at(9_999)), KeyAction::Later(None));
        keys[1].asked = true;
        assert_eq!(due(&keys, &never, at(1)), KeyAction::Later(Some(at(2))));
        assert!(matches!(due(&keys, &never, at(2)), KeyAction::Promote { .. }));
    }

    #[test]
    fn a_pinned_key_stays_and_another_algorithm_does_not() {
        let mut keys = vec![key("a", KeyState::Active, at(0))];
        keys[0].pinned = true;
        assert_eq!(due(&keys, &SETTINGS, at(9_999)), KeyAction::Later(None));
        keys[0].algorithm = Algorithm::Hs256;
        assert_eq!(due(&keys, &SETTINGS, at(0)), KeyAction::Replace { seen: Some(KeyId::from_text("a")) });
        keys[0] = key("a", KeyState::Active, at(0));
        keys.push(KeyRecord { algorithm: Algorithm::Es256, asked: true, ..key("b", KeyState::Next, at(0)) });
        assert_eq!(due(&keys, &SETTINGS, at(0)), KeyAction::Discard { next: KeyId::from_text("b") });
    }

    #[test]
    fn a_key_of_a_changed_algorithm_is_published_before_it_signs() {
        let (seen, next) = (KeyId::from_text("a"), KeyId::from_text("b"));
        let mut keys = vec![KeyRecord { algorithm: Algorithm::Hs256, ..key("a", KeyState::Active, at(0)) }];
        let never = ScheduleSettings { rotate_every: None, ..SETTINGS };
        assert_eq!(due(&keys, &never, at(5)), KeyAction::Replace { seen: Some(seen.clone()) });
        keys.push(key("b", KeyState::Next, at(5)));
        assert_eq!(due(&keys, &never, at(5)), KeyAction::Later(Some(at(6))));
        assert_eq!(due(&keys, &never, at(6)), KeyAction::Promote { next, seen });
    }

    #[test]
    fn too_many_retiring_keys_stop_the_schedule() {
        let mut keys = vec![key("a", KeyState::Active, at(0))];
        keys.extend((1..RETIRING_KEYS_MAX).map(|n| key(&n.to_string(), KeyState::Retiring, at(0))));
        assert!(matches!(due(&keys, &SETTINGS, at(9)), KeyAction::Prepare { .. }));
        keys.push(key("last", KeyState::Retiring, at(0)));
        assert_eq!(due(&keys, &SETTINGS, at(9)), KeyAction::TooMany);
    }
}
