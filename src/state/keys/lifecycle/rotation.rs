//! A key's way through its life: next → active → retiring → retired, or revoked. Every step names what it
//! found before and is done only where that still stands (compare and set), under the store's write lock:
//! of several gateways and commands that do the same at once, one does it.

use serde_json::json;
use zeroize::Zeroizing;

use super::ending::{discard, revoke_in};
use crate::{
    domain::{Algorithm, KeyId, RealmName, Timestamp, TrustedNow},
    state::{
        keys::{
            KeyState, MasterKey, Vault, VaultError,
            vault::{context, generate},
        },
        store::{Action, Entry, StoreError, Transaction, query},
    },
};

/// Attempts to revoke a key that changes its state meanwhile.
const REVOKE_ATTEMPTS_MAX: u32 = 4;

/// What becomes of a key that stops signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldKeyPlan {
    /// Its tokens stay good.
    Retiring {
        /// When the last of them has ended; `None` is never by itself, as it is for every imported key.
        retires_at: Option<Timestamp>,
    },
    /// Its tokens are refused.
    Revoked,
}

impl Vault {
    /// Lets another key sign for `realm` than `seen`, which signs now: the next key where there is one of this
    /// algorithm, else a new one. `None`, and nothing done, when another key signs by now.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn replace(
        &self,
        realm: &RealmName,
        algorithm: Algorithm,
        seen: Option<&KeyId>,
        old_key_plan: OldKeyPlan,
        now: Timestamp,
    ) -> Result<Option<KeyId>, VaultError> {
        let successor = self.successor(realm, algorithm).await?;
        self.put_in_place(realm, algorithm, seen, successor, old_key_plan, now).await
    }

    /// What is to sign next. New material takes its time, so this comes before the write lock.
    pub(in crate::state::keys) async fn successor(
        &self,
        realm: &RealmName,
        algorithm: Algorithm,
    ) -> Result<Successor, VaultError> {
        let records = self.records().await?;
        let next = records.into_iter().find(|record| record.realm == *realm && record.state == KeyState::Next);
        Ok(match next {
            Some(next) if next.algorithm == algorithm => Successor::Next(next.id),
            unfit => Successor::New { material: generate(algorithm).await?, unfit: unfit.map(|unfit| unfit.id) },
        })
    }

    /// Lets `successor` sign. `None`, and nothing done, when another key signs by now than `seen`, or another is next
    /// than the one that was looked at.
    pub(in crate::state::keys) async fn put_in_place(
        &self,
        realm: &RealmName,
        algorithm: Algorithm,
        seen: Option<&KeyId>,
        successor: Successor,
        old_key_plan: OldKeyPlan,
        now: Timestamp,
    ) -> Result<Option<KeyId>, VaultError> {
        let (mut transaction, master) = self.begin().await?;
        let next = id_in(&mut transaction, realm, KeyState::Next).await?;
        if id_in(&mut transaction, realm, KeyState::Active).await?.as_ref() != seen || next.as_ref() != successor.next()
        {
            transaction.rollback().await?;
            return Ok(None);
        }
        dismiss(&mut transaction, &master, seen, old_key_plan, now).await?;
        let id = match successor {
            Successor::Next(next) => {
                activate(&mut transaction, &next, now).await?;
                next
            }
            Successor::New { material, unfit } => {
                if let Some(unfit) = &unfit {
                    discard(&mut transaction, &master, unfit, KeyState::Next, now).await?;
                }
                let made = Made { realm, algorithm, material: &material, state: KeyState::Active, asked: false };
                insert(&mut transaction, &master, &made, now).await?
            }
        };
        transaction.commit_all(signing(realm, &id, seen, old_key_plan)).await?;
        self.clear_traces().await;
        Ok(Some(id))
    }

    /// Makes the realm's next key, which is published and signs nothing yet; one of another algorithm is
    /// discarded for it. `None`, and nothing done, when there is one, or another key signs by now than `seen`.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn prepare(
        &self,
        realm: &RealmName,
        algorithm: Algorithm,
        seen: Option<&KeyId>,
        asked: bool,
        now: Timestamp,
    ) -> Result<Option<KeyId>, VaultError> {
        let material = generate(algorithm).await?;
        let (mut transaction, master) = self.begin().await?;
        if id_in(&mut transaction, realm, KeyState::Active).await?.as_ref() != seen {
            transaction.rollback().await?;
            return Ok(None);
        }
        let unfit = query("SELECT id FROM keys WHERE realm = $1 AND state = 'next' AND algorithm <> $2");
        let unfit: Option<String> = unfit.bind(realm.as_str()).bind(algorithm.name()).value(&mut transaction).await?;
        if let Some(unfit) = unfit {
            discard(&mut transaction, &master, &KeyId::from_text(&unfit), KeyState::Next, now).await?;
        } else if id_in(&mut transaction, realm, KeyState::Next).await?.is_some() {
            transaction.rollback().await?;
            return Ok(None);
        }
        let made = Made { realm, algorithm, material: &material, state: KeyState::Next, asked };
        let id = insert(&mut transaction, &master, &made, now).await?;
        let entry = Entry::key(Action::KeyPrepare, &id).in_realm(realm).to(json!({ "algorithm": algorithm.name() }));
        transaction.commit(entry).await?;
        self.clear_traces().await;
        Ok(Some(id))
    }

    /// Has the next key `id` sign as soon as it was published long enough, whatever the schedule says.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn ask(&self, id: &KeyId) -> Result<(), VaultError> {
        let statement = "UPDATE keys SET asked = TRUE WHERE id = $1 AND state = 'next' AND asked = FALSE";
        self.change(query(statement).bind(id.as_str()), Entry::key(Action::KeyAsk, id)).await?;
        Ok(())
    }

    /// Lets the next key `next` sign instead of `seen`. False, and nothing done, when either is another by now.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn promote(
        &self,
        realm: &RealmName,
        next: &KeyId,
        seen: Option<&KeyId>,
        old_key_plan: OldKeyPlan,
        now: TrustedNow,
    ) -> Result<bool, VaultError> {
        let now = now.civil();
        let (mut transaction, master) = self.begin().await?;
        if id_in(&mut transaction, realm, KeyState::Active).await?.as_ref() != seen
            || id_in(&mut transaction, realm, KeyState::Next).await?.as_ref() != Some(next)
        {
            transaction.rollback().await?;
            return Ok(false);
        }
        dismiss(&mut transaction, &master, seen, old_key_plan, now).await?;
        activate(&mut transaction, next, now).await?;
        transaction.commit_all(signing(realm, next, seen, old_key_plan)).await?;
        Ok(true)
    }

    /// Puts right what a clock that was ahead wrote down: no key was made, or began to sign, after `now`. Answers how
    /// many it was.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn put_dates_right(&self, now: TrustedNow) -> Result<u64, VaultError> {
        let statement = "\
            UPDATE keys SET created_at = CASE WHEN created_at > $1 THEN $1 ELSE created_at END, \
                            activated_at = CASE WHEN activated_at > $1 THEN $1 ELSE activated_at END \
            WHERE created_at > $1 OR activated_at > $1";
        let now = now.civil().as_millis();
        let entry = Entry::of(Action::KeyDates).to(json!({ "latest": now }));
        Ok(self.change(query(statement).bind(now), entry).await?)
    }

    /// Revokes a key: its tokens are refused, and its material is wiped. So are those of every other key of the same
    /// material, since its holders can sign for them too; answers which. `None` when there is no such key; one that
    /// was revoked already stays as it is.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn revoke(&self, id: &KeyId, now: Timestamp) -> Result<Option<Vec<KeyId>>, VaultError> {
        if !self.revoke_one(id, now).await? {
            return Ok(None);
        }
        // None comes in after that: a revoked key is not imported again.
        let others = self.others_of(id).await?;
        for other in &others {
            self.revoke_one(other, now).await?;
        }
        Ok(Some(others))
    }

    /// Revokes one key. A signing key is replaced in the same transaction. False when there is no such key.
    async fn revoke_one(&self, id: &KeyId, now: Timestamp) -> Result<bool, VaultError> {
        let mut attempts = 0;
        loop {
            let records = self.records().await?;
            let Some(key) = records.iter().find(|key| key.id == *id) else { return Ok(false) };
            let revoked = match key.state {
                KeyState::Revoked => true,
                KeyState::Active => {
                    self.replace(&key.realm, key.algorithm, Some(id), OldKeyPlan::Revoked, now).await?.is_some()
                }
                // A retired key may be restored, or imported again: a revoked one never.
                KeyState::Next | KeyState::Retiring | KeyState::Retired => {
                    let (mut transaction, master) = self.begin().await?;
                    let revoked = revoke_in(&mut transaction, &master, id, key.state, now).await?;
                    if revoked {
                        let entry = Entry::key(Action::KeyRevoke, id).in_realm(&key.realm);
                        transaction.commit(entry.from(json!({ "state": key.state.name() }))).await?;
                        self.clear_traces().await;
                    } else {
                        transaction.rollback().await?;
                    }
                    revoked
                }
            };
            attempts += 1;
            if revoked {
                return Ok(true);
            }
            if attempts == REVOKE_ATTEMPTS_MAX {
                return Err(StoreError::Conflict.into());
            }
        }
    }
}

