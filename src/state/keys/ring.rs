//! All keys of one moment, by id: what the request path reads.

use std::{collections::HashMap, sync::Arc};

use super::key::{Key, KeyState};
use crate::domain::{KeyId, RealmName};

/// An immutable set of keys. A change makes a new one.
#[derive(Debug, Default)]
pub struct Keyring {
    by_id: HashMap<KeyId, Arc<Key>>,
    active: HashMap<RealmName, Arc<Key>>,
}

impl Keyring {
    /// A ring of these keys. Where two active keys of a realm are given (it does not happen: the
    /// store forbids it), the first signs.
    pub fn new(keys: impl IntoIterator<Item = Arc<Key>>) -> Self {
        let mut ring = Self::default();
        for key in keys {
            if key.state == KeyState::Active {
                ring.active.entry(key.realm.clone()).or_insert_with(|| Arc::clone(&key));
            }
            ring.by_id.insert(key.id.clone(), key);
        }
        ring
    }

    /// The key called `id`, whatever its state.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Key>> {
        self.by_id.get(id)
    }

    /// The key that signs `realm`'s new tokens.
    #[must_use]
    pub fn active(&self, realm: &RealmName) -> Option<&Arc<Key>> {
        self.active.get(realm)
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.by_id.values()
    }
}
