//! How a key ends. By schedule: only by trusted time, and its sealed material stays for [`SEALED_KEPT`], so that a key
//! that should have lived can be restored. By an administrator's word, revoked or forced: at once, and its material is
//! wiped, whatever the clock says.

use std::time::Duration;

use serde_json::json;

use crate::{
    domain::{KeyId, Timestamp, TrustedNow},
    state::{
        keys::{
            Key, KeyRecord, KeyState, MasterKey, MasterKeyError, Vault, VaultError,
            record::column,
            vault::{context, generate, open, thumbprint_context},
        },
        store::{Action, Change, ChangeTurn, Entry, Store, StoreError, Transaction, query},
    },
};

/// How long the sealed material of a key that retired by schedule stays.
pub const SEALED_KEPT: Duration = Duration::from_hours(7 * 24);

/// Retired keys whose material stayed for long enough.
const RETIRED_LONG_AGO: &str = "SELECT id FROM known_keys WHERE state = 'retired' AND NOT wiped AND ended_at < $1";

/// Keys that an earlier version revoked and kept, whenever: it may run beside this one.
const REVOKED_AND_KEPT: &str = "SELECT id FROM known_keys WHERE state = 'revoked' AND NOT wiped AND ended_at <= $1";

/// How long a retired key is listed. A revoked one is listed for ever: it must never be imported again, and lines of
/// refresh tokens may name it.
pub const RETIRED_KEPT: Duration = Duration::from_hours(90 * 24);

