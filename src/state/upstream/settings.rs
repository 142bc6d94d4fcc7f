//! What an upstream is, as the config says.

use std::{sync::Arc, time::Duration};

/// A named pool of equal servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in routes and metrics.
    pub name: Arc<str>,
    /// `host:port` of each server, at least one; names are resolved when the pool is built.
    pub servers: Vec<Box<str>>,
    /// How long Portero waits for them.
    pub timeouts: Timeouts,
}

/// How long Portero waits for a server. Every wait has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be made; default 2 s.
    pub connect: Duration,
    /// For the next bytes of an answer; default 30 s.
    pub read: Duration,
    /// For the next bytes of a request to be taken; default 30 s.
    pub write: Duration,
    /// For the whole exchange, from the request's head to the last byte of its answer; default 1 h.
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
