//! What can go wrong with the store. No text here contains a value that is stored.

pub(super) mod postgres;

use std::{io, path::PathBuf};

use sqlx::{error::DatabaseError, migrate::MigrateError, sqlite::SqliteError};
use thiserror::Error;

/// The store failed. `Display` names the thing and, where an operator can do something, what.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store's file cannot be opened at all: the process should not start.
    #[error("the store '{}' cannot be opened: {reason}", path.display())]
    Unreadable {
        /// The file, as the config names it.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The store on a server cannot be opened: the process should not start.
    #[error("the store {place} cannot be opened: {reason}")]
    Unusable {
        /// Where it is, without a password.
        place: String,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The store's server does not answer: a start may work later.
    #[error("the store {place} cannot be reached: {reason}")]
    Unreachable {
        /// Where it is, without a password.
        place: String,
        /// What is in the way.
        reason: String,
    },
    /// There is no store: nothing but the making of one works without it.
    #[error("the store '{}' is missing: {hint}", path.display())]
    Missing {
        /// The file, as the config names it.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// The file was last written by a newer version of Portero.
    #[error(
        "the store '{}' has schema version {version}, newer than this portero knows: \
         run the version that wrote it, or restore a backup from before the upgrade",
        path.display()
    )]
    TooNew {
        /// The file, as the config names it.
        path: PathBuf,
        /// The migration that this version does not know.
        version: i64,
    },
    /// A disk error, a lock held too long, or no free connection: the same call may work later.
    #[error("the store is out of reach: {reason}")]
    Unavailable {
        /// What is in the way.
        reason: &'static str,
        /// What the driver said, for the log.
        source: sqlx::Error,
    },
    /// The file is damaged, or holds something that Portero never writes.
    #[error("the store does not do what it should ({reason}): check its disk, or restore it from a backup")]
    Corrupt {
        /// What does not read.
        reason: &'static str,
        /// What the driver said, for the log.
        source: Option<sqlx::Error>,
    },
    /// The store has moved: here nothing is changed any more.
    #[error("the store has moved to {to}, and takes no changes here: name that in store.url")]
    Moved {
        /// Where it is, without a password.
        to: String,
    },
    /// A copy that is not brought to its end.
    #[error(
        "the store is a copy in the making, of {from}: nothing may work with it before portero store copy --switch has \
         brought the move to its end"
    )]
    Copying {
        /// What it is a copy of.
        from: String,
    },
    /// Something that must be unique exists already.
    #[error("the store has one of these already")]
    Conflict,
    /// A text with a zero byte, which no engine is given to write.
    #[error("a text has a zero byte: no name has one that is stored")]
    ZeroByte,
}

impl StoreError {
    /// Something in a row that Portero never writes.
    pub(in crate::state) const fn corrupt(reason: &'static str) -> Self {
        Self::Corrupt { reason, source: None }
    }

    /// A store on a server that cannot be opened.
    pub(super) fn unusable(place: &str, reason: String) -> Self {
        Self::Unusable { place: place.to_owned(), reason }
    }

    /// A store on a server that does not answer.
    pub(super) fn unreachable(place: &str, reason: &str) -> Self {
        Self::Unreachable { place: place.to_owned(), reason: reason.to_owned() }
    }

    /// A store on a server with a schema that this version does not know.
    pub(super) fn too_new(place: &str, version: i64) -> Self {
        Self::TooNew { path: PathBuf::from(place), version }
    }

    /// A call that did not come back in time.
    #[must_use]
    pub fn unresponsive() -> Self {
        sqlx::Error::from(Trouble::Unresponsive).into()
    }

    /// Whether a call did not come back in time.
    #[must_use]
    pub fn hangs(&self) -> bool {
        matches!(self, Self::Unavailable { source, .. } if trouble_of(source) == Some(Trouble::Unresponsive))
    }

