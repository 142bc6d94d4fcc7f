//! Small files with a secret in them, for the gateway's eyes only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::domain::{id::hex, random};

/// Bytes of such a file, at most.
const FILE_BYTES_MAX: u64 = 4096;

/// Why such a file is of no use.
#[derive(Debug, Error)]
pub enum PrivateFileError {
    /// It is not there.
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    /// It holds nothing.
    #[error("{} is empty; delete it, and a new one is made", .0.display())]
    Empty(PathBuf),
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:o}); run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Reads the file, without white space around its text.
pub fn read(path: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    let no_text = |error| PrivateFileError::Io { path: path.to_owned(), source: io::Error::other(error) };
    let bytes = read_bytes(path)?;
    let text = std::str::from_utf8(&bytes).map_err(no_text)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Reads the file as it is.
pub fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PrivateFileError::Missing(path.to_owned()),
        _ => PrivateFileError::Io { path: path.to_owned(), source },
    };
    let facts = fs::metadata(path).map_err(failed)?;
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Exposed { path: path.to_owned(), mode });
    }
    if facts.len() > FILE_BYTES_MAX {
        return Err(failed(io::Error::other("the file is too large to be what it should be")));
    }
    Ok(Zeroizing::new(fs::read(path).map_err(failed)?))
}

/// Reads the file, or makes it with `text` and mode 0600; it is on the disk when this returns.
///
/// It is written beside and then linked: whoever finds the file finds all of it, and of two
/// processes that make it at once one wins, and the other reads the winner's.
pub fn read_or_create(path: &Path, text: &str) -> Result<Zeroizing<String>, PrivateFileError> {
    if path.exists() {
        return read(path);
    }
    let failed = |source: io::Error| PrivateFileError::Io { path: path.to_owned(), source };
    let unfinished = path.with_added_extension(format!("{}.new", hex(&random::bytes::<8>())));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
    let linked = write(file, text).and_then(|()| fs::hard_link(&unfinished, path));
    fs::remove_file(&unfinished).map_err(failed)?;
    match linked {
        Ok(()) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(failed)?;
            Ok(Zeroizing::new(text.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(failed(error)),
    }
}

fn write(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_private_and_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(matches!(read(&path), Err(PrivateFileError::Missing(_))));
        assert_eq!(*read_or_create(&path, "first").unwrap(), "first");
        assert_eq!(*read_or_create(&path, "second").unwrap(), "first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(PrivateFileError::Exposed { mode: 0o640, .. })));
    }
}
