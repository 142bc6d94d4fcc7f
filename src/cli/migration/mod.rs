//! `portero migration …`: how far a migration from old systems is.
//!
//! ```text
//! command     the commands
//! status      the parts of the status, and what follows from them
//! formats     accounts by realm, source and hash format
//! wrapping    wraps what is sealed
//! verifiers   accounts and logins, by old system
//! keys        what imported keys are still used for
//! tokens      a table of an old system's tokens
//! ```

mod command;
mod formats;
mod keys;
mod status;
mod tokens;
mod verifiers;
mod wrapping;

pub(super) use self::{
    command::Migration,
    wrapping::{said, wrap_now},
};
