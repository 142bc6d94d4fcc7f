//! The same store at another place: from a file to a server, back, or to another one of its kind.
//!
//! A copy is made in passes; the first one finds the copy empty. When a pass finds little, the move can be brought to
//! its end: changes are held off at the source, the last differences are carried over and everything is compared. Then
//! the source is ended in one commit, and after that the copy becomes a store in another one.
//!
//! In this order, so that a crash in between leaves none to work with, and not two: repeating the command ends
//! it. A change that was acknowledged before the source's end is in the copy, and none is acknowledged there
//! afterwards.
//!
//! ```text
//! copying  opens the store and its copy
//! run      pass after pass, and the end of the move
//! pass     compares all rows once, and carries the differences over
//! merge    what differs
//! tables   what is copied
//! rows     statements and checksums
//! source   holding changes off, and ending a store
//! target   the copy in the making
//! ```

mod copying;
mod error;
mod merge;
mod pass;
mod rows;
mod run;
mod source;
mod tables;
mod target;

pub use copying::{Begun, Copying, address, begin};
pub use error::CopyError;
pub use pass::{Progress, TableSum};
pub use run::{Copied, Mover};
