//! Where a store is.

use std::path::PathBuf;

use super::postgres::PostgresSettings;

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// The database file, mode 0600; its folder must exist.
    Sqlite(PathBuf),
    /// A database on a server.
    Postgres(Box<PostgresSettings>),
}

impl StoreSettings {
    /// Where it is, for people; without a password.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(settings) => settings.address.to_string(),
        }
    }

    /// Its file, where it is one.
    #[must_use]
    pub const fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}
