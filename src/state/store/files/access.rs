//! What this process may do in the file system, asked without changing anything there.

use std::{io, path::Path};

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// The folder in which a file lies.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether this process may make `file` in its folder.
///
/// # Errors
/// Why it may not, in words that follow the file's name.
pub fn may_make(file: &Path) -> Result<(), String> {
    let folder = folder_of(file);
    match folder.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NO_FOLDER.to_owned()),
        Err(error) => return Err(format!("its folder cannot be looked at: {error}")),
        Ok(facts) if !facts.is_dir() => return Err("its folder is not a folder: a file has that name".to_owned()),
        Ok(_) => {}
    }
    allowed(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => NOT_WRITABLE.to_owned(),
        _ => format!("its folder is not writable: {error}"),
    })
}

/// Whether this process may read and write `file`.
///
/// # Errors
/// What the system says.
pub fn may_write(file: &Path) -> io::Result<()> {
    allowed(file, Access::READ_OK | Access::WRITE_OK)
}

/// What is said where a file's folder is missing.
pub(super) const NO_FOLDER: &str = "its folder does not exist: make it first";

/// What is said where a file's folder belongs to somebody else.
pub(super) const NOT_WRITABLE: &str = "its folder is not writable by portero's user";

/// As the system would decide for this process's effective user. It knows file systems that are mounted read-only, too.
fn allowed(path: &Path, access: Access) -> io::Result<()> {
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}
