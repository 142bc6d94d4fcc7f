//! Why the store cannot be followed.

use thiserror::Error;

use crate::state::{keys::VaultError, store::StoreError};

/// Why the store could not be followed.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each is transparent")]
pub enum StoreSyncError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}
