//! All keys of one moment, by id: what the request path reads.

use std::{collections::HashMap, sync::Arc};

use super::key::{Key, KeyState};
use crate::domain::{KeyId, RealmName};

/// Imported keys whose tokens name none, at most: each of such tokens may have to be tried with all of them.
pub const UNNAMED_KEYS_MAX: usize = 4;

/// An immutable set of keys: our own, and those of foreign issuers. A change makes a new one.
#[derive(Debug, Default)]
pub struct Keyring {
    own: Vec<Arc<Key>>,
    foreign: HashMap<RealmName, Vec<Arc<Key>>>,
    by_id: HashMap<KeyId, Vec<Arc<Key>>>,
    unnamed: Vec<Arc<Key>>,
    active: HashMap<RealmName, Arc<Key>>,
}

impl Keyring {
    /// A ring of keys of our own. Where two active keys of a realm are given (it does not happen: the
    /// store forbids it), the first signs.
    pub fn new(own: impl IntoIterator<Item = Arc<Key>>) -> Self {
        Self::of(own.into_iter().collect(), HashMap::new())
    }

    /// The same ring with these keys of our own.
    #[must_use]
    pub fn with_own(&self, own: &Self) -> Self {
        Self::of(own.own.clone(), self.foreign.clone())
    }

    /// The same ring with these keys of a foreign issuer, instead of those it had.
    #[must_use]
    pub fn with_foreign(&self, issuer: &RealmName, keys: Vec<Arc<Key>>) -> Self {
        let mut foreign = self.foreign.clone();
        foreign.insert(issuer.clone(), keys);
        Self::of(self.own.clone(), foreign)
    }

    fn of(own: Vec<Arc<Key>>, foreign: HashMap<RealmName, Vec<Arc<Key>>>) -> Self {
        let mut ring = Self::default();
        for key in &own {
            if key.state == KeyState::Active {
                ring.active.entry(key.realm.clone()).or_insert_with(|| Arc::clone(key));
            }
            // Internal tokens are for upstreams: at the front their keys are not known.
            if !key.realm.is_internal() {
                let unnamed = key.profile.as_ref().is_some_and(|profile| profile.unnamed);
                if unnamed && key.state.verifies() && ring.unnamed.len() < UNNAMED_KEYS_MAX {
                    ring.unnamed.push(Arc::clone(key));
                }
                ring.by_id.entry(key.id.clone()).or_default().push(Arc::clone(key));
            }
        }
        for key in foreign.values().flatten() {
            ring.by_id.entry(key.id.clone()).or_default().push(Arc::clone(key));
        }
        Self { own, foreign, ..ring }
    }

    /// The keys called `id`, whatever their state: one of ours at most, and those of foreign issuers that happen to
    /// have given it the same name.
    #[must_use]
    pub fn named(&self, id: &str) -> &[Arc<Key>] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    /// The key of our own called `id`, whatever its state.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Key>> {
        self.own.iter().find(|key| key.id.as_str() == id)
    }

    /// What has become of `key`: the same key as it is now.
    #[must_use]
    pub fn present(&self, key: &Key) -> Option<&Arc<Key>> {
        self.named(key.id.as_str()).iter().find(|present| present.is(key))
    }

    /// The imported keys whose tokens carry no `kid`, but for those that were revoked.
    #[must_use]
    pub fn unnamed(&self) -> &[Arc<Key>] {
        &self.unnamed
    }

    /// The key that signs `realm`'s new tokens.
    #[must_use]
    pub fn active(&self, realm: &RealmName) -> Option<&Arc<Key>> {
        self.active.get(realm)
    }

    /// All keys of our own.
    pub fn own(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.own.iter()
    }

    /// The keys of a foreign issuer.
    #[must_use]
    pub fn foreign(&self, issuer: &RealmName) -> &[Arc<Key>] {
        self.foreign.get(issuer).map_or(&[], Vec::as_slice)
    }
}
