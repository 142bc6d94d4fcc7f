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
//! recorded   a recorded body, held against a template
//! ```
//!
//! The language computes nothing. A template is checked as a whole when it is read, and what comes out of that can only
//! lack a value that may be absent.

mod format;
mod hole;
mod json;
mod kind;
mod recorded;
mod syntax;
mod text;
mod value;

pub(super) use hole::{Filled, Hole, Incomplete};
pub(super) use json::{Body, Json};
pub use recorded::Expected;
pub(super) use recorded::Mismatch;
pub(super) use text::{Read, Text};
pub(super) use value::{Constants, ErrorWords, Known, Place, Scene, Subject, Texts};

use std::ops::Range;

/// A word that may stand in a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it is written; a formatter with its arguments behind `|`.
    pub written: String,
    /// What it is.
    pub about: &'static str,
}

/// The whole vocabulary: what may stand in a hole, and then the formatters.
pub fn words() -> impl Iterator<Item = Word> {
    let values = value::VALUES.iter().map(|value| Word { written: value.name.to_owned(), about: value.about });
    let further = value::FURTHER.iter().map(|(name, about)| Word { written: (*name).to_owned(), about });
    let formats = format::FORMATS.into_iter().map(|(name, arguments, about)| {
        let written = if arguments.is_empty() { format!("|{name}") } else { format!("|{name} {arguments}") };
        Word { written, about }
    });
    values.chain(further).chain(formats)
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Where it stands: the hole as it is written, or the octets of the template.
    pub(super) at: At,
    /// What is wrong, and what to write instead.
    pub(super) message: String,
}

/// Where a flaw stands in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The template as a whole.
    Whole,
    /// A hole, as it is written, with its braces.
    Hole(String),
    /// These octets of the template.
    Octets(Range<usize>),
}

impl Flaw {
    fn whole(message: impl Into<String>) -> Self {
        Self { at: At::Whole, message: message.into() }
    }
}
