//! What the front listener needs to know.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

use super::{tls, trusted::TrustedHeaders};
use crate::rules::rewrite::OddNames;

/// Where clients connect, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// The address; port 0 takes a free one. Changing it needs a restart.
    pub address: SocketAddr,
    /// TLS, or `None` in the clear. Certificates can be reloaded; whether there is TLS needs a restart.
    pub tls: Option<tls::ListenTlsSettings>,
    /// Whether each connection begins with a header of the PROXY protocol; default false. Changing it needs a
    /// restart.
    pub proxy_protocol: bool,
}

impl Listen {
    /// In the clear, on this address.
    #[must_use]
    pub const fn in_the_clear(address: SocketAddr) -> Self {
        Self { address, tls: None, proxy_protocol: false }
    }

    /// Whether only a restart makes the other of this one.
    #[must_use]
    pub fn restart_makes(&self, other: &Self) -> bool {
        let fixed = |listen: &Self| (listen.address, listen.tls.is_some(), listen.proxy_protocol);
        fixed(self) != fixed(other)
    }
}

/// The front listener's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenSettings {
    /// Where clients connect.
    pub listen: Vec<Listen>,
    /// Threads that serve requests; default one a core. Changing it needs a restart.
    pub threads: usize,
    /// The peers that are believed about what stands in `trusted_headers`; default none.
    pub trusted_proxies: Vec<IpNet>,
    /// The headers that those peers set themselves; default `X-Forwarded-For`, `X-Forwarded-Proto`, `traceparent` and
    /// `tracestate`.
    pub trusted_headers: TrustedHeaders,
    /// From the first byte of a request's head (or the connection) to its last; default 10 s.
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request; default 60 s.
    pub keepalive_timeout: Duration,
    /// How long a request's body may pause; default 30 s.
    pub body_timeout: Duration,
    /// Bytes a second that a forwarded request's body has at least, once `body_rate_grace` is used up; 0 for no
    /// minimum. Default 500: what the slowest mobile network carries is ten times as much. A gRPC call has no minimum.
    pub body_rate_min: u64,
    /// How long a client is waited for in all, for one body, before `body_rate_min` matters; default 30 s, so that a
    /// single pause of `body_timeout` breaks no rule.
    pub body_rate_grace: Duration,
    /// How long a client is waited for in all, for one body; default 1 h.
    pub body_total_timeout: Duration,
    /// Connections in all; one more is closed at once; default 20,000.
    pub connections_max: usize,
    /// Connections from one address that is no trusted proxy's; default 1,024.
    pub connections_per_address: usize,
    /// Requests in flight of one client (an IPv6 network of 64 bits) over HTTP/2 or through a trusted proxy; default
    /// 1,024, as many as connections.
    pub requests_per_address: usize,
    /// Requests in flight on one HTTP/2 connection; default 100.
    pub requests_per_connection: u32,
    /// How long a gateway that stops serves on as before while it says that it is not ready; default not at all.
    pub drain_delay: Duration,
    /// How long requests in flight may take to end when the gateway stops, after the delay; default 30 s.
    pub drain_timeout: Duration,
    /// What becomes of request fields whose names have other octets than letters, digits and hyphens, and mean nothing
    /// to the gateway; default they pass.
    pub odd_header_names: OddNames,
}

impl ListenSettings {
    /// Where clients connect.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listen.iter().map(|listen| listen.address).collect()
    }
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            listen: vec![Listen::in_the_clear(SocketAddr::from(([127, 0, 0, 1], 8080)))],
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            trusted_proxies: vec![],
            trusted_headers: TrustedHeaders::DEFAULT,
            head_timeout: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            body_rate_min: 500,
            body_rate_grace: Duration::from_secs(30),
            body_total_timeout: Duration::from_secs(3600),
            connections_max: 20_000,
            connections_per_address: 1024,
            requests_per_address: 1024,
            requests_per_connection: 100,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            odd_header_names: OddNames::Pass,
        }
    }
}
