//! What is wrong with a template.

use std::ops::Range;

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) struct Flaw {
    /// Where it stands: the hole as it is written, or the octets of the template.
    pub(in crate::rules::contract) at: At,
    /// What is wrong, and what to write instead.
    pub(in crate::rules::contract) message: String,
}

/// Where a flaw stands in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) enum At {
    /// The template as a whole.
    Whole,
    /// A hole, as it is written, with its braces.
    Hole(String),
    /// These octets of the template.
    Octets(Range<usize>),
}

impl Flaw {
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { at: At::Whole, message: message.into() }
    }
}
