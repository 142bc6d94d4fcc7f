//! The keys as the store has them, still sealed, kept outside of it: for a start without the store.

use std::{collections::HashSet, path::Path, sync::Arc};

use aws_lc_rs::aead::LessSafeKey;

use super::{
    Keyring, MasterKeyError, Vault, VaultError, VaultSettings,
    master::{self, MasterFile},
    vault::{fingerprint_in, open_whole},
};
use crate::state::store::{KEYS, KeptRow, Row, Store, StoreError, Value, query};

/// The columns of [`KEYS`], each with a value of its type.
static COLUMNS: [(&str, Value); 19] = [
    ("id", Value::Text(None)),
    ("realm", Value::Text(None)),
    ("algorithm", Value::Text(None)),
    ("state", Value::Text(None)),
    ("form", Value::Text(None)),
    ("sealed", Value::Bytes(None)),
    ("profile", Value::Text(None)),
    ("imported", Value::Boolean(false)),
    ("pinned", Value::Boolean(false)),
    ("asked", Value::Boolean(false)),
    ("created_at", Value::Integer(None)),
    ("activated_at", Value::Integer(None)),
    ("retiring_since", Value::Integer(None)),
    ("retires_at", Value::Integer(None)),
    ("ended_at", Value::Integer(None)),
    ("wiped", Value::Boolean(false)),
    ("thumbprint", Value::Bytes(None)),
    ("unknown_accounts", Value::Boolean(false)),
    ("epochs", Value::Bytes(None)),
];

/// Keys at one moment, as the store has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptKeys {
    /// Which master key they are sealed under.
    fingerprint: Vec<u8>,
    rows: Vec<KeptRow>,
}

impl KeptKeys {
    /// Which master key they are sealed under.
    pub(in crate::state) fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// Their values, a row after the other.
    pub(in crate::state) fn rows(&self) -> impl ExactSizeIterator<Item = &[Value]> {
        self.rows.iter().map(|row| row.values.as_slice())
    }

    /// Keys of these values; `None` where they are malformed.
    pub(in crate::state) fn from_rows(fingerprint: Vec<u8>, rows: Vec<Vec<Value>>) -> Option<Self> {
        let fits = |values: &Vec<Value>| {
            let same = |(value, (_, sample)): (&Value, &(&str, Value))| {
                std::mem::discriminant(value) == std::mem::discriminant(sample)
            };
            values.len() == COLUMNS.len() && values.iter().zip(&COLUMNS).all(same)
        };
        let rows = rows.into_iter().map(|values| fits(&values).then_some(KeptRow { columns: &COLUMNS, values }));
        Some(Self { fingerprint, rows: rows.collect::<Option<_>>()? })
    }

    /// Whether `before` has material that is gone here: a key was revoked, retired or forgotten, or all were sealed
    /// anew.
    pub(in crate::state) fn lacks_some_of(&self, before: &Self) -> bool {
        let of = |keys: &Self| -> HashSet<Value> {
            keys.rows
                .iter()
                .filter_map(|row| row.values.get(5))
                .filter(|sealed| **sealed != Value::Bytes(None))
                .cloned()
                .collect()
        };
        !of(before).is_subset(&of(self))
    }
}

impl Vault {
    /// The keys of a store that cannot be asked now, as they were kept: their master key's file must be there.
    ///
    /// # Errors
    /// Fails when the master key's file is missing, unusable or another store's.
    pub fn resume(store: Store, settings: &VaultSettings, kept: &KeptKeys) -> Result<Self, VaultError> {
        let master = MasterFile::open(&settings.master_key_file, &kept.fingerprint)?;
        Ok(Self::of(store, Arc::new(master)))
    }

    /// Asserts that the store is the one that these keys are of.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or sealed under another master key.
    pub async fn confirm(&self) -> Result<(), VaultError> {
        let mut reading = self.store.begin_reading().await?;
        let fingerprint = fingerprint_in(&mut reading).await?;
        reading.commit().await?;
        self.master.key(&fingerprint)?;
        Ok(())
    }

    /// The keys that may have tokens, as the store has them.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn kept(&self) -> Result<KeptKeys, VaultError> {
        // One transaction, so that rows and fingerprint are of one moment.
        let mut reading = self.store.begin_reading().await?;
        let fingerprint = fingerprint_in(&mut reading).await?;
        let rows = query(KEYS).all(&mut reading).await?;
        reading.commit().await?;
        let rows = rows.iter().map(|row| row.keep(&COLUMNS)).collect::<Result<_, StoreError>>()?;
        Ok(KeptKeys { fingerprint, rows })
    }

    /// What kept keys are, opened.
    ///
    /// # Errors
    /// Fails when one does not open under the master key.
    pub fn open_kept(&self, kept: &KeptKeys) -> Result<Keyring, VaultError> {
        let master = self.master.key(&kept.fingerprint)?;
        let open = |row: &KeptRow| open_whole(&Row::Kept(row.clone()), &master).map(Arc::new);
        Ok(Keyring::new(kept.rows.iter().map(open).collect::<Result<Vec<_>, _>>()?))
    }

    /// A key for what is sealed beside kept keys, of the same master key.
    ///
    /// # Errors
    /// Fails when the master key's file does not hold it any more.
    pub fn derive(&self, kept: &KeptKeys, purpose: &str) -> Result<LessSafeKey, VaultError> {
        Ok(self.master.key(&kept.fingerprint)?.derive(purpose))
    }
}

/// The same without a store: of the master key with this fingerprint, in its file.
///
/// # Errors
/// Fails when the file is missing, unusable, or holds another key.
pub fn derive(file: &Path, fingerprint: &[u8], purpose: &str) -> Result<LessSafeKey, MasterKeyError> {
    Ok(master::find(file, fingerprint)?.derive(purpose))
}