impl Vault {
    /// Retires every key whose last token has ended. Answers which.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn retire_due(&self, now: TrustedNow) -> Result<Vec<KeyId>, VaultError> {
        let statement = "UPDATE keys SET state = 'retired', ended_at = $1 \
                         WHERE state = 'retiring' AND retires_at <= $2 RETURNING id";
        let statement = query(statement).bind(now.civil().as_millis()).bind(now.earliest().as_millis());
        let mut transaction = self.audited_store().begin(ChangeTurn::Keys).await?;
        let retired: Vec<String> = statement.values(&mut transaction).await?;
        let retired: Vec<_> = retired.iter().map(|id| KeyId::from_text(id)).collect();
        if retired.is_empty() {
            transaction.rollback().await?;
        } else {
            transaction.tell(Change::Keys);
            let entries = retired.iter().map(|id| Entry::key(Action::KeyRetire, id));
            transaction.commit_all(entries.collect()).await?;
        }
        Ok(retired)
    }

    /// Retires one key as the schedule would. False, and nothing done, when its last token has not ended.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn retire(&self, id: &KeyId, now: TrustedNow) -> Result<bool, VaultError> {
        let statement = "UPDATE keys SET state = 'retired', ended_at = $1 \
                         WHERE id = $2 AND state = 'retiring' AND retires_at <= $3";
        let statement = query(statement).bind(now.civil().as_millis()).bind(id.as_str());
        let entry = Entry::key(Action::KeyRetire, id);
        Ok(self.change(statement.bind(now.earliest().as_millis()), entry).await? == 1)
    }

    /// Retires one key that was seen in this state, with all tokens that it has, and wipes its material. So are other
    /// keys of the same material: they would go on to take those tokens.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn retire_at_once(
        &self,
        id: &KeyId,
        seen: KeyState,
        now: Timestamp,
    ) -> Result<RetiredAtOnce, VaultError> {
        let (mut transaction, master) = self.begin().await?;
        let mut others = others_in(&mut transaction, &master, id).await?;
        others.retain(|other| other.state.verifies() || other.state == KeyState::Retired && !other.wiped);
        if let Some(signing) = others.iter().position(|other| other.state == KeyState::Active) {
            return Ok(RetiredAtOnce::Signs(Box::new(others.swap_remove(signing))));
        }
        if !discard(&mut transaction, &master, id, seen, now).await? {
            transaction.rollback().await?;
            return Ok(RetiredAtOnce::Overtaken);
        }
        for other in &others {
            discard(&mut transaction, &master, &other.id, other.state, now).await?;
        }
        let others: Vec<_> = others.into_iter().map(|other| other.id).collect();
        let entry = |id| Entry::key(Action::KeyRetire, id).to(json!({ "wiped": true }));
        transaction.commit_all(std::iter::once(id).chain(&others).map(entry).collect()).await?;
        self.clear_traces().await;
        Ok(RetiredAtOnce::Done(others))
    }

    /// Brings a key back that retired by schedule, to verify: its material is still there.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn restore(&self, id: &KeyId) -> Result<Restored, VaultError> {
        // Under the write lock, so that a revocation of the same moment counts.
        let (mut transaction, master) = self.begin().await?;
        let statement = query("SELECT * FROM known_keys WHERE id = $1 AND state = 'retired' AND NOT wiped");
        let Some(row) = statement.bind(id.as_str()).optional(&mut transaction).await? else {
            return Ok(Restored::NotThere);
        };
        if let Some(revoked) = revoked_in(&mut transaction, &master, &open(&row, &master)?).await? {
            return Ok(Restored::Revoked(revoked));
        }
        let statement = query("UPDATE keys SET state = 'retiring', retires_at = NULL, ended_at = NULL WHERE id = $1");
        statement.bind(id.as_str()).execute(&mut transaction).await?;
        transaction.commit(Entry::key(Action::KeyRestore, id)).await?;
        Ok(Restored::Done)
    }

    /// Wipes the material of keys that retired more than [`SEALED_KEPT`] ago. Answers how many.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn wipe_retired(&self, now: TrustedNow) -> Result<u64, VaultError> {
        self.wipe_each(RETIRED_LONG_AGO, now.cutoff(SEALED_KEPT)).await
    }

    /// Wipes the material of keys that an earlier version revoked and kept. Answers how many.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn wipe_revoked(&self) -> Result<u64, VaultError> {
        self.wipe_each(REVOKED_AND_KEPT, Timestamp::from_millis(i64::MAX)).await
    }

    /// Forgets keys that retired more than [`RETIRED_KEPT`] ago. Their tokens stay refused: nobody knows their key.
    /// Answers how many.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn forget(&self, now: TrustedNow) -> Result<u64, VaultError> {
        let statement = "DELETE FROM keys WHERE id IN \
                         (SELECT id FROM known_keys WHERE state = 'retired' AND wiped AND ended_at < $1)";
        let before = now.cutoff(RETIRED_KEPT).as_millis();
        let entry = Entry::of(Action::KeyForget).to(json!({ "ended_before": before }));
        Ok(self.change(query(statement).bind(before), entry).await?)
    }

    /// The keys of the same material as the revoked key `id` that are not revoked themselves.
    pub(super) async fn others_of(&self, id: &KeyId) -> Result<Vec<KeyId>, VaultError> {
        let (mut transaction, master) = self.begin().await?;
        let others = others_in(&mut transaction, &master, id).await?;
        transaction.rollback().await?;
        Ok(others.into_iter().filter(|other| other.state != KeyState::Revoked).map(|other| other.id).collect())
    }

    /// Wipes the keys that a statement names. Answers how many.
    async fn wipe_each(&self, named: &'static str, ended: Timestamp) -> Result<u64, VaultError> {
        let named = || query(named).bind(ended.as_millis());
        // Mostly there are none, and nobody has to wait.
        if named().optional(&self.store).await?.is_none() {
            return Ok(0);
        }
        let (mut transaction, master) = self.begin().await?;
        let ids: Vec<String> = named().values(&mut transaction).await?;
        for id in &ids {
            wipe_in(&mut transaction, &master, &KeyId::from_text(id)).await?;
        }
        let entry = |id: &String| Entry::key(Action::KeyWipe, &KeyId::from_text(id));
        transaction.commit_all(ids.iter().map(entry).collect()).await?;
        self.clear_traces().await;
        Ok(ids.len() as u64)
    }
}

/// What became of a key that was to retire at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetiredAtOnce {
    /// It has retired, and with it these others of the same material.
    Done(Vec<KeyId>),
    /// Nothing: it is in another state by now.
    Overtaken,
    /// Nothing: this key has the same material, and signs.
    Signs(Box<KeyRecord>),
}

impl RetiredAtOnce {
    /// Whether it has retired.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// What became of a key that was to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// Its tokens are taken again.
    Done,
    /// Nothing: it has not retired, or its material is wiped.
    NotThere,
    /// Nothing: the same key was revoked under this id.
    Revoked(KeyId),
}

/// The other keys of the same material as the key `id`.
async fn others_in(
    transaction: &mut Transaction,
    master: &MasterKey,
    id: &KeyId,
) -> Result<Vec<KeyRecord>, VaultError> {
    let rows = query("SELECT * FROM known_keys").all(transaction).await?;
    // What does not open is the same as nothing else.
    let keys: Vec<_> = rows.iter().filter_map(|row| Some((open(row, master).ok()?, row))).collect();
    let Some((ended, _)) = keys.iter().find(|(key, _)| key.id == *id) else { return Ok(vec![]) };
    let others = keys.iter().filter(|(key, _)| key.id != *id && key.shares_material(ended));
    others.map(|(_, row)| KeyRecord::read(row)).collect()
}

