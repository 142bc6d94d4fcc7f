//! Upstreams as they are and fail: who is asked, what the client gets, and what is never sent twice.

mod answers;
mod balance;
mod faults;
mod health;
mod http2;
mod limits;
mod pool;
mod real;
mod reloaded;
mod resets;
mod retries;
mod slow_clients;
mod surplus;
mod tls;

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
};

use crate::support::{Config, Folder, Gateway, Port, RawUpstream};

const IN_FLIGHT: &str = "portero_upstream_requests_in_flight{upstream=\"service\"}";

/// A config with one public route to a pool of these servers, with `more` lines of the pool.
fn pool(servers: &[SocketAddr], more: &str) -> Config {
    let mut list = String::new();
    for server in servers {
        write!(list, "\"{server}\",").unwrap();
    }
    named_pool(&list, more)
}

/// The same with the array's text.
fn named_pool(servers: &str, more: &str) -> Config {
    let upstream = format!("[upstreams.service]\nservers = [{servers}]\n{more}\n");
    Config::new().text(&upstream).route("public", "/", "auth = \"public\"")
}

/// A gateway without accounts, and with one thread that serves: each has upstream connections of its own.
fn start(config: &Config) -> Gateway {
    let folder = Folder::new();
    config.clone().server("threads = 1").write_to(&folder);
    Gateway::run(folder)
}

/// Whether requests go to a server of the pool.
fn is_healthy(gateway: &Gateway, server: SocketAddr) -> bool {
    gateway.metric(&format!("portero_upstream_healthy{{server=\"{server}\",upstream=\"service\"}}")) > 0.5
}

/// A free address where nobody listens.
fn nobody() -> SocketAddr {
    let port = Port::hold();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number));
    // Held until the test's process ends.
    std::mem::forget(port);
    address
}

/// How many requests with this method an upstream received.
fn received(upstream: &RawUpstream, method: &str) -> usize {
    upstream.bytes().matches(&format!("{method} /")).count()
}
