//! Keys at rest: the `keys` table, sealed under the master key. Opening it and reading it.

use std::{path::PathBuf, sync::Arc};

use zeroize::Zeroizing;

use super::{
    Imported, Key, KeyError, Keyring, MasterKey, MasterKeyError, MaterialBytes, VaultError,
    master::MasterFile,
    record::{KeyRecord, column},
};
use crate::{
    domain::{Algorithm, KeyId},
    observe::audit::ChainKey,
    state::store::{
        Actor, AuditedStore, AuditedTransaction, Change, ChangeTurn, Entry, KEYS, Query, Row, Store, StoreError,
        Transaction, meta_in, private_file, query,
    },
};

/// The row of `meta` that remembers which master key the store's keys are sealed under.
pub(super) const FINGERPRINT: &str = "master_key_fingerprint";

/// The row of `meta` that grows with every change of a key.
const REVISION: &str = "keys_revision";

/// Attempts to read keys and their master key as one: a reseal may come between the store and the file.
const READ_ATTEMPTS_MAX: u32 = 3;

/// Where the master key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultSettings {
    /// The file; `PORTERO_MASTER_KEY_FILE` names another one.
    pub master_key_file: PathBuf,
}

/// The keys of a store.
#[derive(Clone, Debug)]
pub struct Vault {
    pub(super) store: Store,
    pub(super) master: Arc<MasterFile>,
    actor: Actor,
}

impl Vault {
    /// Opens the vault. In a store of this gateway's own that has no master key yet, one is made ([`Vault::make`]); not
    /// in one that several gateways share. A reseal that was cut short is brought to its end.
    ///
    /// # Errors
    /// Fails when the store does, or when the master key's file is missing, unusable or another store's.
    pub async fn open(store: Store, settings: &VaultSettings) -> Result<Self, VaultError> {
        let may_make = !store.is_shared();
        Self::open_or_make(store, settings, may_make).await
    }

