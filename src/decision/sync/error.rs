//! Why the store cannot be followed.

use thiserror::Error;

use crate::{
    decision::admin::migration::StepError,
    state::{keys::VaultError, store::StoreError, store_snapshot::StoreSnapshotError},
};

/// Why the store could not be followed.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each is transparent")]
pub enum StoreSyncError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The config would lose accounts, or nobody could say whether.
    #[error(transparent)]
    Migration(#[from] StepError),
    /// What a start began by in the place of the store.
    #[error(transparent)]
    Snapshot(#[from] StoreSnapshotError),
}
