//! What a start will find of keys: looked at, and nothing changed.

use std::path::Path;

use super::{MasterKey, MasterKeyError, VaultError, master, vault::open_whole};
use crate::state::store::Looked;

/// Looks at the master key's file, and opens the keys of the store that is there.
///
/// # Errors
/// Why a start would not make or open the master key, or the first key that it would not open.
pub fn examine(path: &Path, store: Option<&Looked>) -> Result<(), VaultError> {
    let Some((looked, fingerprint)) = store.and_then(|looked| Some((looked, looked.master_key.as_ref()?))) else {
        return Ok(master::examine(path, store.is_some())?);
    };
    let master = master::find(path, fingerprint)?;
    looked.keys.iter().try_for_each(|row| open_whole(row, &master).map(drop))
}

/// The master key that a store remembers by this fingerprint: in its file, or beside it where a reseal was cut short.
///
/// # Errors
/// Fails when the file is missing, can be read by others, or holds another key.
pub fn master_of_store(path: &Path, fingerprint: &[u8]) -> Result<MasterKey, MasterKeyError> {
    master::find(path, fingerprint)
}
