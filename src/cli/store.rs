//! `portero store init`, `migrate` and `restored`, `portero backup` and `portero restore`.

mod copy;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::copy::Copy;
use super::{
    output::{CliError, Output},
    patience::Patience,
    revoke::Common,
};
use crate::{
    app::{self, Making},
    config::GatewaySettings,
    domain::{Clock, SystemClock},
    state::{
        keys::MasterKey,
        store::{
            self, Found,
            backup::{self, BackupError, Copied},
            migration_steps,
        },
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Make a store where there is none; change nothing where there is one
    Init {
        #[command(flatten)]
        common: Common,
    },
    /// Bring the schema of a PostgreSQL store up to date; gateways of this release and of the one before run on
    Migrate {
        #[command(flatten)]
        common: Common,
    },
    /// Say that a PostgreSQL database was restored from a backup, before gateways start on it
    Restored {
        #[command(flatten)]
        common: Common,
    },
    /// Copy the store to another place, beside running gateways; with --switch it moves there
    Copy(Copy),
}

#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    pub(super) common: Common,
    /// The file to make; what is there already is never overwritten
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    pub(super) common: Common,
    /// The backup
    file: PathBuf,
}

impl Store {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::Init { common } | Self::Migrate { common } | Self::Restored { common } => common,
            Self::Copy(copy) => &copy.common,
        }
    }

    pub(super) async fn run(&self) -> Result<Output, CliError> {
        match self {
            Self::Init { .. } => Box::pin(self.init()).await,
            Self::Migrate { .. } => self.migrate().await,
            Self::Restored { .. } => Box::pin(self.restored()).await,
            Self::Copy(copy) => Box::pin(copy.run()).await,
        }
    }

    async fn migrate(&self) -> Result<Output, CliError> {
        let settings = app::load(&self.common().config.path())?;
        let place = settings.store.place();
        let migrated = store::Store::migrate(&settings.store).await?;
        let text = if migrated {
            format!("the schema of the store {place} is up to date now")
        } else {
            format!("the schema of the store {place} was up to date; nothing was changed")
        };
        Ok(Output { text, json: json!({ "migrated": migrated, "store": place }) })
    }

    async fn restored(&self) -> Result<Output, CliError> {
        let settings = app::load(&self.common().config.path())?;
        let place = settings.store.place();
        if settings.store.file().is_some() {
            let why = format!("{place} is a file: portero restore puts a backup in its place, and says so by itself");
            return Err(CliError::Refused(why));
        }
        let (store, _vault) = app::open_vault(&settings, Making::Refused).await?;
        let noted = store.note_restored(SystemClock.now()).await;
        store.close().await;
        let floor = noted?;
        let text = format!(
            "the store {place} knows that it was restored: epochs are raised to {floor} at least. It does not know what \
             was revoked after the backup was made: revoke that again. Nor does it know accounts that were made after it: \
             to end the tokens of one, revoke the key of its realm"
        );
        Ok(Output { text, json: json!({ "store": place, "epoch_floor": floor }) })
    }

    /// Answers whether there was no store before.
    async fn make_on_a_server(settings: &GatewaySettings) -> Result<bool, CliError> {
        let is_there = match app::open_vault(settings, Making::Refused).await {
            Ok((store, _)) => {
                store.close().await;
                true
            }
            Err(_) => false,
        };
        if !is_there {
            let (store, _) = Patience::default().with(migration_steps, app::make_vault(settings)).await??;
            store.close().await;
        }
        Ok(!is_there)
    }

    async fn init(&self) -> Result<Output, CliError> {
        let settings = app::load(&self.common().config.path())?;
        let path = settings.store.place();
        let key = settings.master_key_file.display().to_string();
        let Some(file) = settings.store.file() else { return init_on_a_server(&settings).await };
        let found = store::examine(file, &settings.master_key_file)?;
        let (store, _vault) = match found {
            // It is opened, so that one that is of no use is not called good.
            Found::Store => {
                Patience::default().with(migration_steps, app::open_vault(&settings, Making::Refused)).await??
            }
            Found::Nothing | Found::MasterKeyOnly => {
                Patience::default().with(migration_steps, app::make_vault(&settings)).await??
            }
        };
        store.close().await;
        let made = found != Found::Store;
        let text = if made {
            format!(
                "a new store is made: {path}, with the master key of {key}; every token that was given out before is void"
            )
        } else {
            format!("the store {path} is good; nothing was changed")
        };
        Ok(Output { text, json: json!({ "made": made, "store": path, "master_key_file": key }) })
    }
}

