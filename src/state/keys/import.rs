//! Taking over a key from outside, so that its tokens in the field keep working.

use thiserror::Error;

use super::{
    Fate, Imported, Key, KeyError, KeyState, MaterialBytes, UNNAMED_KEYS_MAX, Vault, VaultError,
    ending::{discard, revoked_in},
    rotation::{dismiss, id_in},
    vault::context,
};
use crate::{
    domain::{Algorithm, KeyId, RealmName, Timestamp},
    rules::profile::ClaimProfile,
    state::{
        account,
        store::{Store, StoreError},
    },
};

/// A key from outside.
#[derive(Clone)]
pub struct Import<'a> {
    /// The `kid` that its tokens name, or a new one where they name none.
    pub id: KeyId,
    /// Whose tokens it signed.
    pub realm: RealmName,
    /// With which algorithm.
    pub algorithm: Algorithm,
    /// What it is made of.
    pub material: MaterialBytes<'a>,
    /// How its tokens are read, where they are not like Portero's own.
    pub profile: Option<ClaimProfile>,
    /// What it is for.
    pub purpose: Use,
}

/// What an imported key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Old tokens are checked with it.
    Verify {
        /// When the last of them has ended; `None` is never by itself.
        until: Option<Timestamp>,
    },
    /// New tokens are signed with it too, since services behind check them with it. The schedule leaves it.
    Sign {
        /// When the last token of the key that signed until now has ended.
        retires_at: Option<Timestamp>,
    },
}

/// Why a key is not imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A key with this id is or was here.
    #[error("the store knows a key {0} already; tokens could not be told apart: nothing was imported")]
    Known(KeyId),
    /// There are as many keys without a name as may be tried.
    #[error(
        "the store has {UNNAMED_KEYS_MAX} keys whose tokens name none already, and each such token is tried with all \
         of them; retire one first (portero key list)"
    )]
    TooManyUnnamed,
    /// It was revoked here.
    #[error("the same key was revoked here as {0}; its tokens stay refused")]
    Revoked(KeyId),
    /// The bytes are no key, or a weak one.
    #[error(transparent)]
    Material(KeyError),
    /// The vault's fault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Vault {
    /// Imports a key, checked.
    pub async fn import(&self, import: &Import<'_>, now: Timestamp) -> Result<(), ImportError> {
        let signs = matches!(import.purpose, Use::Sign { .. });
        let state = if signs { KeyState::Active } else { KeyState::Retiring };
        let (id, realm) = (&import.id, &import.realm);
        let key = Key::new(id.clone(), realm.clone(), import.algorithm, state, now, import.material)
            .map_err(ImportError::Material)?;
        if signs && !key.can_sign() {
            return Err(ImportError::Material(KeyError::WrongUse(import.algorithm)));
        }
        let (mut transaction, master) = self.begin().await?;
        let failed = |error: sqlx::Error| ImportError::Vault(error.into());
        // Under the write lock, so that a revocation of the same moment counts.
        if let Some(revoked) = revoked_in(&mut transaction, &master, &key).await? {
            return Err(ImportError::Revoked(revoked));
        }
        let known: i64 = sqlx::query_scalar("SELECT count(*) FROM keys WHERE id = ?")
            .bind(id.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if known > 0 {
            return Err(ImportError::Known(id.clone()));
        }
        let unnamed: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM keys WHERE state NOT IN ('retired', 'revoked') AND profile ->> 'unnamed' = 1",
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        let is_unnamed = import.profile.as_ref().is_some_and(|profile| profile.unnamed);
        if is_unnamed && usize::try_from(unnamed).is_ok_and(|unnamed| unnamed >= UNNAMED_KEYS_MAX) {
            return Err(ImportError::TooManyUnnamed);
        }
        let mut until = None;
        match import.purpose {
            Use::Sign { retires_at } => {
                // The key that was to sign next signs never: the schedule leaves the imported one.
                if let Some(next) = id_in(&mut transaction, realm, KeyState::Next).await? {
                    discard(&mut transaction, &master, &next, KeyState::Next, now).await?;
                }
                let active = id_in(&mut transaction, realm, KeyState::Active).await?;
                dismiss(&mut transaction, &master, active.as_ref(), Fate::Retiring { retires_at }, now).await?;
            }
            Use::Verify { until: end } => until = end,
        }
        let (form, bytes) = match import.material {
            MaterialBytes::Secret(bytes) => ("secret", bytes),
            MaterialBytes::Public(bytes) => ("public", bytes),
        };
        let unknown_accounts = import.profile.as_ref().is_some_and(|profile| profile.unknown_accounts);
        let epochs = account::standing_epochs(&mut transaction, realm).await.map_err(VaultError::Store)?;
        sqlx::query("INSERT INTO imported_keys (key, unknown_accounts, epochs) VALUES (?, ?, ?)")
            .bind(id.as_str())
            .bind(unknown_accounts)
            .bind(Imported::new(unknown_accounts, epochs).to_bytes())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let profile = import.profile.as_ref().map(|profile| serde_json::json!(profile).to_string());
        let now = now.as_millis();
        sqlx::query(
            "INSERT INTO keys (id, realm, algorithm, state, form, sealed, profile, imported, pinned, created_at, \
             activated_at, retiring_since, retires_at) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)",
        )
        .bind(id.as_str())
        .bind(realm.as_str())
        .bind(import.algorithm.name())
        .bind(state.name())
        .bind(form)
        .bind(master.seal(&context(id), bytes))
        .bind(profile)
        .bind(signs)
        .bind(now)
        .bind(signs.then_some(now))
        .bind((!signs).then_some(now))
        .bind(until.map(Timestamp::as_millis))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        self.clear_traces().await;
        Ok(())
    }

    /// Has an imported key take tokens of accounts that the store has, and of no others. False, and nothing done, where
    /// it is no imported key, or one that has ended.
    pub async fn restrict(&self, id: &KeyId) -> Result<bool, VaultError> {
        let statement = "UPDATE imported_keys SET unknown_accounts = 0 WHERE key = ? AND EXISTS \
                         (SELECT 1 FROM keys WHERE id = key AND imported AND state NOT IN ('retired', 'revoked'))";
        let done = sqlx::query(statement).bind(id.as_str()).execute(self.store.pool()).await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Whether a realm takes tokens of an imported key that carry no epoch: the first change that ends an account's tokens
/// ends all of them, those that are minted later included.
pub async fn takes_old_tokens(store: &Store, realm: &RealmName) -> Result<bool, StoreError> {
    let statement = "SELECT EXISTS (SELECT 1 FROM keys WHERE realm = ? AND imported AND profile IS NOT NULL \
                     AND state NOT IN ('retired', 'revoked'))";
    Ok(sqlx::query_scalar(statement).bind(realm.as_str()).fetch_one(store.pool()).await?)
}

impl std::fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("id", &self.id).field("realm", &self.realm).finish_non_exhaustive()
    }
}
