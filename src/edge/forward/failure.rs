//! What goes wrong with a request after the decision, and what that says about its server.

use std::{error::Error as _, io};

use super::body::{
    error::{BodyError, io_error},
    received::Unfinished,
};
use crate::{
    domain::Reason,
    upstream::{TooManyBytes, is_local},
};

/// Why an attempt came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Its pool has as many requests as it may, and none of them ended in time.
    PoolFull,
    /// No server of its pool may be asked.
    NoServer,
    /// No connection could be made.
    Unconnected(Unconnected),
    /// The server closed a kept connection before any of the request was sent.
    Unsent,
    /// The server sent nothing in its time.
    ReadTimeout,
    /// The server took nothing in its time.
    WriteTimeout,
    /// The server broke off.
    BrokenOff,
    /// The server did not take up the request, and says so (RFC 9113 section 8.7).
    Refused,
    /// The server reset the request's stream, and goes on with others.
    Reset,
    /// What the server sent is no HTTP, or has two meanings.
    Invalid,
    /// The body failed on the client's side.
    Body(BodyError),
    /// A defect of ours.
    Internal,
}

/// How a connection could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unconnected {
    Refused,
    Timeout,
    Unreachable,
    Tls,
    Other,
    /// This machine could not make it, whatever the server is like.
    Local,
}

impl Unconnected {
    pub(super) fn of(error: &io::Error) -> Self {
        if is_local(error) {
            return Self::Local;
        }
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Self::Unreachable,
            // See `Pool::connect`.
            io::ErrorKind::InvalidData => Self::Tls,
            _ => Self::Other,
        }
    }

    /// The label of the metric.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Other | Self::Local => "other",
        }
    }
}

impl Failure {
    /// What went wrong between a request that was sent and its response, as hyper tells it.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if let Some(error) = io_error(error) {
            return match error.get_ref() {
                _ if error.kind() == io::ErrorKind::TimedOut => Self::WriteTimeout,
                Some(cause) if cause.is::<TooManyBytes>() => Self::Invalid,
                _ => Self::BrokenOff,
            };
        }
        match h2_error(error) {
            Some(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => return Self::Refused,
            // Streams above the last that it names were not taken up (RFC 9113 section 6.8); those below go on.
            Some(error) if error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR) => {
                return Self::Refused;
            }
            // The `h2` crate resets streams by itself for what came on them.
            Some(error) if error.is_reset() && error.is_remote() => return Self::Reset,
            _ => {}
        }
        if error.is_parse() || is_decoding(error) { Self::Invalid } else { Self::BrokenOff }
    }

    /// What went wrong while a response's body was read.
    pub(super) fn of_body(error: &Unfinished) -> Self {
        match error {
            Unfinished::Failed(error) => Self::of(error),
            Unfinished::Reset => Self::Reset,
        }
    }

    /// Whether the other side broke off.
    pub(super) const fn is_broken(self) -> bool {
        matches!(self, Self::BrokenOff | Self::Unsent | Self::Refused | Self::Reset)
    }

    /// Whether the server that was asked, or the way to it, is where it went wrong.
    pub(super) const fn is_upstreams(self) -> bool {
        !matches!(self, Self::PoolFull | Self::NoServer | Self::Body(_) | Self::Internal)
    }

    /// The reason to answer with; `None` when the client is gone.
    pub(super) const fn reason(self) -> Option<Reason> {
        Some(match self {
            Self::PoolFull => Reason::UpstreamBusy,
            Self::NoServer | Self::Unconnected(Unconnected::Local) => Reason::UpstreamUnavailable,
            Self::Unconnected(Unconnected::Timeout) | Self::ReadTimeout | Self::WriteTimeout => Reason::UpstreamTimeout,
            Self::Unconnected(_) | Self::Unsent | Self::BrokenOff | Self::Refused | Self::Reset | Self::Invalid => {
                Reason::UpstreamFailed
            }
            Self::Body(BodyError::Late) => Reason::RequestTimeout,
            Self::Body(BodyError::Malformed) => Reason::MalformedRequest,
            Self::Body(BodyError::TooLarge) => Reason::BodyTooLarge,
            Self::Body(BodyError::Gone | BodyError::Cancelled) => return None,
            Self::Internal => Reason::Internal,
        })
    }

    /// Where it went wrong, for the log.
    pub(super) const fn source(self) -> &'static str {
        match self {
            Self::Body(_) => "Downstream",
            Self::Internal => "Internal",
            _ => "Upstream",
        }
    }

    /// What went wrong, for the log.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::PoolFull => "PoolFull",
            Self::NoServer => "NoServer",
            Self::Unconnected(Unconnected::Refused) => "ConnectRefused",
            Self::Unconnected(Unconnected::Timeout) => "ConnectTimedout",
            Self::Unconnected(Unconnected::Unreachable) => "ConnectNoRoute",
            Self::Unconnected(Unconnected::Tls) => "TLSHandshakeFailure",
            Self::Unconnected(Unconnected::Other | Unconnected::Local) => "ConnectError",
            Self::Unsent | Self::BrokenOff | Self::Body(BodyError::Gone | BodyError::Cancelled) => "ConnectionClosed",
            Self::Refused | Self::Reset => "H2Error",
            Self::ReadTimeout | Self::Body(BodyError::Late) => "ReadTimedout",
            Self::WriteTimeout => "WriteTimedout",
            Self::Invalid => "InvalidHTTPHeader",
            Self::Body(BodyError::Malformed) => "ReadError",
            Self::Body(BodyError::TooLarge) => "HTTPStatus",
            Self::Internal => "InternalError",
        }
    }
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|source| source.downcast_ref::<h2::Error>())
}

/// Whether the frames of HTTP/2 themselves are wrong.
fn is_decoding(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(|error| !error.is_remote() && error.is_library())
}
