//! How a key ends. By schedule: only by trusted time, and its sealed material stays for [`SEALED_KEPT`], so that a key
//! that should have lived can be restored. By an administrator's word, revoked or forced: at once, and its material is
//! wiped, whatever the clock says.

use std::time::Duration;

use sqlx::{Sqlite, SqliteConnection, Transaction, sqlite::SqliteRow};

use super::{
    KeyState, MasterKey, Vault, VaultError,
    record::column,
    vault::{open, thumbprint_context},
};
use crate::{
    domain::{KeyId, Timestamp, TrustedNow},
    state::store::{Store, StoreError},
};

/// How long the sealed material of a key that retired by schedule stays.
pub const SEALED_KEPT: Duration = Duration::from_hours(7 * 24);

/// How long a retired key is listed. A revoked one is listed for ever: it must never be imported again, and lines of
/// refresh tokens may name it.
pub const RETIRED_KEPT: Duration = Duration::from_hours(90 * 24);

impl Vault {
    /// Retires every key whose last token has ended. Answers which.
    pub async fn retire_due(&self, now: TrustedNow) -> Result<Vec<KeyId>, VaultError> {
        let statement = "UPDATE keys SET state = 'retired', ended_at = ? \
                         WHERE state = 'retiring' AND retires_at <= ? RETURNING id";
        let query = sqlx::query_scalar(statement).bind(now.civil().as_millis()).bind(now.earliest().as_millis());
        let retired: Vec<String> = query.fetch_all(self.store.pool()).await?;
        Ok(retired.iter().map(|id| KeyId::from_text(id)).collect())
    }

