//! Keys at rest: the `keys` table, sealed under the master key.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use sqlx::{Row, sqlite::SqliteRow};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Key, KeyError, KeyState, Keyring, MasterKey, MasterKeyError, MaterialBytes};
use crate::{
    domain::{Algorithm, KeyId, RealmName, Timestamp},
    state::store::{Store, StoreError},
};

/// The row of `meta` that remembers which master key the store was made with.
const FINGERPRINT: &str = "master_key_fingerprint";

/// The row of `meta` that grows with every change of a key.
const REVISION: &str = "keys_revision";

/// Where the master key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file; `PORTERO_MASTER_KEY_FILE` names another one.
    pub master_key_file: PathBuf,
}

/// Why keys cannot be had.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key's fault.
    #[error(transparent)]
    Master(#[from] MasterKeyError),
    /// A key's fault.
    #[error("key {0}: {1}")]
    Key(KeyId, KeyError),
    /// No material could be made.
    #[error(transparent)]
    Material(#[from] KeyError),
    /// The table holds what this version does not understand.
    #[error("key {0} in the store has the unknown {1} '{2}'; a newer version wrote it?")]
    Unknown(KeyId, &'static str, String),
}

/// The keys of a store.
#[derive(Clone, Debug)]
pub struct Vault {
    store: Store,
    master: MasterKey,
}

impl Vault {
    /// Opens the vault. In a store that has no master key yet, one is made: the file first, then
    /// its fingerprint, so that a crash between the two loses nothing.
    pub async fn open(store: Store, settings: &Settings) -> Result<Self, VaultError> {
        let file = &settings.master_key_file;
        let master = match store.meta(FINGERPRINT).await? {
            Some(_) => MasterKey::read(file)?,
            None => MasterKey::read_or_create(file)?,
        };
        let fingerprint = master.fingerprint();
        if store.meta_or_insert(FINGERPRINT, fingerprint.as_bytes()).await? != fingerprint.as_bytes() {
            return Err(MasterKeyError::Other(file.clone()).into());
        }
        Ok(Self { store, master })
    }

    /// The same keys, read from another handle of the same store.
    #[must_use]
    pub fn through(&self, store: Store) -> Self {
        Self { store, master: self.master.clone() }
    }

    /// Grows with every change of a key, whoever made it.
    pub async fn revision(&self) -> Result<Vec<u8>, VaultError> {
        Ok(self.store.meta(REVISION).await?.unwrap_or_default())
    }

    /// All keys, opened.
    pub async fn load(&self) -> Result<Keyring, VaultError> {
        let rows = sqlx::query("SELECT id, realm, algorithm, state, sealed, created_at FROM keys ORDER BY created_at")
            .fetch_all(self.store.pool())
            .await
            .map_err(StoreError::from)?;
        let keys = rows.iter().map(|row| self.open_row(row).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        Ok(Keyring::new(keys))
    }

    /// Makes a signing key for each realm that has none, or whose algorithm changed (the old key
    /// then verifies on). Two processes that do this at once make one key.
    pub async fn ensure(&self, realms: &[(RealmName, Algorithm)], now: Timestamp) -> Result<(), VaultError> {
        let ring = self.load().await?;
        for (realm, algorithm) in realms {
            let present = ring.active(realm);
            if present.is_none_or(|key| key.algorithm != *algorithm) {
                let present = present.map(|key| &key.id);
                self.replace(realm, *algorithm, present, KeyState::Retiring, now).await?;
            }
        }
        Ok(())
    }

    /// Revokes a key: its tokens are refused. A signing key is replaced in the same transaction.
    /// False when there is no such key.
    pub async fn revoke(&self, id: &KeyId, now: Timestamp) -> Result<bool, VaultError> {
        let ring = self.load().await?;
        let Some(key) = ring.get(id.as_str()) else { return Ok(false) };
        let replaced = key.state == KeyState::Active
            && self.replace(&key.realm, key.algorithm, Some(id), KeyState::Revoked, now).await?;
        if !replaced {
            sqlx::query("UPDATE keys SET state = 'revoked' WHERE id = ?")
                .bind(id.as_str())
                .execute(self.store.pool())
                .await
                .map_err(StoreError::from)?;
        }
        Ok(true)
    }

    /// Puts a new signing key in the place of the realm's `present` one, which goes to `retired_to`.
    /// False, and nothing done, when the realm's present key is another by now (compare and set).
    async fn replace(
        &self,
        realm: &RealmName,
        algorithm: Algorithm,
        present: Option<&KeyId>,
        retired_to: KeyState,
        now: Timestamp,
    ) -> Result<bool, VaultError> {
        let material = tokio::task::spawn_blocking(move || Key::generate_material(algorithm))
            .await
            .unwrap_or(Err(KeyError::Rejected(algorithm)))?;
        let id = KeyId::generate();
        let sealed = self.master.seal(&context(&id), &material);
        let mut transaction = self.store.begin().await?;
        let active: Option<String> = sqlx::query_scalar("SELECT id FROM keys WHERE realm = ? AND state = 'active'")
            .bind(realm.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(StoreError::from)?;
        if active.as_deref() != present.map(KeyId::as_str) {
            return Ok(false);
        }
        sqlx::query("UPDATE keys SET state = ? WHERE realm = ? AND state = 'active'")
            .bind(retired_to.name())
            .bind(realm.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::from)?;
        sqlx::query(
            "INSERT INTO keys (id, realm, algorithm, state, sealed, created_at) VALUES (?, ?, ?, 'active', ?, ?)",
        )
        .bind(id.as_str())
        .bind(realm.as_str())
        .bind(algorithm.name())
        .bind(sealed)
        .bind(now.as_millis())
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::from)?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(true)
    }

    fn open_row(&self, row: &SqliteRow) -> Result<Key, VaultError> {
        let id = KeyId::from_text(column(row, "id")?);
        let unknown = |what, word: &str| VaultError::Unknown(id.clone(), what, word.to_owned());
        let (realm, algorithm, state): (&str, &str, &str) =
            (column(row, "realm")?, column(row, "algorithm")?, column(row, "state")?);
        let realm = realm.parse().map_err(|_| unknown("realm", realm))?;
        let algorithm = Algorithm::from_str(algorithm).map_err(|_| unknown("algorithm", algorithm))?;
        let state = KeyState::from_name(state).ok_or_else(|| unknown("state", state))?;
        let material: Zeroizing<Vec<u8>> = self.master.open(&context(&id), column(row, "sealed")?)?;
        let created_at = Timestamp::from_millis(column(row, "created_at")?);
        let material = MaterialBytes::Secret(&material);
        Key::new(id.clone(), realm, algorithm, state, created_at, material).map_err(|error| VaultError::Key(id, error))
    }
}

fn column<'r, T>(row: &'r SqliteRow, name: &str) -> Result<T, VaultError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    Ok(row.try_get(name).map_err(StoreError::from)?)
}

/// What a key is sealed for: its id and its purpose.
fn context(id: &KeyId) -> String {
    format!("portero token key {id}")
}