/// The id under which a key of the same material was revoked.
pub(super) async fn revoked_in(
    transaction: &mut Transaction,
    master: &MasterKey,
    key: &Key,
) -> Result<Option<KeyId>, VaultError> {
    let statement = query("SELECT * FROM known_keys WHERE state = 'revoked'");
    for row in statement.all(transaction).await? {
        let revoked = open(&row, master)?;
        if revoked.shares_material(key) {
            return Ok(Some(revoked.id));
        }
    }
    Ok(None)
}

/// Whether tokens of the key `id` open anything, whatever process changed that last. One that the store does not know
/// any more opens nothing.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn verifies(store: &Store, id: &KeyId) -> Result<bool, StoreError> {
    let state: Option<String> = query("SELECT state FROM keys WHERE id = $1").bind(id.as_str()).value(store).await?;
    Ok(state.as_deref().and_then(KeyState::from_name).is_some_and(KeyState::verifies))
}

/// Revokes a key that is in the state `seen`, and wipes its material. False, and nothing done, in another state.
pub(super) async fn revoke_in(
    transaction: &mut Transaction,
    master: &MasterKey,
    id: &KeyId,
    seen: KeyState,
    now: Timestamp,
) -> Result<bool, VaultError> {
    let statement = "UPDATE keys SET state = 'revoked', asked = FALSE, ended_at = $1, \
                     retiring_since = coalesce(retiring_since, CASE WHEN state = 'active' THEN $1 END) \
                     WHERE id = $2 AND state = $3";
    end_in(transaction, master, id, seen, now, statement).await
}

/// Retires a key that has no token, or none that is to live on, and wipes its material.
pub(super) async fn discard(
    transaction: &mut Transaction,
    master: &MasterKey,
    id: &KeyId,
    seen: KeyState,
    now: Timestamp,
) -> Result<bool, VaultError> {
    let statement = "UPDATE keys SET state = 'retired', asked = FALSE, ended_at = $1 WHERE id = $2 AND state = $3";
    end_in(transaction, master, id, seen, now, statement).await
}

/// Ends a key by a `statement` on the time, its id and the state `seen`, and wipes its material. False, and nothing
/// done, where the statement finds none.
async fn end_in(
    transaction: &mut Transaction,
    master: &MasterKey,
    id: &KeyId,
    seen: KeyState,
    now: Timestamp,
    statement: &'static str,
) -> Result<bool, VaultError> {
    let statement = query(statement).bind(now.as_millis()).bind(id.as_str()).bind(seen.name());
    if statement.execute(&mut *transaction).await? == 0 {
        return Ok(false);
    }
    wipe_in(transaction, master, id).await?;
    Ok(true)
}

/// Wipes the material of a key that has ended. What tells it from any other stays, under the master key: a secret that
/// people thought up could be found by its digest.
async fn wipe_in(transaction: &mut Transaction, master: &MasterKey, id: &KeyId) -> Result<(), VaultError> {
    let statement = query("SELECT * FROM known_keys WHERE id = $1").bind(id.as_str());
    let row = statement.one(&mut *transaction).await?;
    let KeyRecord { algorithm, state, verify_only, wiped, .. } = KeyRecord::read(&row)?;
    let key = if wiped {
        None
    } else {
        match open(&row, master) {
            Ok(key) => Some(key),
            // What is no key is of no use to anybody, here or anew: that must not keep its tokens alive.
            Err(error @ (VaultError::Master(MasterKeyError::Unsealable) | VaultError::Key(..))) => {
                tracing::warn!(%id, %error, "the material of a key that ends does not open; it is wiped");
                None
            }
            Err(error) => return Err(error),
        }
    };
    // What the version before this one wiped has no row yet.
    let thumbprint = key.map(|key| master.seal(&thumbprint_context(id), &key.thumbprint().to_bytes()));
    let statement = "INSERT INTO wiped_keys (key, thumbprint) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let statement = query(statement).bind(id.as_str()).bind(thumbprint);
    statement.execute(&mut *transaction).await?;
    // A public key alone is no secret.
    if verify_only && column::<Option<&[u8]>>(&row, "sealed")?.is_some() {
        return Ok(());
    }
    // The version before this one opens the rows of revoked keys, and reads no key at all where one does not open. It
    // may run beside this one.
    let stand_in = match state {
        KeyState::Revoked => Some(master.seal(&context(id), &generate(algorithm).await?)),
        _ => None,
    };
    let statement = query("UPDATE keys SET form = 'secret', sealed = $1 WHERE id = $2").bind(stand_in);
    statement.bind(id.as_str()).execute(transaction).await?;
    Ok(())
}
