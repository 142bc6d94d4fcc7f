//! What is known about a client's connection, whatever requests come on it.

use std::net::SocketAddr;

/// A client's connection. Each of its requests is given this by the accept loop.
#[derive(Debug)]
pub(super) struct Connection {
    /// The other end: the client, or a proxy before us.
    pub(super) peer: SocketAddr,
    /// How the client speaks with us.
    pub(super) scheme: Scheme,
}

/// How a client speaks with us, as `X-Forwarded-Proto` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In the clear.
    Http,
}

impl Scheme {
    /// `http` or `https`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
        }
    }
}
