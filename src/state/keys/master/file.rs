//! The master key's file, which a reseal replaces while gateways run.
//!
//! A reseal writes the new key beside the file (`master.key.new`), commits what is sealed under it, and
//! renames it over the old one. The fingerprint in the store says at every moment which of both is the
//! right one. A process that writes, renames or removes a file here holds the store's write lock.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;

use super::key::{MasterKey, MasterKeyError};
use crate::state::store::{access, private_file::PrivateFileError};

/// Who may give a file away.
const ROOT: u32 = 0;

/// The master key in memory and where it comes from.
#[derive(Debug)]
pub(in crate::state::keys) struct MasterFile {
    path: PathBuf,
    present: ArcSwap<MasterKey>,
}

impl MasterFile {
    /// The key of this fingerprint.
    pub(in crate::state::keys) fn open(path: &Path, fingerprint: &[u8]) -> Result<Self, MasterKeyError> {
        let present = ArcSwap::from_pointee(find(path, fingerprint)?);
        Ok(Self { path: path.to_owned(), present })
    }

    /// The key that was found last.
    pub(in crate::state::keys) fn present(&self) -> Arc<MasterKey> {
        self.present.load_full()
    }

    /// Where it is.
    pub(in crate::state::keys) fn path(&self) -> &Path {
        &self.path
    }

    /// The key of this fingerprint: the present one, or what the file holds since another process resealed.
    pub(in crate::state::keys) fn key(&self, fingerprint: &[u8]) -> Result<Arc<MasterKey>, MasterKeyError> {
        let present = self.present.load_full();
        if present.is(fingerprint) {
            return Ok(present);
        }
        let found = Arc::new(find(&self.path, fingerprint)?);
        self.present.store(Arc::clone(&found));
        Ok(found)
    }

    /// Whether a reseal is under way, or was cut short.
    pub(in crate::state::keys) fn is_unsettled(&self) -> bool {
        beside(&self.path).exists()
    }

    /// Leaves one file, with the key of this fingerprint. For who holds the write lock, under which
    /// nobody else is between the two files.
    pub(in crate::state::keys) fn settle(&self, fingerprint: &[u8]) -> Result<(), MasterKeyError> {
        let new = beside(&self.path);
        if !new.exists() {
            return Ok(());
        }
        let in_place = MasterKey::read(&self.path).is_ok_and(|key| key.is(fingerprint));
        let settled = if in_place {
            fs::remove_file(&new)
        } else {
            // Whatever stands there is not to be lost to a file of unknown content.
            find(&self.path, fingerprint)?;
            fs::rename(&new, &self.path)
        };
        settled.and_then(|()| sync_folder(&self.path)).map_err(|source| io_error(&self.path, source))
    }

    /// A new key in a file beside, on the disk when this returns. Where root makes it, it belongs to whom the present
    /// one does: the service could not read it otherwise. For who holds the write lock and has settled.
    pub(in crate::state::keys) fn write_beside(&self) -> Result<MasterKey, MasterKeyError> {
        let new = beside(&self.path);
        let key = MasterKey::read_or_create(&new)?;
        let given = fs::metadata(&self.path).and_then(|present| {
            if fs::metadata(&new)?.uid() != ROOT {
                return Ok(());
            }
            chown(&new, Some(present.uid()), Some(present.gid()))
        });
        match given {
            Ok(()) => Ok(key),
            Err(source) => {
                // Whoever it belongs to, nothing was sealed with it.
                let _ = fs::remove_file(&new);
                Err(io_error(&self.path, source))
            }
        }
    }
}

/// The key of this fingerprint, in the file or beside it.
pub(in crate::state::keys) fn find(path: &Path, fingerprint: &[u8]) -> Result<MasterKey, MasterKeyError> {
    for place in [path, &beside(path)] {
        if let Ok(key) = MasterKey::read(place)
            && key.is(fingerprint)
        {
            return Ok(key);
        }
    }
    // It may have been renamed between the two looks; and if not, this says what is wrong.
    let key = MasterKey::read(path)?;
    if key.is(fingerprint) { Ok(key) } else { Err(MasterKeyError::Other(path.to_owned())) }
}

/// Looks at the file that a start would read, or, without a store, make together with one.
///
/// # Errors
/// Why it could not.
pub(in crate::state::keys) fn examine(path: &Path, has_store: bool) -> Result<(), MasterKeyError> {
    match MasterKey::read(path) {
        // A reseal that was cut short may have left it there.
        Err(MasterKeyError::Missing(_)) if MasterKey::read(&beside(path)).is_ok() => Ok(()),
        Err(MasterKeyError::Missing(_)) if !has_store => {
            access::may_make(path).map_err(|reason| io_error(path, io::Error::other(reason)))
        }
        read => read.map(drop),
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

fn io_error(path: &Path, source: io::Error) -> MasterKeyError {
    MasterKeyError::File(PrivateFileError::Io { path: path.to_owned(), source })
}
