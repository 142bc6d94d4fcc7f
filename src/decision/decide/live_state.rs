//! The live state beside the present snapshot: verified tokens, revocations, accounts. And one request's view of both.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use http::HeaderName;
use tokio::time::timeout;

use super::{
    following::{Following, Waited},
    freshness::{Freshness, StaleAction},
    snapshot::{Route, Snapshot},
};
use crate::{
    decision::verifier::Takeovers,
    domain::RealmName,
    per_thread::Spread,
    state::{
        account::KnownAccounts,
        admin_token::KnownAdminTokens,
        keys::{Key, KeyRecord, Keyring, Vault, VaultError},
        limit::{BadTokenLimiter, BadTokenSettings},
        revocation::Revocations,
        store::StoreError,
        token::{CacheSettings, VerifiedTokens},
    },
};

/// How long a reading of keys waits for another one to end: it may hang, and revocations wait behind.
const REFRESH_WAIT_MAX: Duration = Duration::from_secs(5);

/// What decisions are made of: the present snapshot, verified tokens and revocations.
#[derive(Debug)]
pub struct LiveState {
    snapshot: ArcSwap<Snapshot>,
    /// Held while the next snapshot is made from the present one.
    publishing: Mutex<()>,
    /// Held while keys are read from the vault to be published, so that later keys never give way
    /// to earlier ones.
    refreshing: tokio::sync::Mutex<()>,
    verified: VerifiedTokens,
    revocations: Revocations,
    accounts: KnownAccounts,
    following: Following,
    freshness: Freshness,
    bad_tokens: BadTokenLimiter,
    admin_tokens: KnownAdminTokens,
    takeovers: Arc<Takeovers>,
}

impl LiveState {
    /// A live state with nothing remembered yet.
    #[must_use]
    pub fn new(snapshot: Snapshot, cache: CacheSettings, bad_tokens: BadTokenSettings) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            publishing: Mutex::new(()),
            refreshing: tokio::sync::Mutex::new(()),
            verified: VerifiedTokens::new(cache),
            revocations: Revocations::default(),
            accounts: KnownAccounts::default(),
            following: Following::default(),
            freshness: Freshness::default(),
            bad_tokens: BadTokenLimiter::new(bad_tokens),
            admin_tokens: KnownAdminTokens::default(),
            takeovers: Arc::default(),
        }
    }

    /// The tokens that may use the admin API, beside the token in the file.
    #[must_use]
    pub const fn admin_tokens(&self) -> &KnownAdminTokens {
        &self.admin_tokens
    }

    /// The same, for a store that is not heard of by itself.
    #[must_use]
    pub fn with_freshness(self, freshness: Freshness) -> Self {
        Self { freshness, ..self }
    }

    /// Whether checked requests of any route go on when the shared store was not heard of for too long.
    #[must_use]
    pub fn serves_stale(&self) -> bool {
        let action = self.freshness.action();
        let serves = |route: &Spread<Route>| route.settings.stale.unwrap_or(action) == StaleAction::Serve;
        self.freshness.lifted_for().is_some() || self.snapshot().routes.routes().any(serves)
    }

    /// How old what is known of a shared store is.
    #[must_use]
    pub const fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// What is remembered while accounts are taken over from old systems.
    #[must_use]
    pub const fn takeovers(&self) -> &Arc<Takeovers> {
        &self.takeovers
    }

    /// What one request reads, taken once. The generation is read before the snapshot: see
    /// [`Revocations`].
    #[must_use]
    pub fn view(&self) -> View<'_> {
        let generation = self.revocations.generation();
        View {
            generation,
            snapshot: self.snapshot.load(),
            verified: &self.verified,
            revocations: &self.revocations,
            accounts: &self.accounts,
            bad_tokens: &self.bad_tokens,
            freshness: &self.freshness,
            takeovers: &self.takeovers,
            waited: None,
        }
    }

    /// Swaps the snapshot for one made from it; it holds from the next request on, for tokens
    /// verified before too.
    pub fn publish(&self, next: impl FnOnce(&Snapshot) -> Snapshot) {
        let _publishing = self.publishing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let snapshot = next(&self.snapshot.load());
        self.snapshot.store(Arc::new(snapshot));
        self.revocations.next_generation();
    }

    /// Brings the vault's present keys into force; an imported one when the accounts of its realm are known
    /// ([`load_accounts`](Self::load_accounts)).
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key. The
    /// keys in force stay.
    pub async fn refresh_keys(&self, vault: &Vault) -> Result<(), VaultError> {
        let waiting = timeout(REFRESH_WAIT_MAX, self.refreshing.lock()).await;
        let _refreshing = waiting.map_err(|_| StoreError::unresponsive())?;
        let own = vault.load().await?;
        let imported = own.own().filter(|key| key.imported.is_some() && key.state.verifies());
        self.accounts.want(imported.map(|key| key.realm.clone()).collect());
        let present = self.snapshot();
        let own = if vault.store().is_shared() { with_lost(&own, &present.keys, &vault.records().await?) } else { own };
        let own = own.without_unready(&present.keys, |realm| self.accounts.keeps(realm));
        warn_of_unknown_accounts(&present.keys, &own);
        self.publish(|snapshot| snapshot.with_keys(Arc::new(snapshot.keys.with_own(&own))));
        Ok(())
    }

    /// Brings keys into force that were kept outside of the store, which cannot be asked; an imported one where the
    /// accounts of its realm are known.
    pub fn resume_keys(&self, own: &Keyring) {
        let imported = own.own().filter(|key| key.imported.is_some() && key.state.verifies());
        self.accounts.want(imported.map(|key| key.realm.clone()).collect());
        let present = self.snapshot();
        let own = own.without_unready(&present.keys, |realm| self.accounts.keeps(realm));
        self.publish(|snapshot| snapshot.with_keys(Arc::new(snapshot.keys.with_own(&own))));
    }

    /// Reads the accounts that imported keys wait for, and brings those keys into force. It takes its time: whatever
    /// ends tokens does not wait for it.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key. The
    /// keys that wait go on to wait.
    pub async fn load_accounts(&self, vault: &Vault) -> Result<(), VaultError> {
        while self.accounts.load(vault.store()).await? {
            self.refresh_keys(vault).await?;
        }
        Ok(())
    }

    /// Brings an external issuer's present keys into force.
    pub fn set_external_keys(&self, issuer: &RealmName, keys: Vec<Arc<Key>>) {
        self.publish(|snapshot| snapshot.with_keys(Arc::new(snapshot.keys.with_external(issuer, keys))));
    }

    /// Forgets the keys of external issuers but these.
    pub fn keep_external_keys(&self, issuers: &[&RealmName]) {
        self.publish(|snapshot| snapshot.with_keys(Arc::new(snapshot.keys.with_external_only(issuers))));
    }

    /// The present snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The revocations in force.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// The accounts of realms that have imported keys.
    #[must_use]
    pub const fn accounts(&self) -> &KnownAccounts {
        &self.accounts
    }

    /// How far the store is followed.
    #[must_use]
    pub const fn following(&self) -> &Following {
        &self.following
    }

    /// The tokens that were verified.
    #[must_use]
    pub fn verified(&self) -> &VerifiedTokens {
        &self.verified
    }
}

