//! What is known about a client's connection, whatever requests come on it.

use std::{net::SocketAddr, sync::OnceLock};

use http::HeaderValue;

use super::watch::Watch;

use super::tls::Validity;
use crate::domain::Clock;

/// A client's connection. Each of its requests is given this by the accept loop.
#[derive(Debug)]
pub(super) struct Connection {
    /// The other end: the client, or a proxy before us.
    pub(super) peer: SocketAddr,
    /// How the client speaks with us.
    pub(super) scheme: Scheme,
    /// What upstreams are told of the client's certificate, where it showed one that was verified.
    pub(super) client_certificate: Option<HeaderValue>,
    /// When that certificate is good: no request is taken outside of it.
    certified: Validity,
    /// What upstreams are told of the other end: its address.
    pub(super) forwarded_for: HeaderValue,
    /// Whether the client is only watched for now; over HTTP/1.
    pub(super) watch: Watch,
    /// `Forwarded` for the host that was asked for first: most connections ask for one. Both are copies, because a value
    /// of a head keeps all of the head.
    forwarded: OnceLock<(Option<HeaderValue>, HeaderValue)>,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, scheme: Scheme, client_certificate: Option<HeaderValue>, watch: Watch) -> Self {
        let forwarded_for = text(&peer.ip().to_canonical().to_string());
        let certified = Validity::ALWAYS;
        Self { peer, scheme, client_certificate, certified, forwarded_for, watch, forwarded: OnceLock::new() }
    }

    /// The same of a client whose certificate is good then.
    pub(super) fn certified(self, certified: Validity) -> Self {
        Self { certified, ..self }
    }

    /// Whether what the client proved when it connected still holds.
    pub(super) fn stands(&self, clock: &dyn Clock) -> bool {
        self.certified == Validity::ALWAYS || self.certified.contains(clock.now())
    }

    /// What upstreams are told of a request for `host` (RFC 7239 section 4).
    pub(super) fn forwarded(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let (known, forwarded) = self.forwarded.get_or_init(|| (host.map(copied), self.new_forwarded(host)));
        if known.as_ref() == host { forwarded.clone() } else { self.new_forwarded(host) }
    }

    fn new_forwarded(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let (peer, scheme) = (self.peer.ip().to_canonical(), self.scheme.as_str());
        let node = if peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer.to_string() };
        let host = host.and_then(|host| host.to_str().ok());
        let host = host.map(|host| format!(";host=\"{host}\"")).unwrap_or_default();
        text(&format!("for={node};proto={scheme}{host}"))
    }
}

fn copied(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).expect("what is a value already")
}

/// A value of ours, in which nothing stands that no head may have.
fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("what stood in a head, or an address")
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
