//! A look at the store's file from outside: nothing is opened, made or changed.

use std::{fs, io, os::unix::fs::PermissionsExt};

use super::{Settings, StoreError, access};

/// The permissions that let others look into the store.
const OTHERS: u32 = 0o077;

/// What stands where the store should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A file, which can be opened as far as its name and mode tell.
    Present,
    /// Nothing, and it can be made.
    Absent,
}

/// Looks at what a start would open.
///
/// # Errors
/// [`StoreError::Unreadable`] where a start would fail: the folder is missing or not writable, or the file is no file, is
/// not ours to write, or can be read by others.
pub fn examine(settings: &Settings) -> Result<Presence, StoreError> {
    let path = &settings.path;
    let unreadable = |reason: String| StoreError::Unreadable { path: path.clone(), reason };
    // SQLite makes files of its own beside the store's.
    access::may_make(path).map_err(unreadable)?;
    let facts = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Absent),
        facts => facts.map_err(|error| unreadable(error.to_string()))?,
    };
    let mode = facts.permissions().mode() & 0o777;
    if !facts.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    if mode & OTHERS != 0 {
        return Err(unreadable(format!("it can be read by others (mode {mode:o}); run: chmod 600 {}", path.display())));
    }
    access::may_write(path).map_err(|error| unreadable(format!("portero's user may not write it: {error}")))?;
    Ok(Presence::Present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_would_refuse_is_said_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| Settings { path: folder.path().join(name) };
        let said = |name: &str| examine(&of(name)).unwrap_err().to_string();
        assert_eq!(examine(&of("portero.db")).unwrap(), Presence::Absent);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        assert!(said("away/portero.db").ends_with("its folder does not exist: make it first"));
        let file = of("portero.db").path;
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(said("portero.db").contains("(mode 644); run: chmod 600 "));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(examine(&of("portero.db")).unwrap(), Presence::Present);
        assert!(said("portero.db/x.db").contains("its folder is none"));
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(said("folder").ends_with("it is no regular file"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        // Nobody may make a file there, whoever runs this.
        let settings = Settings { path: "/proc/self/portero.db".into() };
        let said = examine(&settings).unwrap_err().to_string();
        assert!(said.contains("its folder is not writable"), "{said}");
    }
}