/// What the audit log has of a key that signs from now on: which one did before, and what becomes of that.
fn signing(realm: &RealmName, id: &KeyId, before: Option<&KeyId>, old_key_plan: OldKeyPlan) -> Vec<Entry> {
    let signs = Entry::key(Action::KeySign, id).in_realm(realm).to(json!({ "signs": id.as_str() }));
    let Some(before) = before else { return vec![signs] };
    let mut entries = vec![signs.from(json!({ "signs": before.as_str() }))];
    if old_key_plan == OldKeyPlan::Revoked {
        let active = json!({ "state": KeyState::Active.name() });
        entries.push(Entry::key(Action::KeyRevoke, before).in_realm(realm).from(active));
    }
    entries
}

/// What takes a signing key's place, as it was looked at before the write lock.
pub(in crate::state::keys) enum Successor {
    /// The next key.
    Next(KeyId),
    /// A new one. The next key, if there is one, is of another algorithm, and is discarded.
    New {
        /// What it is made of.
        material: Zeroizing<Vec<u8>>,
        /// The next key.
        unfit: Option<KeyId>,
    },
}

impl Successor {
    /// The next key that was seen.
    const fn next(&self) -> Option<&KeyId> {
        match self {
            Self::Next(next) => Some(next),
            Self::New { unfit, .. } => unfit.as_ref(),
        }
    }
}

