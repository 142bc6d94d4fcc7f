//! The files that are read.

use std::path::{PathBuf, absolute};

use clap::Args;

use crate::{cli::output::CliError, config::GatewaySettings};

#[derive(Debug, Args)]
pub(in crate::cli) struct Files {
    /// A file of another gateway, or one that was kept elsewhere; may be repeated
    #[arg(long = "file", value_name = "FILE")]
    pub(super) more: Vec<PathBuf>,
}

impl Files {
    /// The config's file, as the store has it.
    pub(super) fn configured(settings: &GatewaySettings) -> Result<Option<PathBuf>, CliError> {
        let named = settings.audit.file.as_ref().map(absolute).transpose();
        named.map_err(|error| CliError::Trouble(format!("the working directory cannot be read: {error}")))
    }
}
