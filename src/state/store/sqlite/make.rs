//! Making a store: beside its place, and then linked there, so that a process that finds the file finds all of it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{super::error::StoreError, place::files};
use crate::domain::{id::hex, random};

/// A file beside `path` that is not in its place yet. It is removed when this is dropped, with what SQLite
/// made beside it.
pub(super) struct Unplaced {
    pub(super) path: PathBuf,
}

impl Unplaced {
    /// An empty file, mode 0600.
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        let path = path.with_added_extension(format!("{}.new", hex(&random::bytes::<8>())));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path })
    }

    /// Puts it in its place, durably. An error of the kind `AlreadyExists` says that the place is taken; what is
    /// there is then as it was.
    pub(super) fn place(&self, path: &Path) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        fs::hard_link(&self.path, path)?;
        // Its other name goes before the folder is on the disk, so that one name is left.
        fs::remove_file(&self.path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
    }
}

impl Drop for Unplaced {
    fn drop(&mut self) {
        for file in files(&self.path) {
            // In its place, or never made.
            let _ = fs::remove_file(file);
        }
    }
}

/// Why a file of the store at `path` could not be made.
pub(super) fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unreadable {
        path: path.to_owned(),
        reason: match error.kind() {
            io::ErrorKind::NotFound => "its folder does not exist: make it first".to_owned(),
            io::ErrorKind::PermissionDenied => "its folder is not writable by portero's user".to_owned(),
            _ => error.to_string(),
        },
    }
}
