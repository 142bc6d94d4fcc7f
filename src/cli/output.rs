//! What a command prints, and what it exits with.

use std::fmt;

use clap::ValueEnum;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    app::StartError,
    config::Report,
    decision::AdminError,
    domain::Timestamp,
    state::{account::AccountError, keys::VaultError, store::StoreError},
};

/// The form in which data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object or array, for programs.
    Json,
}

/// What a command has to say, in both forms. It may hold a secret that is shown once, and so is
/// redacted in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// For people; lines, the last without its newline.
    pub text: String,
    /// The same for programs.
    pub json: Value,
}

impl Output {
    /// Nothing to say.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { text: String::new(), json: Value::Null }
    }

    /// The output in `format`, with its last newline.
    #[must_use]
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Text if self.text.is_empty() => String::new(),
            Format::Text => format!("{}\n", self.text),
            Format::Json => format!("{:#}\n", self.json),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output(…)")
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug, Error)]
pub enum CliError {
    /// The thing cannot be done: it does not exist, exists already, or is of the wrong kind.
    #[error("{0}")]
    Refused(String),
    /// The config is not good.
    #[error("{report}")]
    Config {
        /// Everything that is wrong with it.
        report: Report,
        /// Whether the running gateway would refuse it too; for every other command it is trouble.
        refused: bool,
    },
    /// The config or the store is in the way.
    #[error("{0}")]
    Trouble(String),
    /// The store's server does not answer: the same may work later.
    #[error("{0}")]
    Away(String),
    /// It is done and durable, and not yet known everywhere.
    #[error("{0}")]
    Incomplete(String),
}

impl CliError {
    /// What the process exits with: 1 for a refusal, 2 for trouble, 3 for what is done and not yet known everywhere, 4
    /// for a store whose server is away.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Config { refused: true, .. } => 1,
            Self::Trouble(_) | Self::Config { .. } => 2,
            Self::Incomplete(_) => 3,
            Self::Away(_) => 4,
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable { .. } => Self::Away(error.to_string()),
            error => Self::Trouble(error.to_string()),
        }
    }
}

impl From<AdminError> for CliError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Account(error) => error.into(),
            AdminError::Store(error) | AdminError::Vault(VaultError::Store(error)) => error.into(),
            AdminError::Vault(_) => Self::Trouble(error.to_string()),
            refusal => Self::Refused(refusal.to_string()),
        }
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(report) => Self::Config { report, refused: false },
            error if error.is_away() => Self::Away(error.to_string()),
            error => Self::Trouble(error.to_string()),
        }
    }
}

impl From<AccountError> for CliError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => error.into(),
            refusal => Self::Refused(refusal.to_string()),
        }
    }
}

/// A JSON object with its members in this order.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A point in time as RFC 3339 has it, in UTC.
pub(super) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| at.as_millis().to_string(), |at| at.to_string())
}

/// Rows under their headings, in columns as wide as they must be.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(headings)];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_end_with_one_newline() {
        let output = Output { text: "a".into(), json: Value::Array(vec![]) };
        assert_eq!(output.render(Format::Text), "a\n");
        assert_eq!(output.render(Format::Json), "[]\n");
        assert_eq!(format!("{output:?}"), "Output(…)");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["ñandú".to_owned(), "1".to_owned()], ["a".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "N"], &rows), "NAME   N\nñandú  1\na");
    }
}