impl Backup {
    pub(super) async fn run(&self) -> Result<Output, CliError> {
        let settings = app::load(&self.common.config.path())?;
        let copied = backup::write(file_of(&settings)?, &self.file).await?;
        let (file, key) = (self.file.display(), settings.master_key_file.display());
        let text = format!(
            "{file} is a whole copy of the store, checked ({} bytes); it opens only with the master key of {key}: keep a \
             copy of that too, elsewhere",
            copied.bytes
        );
        Ok(Output { text, json: members("backup", &self.file, &settings, &copied) })
    }
}

impl Restore {
    pub(super) async fn run(&self) -> Result<Output, CliError> {
        let settings = app::load(&self.common.config.path())?;
        let backup = backup::read(file_of(&settings)?, &self.file, SystemClock.now()).await?;
        let key_file = &settings.master_key_file;
        let present = MasterKey::read(key_file).ok();
        if let (Some(key), Some(fingerprint)) = (&present, &backup.copied.master_key)
            && !key.is(fingerprint)
        {
            return Err(CliError::Refused(format!(
                "{} opens with another master key than that of {}; put the right one there first. Nothing was changed",
                self.file.display(),
                key_file.display()
            )));
        }
        let copied = backup.copied.clone();
        backup.restore()?;
        let key = if present.is_some() { "" } else { "; its master key is to be put there before anything starts: " };
        let key_file = if present.is_some() { String::new() } else { key_file.display().to_string() };
        let text = format!(
            "{} is the store now{key}{key_file}. It does not know what was revoked after the backup was made: revoke that again. Nor \
             does it know accounts that were made after it: to end the tokens of one, revoke the key of its realm",
            settings.store.place()
        );
        Ok(Output { text, json: members("restored", file_of(&settings)?, &settings, &copied) })
    }
}

/// The store's file. A server has backups of its own.
fn file_of(settings: &GatewaySettings) -> Result<&PathBuf, CliError> {
    settings.store.file().ok_or_else(|| {
        CliError::Refused(
            "the store is a PostgreSQL database: back it up with pg_dump, or with the server's own backups and \
             write-ahead log; and keep a copy of the master key elsewhere"
                .to_owned(),
        )
    })
}

/// Makes the tables and the master key once. Where the right key is there by then, nothing changes.
async fn init_on_a_server(settings: &GatewaySettings) -> Result<Output, CliError> {
    let (place, key) = (settings.store.place(), settings.master_key_file.display().to_string());
    let made = Store::make_on_a_server(settings).await?;
    let text = if made {
        format!(
            "a new store is made: {place}, with the master key of {key}; copy that file to every gateway, and keep a copy \
             elsewhere"
        )
    } else {
        format!("the store {place} is good; nothing was changed")
    };
    Ok(Output { text, json: json!({ "made": made, "store": place, "master_key_file": key }) })
}

fn members(what: &str, file: &Path, settings: &GatewaySettings, copied: &Copied) -> Value {
    json!({
        what: file.display().to_string(),
        "bytes": copied.bytes,
        "master_key_file": settings.master_key_file.display().to_string(),
    })
}

impl From<BackupError> for CliError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Exists(_) | BackupError::Unusable { .. } => Self::Refused(error.to_string()),
            BackupError::Io { .. } | BackupError::Store(_) => Self::Trouble(error.to_string()),
        }
    }
}
