//! `portero contract …`: contracts as files, without a gateway and without a store.
//!
//! ```text
//! command    the commands, and those that print what is built in
//! check      says everything that is wrong with a file
//! unread     reads a file, or says why it cannot be read
//! examples   recorded exchanges from files and folders; archive: those in HAR; example: one of them
//! endpoints  which of them went to the contract's own endpoints
//! test       holds them against a contract; hint: what is usually behind a difference
//! learn      drafts a contract's file from them
//! ```

mod archive;
mod check;
mod command;
mod endpoints;
mod example;
mod examples;
mod hint;
mod learn;
mod test;
mod unread;

pub(super) use command::Contract;
