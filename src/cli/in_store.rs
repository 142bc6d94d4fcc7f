//! Commands on a store.

use std::sync::Arc;

use tokio::runtime::Builder;

use super::{
    config_file::ConfigFile,
    output::{CliError, Output},
    patience::Patience,
    user,
};
use crate::{
    app::{self, Making, StartError},
    config::GatewaySettings,
    decision::AdminService,
    domain::SystemClock,
    state::{
        account::PasswordRules,
        clock::TrustedClock,
        keys::Vault,
        store::{Store, migration_steps},
    },
};

/// A command on the store of a config.
pub(super) trait InStore {
    /// Whether it may be the first command of all, and make the store.
    fn making(&self) -> Making {
        Making::Refused
    }

    async fn execute(&self, settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError>;
}

pub(super) fn in_store(config: &ConfigFile, command: &impl InStore) -> Result<Output, CliError> {
    let settings = app::load(&config.path())?;
    block_on(with_store(&settings, command.making(), async |store, vault| {
        let trusted = TrustedClock::open(store, Arc::new(SystemClock)).await?;
        let password_rules = PasswordRules::new(Arc::clone(&settings.refused_passwords));
        let admin = AdminService::new(user::actor(), &vault, trusted, None).judging_passwords_by(password_rules);
        command.execute(&settings, &admin).await
    }))
}

/// Does something with the store, and gives up on a store that hangs. What is said to be done is in the file that
/// the store's path names.
pub(super) async fn with_store(
    settings: &GatewaySettings,
    making: Making,
    work: impl AsyncFnOnce(&Store, Vault) -> Result<Output, CliError>,
) -> Result<Output, CliError> {
    // On a server nothing is made but by `store init`.
    let was_there = settings.store.file().is_none_or(|file| file.exists());
    let mut patience = Patience::default();
    let (store, vault) = patience.with(migration_steps, app::open_vault(settings, making)).await??;
    if !was_there {
        // Standard output is for what was asked.
        eprintln!("portero: a new store was made: {}", settings.store.place());
    }
    let outcome = patience.with(|| store.calls(), work(&store, vault)).await.flatten();
    let outcome = match outcome {
        Ok(output) => store.confirm().await.map(|()| output).map_err(CliError::from),
        refused => refused,
    };
    store.close().await;
    outcome
}

/// Runs a command on a runtime of its own.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::from)?;
    let outcome = runtime.block_on(command);
    // A look at a file that hangs is not waited for.
    runtime.shutdown_background();
    outcome
}
