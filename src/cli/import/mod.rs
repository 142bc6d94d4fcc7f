//! `portero import`: the accounts of another system, with their passwords.
//!
//! ```text
//! arguments  what it is told            columns   which column is which
//! file       bytes and their digest     table · lines   rows of CSV and JSON Lines
//! probe      tries a hash               report    what it came to
//! command    the words of the command, and reading rows ahead of their batches
//! ```

mod arguments;
mod columns;
mod command;
mod file;
mod lines;
mod probe;
mod report;
mod table;

pub(super) use self::arguments::Import;
