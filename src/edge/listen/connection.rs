//! What is known about a client's connection, whatever requests come on it.

use std::{net::SocketAddr, sync::OnceLock};

use http::HeaderValue;

use super::tls::Validity;
use crate::domain::Clock;

/// A client's connection. Each of its requests is given this by the accept loop.
#[derive(Debug)]
pub(in crate::edge) struct Connection {
    /// The other end: the client, or a proxy before us.
    pub(in crate::edge) peer: SocketAddr,
    /// How the client speaks with us.
    pub(in crate::edge) scheme: Scheme,
    /// The version of HTTP that it speaks.
    pub(in crate::edge) protocol: Protocol,
    /// What upstreams are told of the client's certificate, where it showed one that was verified.
    pub(in crate::edge) client_certificate: Option<HeaderValue>,
    /// When that certificate is good: outside of it no request is taken, and what is in flight ends.
    pub(in crate::edge) certified: Validity,
    /// What upstreams are told of the other end: its address.
    pub(in crate::edge) forwarded_for: HeaderValue,
    /// `Forwarded` for the host that was asked for first: most connections ask for one. Both are copies, because a value
    /// of a head keeps all of the head.
    forwarded: OnceLock<(Option<HeaderValue>, HeaderValue)>,
}

impl Connection {
    pub(in crate::edge) fn new(peer: SocketAddr, scheme: Scheme, protocol: Protocol) -> Self {
        let forwarded_for = text(&peer.ip().to_canonical().to_string());
        let (client_certificate, certified) = (None, Validity::ALWAYS);
        Self { peer, scheme, protocol, client_certificate, certified, forwarded_for, forwarded: OnceLock::new() }
    }

    /// The same of a client whose certificate is good then; upstreams are told this of it.
    pub(in crate::edge) fn certified(self, certified: Validity, client_certificate: Option<HeaderValue>) -> Self {
        Self { client_certificate, certified, ..self }
    }

    /// Whether what the client proved when it connected still holds.
    pub(in crate::edge) fn stands(&self, clock: &dyn Clock) -> bool {
        self.certified == Validity::ALWAYS || self.certified.contains(clock.now())
    }

    /// What upstreams are told of a request for `host` (RFC 7239 section 4).
    pub(in crate::edge) fn forwarded(&self, host: Option<&HeaderValue>) -> HeaderValue {
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
pub(in crate::edge) enum Scheme {
    /// In the clear.
    Http,
    /// Through TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub(in crate::edge) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Which version of HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Protocol {
    Http1,
    Http2,
}
