//! The columns of an import, and what a bad one is told.

use std::fmt;

use thiserror::Error;

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// What the account logs in with.
    Name,
    /// The business that a project belongs to.
    Business,
    /// The name that people read.
    DisplayName,
    /// The role.
    Role,
    /// The scopes.
    Scopes,
    /// The grants of an OAuth client.
    Grants,
    /// The company of a client of `become`.
    Company,
    /// The UUID that the account had.
    Id,
    /// The integer id that a user of `sws` had.
    LegacyId,
    /// Whether it may log in.
    Status,
    /// The hash of its password or secret.
    Hash,
    /// The salt of that, where it has a column of its own.
    Salt,
    /// Its clear password or secret.
    Password,
    /// When it was made.
    CreatedAt,
}

impl Column {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Name,
        Self::Business,
        Self::DisplayName,
        Self::Role,
        Self::Scopes,
        Self::Grants,
        Self::Company,
        Self::Id,
        Self::LegacyId,
        Self::Status,
        Self::Hash,
        Self::Salt,
        Self::Password,
        Self::CreatedAt,
    ];

    /// Its name in a heading, and as a member.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Business => "business",
            Self::DisplayName => "display_name",
            Self::Role => "role",
            Self::Scopes => "scopes",
            Self::Grants => "grants",
            Self::Company => "company",
            Self::Id => "id",
            Self::LegacyId => "legacy_id",
            Self::Status => "status",
            Self::Hash => "hash",
            Self::Salt => "salt",
            Self::Password => "password",
            Self::CreatedAt => "created_at",
        }
    }

    /// The column of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// Whether companies have it.
    #[must_use]
    pub const fn is_of_companies(self) -> bool {
        matches!(self, Self::Name | Self::Status | Self::CreatedAt)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A row that cannot be imported, and why. No text of it has a value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct BadRow {
    /// The line on which the row begins, from 1 on.
    pub line: u64,
    /// The number of the column, from 1 on, where the file has columns and one is at fault.
    pub column: Option<usize>,
    /// What stands there.
    pub of: Option<Column>,
    /// What is wrong, and what to do.
    pub why: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.line)?;
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        f.write_str(": ")?;
        if let Some(of) = self.of {
            write!(f, "{of}: ")?;
        }
        f.write_str(&self.why)
    }
}
