//! Taking over a key from outside, so that its tokens in the field keep working.

use serde_json::json;
use thiserror::Error;

use super::{
    ending::{discard, revoked_in},
    rotation::{OldKeyPlan, dismiss, id_in},
};
use crate::{
    domain::{Algorithm, KeyId, RealmName, Timestamp},
    rules::profile::ClaimProfile,
    state::{
        account,
        keys::{
            Imported, Key, KeyError, KeyState, MasterKey, MaterialBytes, UNNAMED_KEYS_MAX, Vault, VaultError,
            vault::context,
        },
        store::{Action, Entry, Store, StoreError, Transaction, query},
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
    ///
    /// # Errors
    /// The key is weak, revoked or known here, or one too many without a name ([`ImportError`]); or the vault fails.
    /// Nothing is imported then.
    pub async fn import(&self, import: &Import<'_>, now: Timestamp) -> Result<(), ImportError> {
        let key = import.checked(now)?;
        let (mut transaction, master) = self.begin().await?;
        // Under the write lock, so that a revocation of the same moment counts.
        refuse_revoked(&mut transaction, &master, &key).await?;
        refuse_known(&mut transaction, &import.id).await?;
        if import.is_unnamed() {
            refuse_too_many_unnamed(&mut transaction).await?;
        }
        if let Use::Sign { retires_at } = import.purpose {
            retire_signing_keys(&mut transaction, &master, &import.realm, retires_at, now).await?;
        }
        insert_details(&mut transaction, import).await?;
        insert_key(&mut transaction, &master, import, now).await?;
        let entry = Entry::key(Action::KeyImport, &import.id).in_realm(&import.realm);
        let described = json!({ "algorithm": import.algorithm.name(), "signs": import.signs() });
        transaction.commit(entry.to(described)).await.map_err(VaultError::from)?;
        self.clear_traces().await;
        Ok(())
    }

    /// Has an imported key take tokens of accounts that the store has, and of no others. False, and nothing done, where
    /// it is no imported key, or one that has ended.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn restrict(&self, id: &KeyId) -> Result<bool, VaultError> {
        let statement = "UPDATE imported_keys SET unknown_accounts = FALSE WHERE key = $1 AND EXISTS \
                         (SELECT 1 FROM keys WHERE id = key AND imported AND state NOT IN ('retired', 'revoked'))";
        Ok(self.change(query(statement).bind(id.as_str()), Entry::key(Action::KeyRestrict, id)).await? == 1)
    }
}

impl Import<'_> {
    /// The key, where it is one that may be imported for its purpose.
    fn checked(&self, now: Timestamp) -> Result<Key, ImportError> {
        let (id, realm) = (self.id.clone(), self.realm.clone());
        let key =
            Key::new(id, realm, self.algorithm, self.state(), now, self.material).map_err(ImportError::Material)?;
        if self.signs() && !key.can_sign() {
            return Err(ImportError::Material(KeyError::WrongUse(self.algorithm)));
        }
        Ok(key)
    }

    const fn signs(&self) -> bool {
        matches!(self.purpose, Use::Sign { .. })
    }

    const fn state(&self) -> KeyState {
        if self.signs() { KeyState::Active } else { KeyState::Retiring }
    }

    fn is_unnamed(&self) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.unnamed)
    }

    fn takes_unknown_accounts(&self) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.unknown_accounts)
    }
}

async fn refuse_revoked(transaction: &mut Transaction, master: &MasterKey, key: &Key) -> Result<(), ImportError> {
    match revoked_in(transaction, master, key).await? {
        Some(revoked) => Err(ImportError::Revoked(revoked)),
        None => Ok(()),
    }
}

async fn refuse_known(transaction: &mut Transaction, id: &KeyId) -> Result<(), ImportError> {
    let statement = query("SELECT EXISTS (SELECT 1 FROM keys WHERE id = $1)").bind(id.as_str());
    let is_known: Option<bool> = statement.value(transaction).await.map_err(VaultError::from)?;
    if is_known == Some(true) { Err(ImportError::Known(id.clone())) } else { Ok(()) }
}

