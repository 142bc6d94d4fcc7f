//! What an upstream is, as the config says.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode, uri::PathAndQuery};

use super::{
    connect::{HttpVersion, TlsSettings},
    request_slot::Share,
};

/// Further attempts for one request, at most.
pub const RETRIES_MAX: u32 = 5;

/// A named pool of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Its name in routes and metrics.
    pub name: Arc<str>,
    /// At least one.
    pub servers: Vec<ServerSettings>,
    /// Which of them a request goes to; default round-robin.
    pub balance: Balance,
    /// How they are asked whether they are healthy; default not at all.
    pub health: Option<Health>,
    /// When one that fails is left alone.
    pub eject: Eject,
    /// How many of its servers may be left alone at once for failures after requests were sent, in percent; never the
    /// last that is healthy. Default 50.
    pub eject_max_percent: u32,
    /// Further attempts for a request that may be repeated, at most; default 1.
    pub retries: u32,
    /// How long Portero waits for them.
    pub timeouts: Timeouts,
    /// Requests in flight, each of which has a connection (over HTTP/2 a stream); default 4096.
    pub connections_max: usize,
    /// Requests that may wait for one of those to end; default 1024.
    pub pending_max: usize,
    /// What one client (an address; of IPv6 a network of 48 bits) has of `connections_max` at most while others wait;
    /// default a half.
    pub share_per_address: Share,
    /// How TLS is spoken with them; `None` for cleartext.
    pub tls: Option<TlsSettings>,
    /// What is spoken with them; default HTTP/1.1.
    pub http: HttpVersion,
    /// Whether its servers see field names in the letters in which clients wrote them (HTTP/1 only); default no.
    pub preserve_header_case: bool,
    /// How often names are looked up; default every 10 s.
    pub resolve: Duration,
    /// Where the gateway itself listens: what leads there is no server of the pool. Default nowhere.
    pub own: Arc<[SocketAddr]>,
}

impl PoolSettings {
    /// Whether a pool with these settings is one with those. Where the gateway listens is none of the pool: what else
    /// it will listen on after a restart says nothing about servers.
    #[must_use]
    pub fn are_those_of(&self, other: &Self) -> bool {
        *self == Self { own: Arc::clone(&self.own), ..other.clone() }
    }

    /// Servers of equal weight, and the defaults of everything else.
    #[must_use]
    pub fn new(name: &str, servers: Vec<ServerSettings>) -> Self {
        Self {
            name: name.into(),
            servers,
            balance: Balance::RoundRobin,
            health: None,
            eject: Eject::default(),
            eject_max_percent: 50,
            retries: 1,
            timeouts: Timeouts::default(),
            connections_max: 4096,
            pending_max: 1024,
            share_per_address: Share::HALF,
            tls: None,
            http: HttpVersion::One,
            preserve_header_case: false,
            resolve: Duration::from_secs(10),
            own: Arc::default(),
        }
    }
}

/// A server as the config has it: each of its addresses becomes a [`super::Server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// `host:port`: its name in metrics and logs.
    pub name: Arc<str>,
    /// A name, or an address without brackets.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// Its share beside the others'; default 1.
    pub weight: u32,
}

/// Which server a request goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn, as often as their weights say, and as evenly.
    RoundRobin,
    /// To the one with the fewest requests in flight for its weight.
    LeastConnections,
    /// To the one that the key leads to: few keys move when a server comes or goes.
    Hash(HashBy),
}

/// What stands for the client where requests are spread by a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The token's subject; the client's address, where the request has no subject.
    Subject,
    /// The client's address.
    Address,
    /// The first value of a request header; the client's address, where the request has no such header.
    Header(HeaderName),
}

/// How servers are asked whether they are healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What they are asked.
    pub probe: Probe,
    /// From one question to the next; default 5 s.
    pub interval: Duration,
    /// For a whole probe, the request and its response; default 2 s.
    pub timeout: Duration,
    /// Good responses in a row that make a server healthy again; default 2.
    pub healthy: u32,
    /// Bad ones in a row that make it unhealthy; default 3.
    pub unhealthy: u32,
}

/// What a server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it takes a connection, and finishes a TLS handshake where there is one.
    Tcp,
    /// A GET.
    Http {
        /// Of what.
        path: PathAndQuery,
        /// `Host`; default the server's `host:port`.
        host: Option<Box<str>>,
        /// The lowest and the highest status of a good response; default 200 and 399.
        status: (StatusCode, StatusCode),
    },
}

/// When a server that fails requests is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eject {
    /// Failures in a row; 0 for never. Default 5.
    pub failures: u32,
    /// How long, until one request may try it again. Each trial that fails doubles it, up to ten
    /// times as long. Default 10 s.
    pub pause: Duration,
}

impl Default for Eject {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(10) }
    }
}

/// How long Portero waits for a server. Every wait has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be made, with its TLS handshake, and for a place in a full pool; default 2 s.
    pub connect: Duration,
    /// For the next bytes of a response; default 30 s.
    pub read: Duration,
    /// For the next bytes of a request to be taken; default 30 s.
    pub write: Duration,
    /// For the whole exchange, from the request's head to the last byte of its response; default 1 h.
    pub total: Duration,
    /// How long an unused connection is kept; default 60 s.
    pub idle: Duration,
    /// How long an upgraded connection may carry no bytes; default 1 h.
    pub tunnel_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            total: Duration::from_secs(3600),
            idle: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(3600),
        }
    }
}
