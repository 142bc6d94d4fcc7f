//! What goes wrong with a plain request, in pingora's words: what becomes of it then is decided for both.
#![expect(clippy::unnecessary_box_returns, reason = "pingora takes its errors in boxes")]

use std::io;

use pingora::{Error, ErrorType, RetryType};

use super::super::{body::Broken, client::Gone};

/// The client is not there any more.
pub(super) fn gone(_: Gone) -> Box<Error> {
    Error::new_down(ErrorType::WriteError)
}

/// A body did not come to its end.
pub(super) fn broken(broken: Broken) -> Box<Error> {
    match broken {
        Broken::Client => gone(Gone),
        Broken::Upstream(error) => not_answered(&error, false),
    }
}

/// Why there is no connection, as pingora says it.
pub(super) fn not_connected(error: &io::Error) -> Box<Error> {
    Error::new_up(match error.kind() {
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
        // rustls says so whatever it does not like.
        io::ErrorKind::InvalidData => ErrorType::TLSHandshakeFailure,
        _ => ErrorType::ConnectError,
    })
}

/// The request did not get there.
pub(super) fn not_sent(error: &io::Error) -> Box<Error> {
    match error.kind() {
        io::ErrorKind::TimedOut => Error::new_up(ErrorType::WriteTimedout),
        _ => perhaps_stale(Error::new_up(ErrorType::WriteError)),
    }
}

/// There is no answer, or none that can be read. `at_once` is whether not a byte of the answer came.
pub(super) fn not_answered(error: &io::Error, at_once: bool) -> Box<Error> {
    let failed = Error::new_up(match error.kind() {
        io::ErrorKind::TimedOut => return Error::new_up(ErrorType::ReadTimedout),
        io::ErrorKind::InvalidData => return Error::new_up(ErrorType::InvalidHTTPHeader),
        io::ErrorKind::UnexpectedEof => ErrorType::ConnectionClosed,
        _ => ErrorType::ReadError,
    });
    if at_once { perhaps_stale(failed) } else { failed }
}

/// On a connection that was kept: its server may have closed it before the request was there.
fn perhaps_stale(mut error: Box<Error>) -> Box<Error> {
    error.retry = RetryType::ReusedOnly;
    error
}
