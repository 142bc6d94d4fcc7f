//! A new master key: every key is sealed anew in one transaction, and gateways that run go on.

use std::{path::Path, sync::Arc};

use serde_json::json;

use super::{
    MasterKey, MasterKeyError, Vault, VaultError, password_key, throttle_key,
    vault::{FINGERPRINT, chain_key_context, context, fingerprint_in, thumbprint_context},
};
use crate::{
    domain::KeyId,
    state::store::{Action, Entry, Transaction, query, set_meta_in},
};

impl Vault {
    /// Seals every key under a new master key, whose file takes the place of the old one. Cut short at any
    /// point, the store opens with one of the two files that are there then, see [`Vault::open`].
    /// Answers how many keys were sealed.
    ///
    /// # Errors
    /// Fails when the store does, when a key does not open under the present master key, or when the new file cannot be
    /// made.
    pub async fn reseal(&self) -> Result<usize, VaultError> {
        let sealed = self.reseal_under(|vault, fingerprint| {
            // An earlier reseal that was cut short may have left the right key beside the file.
            vault.master.settle(fingerprint)?;
            vault.master.write_beside()
        });
        let sealed = sealed.await?;
        // Under the lock again: another reseal may write beside the file by now.
        let (mut transaction, _) = self.begin().await?;
        let fingerprint = fingerprint_in(&mut transaction).await?;
        self.master.settle(&fingerprint)?;
        transaction.rollback().await?;
        Ok(sealed)
    }

    /// Seals every key under the master key of another file, which is made if it is not there. The present
    /// file stays as it is, and opens the store no more.
    ///
    /// # Errors
    /// Fails when the store does, when a key does not open under the present master key, or when the file cannot be
    /// read or made.
    pub async fn reseal_to(&self, file: &Path) -> Result<usize, VaultError> {
        self.reseal_under(|_, _| MasterKey::read_or_create(file)).await
    }

    /// Where the present master key is.
    #[must_use]
    pub fn master_key_file(&self) -> &Path {
        self.master.path()
    }

    pub(super) async fn reseal_under(
        &self,
        new: impl FnOnce(&Self, &[u8]) -> Result<MasterKey, MasterKeyError>,
    ) -> Result<usize, VaultError> {
        let (mut transaction, old) = self.begin().await?;
        let fingerprint = fingerprint_in(&mut transaction).await?;
        let new = new(self, &fingerprint)?;
        let rows = query("SELECT id, sealed FROM keys WHERE sealed IS NOT NULL");
        let rows = rows.all(&mut transaction).await?;
        for row in &rows {
            let id: &str = row.get("id")?;
            let context = context(&KeyId::from_text(id));
            let material = old.open(&context, row.get("sealed")?)?;
            let statement = query("UPDATE keys SET sealed = $1 WHERE id = $2");
            statement.bind(new.seal(&context, &material)).bind(id).execute(&mut transaction).await?;
        }
        let wiped = query("SELECT key, thumbprint FROM wiped_keys WHERE thumbprint IS NOT NULL");
        for row in wiped.all(&mut transaction).await? {
            let id: &str = row.get("key")?;
            let context = thumbprint_context(&KeyId::from_text(id));
            let thumbprint = old.open(&context, row.get("thumbprint")?)?;
            let statement = query("UPDATE wiped_keys SET thumbprint = $1 WHERE key = $2");
            statement.bind(new.seal(&context, &thumbprint)).bind(id).execute(&mut transaction).await?;
        }
        reseal_chain_keys(&mut transaction, &old, &new).await?;
        throttle_key::reseal_in(&mut transaction, &old, &new).await?;
        password_key::reseal(&mut transaction, &old, &new).await?;
        set_meta_in(&mut transaction, FINGERPRINT, new.fingerprint().as_bytes()).await?;
        transaction.chain_under(Arc::new(new.chain_key()));
        transaction.commit(Entry::of(Action::KeyReseal).to(json!({ "keys": rows.len() }))).await?;
        self.clear_traces().await;
        Ok(rows.len())
    }
}

/// Keeps the keys of the audit log's codes: those of earlier master keys, and the one of the master key that goes.
async fn reseal_chain_keys(transaction: &mut Transaction, old: &MasterKey, new: &MasterKey) -> Result<(), VaultError> {
    for row in query("SELECT id, sealed FROM audit_keys").all(&mut *transaction).await? {
        let id: &str = row.get("id")?;
        let context = chain_key_context(id);
        let key = old.open(&context, row.get("sealed")?)?;
        let statement = query("UPDATE audit_keys SET sealed = $1 WHERE id = $2");
        statement.bind(new.seal(&context, &key)).bind(id).execute(&mut *transaction).await?;
    }
    let gone = old.chain_key();
    let sealed = new.seal(&chain_key_context(gone.id()), gone.expose());
    let statement = query("INSERT INTO audit_keys (id, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    statement.bind(gone.id()).bind(sealed).execute(transaction).await?;
    Ok(())
}