    /// The same, and makes the master key of a store that has none: the file first, then its fingerprint, so that a
    /// crash between the two loses nothing.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub async fn make(store: Store, settings: &VaultSettings) -> Result<Self, VaultError> {
        Self::open_or_make(store, settings, true).await
    }

    async fn open_or_make(store: Store, settings: &VaultSettings, may_make: bool) -> Result<Self, VaultError> {
        let file = &settings.master_key_file;
        let fingerprint = if let Some(fingerprint) = store.meta(FINGERPRINT).await? {
            fingerprint
        } else if !may_make {
            return Err(store.unmade().into());
        } else {
            let made = MasterKey::read_or_create(file)?.fingerprint();
            store.meta_or_insert(FINGERPRINT, made.as_bytes()).await?
        };
        let master = Arc::new(MasterFile::open(file, &fingerprint)?);
        private_file::clear_unfinished(file);
        let vault = Self::of(store, master);
        if vault.master.is_unsettled() {
            let (mut transaction, _) = vault.begin().await?;
            let fingerprint = fingerprint_in(&mut transaction).await?;
            // Either file serves until somebody may write where they are.
            if let Err(error) = vault.master.settle(&fingerprint) {
                tracing::warn!(%error, "a reseal was cut short, and its files could not be put in order");
            }
        }
        Ok(vault)
    }

    /// The keys of this store under this master key, as the gateway's own schedule works with them.
    pub(super) fn of(store: Store, master: Arc<MasterFile>) -> Self {
        Self { store, master, actor: Actor::gateway("schedule") }
    }

    /// Where the keys are kept.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The same keys, read from another handle of the same store.
    #[must_use]
    pub fn through(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// The same keys for somebody who changes them: a vault that was not told for whom it works does for the gateway.
    #[must_use]
    pub fn by(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// The store, changed by who changes these keys.
    #[must_use]
    pub fn audited_store(&self) -> AuditedStore {
        AuditedStore::new(self.store.clone(), self.present_chain_key(), self.actor.clone())
    }

    /// The present key of the audit log's codes.
    #[must_use]
    pub fn present_chain_key(&self) -> Arc<ChainKey> {
        Arc::new(self.master.present().chain_key())
    }

    /// The keys of the audit log's codes: the present one, and those that earlier master keys gave.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when one does not open under the master key.
    pub async fn chain_keys(&self) -> Result<Vec<Arc<ChainKey>>, VaultError> {
        let mut reading = self.store.begin_reading().await?;
        let fingerprint = fingerprint_in(&mut reading).await?;
        let rows = query("SELECT id, sealed FROM audit_keys ORDER BY id").all(&mut reading).await?;
        reading.commit().await?;
        let master = self.master.key(&fingerprint)?;
        let mut keys = vec![Arc::new(master.chain_key())];
        for row in &rows {
            let id: &str = row.get("id")?;
            let bytes = master.open(&chain_key_context(id), row.get("sealed")?)?;
            keys.extend(ChainKey::from_exposed(id.to_owned(), &bytes).map(Arc::new));
        }
        Ok(keys)
    }

    /// Grows with every change of a key, whichever process made it.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn revision(&self) -> Result<Vec<u8>, VaultError> {
        Ok(self.store.meta(REVISION).await?.unwrap_or_default())
    }

    /// All keys that may have tokens, opened: every one but those that have retired. Of revoked ones it is known that
    /// they are.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn load(&self) -> Result<Keyring, VaultError> {
        let mut attempts = 1;
        loop {
            match self.load_once().await {
                Err(VaultError::Master(MasterKeyError::Other(_))) if attempts < READ_ATTEMPTS_MAX => attempts += 1,
                other => return other,
            }
        }
    }

    /// Every key that the store knows, retired ones too, the oldest first.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or has a key that only a newer version knows.
    pub async fn records(&self) -> Result<Vec<KeyRecord>, VaultError> {
        let rows = query("SELECT * FROM known_keys ORDER BY created_at, id");
        rows.all(&self.store).await?.iter().map(KeyRecord::read).collect()
    }

    async fn load_once(&self) -> Result<Keyring, VaultError> {
        let reading = async {
            // One transaction, so that rows and fingerprint are of one moment.
            let mut reading = self.store.begin_reading().await?;
            let fingerprint = fingerprint_in(&mut reading).await?;
            let rows = query(KEYS).all(&mut reading).await?;
            reading.commit().await?;
            Ok::<_, VaultError>((fingerprint, rows))
        };
        let (fingerprint, rows) = self.store.within(reading).await?;
        let master = self.master.key(&fingerprint)?;
        let keys = rows.iter().map(|row| open_whole(row, &master).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        Ok(Keyring::new(keys))
    }

    /// To be called after the commit of whatever wiped or replaced a key: its bytes stand in the journal still, and
    /// are gone with that. Where somebody reads all the time, a gateway does it within a minute.
    pub(super) async fn clear_traces(&self) {
        if !self.store.empty_journal().await.unwrap_or(false) {
            tracing::warn!("the journal could not be emptied after a key was wiped; it is tried again in a minute");
        }
    }

    /// Runs one statement that changes keys, in their turn. Answers how many rows it changed; without one there is no
    /// entry.
    pub(super) async fn change(&self, statement: Query, entry: Entry) -> Result<u64, StoreError> {
        let mut transaction = self.audited_store().begin(ChangeTurn::Keys).await?;
        let changed = statement.execute(&mut transaction).await?;
        if changed > 0 {
            transaction.tell(Change::Keys);
            transaction.commit(entry).await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(changed)
    }

    /// Begins a change of keys: the turn, and the master key that they are sealed under while it is held.
    pub(super) async fn begin(&self) -> Result<(AuditedTransaction, Arc<MasterKey>), VaultError> {
        let mut transaction = self.audited_store().begin(ChangeTurn::Keys).await?;
        // Others hear of it when it is committed.
        transaction.tell(Change::Keys);
        let fingerprint = fingerprint_in(&mut transaction).await?;
        let master = self.master.key(&fingerprint)?;
        transaction.chain_under(Arc::new(master.chain_key()));
        Ok((transaction, master))
    }
}

/// Which master key the store's keys are sealed under, in this transaction.
pub(super) async fn fingerprint_in(transaction: &mut Transaction) -> Result<Vec<u8>, VaultError> {
    let fingerprint = meta_in(transaction, FINGERPRINT).await?;
    Ok(fingerprint.ok_or(StoreError::corrupt("it does not say which master key its keys are sealed under"))?)
}

/// What a key is sealed for: its id and its purpose.
pub(super) fn context(id: &KeyId) -> String {
    format!("portero token key {id}")
}

/// What the key of the audit log's codes is sealed for that an earlier master key gave.
pub(super) fn chain_key_context(id: &str) -> String {
    format!("portero audit key {id}")
}

/// What a wiped key's thumbprint is sealed for.
pub(super) fn thumbprint_context(id: &KeyId) -> String {
    format!("portero key thumbprint {id}")
}

/// New material, made where nobody waits for it: an RSA key takes its time.
pub(super) async fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let made = tokio::task::spawn_blocking(move || Key::generate_material(algorithm)).await;
    made.unwrap_or(Err(KeyError::Rejected(algorithm)))
}

/// The key of a row of `known_keys`, without what is known of it where it came from outside. Of a wiped one there is
/// what tells it from others, and nothing that it could do.
pub(super) fn open(row: &Row, master: &MasterKey) -> Result<Key, VaultError> {
    let record = KeyRecord::read(row)?;
    let KeyRecord { id, realm, algorithm, state, created_at, profile, .. } = record;
    let key = if record.wiped {
        let thumbprint = column::<Option<&[u8]>>(row, "thumbprint")?;
        let thumbprint = thumbprint.map(|sealed| master.open(&thumbprint_context(&id), sealed)).transpose()?;
        Key::wiped(id, realm, algorithm, state, created_at, thumbprint.as_deref().map(Vec::as_slice))
    } else {
        let bytes: Zeroizing<Vec<u8>> = master.open(&context(&id), column(row, "sealed")?)?;
        let material = if record.verify_only { MaterialBytes::Public(&bytes) } else { MaterialBytes::Secret(&bytes) };
        let key = Key::new(id.clone(), realm, algorithm, state, created_at, material);
        key.map_err(|error| VaultError::Key(id, error))?
    };
    Ok(match profile {
        Some(profile) => key.with_profile(Arc::new(profile)),
        None => key,
    })
}

/// The key of a row of `known_keys` that has the `epochs` of `imported_keys` too.
pub(super) fn open_whole(row: &Row, master: &MasterKey) -> Result<Key, VaultError> {
    let key = open(row, master)?;
    if !column::<bool>(row, "imported")? {
        return Ok(key);
    }
    let epochs = column::<Option<&[u8]>>(row, "epochs")?.unwrap_or_default();
    let imported = Imported::from_bytes(column(row, "unknown_accounts")?, epochs);
    Ok(key.with_import(Arc::new(imported.ok_or(StoreError::corrupt("a key's epochs are none"))?)))
}
