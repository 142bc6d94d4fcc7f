//! What is known about a client's connection, whatever requests come on it.

use std::net::SocketAddr;

use http::HeaderValue;
use tokio::sync::Notify;

/// A client's connection. Each of its requests is given this by the accept loop.
#[derive(Debug)]
pub(super) struct Connection {
    /// The other end: the client, or a proxy before us.
    pub(super) peer: SocketAddr,
    /// How the client speaks with us.
    pub(super) scheme: Scheme,
    /// What upstreams are told of the client's certificate, where it showed one that was verified.
    pub(super) client_certificate: Option<HeaderValue>,
}

/// How a client speaks with us, as `X-Forwarded-Proto` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In the clear.
    Http,
    /// Through TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Which version of HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Whether a request's body goes on; for HTTP/2, where pingora waits for it without end.
#[derive(Debug, Default)]
pub(super) struct BodyProgress {
    /// Something of it came, or nothing of it is waited for any more.
    pub(super) moved: Notify,
    pub(super) settled: std::sync::atomic::AtomicBool,
}

impl BodyProgress {
    /// Some of it came.
    pub(super) fn came(&self) {
        self.moved.notify_one();
    }

    /// All of it came, or the answer began: from here on the upstream's deadlines hold.
    pub(super) fn settle(&self) {
        self.settled.store(true, std::sync::atomic::Ordering::Release);
        self.moved.notify_one();
    }
}