    /// Whether its server does not answer: a start may do without it.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Unavailable { source, .. } => {
                matches!(source, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut)
                    || postgres::code_of(source).is_some_and(|code| postgres::is_shutdown(&code))
            }
            _ => false,
        }
    }

    /// Whether waiting may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        match &source {
            sqlx::Error::Database(error) if error.is_unique_violation() => Self::Conflict,
            sqlx::Error::Database(error) if moved_to(error.message()).is_some() => {
                Self::Moved { to: moved_to(error.message()).unwrap_or_default().to_owned() }
            }
            sqlx::Error::Database(error) => match out_of_reach(error.as_ref()) {
                Some(reason) => Self::Unavailable { reason, source },
                None => Self::Corrupt { reason: "the database refuses a statement", source: Some(source) },
            },
            sqlx::Error::Io(_) if trouble_of(&source).is_some() => {
                Self::Unavailable { reason: trouble_of(&source).map_or("", Trouble::reason), source }
            }
            sqlx::Error::PoolTimedOut => {
                Self::Unavailable { reason: "nobody answers there, or all its connections are busy", source }
            }
            sqlx::Error::PoolClosed => Self::Unavailable { reason: "it is being closed", source },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                Self::Corrupt { reason: "a row does not have the shape it should have", source: Some(source) }
            }
            _ if is_untrusted(&source) => Self::Unavailable { reason: UNTRUSTED, source },
            _ => Self::Unavailable { reason: "its connection failed", source },
        }
    }
}

/// What an operator reads of a server that proves nothing by TLS.
const UNTRUSTED: &str = "no TLS with it: its certificate must be for the name in store.url, and come from an authority of \
     store.ca or from a public one";

/// Whether TLS failed: the server is there, and it is not known to be the right one.
pub(super) fn is_untrusted(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()).is_some(),
        _ => false,
    }
}

/// How a moved store refuses a change; the new address follows.
pub(super) const MOVED: &str = "the store has moved to ";

fn moved_to(message: &str) -> Option<&str> {
    message.strip_prefix(MOVED)
}

/// What is wrong with the files of an open store, or with how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// A file is gone, or was emptied.
    #[error("{}", self.reason())]
    Missing,
    /// A path named another file than the one that was opened, or somebody wrote into one past SQLite. It stays so.
    #[error("{}", self.reason())]
    Replaced,
    /// A call did not come back in time.
    #[error("{}", self.reason())]
    Unresponsive,
}

impl Trouble {
    /// What an operator reads of it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "a file of it is gone or empty: put the same file back",
            Self::Replaced => {
                "another file took the place of one that was opened, or somebody changed it from outside: it is not used; \
                 put the right files in place and restart"
            }
            Self::Unresponsive => "it does not answer",
        }
    }
}

impl From<Trouble> for sqlx::Error {
    fn from(trouble: Trouble) -> Self {
        Self::Io(io::Error::other(trouble))
    }
}

fn trouble_of(error: &sqlx::Error) -> Option<Trouble> {
    let sqlx::Error::Io(error) = error else { return None };
    error.get_ref()?.downcast_ref().copied()
}

/// Says what a migration's failure means for the store at `path`.
pub(super) fn migration_failed(path: PathBuf, error: MigrateError) -> StoreError {
    let reason = match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            return StoreError::TooNew { path, version };
        }
        MigrateError::VersionMismatch(version) => {
            format!("its schema version {version} is not the one that this portero was built with")
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => return open_failed(path, &error),
        other => other.to_string(),
    };
    StoreError::Unreadable { path, reason }
}

