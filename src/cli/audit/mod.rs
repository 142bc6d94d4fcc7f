//! `portero audit verify` and `portero audit tail`.
//!
//! ```text
//! command  the commands
//! files    the files that are read
//! verify   holds every chain against its codes and anchors
//! tail     prints changes and logins as one stream
//! ```

mod command;
mod files;
mod tail;
mod verify;

pub(super) use command::Command;
