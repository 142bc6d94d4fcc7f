//! What of a store is there before anything is opened or made.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf, absolute},
};

use super::{
    super::{access, error::StoreError},
    place::files,
    sharing,
};

/// What of a store and its master key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A database file that may be a store.
    Store,
    /// Neither database nor journal nor master key: nothing was ever made here.
    Nothing,
    /// The master key alone: the store is lost, or was never made.
    MasterKeyOnly,
}

/// Looks for the store at `path` and for its master key. Changes and makes nothing, so that it may be asked beside a
/// running gateway; not in a process that has the store open itself, which would lose its locks.
///
/// # Errors
/// [`StoreError::Unreadable`] for what no command can work with, and where another process has the journal open with
/// another database.
pub fn examine(path: &Path, master_key_file: &Path) -> Result<Found, StoreError> {
    // The key before the database: where both are made, the database is first.
    let has_key = is_there(master_key_file) || is_there(&master_key_file.with_added_extension("new"));
    Ok(match (has_unshared_database(path)?, has_key) {
        (true, _) => Found::Store,
        (false, true) => Found::MasterKeyOnly,
        (false, false) => Found::Nothing,
    })
}

/// As [`has_database`], and refuses one whose journal another process has open with another database, or the other way
/// round. Only for a process that does not have the store open.
pub(super) fn has_unshared_database(path: &Path) -> Result<bool, StoreError> {
    let has_database = has_database(path)?;
    if has_database && !sharing::is_of_one_store(path) {
        let reason =
            "another process has a part of it open, and another file in the place of the rest (-wal, -shm or the \
                      database): put that file back, or end that process"
                .to_owned();
        return Err(StoreError::Unreadable { path: path.to_owned(), reason });
    }
    Ok(has_database)
}

/// Whether the database of a store is there. Opens and makes nothing.
///
/// # Errors
/// [`StoreError::Unreadable`] for what no command can work with: a journal without its database, an empty file, a
/// file that others can read or that is not ours to write, a folder that is missing or not writable.
pub(super) fn has_database(path: &Path) -> Result<bool, StoreError> {
    let unreadable = |reason: String| StoreError::Unreadable { path: path.to_owned(), reason };
    let whole = absolute(path).map_err(|error| unreadable(error.to_string()))?;
    let [database, journal, index] = files(&whole);
    match fs::metadata(&database) {
        Ok(facts) if !facts.is_file() => Err(unreadable("it is no regular file".to_owned())),
        Ok(facts) if facts.len() == 0 => Err(unreadable(
            "it is empty: put the store back, or restore a backup; where there never was a store, remove the file"
                .to_owned(),
        )),
        Ok(_) => {
            [&database, &journal, &index].into_iter().try_for_each(|file| check_private(path, file))?;
            // SQLite makes files of its own beside the store's.
            access::may_make(&whole).map_err(unreadable)?;
            let denied = |error| unreadable(format!("portero's user may not write it: {error}"));
            access::may_write(&database).map_err(denied)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(left) = [journal, index].iter().find(|file| is_there(file)) {
                return Err(unreadable(format!(
                    "it is missing, and {} is there without it: put the database back beside it; where that is lost, \
                     move what is left away first",
                    left.display()
                )));
            }
            access::may_make(&whole).map_err(unreadable)?;
            Ok(false)
        }
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// The refusal of everything that works with a store and does not make one.
pub fn missing(path: &Path, found: Found) -> StoreError {
    let hint = match found {
        Found::MasterKeyOnly => {
            "but its master key is: put the store back (a mount may be missing), or restore a backup; where there is \
             none, portero store init makes a new store, and all earlier tokens are void"
        }
        Found::Nothing | Found::Store => "portero store init makes one; so does portero run at its first start",
    };
    StoreError::Missing { path: path.to_owned(), hint }
}

/// Refuses a file of the store at `path` that others can read: it has password hashes and sealed keys.
fn check_private(path: &Path, file: &PathBuf) -> Result<(), StoreError> {
    let Ok(facts) = fs::metadata(file) else { return Ok(()) };
    if !facts.is_file() {
        let reason = format!("{}: it is no regular file", file.display());
        return Err(StoreError::Unreadable { path: path.to_owned(), reason });
    }
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let file = file.display();
        let reason = format!("{file} can be read or written by others (mode {mode:o}); run: chmod 600 {file}");
        return Err(StoreError::Unreadable { path: path.to_owned(), reason });
    }
    Ok(())
}

/// What cannot be looked at counts as there: nothing is made beside it.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_would_refuse_is_said_and_nothing_is_made() {
        let folder = crate::memory::new_folder();
        let (of, key) = (|name: &str| folder.path().join(name), folder.path().join("master.key"));
        let said = |name: &str| examine(&of(name), &key).unwrap_err().to_string();
        assert_eq!(examine(&of("portero.db"), &key).unwrap(), Found::Nothing);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        assert!(said("away/portero.db").ends_with("its folder does not exist: make it first"));
        let file = of("portero.db");
        fs::write(&file, "a database").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(said("portero.db").contains("(mode 644); run: chmod 600 "));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(examine(&file, &key).unwrap(), Found::Store);
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(said("folder").ends_with("it is no regular file"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        // Nobody may make a file there, not even root.
        let said = examine(Path::new("/proc/self/portero.db"), Path::new("/nowhere")).unwrap_err().to_string();
        assert!(said.contains("its folder is not writable"), "{said}");
    }
}
