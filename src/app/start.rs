//! What keeps a gateway from starting, and what it reads before it starts.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use thiserror::Error;

use crate::{
    config::{self, GatewaySettings, Report, Summary},
    decision::{
        ExternalIssuerError, SnapshotError, StoreSyncError, admin::migration::StepError,
        sync::key_lifecycle::KeyLifecycleError,
    },
    state::{
        keys::VaultError,
        store::{StoreError, private_file::PrivateFileError},
    },
};

/// What an operator must know about a route in shadow mode.
pub const SHADOW_MEANS: &str = "it lets every request through whatever its token, revoked, expired and missing ones too; what it would deny is only counted and logged";

/// Why the gateway could not start. Nothing of it is left running.
#[derive(Debug, Error)]
pub enum StartError {
    /// The config is not good.
    #[error(transparent)]
    Config(#[from] Report),
    /// Somebody writes a file of the config: half of it is not to be taken over.
    #[error("a file of the config is just being written; ask again once its writer has closed it")]
    Unfinished,
    /// An address is taken, or not ours.
    #[error("cannot listen on {address} ({key}): {source}")]
    Listen {
        /// The config's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its keys.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The keys that its realms need.
    #[error(transparent)]
    KeyLifecycle(#[from] KeyLifecycleError),
    /// Reading what is in force.
    #[error(transparent)]
    Follow(#[from] StoreSyncError),
    /// Going back to an old system would lose accounts, or nobody could say whether.
    #[error(transparent)]
    Migration(#[from] StepError),
    /// The tables.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A reload would leave an upstream without any server to ask.
    #[error("upstream '{0}': none of its servers' names has an address")]
    Addresses(Arc<str>),
    /// An external issuer's files.
    #[error(transparent)]
    ExternalIssuer(#[from] ExternalIssuerError),
    /// The admin token's file.
    #[error("admin token file {0}")]
    AdminToken(#[from] PrivateFileError),
    /// Threads, signals or metrics.
    #[error("the gateway cannot start: {0}")]
    System(String),
}

impl StartError {
    /// Whether the server of the store does not answer.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Store(error)
            | Self::Vault(VaultError::Store(error))
            | Self::Migration(StepError::Store(error))
            | Self::KeyLifecycle(
                KeyLifecycleError::Store(error) | KeyLifecycleError::Vault(VaultError::Store(error)),
            ) => error.is_away(),
            _ => false,
        }
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// The environment, as the config reads it.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Says what is good in the config and hardly meant, and which routes let everybody through.
pub(super) fn warn_of(config: &Path, settings: &GatewaySettings) {
    for warning in &settings.warnings {
        let warning = format!("{}:{warning}", config.display());
        tracing::warn!(warning, "the config has a warning");
    }
    for file in &settings.readable_secrets {
        tracing::warn!(file = %file.display(), "every user of this system can read a file with a secret");
    }
    for route in settings.site.shadow_routes() {
        tracing::warn!(route, meaning = SHADOW_MEANS, "a route is in shadow mode");
    }
}

/// Reads and checks the config.
///
/// # Errors
/// Reports every problem of the config and of the files that it names.
pub fn load(config: &Path) -> Result<GatewaySettings, StartError> {
    Ok(config::load(config, &environment)?)
}

/// Reads and checks the config alone, without the files that it refers to.
///
/// # Errors
/// Reports every problem of the file.
pub fn load_alone(config: &Path) -> Result<Summary, Report> {
    config::load_alone(config, &environment)
}
