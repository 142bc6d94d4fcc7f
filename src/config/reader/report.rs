//! What is wrong with a file: every problem of one run, in the file's order, one a line.

use std::{error::Error, fmt, path::PathBuf};

pub use crate::domain::text::Position;

/// Why a configuration cannot be used. Its `Display` has one line for each problem:
/// `gateway.toml:12:5: routes[2].upstrem: unknown key; did you mean 'upstream'?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: String,
    problems: Vec<Problem>,
    files: Vec<PathBuf>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; `None` when there is no text to point into.
    pub position: Option<Position>,
    /// The dotted key it is about, tables in arrays counted from zero; empty when it is about the whole file.
    pub key: String,
    /// What is wrong and what to do, in one line without control characters.
    pub message: String,
}

/// Where values stand in the file that only the machine can judge, by their dotted keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<(String, Position)>);

impl Places {
    pub(in crate::config) fn note(&mut self, key: String, position: Position) {
        self.0.push((key, position));
    }

    /// Whether the file has `key`.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
    }

    /// A problem with the value of `key`; without a position where the file does not have the key.
    #[must_use]
    pub fn problem(&self, key: &str, message: &str) -> Problem {
        let found = self.0.iter().find(|(known, _)| known == key);
        Problem::new(found.map(|(_, position)| *position), key.to_owned(), message)
    }
}

impl Report {
    /// A report about `file`; its problems are put into the order of their positions.
    #[must_use]
    pub fn new(file: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.position);
        Self { file, problems, files: vec![] }
    }

    /// The same about a file that refers to these, there or not.
    #[must_use]
    pub fn with_files(self, files: Vec<PathBuf>) -> Self {
        Self { files, ..self }
    }

    /// A report of the one problem that there is no text to look at.
    pub(in crate::config) fn of_file(file: String, message: &str) -> Self {
        Self { file, problems: vec![Problem::new(None, String::new(), message)], files: vec![] }
    }

    /// What the file is called.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, in the order of the file; at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The files that it refers to, as far as it could be read: what is wrong may be in them.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl Problem {
    pub(in crate::config) fn new(position: Option<Position>, key: String, message: &str) -> Self {
        Self { position, key, message: one_line(message) }
    }
}

impl Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{problem}", self.file)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

/// `text` with its control characters escaped: a value from the file can neither break a line of the
/// report nor reach the terminal that shows it.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let text = "\u{feff}añb\n\nx";
        let at = |offset| {
            let Position { line, column } = Position::of(text, offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 1), "a byte order mark takes no column");
        assert_eq!(at(4), (1, 2));
        assert_eq!(at(6), (1, 3));
        assert_eq!(at(8), (2, 1));
        assert_eq!(at(9), (3, 1));
        assert_eq!(at(99), (3, 2), "behind the end is the end");
    }

    #[test]
    fn one_problem_is_one_line_in_the_order_of_the_file() {
        let at = |line, column| Some(Position { line, column });
        let report = Report::new(
            "gateway.toml".into(),
            vec![
                Problem::new(at(12, 5), "routes[2].upstrem".into(), "unknown key"),
                Problem::new(at(2, 10), String::new(), "a\nb\u{1b}"),
            ],
        );
        let shown = "gateway.toml:2:10: a\\nb\\u{1b}\ngateway.toml:12:5: routes[2].upstrem: unknown key";
        assert_eq!(report.to_string(), shown);
        assert_eq!(Report::of_file("x.toml".into(), "not found").to_string(), "x.toml: not found");
    }
}
