//! SQLite: one file with everything that must survive. What a call returned `Ok` for is on the disk (`synchronous =
//! FULL`). SQLite runs on threads of its own, so that no call blocks the runtime; nothing here is ever called while a
//! request is checked.
//!
//! - `presence` looks what is there, and opens nothing; `look` reads it and changes nothing; `open` opens a store or
//!   makes one (`make`).
//! - `sharing` asks the locks whether another process has a part of the files open, and other files in the place of the
//!   rest.
//! - `place` knows which files were opened, and sees when a path names another one.
//! - `connections` puts a deadline on every call; `watch` sees what others commit.
//! - `backup` copies a store, and puts a copy in its place.

pub mod backup;
mod connections;
mod look;
mod make;
mod open;
mod place;
mod presence;
mod sharing;
mod store;
mod watch;

pub(in crate::state) use look::KEYS;
pub use look::Looked;
pub(super) use look::{TAKES_OLD_TOKENS, look};
#[cfg(test)]
pub(super) use open::keep_ours;
pub use open::migration_steps;
pub use presence::{Found, examine, missing};
pub(super) use store::SqliteStore;
pub(super) use watch::ChangeWatch;