/// One request's view of the live state.
pub struct View<'g> {
    pub(in crate::decision) generation: u64,
    pub(in crate::decision) snapshot: Guard<Arc<Snapshot>>,
    pub(in crate::decision) verified: &'g VerifiedTokens,
    pub(in crate::decision) revocations: &'g Revocations,
    pub(in crate::decision) accounts: &'g KnownAccounts,
    pub(super) bad_tokens: &'g BadTokenLimiter,
    /// Tokens of old systems, and what is counted of those of imported keys.
    pub(super) takeovers: &'g Takeovers,
    pub(super) freshness: &'g Freshness,
    /// What came of waiting for the store to be followed, where that was asked for.
    pub(in crate::decision) waited: Option<Waited>,
}

impl View<'_> {
    /// Where any server sees field names in the letters in which clients wrote them: the names that are ours to spell
    /// beside the gateway's own.
    #[must_use]
    pub fn respelt_names(&self) -> Option<Arc<[HeaderName]>> {
        self.snapshot.respelt_names.clone()
    }

    /// How long what is known of a shared store has been too old to decide by; `None` while it is not.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        self.freshness.stale_for()
    }

    /// What is to be done then on a route that does not say it.
    #[must_use]
    pub const fn stale_action(&self) -> StaleAction {
        self.freshness.action()
    }

    /// The view of a request that has waited for the store to be followed: it is decided now.
    #[must_use]
    pub fn after(self, waited: Waited) -> Self {
        Self { waited: Some(waited), ..self }
    }

    /// The snapshot that this request sees.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// The store's keys, and those that it does not know any more: a server that was restored, or promoted without its last
/// transactions, has another history, and tokens that were good stay good.
fn with_lost(own: &Keyring, present: &Keyring, known: &[KeyRecord]) -> Keyring {
    let known: HashSet<_> = known.iter().map(|record| &record.id).collect();
    let own = own.with_lost(present, |id| known.contains(id));
    for key in own.own().filter(|key| !known.contains(&key.id)) {
        let hint = "its tokens are still taken here; a gateway that starts anew does not know it";
        tracing::error!(id = %key.id, realm = %key.realm, hint, "the store does not know a key that it had");
    }
    own
}

/// Says which keys let accounts in that the store does not have, and did not before.
fn warn_of_unknown_accounts(before: &Keyring, now: &Keyring) {
    let anybody = |key: &Key| key.state.verifies() && key.imported.as_ref().is_some_and(|key| key.unknown_accounts);
    let is_new = |key: &&Arc<Key>| !before.get(key.id.as_str()).is_some_and(|before| anybody(before));
    for key in now.own().filter(|key| anybody(key)).filter(is_new) {
        let hint = "to take tokens of known accounts only: portero key restrict KID";
        tracing::warn!(id = %key.id, realm = %key.realm, hint, "an imported key takes tokens of unknown accounts");
    }
}
