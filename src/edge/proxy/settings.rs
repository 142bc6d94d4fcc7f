//! What the front listener needs to know.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

/// The front listener's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where clients connect; port 0 takes a free one. Changing it needs a restart.
    pub listen: Vec<SocketAddr>,
    /// Threads that serve requests; default one a core. Changing it needs a restart.
    pub threads: usize,
    /// The peers whose `X-Forwarded-*`, `Forwarded` and `traceparent` are believed; default none.
    pub trusted_proxies: Vec<IpNet>,
    /// From the first byte of a request's head (or the connection) to its last; default 10 s.
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request; default 60 s.
    pub keepalive_timeout: Duration,
    /// How long a request's body may pause; default 30 s.
    pub body_timeout: Duration,
    /// Connections in all; one more is closed at once; default 20,000.
    pub connections_max: usize,
    /// How long requests in flight may take to end when the gateway stops; default 30 s.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            trusted_proxies: vec![],
            head_timeout: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            connections_max: 20_000,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