/// The key of a realm that is in this state, of which there is one at most.
pub(super) async fn id_in(
    transaction: &mut Transaction,
    realm: &RealmName,
    state: KeyState,
) -> Result<Option<KeyId>, VaultError> {
    let statement = query("SELECT id FROM keys WHERE realm = $1 AND state = $2");
    let id: Option<String> = statement.bind(realm.as_str()).bind(state.name()).value(&mut *transaction).await?;
    Ok(id.as_deref().map(KeyId::from_text))
}

/// The signing key `active`, if there is one, signs no more.
pub(super) async fn dismiss(
    transaction: &mut Transaction,
    master: &MasterKey,
    active: Option<&KeyId>,
    old_key_plan: OldKeyPlan,
    now: Timestamp,
) -> Result<(), VaultError> {
    let Some(active) = active else { return Ok(()) };
    match old_key_plan {
        OldKeyPlan::Retiring { retires_at } => {
            // What an imported key signed before it came here nobody knows: it never retires by itself.
            let statement = "UPDATE keys SET state = 'retiring', retiring_since = $1, \
                             retires_at = CASE WHEN imported THEN NULL ELSE $2 END \
                             WHERE id = $3 AND state = 'active'";
            let statement = query(statement).bind(now.as_millis()).bind(retires_at.map(Timestamp::as_millis));
            statement.bind(active.as_str()).execute(&mut *transaction).await?;
        }
        OldKeyPlan::Revoked => {
            revoke_in(transaction, master, active, KeyState::Active, now).await?;
        }
    }
    Ok(())
}

async fn activate(transaction: &mut Transaction, id: &KeyId, now: Timestamp) -> Result<(), VaultError> {
    let statement = query("UPDATE keys SET state = 'active', asked = FALSE, activated_at = $1 WHERE id = $2");
    statement.bind(now.as_millis()).bind(id.as_str()).execute(&mut *transaction).await?;
    Ok(())
}

/// A key that was made here.
struct Made<'a> {
    realm: &'a RealmName,
    algorithm: Algorithm,
    material: &'a [u8],
    state: KeyState,
    asked: bool,
}

async fn insert(
    transaction: &mut Transaction,
    master: &MasterKey,
    made: &Made<'_>,
    now: Timestamp,
) -> Result<KeyId, VaultError> {
    let id = KeyId::generate();
    let statement = "INSERT INTO keys (id, realm, algorithm, state, sealed, asked, created_at, activated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let now = now.as_millis();
    query(statement)
        .bind(id.as_str())
        .bind(made.realm.as_str())
        .bind(made.algorithm.name())
        .bind(made.state.name())
        .bind(master.seal(&context(&id), made.material))
        .bind(made.asked)
        .bind(now)
        .bind((made.state == KeyState::Active).then_some(now))
        .execute(&mut *transaction)
        .await?;
    Ok(id)
}
