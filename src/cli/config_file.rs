//! Which config file a command works with.

use std::{env, path::PathBuf};

use clap::Args;

use crate::config::CONFIG_VARIABLE;

/// The file where nothing names one.
const DEFAULT: &str = "gateway.toml";

/// The config file: what the argument names, else what the environment names, else the one in the working directory.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigFile {
    /// The config file [default: what `PORTERO_CONFIG` names, else gateway.toml]
    #[arg(long = "config", value_name = "FILE")]
    named: Option<PathBuf>,
}

impl ConfigFile {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.named().unwrap_or_else(|| DEFAULT.into())
    }

    /// Whether somebody named it.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.named().is_some()
    }

    fn named(&self) -> Option<PathBuf> {
        let variable = || env::var_os(CONFIG_VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from);
        self.named.clone().or_else(variable)
    }
}
