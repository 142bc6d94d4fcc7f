//! Sessions: who logged in when. A row is written before a login is answered, so that every session
//! that has tokens can be listed and revoked. Checking a token never asks for it.
//!
//! Sessions without expiry stay for ever, so a principal has only so many: from then on a login without expiry
//! takes the row of one that has ended, or joins the newest one that has not, whose id its tokens then carry.
//!
//! ```text
//! sessions  the rows
//! surplus   a principal's sessions above the bound
//! deletion  the rows of a principal that was deleted
//! ```

mod deletion;
mod sessions;
mod surplus;
#[cfg(test)]
mod tests;

pub use deletion::{begin_deletion, clear_deleted};
use sessions::{ENDED, endless};
pub use sessions::{ENDED_KEPT, ENDLESS_MAX, Listed, Session, SessionState, extend, find, insert, list, open, prune};
pub use surplus::{Trimmed, trim};
#[cfg(test)]
pub(crate) use tests::{fill, forget_epochs};
