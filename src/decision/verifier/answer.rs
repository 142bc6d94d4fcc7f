//! What came of a question.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, header};

use crate::rules::verifier::{OldAnswer, Verdict};

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

/// An answer as what it says is judged by.
pub(super) fn old_answer(answer: &Response<Bytes>) -> OldAnswer<'_> {
    let headers = answer.headers();
    OldAnswer {
        status: answer.status(),
        content_type: the_one(headers, &header::CONTENT_TYPE),
        encoded: headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| coding != "identity"),
        body: answer.body(),
    }
}

/// The value of a field that stands there once.
fn the_one<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first.as_bytes())
}
