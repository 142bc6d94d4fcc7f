//! The key under which the throttle hashes names and addresses. It is random and sealed under the master key, so that
//! all gateways on a store have the same one, a reseal does not change it, and the store alone tells nobody anything.

use zeroize::Zeroizing;

use super::{MasterKey, MasterKeyError, Vault, VaultError};
use crate::{
    domain::random,
    state::store::{StoreError, Transaction, Turn, meta_in, set_meta_in},
};

/// The row of `meta` that holds it, and what it is sealed for.
pub(super) const THROTTLE_KEY: &str = "throttle_key";

const KEY_BYTES: usize = 32;

impl Vault {
    /// The throttle's key; it is made where there is none. One that does not open under the master key is replaced: an
    /// older release, which does not know of it, resealed the store. What was counted under it is of no use any more.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when the master key is missing or another one.
    pub async fn throttle_key(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let mut transaction = self.store.begin(Turn::Meta(THROTTLE_KEY)).await?;
        let fingerprint = super::vault::fingerprint_in(&mut transaction).await?;
        let master = self.master.key(&fingerprint)?;
        let kept = meta_in(&mut transaction, THROTTLE_KEY).await?;
        match kept.as_deref().map(|sealed| master.open(THROTTLE_KEY, sealed)) {
            Some(Ok(key)) => {
                transaction.rollback().await?;
                return Ok(key);
            }
            Some(Err(MasterKeyError::Unsealable)) => {
                tracing::warn!(
                    "the throttle's key was sealed under another master key; failed logins are counted anew"
                );
            }
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        let key = Zeroizing::new(random::bytes::<KEY_BYTES>().to_vec());
        set_meta_in(&mut transaction, THROTTLE_KEY, &master.seal(THROTTLE_KEY, &key)).await?;
        transaction.commit().await?;
        Ok(key)
    }
}

/// Seals it under a new master key, where there is one.
pub(super) async fn reseal_in(
    transaction: &mut Transaction,
    old: &MasterKey,
    new: &MasterKey,
) -> Result<(), StoreError> {
    // Another process that makes it meanwhile waits, and finds the new fingerprint.
    transaction.wait_for(Turn::Meta(THROTTLE_KEY)).await?;
    let Some(sealed) = meta_in(&mut *transaction, THROTTLE_KEY).await? else { return Ok(()) };
    // One that does not open is replaced at the next start.
    let Ok(key) = old.open(THROTTLE_KEY, &sealed) else { return Ok(()) };
    set_meta_in(transaction, THROTTLE_KEY, &new.seal(THROTTLE_KEY, &key)).await
}
