//! Reads a contract's file, and says why there is none to look at.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::ExitCode,
};

use crate::rules::contract::{FILE_BYTES_MAX, Fault, Loaded, builtin_text, load};

/// What the process exits with where something is wrong.
pub(super) const WRONG: u8 = 1;

/// Why there is no contract to look at.
pub(super) enum Unread {
    /// The file cannot be read.
    File(String),
    /// What is wrong in it.
    Contract(Vec<Fault>),
}

impl Unread {
    /// Says why.
    pub(super) fn complain(&self) -> ExitCode {
        match self {
            Self::File(why) => return refused(why),
            Self::Contract(faults) => {
                for fault in faults {
                    eprintln!("{fault}");
                }
            }
        }
        ExitCode::from(WRONG)
    }
}

/// The contract in a file, or one that ships.
pub(super) fn read(path: &Path) -> Result<Loaded, Unread> {
    let name = path.display().to_string();
    if let Some(text) = builtin_text(&name) {
        return load(&format!("{name}.toml"), text).map_err(Unread::Contract);
    }
    let unreadable = |why: &dyn std::fmt::Display| Unread::File(format!("{name} cannot be read: {why}"));
    // A pipe has no end while somebody holds it open.
    if fs::metadata(path).is_ok_and(|entry| !entry.is_file()) {
        return Err(unreadable(&"it is no regular file"));
    }
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    opened.map_err(|error| unreadable(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    load(&name, &text).map_err(Unread::Contract)
}

pub(super) fn refused(why: &str) -> ExitCode {
    eprintln!("portero: {why}");
    ExitCode::from(WRONG)
}
