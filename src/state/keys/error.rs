//! What can go wrong with keys at rest.

use thiserror::Error;

use super::{KeyError, MasterKeyError};
use crate::{
    domain::KeyId,
    state::{account::password::Unopenable, store::StoreError},
};

/// Why keys cannot be had.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key's fault.
    #[error(transparent)]
    Master(#[from] MasterKeyError),
    /// A key's fault.
    #[error("key {0}: {1}")]
    Key(KeyId, KeyError),
    /// A sealed password's fault.
    #[error(transparent)]
    Password(#[from] Unopenable),
    /// No material could be made.
    #[error(transparent)]
    Material(#[from] KeyError),
    /// The table holds what this version does not understand.
    #[error("key {0} in the store has the unknown {1} '{2}'; a newer version wrote it?")]
    Unknown(KeyId, &'static str, String),
}
