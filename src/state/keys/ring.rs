//! All keys of one moment, by id: what the request path reads.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Key, KeyState};
use crate::domain::{KeyId, RealmName};

/// Imported keys whose tokens name none, at most: each of such tokens may have to be tried with all of them.
pub const UNNAMED_KEYS_MAX: usize = 4;

/// An immutable set of keys: our own, and those of external issuers. A change makes a new one.
#[derive(Debug, Default)]
pub struct Keyring {
    own: Vec<Arc<Key>>,
    external: HashMap<RealmName, Vec<Arc<Key>>>,
    by_id: HashMap<KeyId, Vec<Arc<Key>>>,
    /// Our own keys by the text of the header that their tokens have.
    by_header: HashMap<Box<str>, (Arc<Key>, OwnHeader)>,
    unnamed: Vec<Arc<Key>>,
    active: HashMap<RealmName, Arc<Key>>,
}

/// The two headers that Portero writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnHeader {
    /// `typ: JWT`, of the five contracts.
    Jwt,
    /// `typ: at+jwt` (RFC 9068 section 2.1).
    AccessToken,
}

impl OwnHeader {
    /// Its `typ`.
    #[must_use]
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::AccessToken => "at+jwt",
        }
    }
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
        Self::of(own.own.clone(), self.external.clone())
    }

    /// This ring of our own keys with what the store may have lost since `present` was read: it may have another
    /// history by now. Keys that verify and that it does not know at all stay, since their tokens in the field are
    /// good; of two that sign for a realm, the store's does. A key that was revoked stays revoked.
    #[must_use]
    pub fn with_lost(&self, present: &Self, is_known: impl Fn(&KeyId) -> bool) -> Self {
        let revoked: HashMap<_, _> =
            present.own.iter().filter(|key| key.state == KeyState::Revoked).map(|key| (&key.id, key)).collect();
        let own = self.own.iter().map(|key| revoked.get(&key.id).copied().unwrap_or(key));
        let lost = present.own.iter().filter(|key| key.state.verifies() && !is_known(&key.id));
        Self::new(own.chain(lost).cloned())
    }

    /// This ring without those imported keys whose realm's accounts are not known yet. Where such a key is to sign, the
    /// one that signs in `present` goes on, unless its tokens are refused by now.
    #[must_use]
    pub fn without_unready(&self, present: &Self, is_known: impl Fn(&RealmName) -> bool) -> Self {
        let waits = |key: &Key| key.imported.is_some() && key.state.verifies() && !is_known(&key.realm);
        let verifies = |key: &&Arc<Key>| self.get(key.id.as_str()).is_some_and(|now| now.state.verifies());
        let own = self.own.iter().filter_map(|key| {
            let signs_on = present.active(&key.realm).filter(verifies);
            if waits(key) {
                let is_needed = key.state == KeyState::Active && signs_on.is_none_or(|signing| signing.id == key.id);
                return is_needed.then(|| Arc::clone(key));
            }
            let successor_waits = self.active(&key.realm).is_some_and(|active| waits(active));
            Some(Arc::clone(signs_on.filter(|signing| successor_waits && signing.id == key.id).unwrap_or(key)))
        });
        Self::new(own)
    }

    /// The same ring with these keys of an external issuer, instead of those it had.
    #[must_use]
    pub fn with_external(&self, issuer: &RealmName, keys: Vec<Arc<Key>>) -> Self {
        let mut external = self.external.clone();
        external.insert(issuer.clone(), keys);
        Self::of(self.own.clone(), external)
    }

    /// The same ring without the keys of other external issuers than these.
    #[must_use]
    pub fn with_external_only(&self, issuers: &[&RealmName]) -> Self {
        let mut external = self.external.clone();
        external.retain(|name, _| issuers.contains(&name));
        Self::of(self.own.clone(), external)
    }

    fn of(own: Vec<Arc<Key>>, external: HashMap<RealmName, Vec<Arc<Key>>>) -> Self {
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
                for header in [OwnHeader::Jwt, OwnHeader::AccessToken] {
                    if let Some(text) = key.header_text(header.typ()) {
                        ring.by_header.insert(text.into(), (Arc::clone(key), header));
                    }
                }
            }
        }
        // A name that an external issuer gave too says nothing by itself.
        let external_ids: HashSet<_> = external.values().flatten().map(|key| &key.id).collect();
        ring.by_header.retain(|_, (key, _)| !external_ids.contains(&key.id));
        for key in external.values().flatten() {
            ring.by_id.entry(key.id.clone()).or_default().push(Arc::clone(key));
        }
        Self { own, external, ..ring }
    }

    /// The keys called `id`, whatever their state: one of ours at most, and those of external issuers that happen to
    /// have given it the same name.
    #[must_use]
    pub fn named(&self, id: &str) -> &[Arc<Key>] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    /// The key of our own that signs tokens with exactly this header, as it stands in them.
    #[must_use]
    pub fn by_header(&self, header: &str) -> Option<(&Arc<Key>, OwnHeader)> {
        self.by_header.get(header).map(|(key, header)| (key, *header))
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

    /// Whether `key` is an external issuer's. One of our own stays ours, even where an issuer has its realm's name by
    /// now.
    #[must_use]
    pub fn is_external(&self, key: &Arc<Key>) -> bool {
        self.external(&key.realm).iter().any(|external| Arc::ptr_eq(external, key))
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

    /// The keys of an external issuer.
    #[must_use]
    pub fn external(&self, issuer: &RealmName) -> &[Arc<Key>] {
        self.external.get(issuer).map_or(&[], Vec::as_slice)
    }
}
