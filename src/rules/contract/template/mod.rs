//! Texts and JSON with holes: `{account.name}`, `{access.expires_at|local '%Y-%m-%d'}`.
//!
//! ```text
//! syntax   a text into its pieces: what stands between the holes, and what stands in them
//! value    what may stand in a hole, and where: the closed vocabulary
//! kind     text, number, date or list
//! format   how a value is written: the closed list of formatters
//! hole     a hole, checked; filled when an answer is written
//! text     a text with holes
//! json     a JSON body with holes
//! flaw     what is wrong with a template
//! words    the whole vocabulary
//! recorded   a recorded body, held against a template
//! ```
//!
//! The language computes nothing. A template is checked as a whole when it is read, and what comes out of that can only
//! lack a value that may be absent.

mod flaw;
mod format;
mod hole;
mod json;
mod kind;
mod recorded;
mod syntax;
mod text;
mod value;
mod words;

pub(super) use flaw::{At, Flaw};
pub(super) use hole::{Filled, Hole, Incomplete};
pub(super) use json::{Body, Json};
pub use recorded::Expected;
pub(super) use recorded::Mismatch;
pub(super) use text::{Read, Text};
pub(super) use value::{Constants, ErrorWords, Known, Place, Scene, Subject, Texts};
pub use words::{Word, words};
