//! Small files with a secret in them, for the gateway's eyes only.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::domain::{id::hex, random};

/// Bytes of such a file, at most.
const FILE_BYTES_MAX: u64 = 4096;

/// Random octets in the name of such a file while it is made.
const UNFINISHED_ID_BYTES: usize = 8;

/// Entries of a folder that are looked at for unfinished files, at most.
const FOLDER_ENTRIES_MAX: usize = 10_000;

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
///
/// # Errors
/// Fails when the file is missing, can be read by others, is too large, or is no text.
pub fn read(path: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    let no_text = |error| PrivateFileError::Io { path: path.to_owned(), source: io::Error::other(error) };
    let bytes = read_bytes(path)?;
    let text = std::str::from_utf8(&bytes).map_err(no_text)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Reads the file as it is.
///
/// # Errors
/// Fails when the file is missing, is no regular file, can be read by others, or is too large.
pub fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PrivateFileError::Missing(path.to_owned()),
        _ => PrivateFileError::Io { path: path.to_owned(), source },
    };
    let facts = fs::metadata(path).map_err(failed)?;
    // A pipe has no end while somebody holds it open.
    if !facts.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    let mode = facts.permissions().mode() & 0o777;
    if is_exposed(mode, facts.uid(), rustix::process::geteuid().as_raw()) {
        return Err(PrivateFileError::Exposed { path: path.to_owned(), mode });
    }
    if facts.len() > FILE_BYTES_MAX {
        return Err(failed(io::Error::other("the file is too large to be what it should be")));
    }
    Ok(Zeroizing::new(fs::read(path).map_err(failed)?))
}

/// Whether others than this process may read a file of this mode and owner.
///
/// What root puts there for us, we read as its group: secrets that Kubernetes mounts are `root:GROUP`, mode 0440.
/// PostgreSQL takes private keys under the same rule.
const fn is_exposed(mode: u32, owner: u32, own: u32) -> bool {
    let given_by_root = owner == 0 && own != 0;
    mode & if given_by_root { 0o037 } else { 0o077 } != 0
}

/// Reads the file, or makes it with `text` and mode 0600; it is on the disk when this returns.
///
/// It is written beside and then linked: a process that finds the file finds all of it, and of two
/// processes that make it at once one wins, and the other reads the winner's.
///
/// # Errors
/// Fails when the file cannot be read or made, can be read by others, is too large, or is no text.
pub fn read_or_create(path: &Path, text: &str) -> Result<Zeroizing<String>, PrivateFileError> {
    if path.exists() {
        clear_unfinished(path);
        return read(path);
    }
    let failed = |source: io::Error| PrivateFileError::Io { path: path.to_owned(), source };
    let unfinished = path.with_added_extension(format!("{}.new", hex(&random::bytes::<UNFINISHED_ID_BYTES>())));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
    let linked = write(file, text).and_then(|()| fs::hard_link(&unfinished, path));
    match fs::remove_file(&unfinished) {
        // Another process cleared it, which it does only once the file is there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.map_err(failed)?,
    }
    match linked {
        Ok(()) => {
            clear_unfinished(path);
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(failed)?;
            Ok(Zeroizing::new(text.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => read(path),
        Err(error) => Err(failed(error)),
    }
}

/// Removes what processes left that were killed while they made the file at `path`: `NAME.0123456789abcdef.new`.
///
/// Nothing is removed before the file is there. From then on no such text is of use to anybody: a process that is about
/// to put its own in the same place finds the file, and reads that.
pub fn clear_unfinished(path: &Path) {
    let Some(name) = path.file_name().filter(|_| path.exists()) else { return };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.take(FOLDER_ENTRIES_MAX).flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && is_unfinished(&entry.file_name(), name) {
            // It may be gone, or not be ours to remove: it is of no use, and in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_unfinished(entry: &OsStr, name: &OsStr) -> bool {
    let id = entry.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
    let id = id.and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(b".new"));
    id.is_some_and(|id| {
        id.len() == 2 * UNFINISHED_ID_BYTES && id.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
    })
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
        let folder = crate::memory::new_folder();
        let path = folder.path().join("secret");
        assert!(matches!(read(&path), Err(PrivateFileError::Missing(_))));
        assert_eq!(*read_or_create(&path, "first").unwrap(), "first");
        assert_eq!(*read_or_create(&path, "second").unwrap(), "first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(PrivateFileError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_group_may_read_what_root_gives_to_another_user_and_nothing_else() {
        let (root, other) = (0, 65532);
        for (mode, owner, own, exposed) in [
            (0o600, other, other, false),
            (0o400, other, other, false),
            (0o440, other, other, true),
            (0o440, root, other, false),
            (0o640, root, other, false),
            (0o460, root, other, true),
            (0o444, root, other, true),
            (0o404, root, other, true),
            (0o440, root, root, true),
            (0o440, 1000, other, true),
        ] {
            assert_eq!(is_exposed(mode, owner, own), exposed, "{mode:o} of {owner}, for {own}");
        }
    }

    #[test]
    fn what_killed_processes_left_is_cleared_once_the_file_is_there() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("secret");
        let left = folder.path().join("secret.0123456789abcdef.new");
        let others =
            ["secret.new", "secret.0123.new", "secret.0123456789abcdeX.new", "secret.new.0123456789abcdef.new"];
        for name in others {
            fs::write(folder.path().join(name), "other").unwrap();
        }
        fs::write(&left, "left").unwrap();
        clear_unfinished(&path);
        assert!(left.exists(), "another process may be making the file");
        assert_eq!(*read_or_create(&path, "text").unwrap(), "text");
        assert!(!left.exists());
        fs::write(&left, "left").unwrap();
        assert_eq!(*read_or_create(&path, "other").unwrap(), "text");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + others.len());
    }

    #[test]
    fn of_many_that_make_it_at_once_one_wins_and_nobody_fails() {
        for _ in 0..20 {
            let folder = crate::memory::new_folder();
            let path = folder.path().join("secret");
            let texts: Vec<_> = std::thread::scope(|scope| {
                let path = &path;
                let making = |at: usize| scope.spawn(move || read_or_create(path, &format!("text {at}")).unwrap());
                let makers: Vec<_> = (0..8).map(making).collect();
                makers.into_iter().map(|maker| maker.join().unwrap()).collect()
            });
            assert!(texts.iter().all(|text| **text == *texts[0]), "{texts:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
