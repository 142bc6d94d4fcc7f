//! `portero store init`, `portero backup` and `portero restore`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

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
            Self::Init { common } => common,
        }
    }

    pub(super) async fn run(&self) -> Result<Output, CliError> {
        let settings = app::load(&self.common().config.path())?;
        let path = settings.store.path.display().to_string();
        let key = settings.master_key_file.display().to_string();
        let found = store::examine(&settings.store.path, &settings.master_key_file)?;
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
        let copied = backup::write(&settings.store, &self.file).await?;
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
        let backup = backup::read(&settings.store, &self.file, SystemClock.now()).await?;
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
            settings.store.path.display()
        );
        Ok(Output { text, json: members("restored", &settings.store.path, &settings, &copied) })
    }
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
