//! Where a demo keeps its files.

use std::{
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::trouble::trouble;
use crate::{cli::output::CliError, domain::SessionId};

/// A folder; one that is thrown away is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    thrown_away: bool,
}

impl Folder {
    /// The folder `path`, made if it is not there.
    pub(super) fn kept(path: &Path) -> Result<Self, CliError> {
        fs::create_dir_all(path).map_err(|error| trouble(path, &error))?;
        Ok(Self { path: path.to_owned(), thrown_away: false })
    }

    /// A new folder that nobody else can look into.
    pub(super) fn thrown_away() -> Result<Self, CliError> {
        let path = env::temp_dir().join(format!("portero-demo-{}", SessionId::generate()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| trouble(&path, &error))?;
        Ok(Self { path, thrown_away: true })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.thrown_away
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the demo's folder could not be removed");
        }
    }
}
