//! How a client's body fails.

use std::{error::Error as _, fmt, io};

use super::received::Unfinished;

/// How a request's body failed on the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum BodyError {
    /// The client broke off.
    Gone,
    /// The client did not send it in time.
    Late,
    /// It is not framed as everybody reads it.
    Malformed,
    /// It is larger than its route takes.
    TooLarge,
    /// Nobody takes the rest of it: the response is over.
    Cancelled,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the client broke off its body",
            Self::Late => "the body did not come in time",
            Self::Malformed => "the body is not framed as everybody reads it",
            Self::TooLarge => "the body is too large",
            Self::Cancelled => "the response is over",
        })
    }
}

impl std::error::Error for BodyError {}

impl BodyError {
    /// What went wrong while a client's body was read.
    pub(in crate::edge::forward) fn of(error: &Unfinished) -> Self {
        let Unfinished::Failed(error) = error else { return Self::Gone };
        let cause = io_error(error).map(io::Error::kind);
        if cause == Some(io::ErrorKind::InvalidData) || error.is_parse() { Self::Malformed } else { Self::Gone }
    }
}

/// The error of the connection that is behind one of hyper's.
pub(in crate::edge::forward) fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.get_io();
        }
        source = error.source();
    }
    None
}
