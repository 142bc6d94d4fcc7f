//! What goes wrong with a plain request, in pingora's words: what becomes of it then is decided for both.
#![expect(clippy::unnecessary_box_returns, reason = "pingora takes its errors in boxes")]

use std::io;

use pingora::{Error, ErrorType, RetryType};

use crate::edge::forward::{body::Broken, client::Gone, message::NoAnswer};

/// The client is not there any more.
pub(super) fn gone(_: Gone) -> Box<Error> {
    Error::new_down(ErrorType::WriteError)
}

/// A body did not come to its end.
pub(super) fn broken(broken: Broken) -> Box<Error> {
    match broken {
        Broken::Client => gone(Gone),
        Broken::Upstream(error) => broke_off(&error),
    }
}

/// The request did not get there.
pub(super) fn not_sent(error: &io::Error) -> Box<Error> {
    match error.kind() {
        io::ErrorKind::TimedOut => Error::new_up(ErrorType::WriteTimedout),
        _ => perhaps_stale(Error::new_up(ErrorType::WriteError)),
    }
}

/// There is no answer, or none that can be read. `at_once` is whether not a byte of it came.
pub(super) fn not_answered(why: &NoAnswer, at_once: bool) -> Box<Error> {
    match why {
        NoAnswer::Garbage => Error::new_up(ErrorType::InvalidHTTPHeader),
        NoAnswer::Io(error) if at_once && error.kind() != io::ErrorKind::TimedOut => perhaps_stale(broke_off(error)),
        NoAnswer::Io(error) => broke_off(error),
    }
}

fn broke_off(error: &io::Error) -> Box<Error> {
    Error::new_up(match error.kind() {
        io::ErrorKind::TimedOut => ErrorType::ReadTimedout,
        io::ErrorKind::UnexpectedEof => ErrorType::ConnectionClosed,
        _ => ErrorType::ReadError,
    })
}

/// On a connection that was kept: its server may have closed it before the request was there.
fn perhaps_stale(mut error: Box<Error>) -> Box<Error> {
    error.retry = RetryType::ReusedOnly;
    error
}
