//! What came of a question.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::rules::verifier::Verdict;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is known what it says.
    Said {
        /// That.
        verdict: Verdict,
        /// Whether it was asked now. Else it did not need to be: it can never have given that name or secret out, or
        /// has just refused it.
        now: bool,
    },
    /// Too many wait for an answer already.
    Busy {
        /// How long to wait.
        retry_after: Duration,
    },
    /// It is out of reach, is not believed, or gave an answer that says nothing.
    Away {
        /// How long to wait.
        retry_after: Duration,
    },
}

/// The value of a field that stands there once.
pub(super) fn the_one<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first.as_bytes())
}
