//! The vocabulary.

use super::{format, value};

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
