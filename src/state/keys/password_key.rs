//! The key that seals fast hashes of other systems ([`PasswordKey`]). It lies in `meta`, under the master key: a row
//! that the release before this one carries along when it copies a store. That release does not seal it anew, so the
//! schema holds its reseal off: a trigger compares which master key this row and the keys are sealed under.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{MasterKey, Vault, VaultError, vault::fingerprint_in};
use crate::{
    domain::{PrincipalId, random},
    state::{
        account::{
            PasswordHash, PasswordKey,
            password::{Check, PASSWORD_KEY_BYTES},
        },
        store::{StoreError, Transaction, Turn, meta_in, set_meta_in},
    },
};

/// The row of `meta` with the sealed key.
const PASSWORD_KEY: &str = "password_key";

/// The row of `meta` that says which master key that is sealed under.
const PASSWORD_KEY_MASTER: &str = "password_key_master";

/// What it is sealed for.
const CONTEXT: &str = "portero password key";

impl Vault {
    /// The key that seals fast hashes, if the store has ever sealed one.
    ///
    /// # Errors
    /// Fails when the store does, or when the key does not open under the master key.
    pub async fn password_key(&self) -> Result<Option<PasswordKey>, VaultError> {
        let reading = async {
            let mut reading = self.store.begin_reading().await?;
            let fingerprint = fingerprint_in(&mut reading).await?;
            let sealed = meta_in(&mut reading, PASSWORD_KEY).await?;
            reading.commit().await?;
            Ok::<_, VaultError>((fingerprint, sealed))
        };
        let (fingerprint, sealed) = self.store.within(reading).await?;
        let Some(sealed) = sealed else { return Ok(None) };
        open(&*self.master.key(&fingerprint)?, &sealed).map(Some)
    }

    /// The same, and makes it where there is none. Of two processes that do so at once both get the same.
    ///
    /// # Errors
    /// As [`Vault::password_key`].
    pub async fn make_password_key(&self) -> Result<PasswordKey, VaultError> {
        let mut transaction = self.store.begin(Turn::Meta(PASSWORD_KEY)).await?;
        let fingerprint = fingerprint_in(&mut transaction).await?;
        let master = self.master.key(&fingerprint)?;
        if let Some(sealed) = meta_in(&mut transaction, PASSWORD_KEY).await? {
            return open(&master, &sealed);
        }
        let bytes = zeroize::Zeroizing::new(random::bytes::<PASSWORD_KEY_BYTES>());
        set_in(&mut transaction, &master, &*bytes).await?;
        transaction.commit().await?;
        Ok(PasswordKey::new(&bytes))
    }
}

/// Seals the key under another master key, within the transaction that seals all others; before that one's fingerprint
/// is set.
pub(super) async fn reseal(transaction: &mut Transaction, old: &MasterKey, new: &MasterKey) -> Result<(), VaultError> {
    // Another process that makes it meanwhile waits, and finds the new fingerprint.
    transaction.wait_for(Turn::Meta(PASSWORD_KEY)).await?;
    match meta_in(&mut *transaction, PASSWORD_KEY).await? {
        Some(sealed) => set_in(transaction, new, &old.open(CONTEXT, &sealed)?).await,
        None => Ok(()),
    }
}

async fn set_in(transaction: &mut Transaction, master: &MasterKey, bytes: &[u8]) -> Result<(), VaultError> {
    set_meta_in(&mut *transaction, PASSWORD_KEY_MASTER, master.fingerprint().as_bytes()).await?;
    set_meta_in(&mut *transaction, PASSWORD_KEY, &master.seal(CONTEXT, bytes)).await?;
    Ok(())
}

fn open(master: &MasterKey, sealed: &[u8]) -> Result<PasswordKey, VaultError> {
    let bytes = master.open(CONTEXT, sealed)?;
    let bytes: &[u8; PASSWORD_KEY_BYTES] =
        bytes.as_slice().try_into().map_err(|_| StoreError::corrupt("the key of passwords has another length"))?;
    Ok(PasswordKey::new(bytes))
}

/// Opens what passwords are held against. The key is read when it is first needed, and kept.
#[derive(Debug)]
pub struct PasswordKeys {
    vault: Vault,
    kept: ArcSwapOption<PasswordKey>,
}

impl PasswordKeys {
    /// The keys of a vault.
    #[must_use]
    pub fn new(vault: Vault) -> Self {
        Self { vault, kept: ArcSwapOption::empty() }
    }

    /// What a password of `account` is held against. It asks the store only for the first hash that takes the key.
    ///
    /// # Errors
    /// Fails when the key cannot be read, or does not open the hash: nobody knows whether a password is right then.
    pub async fn open(&self, account: PrincipalId, hash: &PasswordHash) -> Result<Check, VaultError> {
        if let Ok(check) = hash.open(account, self.kept.load().as_deref()) {
            return Ok(check);
        }
        // It may be another one by now: the store may have been put back.
        let key = self.read().await?;
        Ok(hash.open(account, key.as_deref())?)
    }

    /// The key, read anew, of a store that has sealed hashes.
    ///
    /// # Errors
    /// As [`Vault::password_key`]; also where there is none.
    pub async fn need(&self) -> Result<Arc<PasswordKey>, VaultError> {
        Ok(self.read().await?.ok_or(StoreError::corrupt("it has sealed passwords and no key of them"))?)
    }

    /// The key, read anew; `None` where nothing was ever sealed.
    ///
    /// # Errors
    /// As [`Vault::password_key`].
    pub async fn read(&self) -> Result<Option<Arc<PasswordKey>>, VaultError> {
        let key = self.vault.password_key().await?.map(Arc::new);
        self.kept.store(key.clone());
        Ok(key)
    }
}
