//! Replaces a hash that is weaker than today's while the password is at hand: after a login, off its path. It is a
//! courtesy. Where it fails, or there is no place for it, the next login tries again.

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    domain::{PrincipalId, Secret},
    rules::limit::ClientKey,
    state::{
        account::{self, Hasher, PasswordHash, password::needs_rehash},
        store::{Store, StoreError},
        takeover::confirmation,
    },
};

/// Hashes that are being replaced at once, at most; each keeps a password in memory until then.
const UPGRADES_MAX: usize = 64;

/// What replaces them.
pub(super) struct Upgrades {
    store: Store,
    hasher: Arc<Hasher>,
    places: Arc<Semaphore>,
}

impl Upgrades {
    pub(super) fn new(store: Store, hasher: Arc<Hasher>) -> Self {
        Self { store, hasher, places: Arc::new(Semaphore::new(UPGRADES_MAX)) }
    }

    /// Begins to replace a hash of an account by one of today's of `proved`, its password. Nobody waits for it.
    pub(super) fn begin(&self, id: PrincipalId, old: &PasswordHash, proved: Secret, client: ClientKey) {
        if !needs_rehash(old) {
            return;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let (store, hasher) = (self.store.clone(), Arc::clone(&self.hasher));
        let old = old.clone();
        tokio::spawn(async move {
            let _place = place;
            // Without a place in the queue there is another time.
            let Ok(new) = hasher.hash(client, proved, None).await else { return };
            let replaced = async {
                if account::update_hash_if_unchanged(&store, id, &old, &new).await? {
                    confirmation::rehashed(&store, &[(id, old, new)]).await?;
                }
                Ok::<_, StoreError>(())
            };
            if let Err(error) = replaced.await {
                tracing::warn!(%error, "a password could not be hashed anew");
            }
        });
    }
}

impl fmt::Debug for Upgrades {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrades(…)")
    }
}