async fn refuse_too_many_unnamed(transaction: &mut Transaction) -> Result<(), ImportError> {
    let statement = "SELECT profile FROM keys WHERE state NOT IN ('retired', 'revoked') AND profile IS NOT NULL";
    let profiles: Vec<String> = query(statement).values(transaction).await.map_err(VaultError::from)?;
    let is_unnamed = |profile: &&String| {
        // One that does not read may be one of those: the bound holds.
        serde_json::from_str::<ClaimProfile>(profile).map_or(true, |profile| profile.unnamed)
    };
    let unnamed = profiles.iter().filter(is_unnamed).count();
    if unnamed >= UNNAMED_KEYS_MAX { Err(ImportError::TooManyUnnamed) } else { Ok(()) }
}

/// Makes way for an imported key that signs: the schedule leaves it, so the key that was to sign next never signs.
async fn retire_signing_keys(
    transaction: &mut Transaction,
    master: &MasterKey,
    realm: &RealmName,
    retires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), VaultError> {
    if let Some(next) = id_in(transaction, realm, KeyState::Next).await? {
        discard(transaction, master, &next, KeyState::Next, now).await?;
    }
    let active = id_in(transaction, realm, KeyState::Active).await?;
    dismiss(transaction, master, active.as_ref(), OldKeyPlan::Retiring { retires_at }, now).await
}

/// What is kept of imported keys alone: which accounts their tokens may speak for, with the realm's epochs of now.
async fn insert_details(transaction: &mut Transaction, import: &Import<'_>) -> Result<(), VaultError> {
    let unknown_accounts = import.takes_unknown_accounts();
    let epochs = account::active_epochs(transaction, &import.realm).await?;
    query("INSERT INTO imported_keys (key, unknown_accounts, epochs) VALUES ($1, $2, $3)")
        .bind(import.id.as_str())
        .bind(unknown_accounts)
        .bind(Imported::new(unknown_accounts, epochs).to_bytes())
        .execute(transaction)
        .await?;
    Ok(())
}

async fn insert_key(
    transaction: &mut Transaction,
    master: &MasterKey,
    import: &Import<'_>,
    now: Timestamp,
) -> Result<(), VaultError> {
    let (id, signs, now) = (&import.id, import.signs(), now.as_millis());
    let (form, bytes) = match import.material {
        MaterialBytes::Secret(bytes) => ("secret", bytes),
        MaterialBytes::Public(bytes) => ("public", bytes),
    };
    let until = if let Use::Verify { until } = import.purpose { until } else { None };
    query(
        "INSERT INTO keys (id, realm, algorithm, state, form, sealed, profile, imported, pinned, created_at, \
         activated_at, retiring_since, retires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, TRUE, $8, $9, $10, $11, $12)",
    )
    .bind(id.as_str())
    .bind(import.realm.as_str())
    .bind(import.algorithm.name())
    .bind(import.state().name())
    .bind(form)
    .bind(master.seal(&context(id), bytes))
    .bind(import.profile.as_ref().map(|profile| serde_json::json!(profile).to_string()))
    .bind(signs)
    .bind(now)
    .bind(signs.then_some(now))
    .bind((!signs).then_some(now))
    .bind(until.map(Timestamp::as_millis))
    .execute(transaction)
    .await?;
    Ok(())
}

/// Whether a realm takes tokens of an imported key that carry no epoch: the first change that ends an account's tokens
/// ends all of them, those that are minted later included.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn takes_old_tokens(store: &Store, realm: &RealmName) -> Result<bool, StoreError> {
    let statement = "SELECT EXISTS (SELECT 1 FROM keys WHERE realm = $1 AND imported AND profile IS NOT NULL \
                     AND state NOT IN ('retired', 'revoked'))";
    query(statement).bind(realm.as_str()).one(store).await?.first()
}

impl std::fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("id", &self.id).field("realm", &self.realm).finish_non_exhaustive()
    }
}
