//! Rotating, retiring, restoring, importing and revoking keys.

use std::sync::Arc;

use super::service::{AdminError, AdminService, not_found};
use crate::{
    decision::schedule::{OwnKeys, Owner, RETIRING_KEYS_MAX, ScheduleSettings, spelt},
    domain::{KeyId, Suspended, Timestamp, TrustedNow},
    state::{
        account,
        keys::{Import, ImportError, Key, KeyRecord, KeyState, OldKeyPlan, Restored, RetiredAtOnce},
    },
};

/// What a rotation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// This key signs now.
    Signs {
        /// It.
        id: KeyId,
        /// The one that signed before, and when it retires; `None` in it is never by itself.
        before: Option<(KeyId, Option<Timestamp>)>,
    },
    /// This key is published, and signs as soon as a running gateway sees that this time has come.
    Waits {
        /// It.
        id: KeyId,
        /// From when it may sign.
        from: Timestamp,
    },
    /// Another process rotated at the same moment.
    Overtaken,
}

impl AdminService {
    /// Every key that the store knows, the oldest first.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when it has a key that only a newer version knows.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, AdminError> {
        Ok(self.vault.records().await?)
    }

    /// Lets another key sign: the next one if it was published long enough; otherwise one is published, and signs
    /// when it was. With `at_once` nobody waits.
    ///
    /// # Errors
    /// [`AdminError::Refused`] where, without `at_once`, an imported key has to sign on, the realm has as many retiring
    /// keys as it may, or the clock is in doubt. Fails when the store is out of reach or damaged, or when a key in it
    /// does not open under the master key.
    pub async fn rotate_key(
        &self,
        owner: &Owner,
        settings: &ScheduleSettings,
        at_once: bool,
    ) -> Result<Rotated, AdminError> {
        let (now, trusted) = (self.clock.now(), self.trusted.now());
        let records = self.vault.records().await?;
        let owner = &owner.clone().settled(&records);
        let keys = OwnKeys::of(&owner.name, &records);
        let (realm, seen) = (&owner.name, keys.active.map(|key| &key.id));
        if !at_once {
            Self::check_rotation(owner, &keys)?;
        }
        let old_key_plan = OldKeyPlan::Retiring { retires_at: owner.retires_at(&self.store, settings, now).await? };
        let next = keys.next.filter(|next| next.algorithm == owner.algorithm);
        let earliest = trusted.map_or(now, TrustedNow::earliest);
        let ready = next.filter(|next| next.created_at.plus(settings.publish_ahead) <= earliest);
        let rotated = if at_once || seen.is_none() {
            let id = self.vault.replace(realm, owner.algorithm, seen, old_key_plan, now).await?;
            self.signs(id, seen).await?
        } else if let Some(next) = ready {
            let trusted =
                trusted.map_err(|suspended| in_doubt(suspended, "--now lets the next key sign in any case"))?;
            let promoted = self.vault.promote(realm, &next.id, seen, old_key_plan, trusted).await?;
            self.signs(promoted.then(|| next.id.clone()), seen).await?
        } else if let Some(next) = next {
            self.vault.ask(&next.id).await?;
            Rotated::Waits { id: next.id.clone(), from: next.created_at.plus(settings.publish_ahead) }
        } else {
            let id = self.vault.prepare(realm, owner.algorithm, seen, true, now).await?;
            id.map_or(Rotated::Overtaken, |id| Rotated::Waits { id, from: now.plus(settings.publish_ahead) })
        };
        self.put_keys_in_force().await?;
        tracing::info!(%realm, ?rotated, "a key was rotated");
        Ok(rotated)
    }

    /// That `id` signs now, and what became of the key that was `seen` to sign before.
    async fn signs(&self, id: Option<KeyId>, seen: Option<&KeyId>) -> Result<Rotated, AdminError> {
        let Some(id) = id else { return Ok(Rotated::Overtaken) };
        let records = self.vault.records().await?;
        let before = records.into_iter().find(|key| Some(&key.id) == seen);
        Ok(Rotated::Signs { id, before: before.map(|before| (before.id, before.retires_at)) })
    }

    fn check_rotation(owner: &Owner, keys: &OwnKeys<'_>) -> Result<(), AdminError> {
        let realm = &owner.name;
        if let Some(key) = keys.active.filter(|key| key.pinned) {
            return Err(AdminError::Refused(format!(
                "realm '{realm}' signs with the imported key {}, which services behind check its tokens with: they would \
                 refuse those of another key. Once they no longer do: portero key rotate --realm {realm} --now",
                key.id
            )));
        }
        if keys.retiring >= RETIRING_KEYS_MAX {
            return Err(AdminError::Refused(format!(
                "realm '{realm}' has {RETIRING_KEYS_MAX} retiring keys, as many as it may; retire some first: portero key list"
            )));
        }
        Ok(())
    }

    /// Retires a key whose last token has ended; in any case when `force` says so, and then with other keys of the same
    /// material. Discards a next key. Answers what it was, and those others.
    ///
    /// # Errors
    /// [`AdminError::Refused`] for a key that signs or has ended, for one whose tokens are not known to have ended
    /// unless `force` says so, and where another process was quicker. Fails when there is no such key, when the store
    /// is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn retire_key(&self, id: &KeyId, force: bool) -> Result<(KeyRecord, Vec<KeyId>), AdminError> {
        let records = self.vault.records().await?;
        let key = records.into_iter().find(|key| key.id == *id);
        let key = key.ok_or_else(|| not_found("key", id.to_string(), ""))?;
        let refused = |text| Err(AdminError::Refused(text));
        let retired = match key.state {
            // It has signed nothing, or what it signed is to end.
            KeyState::Next => self.vault.retire_at_once(id, key.state, self.clock.now()).await?,
            KeyState::Retiring if force => self.vault.retire_at_once(id, key.state, self.clock.now()).await?,
            KeyState::Active => {
                let (realm, revoke) = (&key.realm, "portero key revoke");
                return refused(format!(
                    "key {id} signs for realm '{realm}'; let another one sign first (portero key rotate --realm {realm}), \
                     or end its tokens now ({revoke} {id})"
                ));
            }
            KeyState::Retiring => match key.retires_at {
                None => return refused(format!("key {id} may have tokens that never end; --force ends them now")),
                Some(at) => {
                    let now = self.trusted.now();
                    let now = now.map_err(|suspended| in_doubt(suspended, "--force retires the key in any case"))?;
                    if now.earliest() < at {
                        return refused(format!("key {id} has tokens until {}; --force ends them now", spelt(at)));
                    }
                    let done = self.vault.retire(id, now).await?;
                    if done { RetiredAtOnce::Done(vec![]) } else { RetiredAtOnce::Overtaken }
                }
            },
            KeyState::Retired | KeyState::Revoked => {
                return refused(format!("key {id} is {} already", key.state.name()));
            }
        };
        let others = match retired {
            RetiredAtOnce::Done(others) => others,
            RetiredAtOnce::Overtaken => {
                return refused(format!("key {id} is no longer {}: another process was quicker", key.state.name()));
            }
            RetiredAtOnce::Signs(other) => {
                let (other, realm) = (other.id, other.realm);
                return refused(format!(
                    "key {other} has the same material, so it takes the tokens of key {id}, and it signs for realm \
                     '{realm}'; let another one sign first (portero key rotate --realm {realm} --now), or end both now \
                     (portero key revoke {id})"
                ));
            }
        };
        self.put_keys_in_force().await?;
        for id in std::iter::once(id).chain(&others) {
            tracing::info!(%id, "a key was retired");
        }
        Ok((key, others))
    }

    /// Brings a key back that retired by schedule: its tokens are taken again, until it is retired by hand.
    ///
    /// # Errors
    /// [`AdminError::Refused`] for a key that did not retire, whose material is wiped, or whose like was revoked. Fails
    /// when there is no such key, when the store is out of reach or damaged, or when a key in it does not open under
    /// the master key.
    pub async fn restore_key(&self, id: &KeyId) -> Result<(), AdminError> {
        match self.vault.restore(id).await? {
            Restored::Done => {}
            Restored::Revoked(revoked) => {
                let why = format!("the same key was revoked as {revoked}; its tokens stay refused");
                return Err(AdminError::Refused(format!("key {id} is not restored: {why}")));
            }
            Restored::NotThere => {
                let records = self.vault.records().await?;
                let key = records.into_iter().find(|key| key.id == *id);
                let key = key.ok_or_else(|| not_found("key", id.to_string(), ""))?;
                let why = if key.state == KeyState::Retired { "and its material is wiped" } else { "and not retired" };
                return Err(AdminError::Refused(format!("key {id} is {}, {why}", key.state.name())));
            }
        }
        self.put_keys_in_force().await?;
        tracing::info!(%id, "a key was restored");
        Ok(())
    }

    /// Revokes a key: all tokens that it signed. A signing key is replaced at once. Answers the other keys of the same
    /// material, which are revoked with it.
    ///
    /// # Errors
    /// Fails when there is no such key, when the store is out of reach or damaged, or when a key in it does not open
    /// under the master key.
    pub async fn revoke_key(&self, id: &KeyId) -> Result<Vec<KeyId>, AdminError> {
        let others = self.vault.revoke(id, self.clock.now()).await?;
        let others = others.ok_or_else(|| not_found("key", id.to_string(), ""))?;
        self.put_keys_in_force().await?;
        for id in std::iter::once(id).chain(&others) {
            tracing::info!(%id, "a key was revoked");
        }
        Ok(others)
    }

    /// The keys that have a public half and tokens that somebody may check.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn public_keys(&self) -> Result<Vec<Arc<Key>>, AdminError> {
        let ring = self.vault.load().await?;
        Ok(ring.own().filter(|key| key.state.verifies() && key.public().is_some()).map(Arc::clone).collect())
    }

    /// Takes over a key from outside.
    ///
    /// # Errors
    /// [`AdminError::Import`] for a key that is of no use: nothing is imported then. Fails when the store is out of
    /// reach or damaged, or when a key in it does not open under the master key.
    pub async fn import_key(&self, import: &Import<'_>) -> Result<(), AdminError> {
        let now = self.clock.now();
        // Before the key is known: a store of an earlier version has these accounts' epochs under their ids only.
        let raised = account::record_names(&self.store, &import.realm, now).await?;
        self.apply_raised(&raised);
        self.vault.import(import, now).await.map_err(|error| match error {
            ImportError::Vault(error) => AdminError::Vault(error),
            refusal => AdminError::Import(refusal),
        })?;
        self.put_keys_in_force().await?;
        tracing::info!(id = %import.id, realm = %import.realm, "a key was imported");
        Ok(())
    }

    /// Has an imported key take tokens of accounts that the store has, and of no others.
    ///
    /// # Errors
    /// Fails when no such imported key is in force, when the store is out of reach or damaged, or when a key in it does
    /// not open under the master key.
    pub async fn restrict_key(&self, id: &KeyId) -> Result<(), AdminError> {
        if !self.vault.restrict(id).await? {
            return Err(not_found("imported key in force", id.to_string(), ""));
        }
        self.put_keys_in_force().await?;
        tracing::info!(%id, "an imported key takes tokens of known accounts only");
        Ok(())
    }

    /// When a key of `owner` that stops signing now retires; `None` is never by itself.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn retirement(
        &self,
        owner: &Owner,
        settings: &ScheduleSettings,
    ) -> Result<Option<Timestamp>, AdminError> {
        Ok(owner.retires_at(&self.store, settings, self.clock.now()).await?)
    }

    /// Seals every key under a new master key: that of `file`, or a new one in the place of the present one.
    /// Answers how many keys there are.
    ///
    /// # Errors
    /// Fails when the store does, when a key does not open under the present master key, or when the file cannot be
    /// read or made.
    pub async fn reseal_keys(&self, file: Option<&std::path::Path>) -> Result<usize, AdminError> {
        let sealed = match file {
            Some(file) => self.vault.reseal_to(file).await?,
            None => self.vault.reseal().await?,
        };
        tracing::info!(keys = sealed, "keys are sealed under a new master key");
        Ok(sealed)
    }

    async fn put_keys_in_force(&self) -> Result<(), AdminError> {
        if let Some(live_state) = &self.live_state {
            live_state.refresh_keys(&self.vault).await?;
        }
        Ok(())
    }
}

/// What does not happen while the clock is in doubt, and what happens in any case.
fn in_doubt(suspended: Suspended, way_out: &str) -> AdminError {
    AdminError::Refused(format!("{suspended}; portero clock confirm says that it is right, or {way_out}"))
}