/// Says what the driver's refusal to open the store at `path` means.
pub(super) fn open_failed(path: PathBuf, error: &sqlx::Error) -> StoreError {
    let reason = match error {
        error if trouble_of(error).is_some() => trouble_of(error).map_or("", Trouble::reason).to_owned(),
        sqlx::Error::Database(error) => match code(error.as_ref()).map(primary) {
            Some(NOT_A_DATABASE) => "it is no SQLite database: name another file".to_owned(),
            Some(CORRUPT) => "it is damaged: restore it from a backup".to_owned(),
            _ => out_of_reach(error.as_ref()).map_or_else(|| error.message().to_owned(), str::to_owned),
        },
        other => other.to_string(),
    };
    StoreError::Unreadable { path, reason }
}

/// Whether another connection's lock was in the way.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if matches!(code(error.as_ref()).map(primary), Some(BUSY | LOCKED)))
}

// SQLite's primary result codes (https://www.sqlite.org/rescode.html).
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NO_MEMORY: u32 = 7;
const READ_ONLY: u32 = 8;
const IO_ERROR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const PROTOCOL: u32 = 15;
const NOT_A_DATABASE: u32 = 26;

// Its extended ones: what the disk failed at.
const READ: u32 = IO_ERROR | 1 << 8;
const SHORT_READ: u32 = IO_ERROR | 2 << 8;
const WRITE: u32 = IO_ERROR | 3 << 8;
const SYNC: u32 = IO_ERROR | 4 << 8;
const SYNC_FOLDER: u32 = IO_ERROR | 5 << 8;
const LOCK: u32 = IO_ERROR | 15 << 8;
const SHARED_MEMORY: [u32; 4] = [IO_ERROR | 18 << 8, IO_ERROR | 19 << 8, IO_ERROR | 20 << 8, IO_ERROR | 21 << 8];

fn code(error: &dyn DatabaseError) -> Option<u32> {
    error.code()?.parse().ok()
}

const fn primary(code: u32) -> u32 {
    code & 0xff
}

fn out_of_reach(error: &dyn DatabaseError) -> Option<&'static str> {
    if error.try_downcast_ref::<SqliteError>().is_some() {
        reason_of(code(error)?)
    } else {
        postgres::out_of_reach(error)
    }
}

fn reason_of(code: u32) -> Option<&'static str> {
    match code {
        READ => return Some("its disk cannot be read: check the disk, or the mount that it lies on"),
        SHORT_READ => return Some("its file is shorter than it says: it was cut, or is still being copied"),
        WRITE | SYNC | SYNC_FOLDER => {
            return Some("its disk cannot be written: check the disk, or the mount that it lies on");
        }
        LOCK => return Some("its file cannot be locked: network file systems often cannot; put it on a local disk"),
        code if SHARED_MEMORY.contains(&code) => {
            return Some("its -shm file cannot be used: it needs a local disk that is writable by portero's user");
        }
        _ => {}
    }
    match primary(code) {
        BUSY | LOCKED => Some("another process holds its lock"),
        PROTOCOL => Some(
            "its locks are not as they should be (SQLite: locking protocol): too many processes have it open at once, or it lies on a network file system; put it on a local disk",
        ),
        NO_MEMORY => Some("the memory is exhausted"),
        READ_ONLY => Some("it is read-only: its file and folder must be writable by portero's user"),
        IO_ERROR => Some("its disk reports an error"),
        FULL => Some("its disk is full"),
        CANNOT_OPEN => Some("its file cannot be opened: it and its folder must be writable by portero's user"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_or_the_locks_fail_at_has_its_own_sentence() {
        for (code, said) in [
            (5, "another process holds its lock"),
            (261, "another process holds its lock"),
            (15, "locking protocol"),
            (266, "cannot be read"),
            (522, "shorter than it says"),
            (778, "cannot be written"),
            (1034, "cannot be written"),
            (3850, "cannot be locked"),
            (4618, "-shm"),
            (10, "its disk reports an error"),
            (13, "its disk is full"),
        ] {
            let reason = reason_of(code).unwrap_or_else(|| panic!("{code}"));
            assert!(reason.contains(said), "{code}: {reason}");
        }
        assert_eq!(reason_of(19), None, "a constraint");
    }
}
