//! Why a demo's folder cannot be used.

use std::path::Path;

use crate::cli::output::CliError;

pub(super) fn trouble(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Trouble(format!("{}: {error}", path.display()))
}
