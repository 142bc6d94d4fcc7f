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
    /// `Forwarded` for the host that was asked for first: most connections ask for one. Both are copies, because a
    /// value of a head keeps all of the head.
    forwarded: OnceLock<(Option<HeaderValue>, HeaderValue)>,
}

impl Connection {
    pub(in crate::edge) fn new(peer: SocketAddr, scheme: Scheme, protocol: Protocol) -> Self {
        let forwarded_for = value(peer.ip().to_canonical().to_string().as_bytes());
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
        let (known, forwarded) =
            self.forwarded.get_or_init(|| (host.map(|host| value(host.as_bytes())), self.new_forwarded(host)));
        if known.as_ref() == host { forwarded.clone() } else { self.new_forwarded(host) }
    }

    /// Put together without formatting, which would take as long as the parsing of a head.
    fn new_forwarded(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let address = self.forwarded_for.as_bytes();
        let node: [&[u8]; 3] = if address.contains(&b':') { [b"\"[", address, b"]\""] } else { [b"", address, b""] };
        let host = host.filter(|host| host.to_str().is_ok());
        let host: [&[u8]; 3] = host.map_or([b"", b"", b""], |host| [b";host=\"", host.as_bytes(), b"\""]);
        let scheme = self.scheme.as_str().as_bytes();
        value(&[b"for=", node[0], node[1], node[2], b";proto=", scheme, host[0], host[1], host[2]].concat())
    }
}

/// A value of ours, in which nothing stands that no head may have.
fn value(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(bytes).expect("what stood in a head, or an address")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_told_of_the_other_end_as_rfc_7239_has_it() {
        let forwarded = |peer: &str, scheme, host: Option<&'static [u8]>| {
            let connection = Connection::new(peer.parse().unwrap(), scheme, Protocol::Http1);
            let host = host.map(|host| HeaderValue::from_bytes(host).unwrap());
            connection.forwarded(host.as_ref()).to_str().unwrap().to_owned()
        };
        assert_eq!(
            forwarded("192.0.2.1:9", Scheme::Http, Some(b"a.test:81")),
            "for=192.0.2.1;proto=http;host=\"a.test:81\""
        );
        assert_eq!(forwarded("[2001:db8::1]:9", Scheme::Https, None), "for=\"[2001:db8::1]\";proto=https");
        assert_eq!(forwarded("[::ffff:192.0.2.1]:9", Scheme::Http, None), "for=192.0.2.1;proto=http");
        assert_eq!(forwarded("192.0.2.1:9", Scheme::Http, Some(b"\xe9.test")), "for=192.0.2.1;proto=http");
    }

    #[test]
    fn another_host_on_the_same_connection_is_told_as_it_is() {
        let connection = Connection::new("192.0.2.1:9".parse().unwrap(), Scheme::Http, Protocol::Http1);
        for host in ["a.test", "b.test", "a.test"] {
            let told = connection.forwarded(Some(&HeaderValue::from_static(host)));
            assert_eq!(told, format!("for=192.0.2.1;proto=http;host=\"{host}\""));
        }
    }
}