    /// Retires one key as the schedule would. False, and nothing done, when its last token has not ended.
    pub async fn retire(&self, id: &KeyId, now: TrustedNow) -> Result<bool, VaultError> {
        let statement = "UPDATE keys SET state = 'retired', ended_at = ? \
                         WHERE id = ? AND state = 'retiring' AND retires_at <= ?";
        let query = sqlx::query(statement).bind(now.civil().as_millis()).bind(id.as_str());
        let done = query.bind(now.earliest().as_millis()).execute(self.store.pool()).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Retires one key that was seen in this state, with all tokens that it has, and wipes its material. False, and
    /// nothing done, when it is in another state by now.
    pub async fn retire_at_once(&self, id: &KeyId, seen: KeyState, now: Timestamp) -> Result<bool, VaultError> {
        let mut transaction = self.store.begin().await?;
        let retired = discard(&mut transaction, id, seen, now).await?;
        transaction.commit().await?;
        self.clear_traces().await;
        Ok(retired)
    }

    /// Brings a key back that retired by schedule, to verify: its material is still there. False when it is not.
    pub async fn restore(&self, id: &KeyId) -> Result<bool, VaultError> {
        let statement = "UPDATE keys SET state = 'retiring', retires_at = NULL, ended_at = NULL \
                         WHERE id = ? AND state = 'retired' AND sealed IS NOT NULL";
        Ok(sqlx::query(statement).bind(id.as_str()).execute(self.store.pool()).await?.rows_affected() == 1)
    }

    /// Wipes the material of keys that retired more than [`SEALED_KEPT`] ago. Answers how many.
    pub async fn wipe_retired(&self, now: TrustedNow) -> Result<u64, VaultError> {
        let statement = "UPDATE keys SET sealed = NULL WHERE state = 'retired' AND sealed IS NOT NULL AND ended_at < ?";
        self.end_rows(statement, now.cutoff(SEALED_KEPT)).await
    }

    /// Forgets keys that retired more than [`RETIRED_KEPT`] ago. Their tokens stay refused: nobody knows their key.
    /// Answers how many.
    pub async fn forget(&self, now: TrustedNow) -> Result<u64, VaultError> {
        let statement = "DELETE FROM keys WHERE state = 'retired' AND sealed IS NULL AND ended_at < ?";
        self.end_rows(statement, now.cutoff(RETIRED_KEPT)).await
    }

    /// Runs a statement that wipes what ended before `cutoff`. Answers how many rows.
    async fn end_rows(&self, statement: &'static str, cutoff: Timestamp) -> Result<u64, VaultError> {
        let done = sqlx::query(statement).bind(cutoff.as_millis()).execute(self.store.pool()).await?;
        if done.rows_affected() > 0 {
            self.clear_traces().await;
        }
        Ok(done.rows_affected())
    }

    /// Wipes the material of keys that an earlier version revoked and kept. For whoever opens the store.
    pub async fn wipe_revoked(&self) -> Result<(), VaultError> {
        let kept = sqlx::query_scalar("SELECT id FROM keys WHERE state = 'revoked' AND sealed IS NOT NULL");
        let kept: Vec<String> = kept.fetch_all(self.store.pool()).await?;
        for id in kept {
            let (mut transaction, master) = self.begin().await?;
            wipe_revoked_in(&mut transaction, &master, &KeyId::from_text(&id)).await?;
            transaction.commit().await?;
            self.clear_traces().await;
        }
        Ok(())
    }
}

/// Whether tokens of the key `id` open anything, whatever process changed that last. One that the store does not know
/// any more opens nothing.
pub async fn verifies(store: &Store, id: &KeyId) -> Result<bool, StoreError> {
    let state: Option<String> = sqlx::query_scalar("SELECT state FROM keys WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(store.pool())
        .await?;
    Ok(state.as_deref().and_then(KeyState::from_name).is_some_and(KeyState::verifies))
}

/// Revokes a key that is in the state `seen`, and wipes its material. False, and nothing done, in another state.
pub(super) async fn revoke_in(
    transaction: &mut Transaction<'static, Sqlite>,
    master: &MasterKey,
    id: &KeyId,
    seen: KeyState,
    now: Timestamp,
) -> Result<bool, VaultError> {
    let statement = "UPDATE keys SET state = 'revoked', asked = 0, ended_at = ?1, \
                     retiring_since = coalesce(retiring_since, iif(state = 'active', ?1, NULL)) \
                     WHERE id = ?2 AND state = ?3";
    let query = sqlx::query(statement).bind(now.as_millis()).bind(id.as_str()).bind(seen.name());
    if query.execute(&mut **transaction).await?.rows_affected() == 0 {
        return Ok(false);
    }
    wipe_revoked_in(transaction, master, id).await?;
    Ok(true)
}

/// Leaves of a revoked key what tells its material from any other, under the master key: a secret that people thought
/// up could be found by its digest.
async fn wipe_revoked_in(connection: &mut SqliteConnection, master: &MasterKey, id: &KeyId) -> Result<(), VaultError> {
    let row: SqliteRow =
        sqlx::query("SELECT * FROM keys WHERE id = ?").bind(id.as_str()).fetch_one(&mut *connection).await?;
    let is_there = column::<Option<&[u8]>>(&row, "sealed")?.is_some();
    // What does not open is of no use to anybody: that must not keep its tokens alive.
    let opened = is_there.then(|| open(&row, master)).transpose().unwrap_or_else(|error| {
        tracing::warn!(%id, %error, "the material of a revoked key does not open; it is wiped");
        None
    });
    let thumbprint = opened.map(|key| master.seal(&thumbprint_context(id), &key.thumbprint()));
    let query = sqlx::query("UPDATE keys SET sealed = NULL, thumbprint = ? WHERE id = ?");
    query.bind(thumbprint).bind(id.as_str()).execute(connection).await?;
    Ok(())
}

/// Retires a key that has no token, or none that shall live on, and wipes its material.
pub(super) async fn discard(
    transaction: &mut Transaction<'static, Sqlite>,
    id: &KeyId,
    seen: KeyState,
    now: Timestamp,
) -> Result<bool, VaultError> {
    let statement =
        "UPDATE keys SET state = 'retired', asked = 0, sealed = NULL, ended_at = ? WHERE id = ? AND state = ?";
    let query = sqlx::query(statement).bind(now.as_millis()).bind(id.as_str()).bind(seen.name());
    Ok(query.execute(&mut **transaction).await?.rows_affected() == 1)
}
