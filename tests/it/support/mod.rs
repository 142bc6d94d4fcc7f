//! The harness: a gateway, upstreams, clients and the command line.

mod authority;
mod authorization_server;
mod client;
mod config;
mod contract;
mod database;
mod framing;
mod front;
mod gateway;
mod http2;
mod jwks;
mod load;
pub(crate) mod memory;
mod nginx;
mod old_system;
pub(crate) mod pen;
mod port;
mod postgres;
mod process;
mod small_disk;
mod template;
mod upstream;
mod wait;
mod way;
mod web_socket;

pub(crate) use authority::Authority;
pub(crate) use authorization_server::{AuthorizationServer, Said};
pub(crate) use client::{Connection, Request, Response, delete, get, post};
pub(crate) use config::{Config, Folder};
pub(crate) use contract::{Contract, Tokens};
pub(crate) use database::Database;
pub(crate) use framing::{body_end, head_end, request_end, requests};
pub(crate) use front::{Front, Place};
pub(crate) use gateway::Gateway;
pub(crate) use http2::{Sender, exchange, send_http2, with_client};
pub(crate) use jwks::{Document, JwksServer};
pub(crate) use load::{Done, Load, Secured};
pub(crate) use nginx::Nginx;
pub(crate) use old_system::{CHECK, Odd, OldSystem};
pub(crate) use port::Port;
pub(crate) use postgres::{Link, Pooler, Pooling, Postgres, Replication};
pub(crate) use process::{Process, Ran, command, command_at, portero};
pub(crate) use small_disk::SmallDisk;
pub(crate) use template::copy_store;
pub(crate) use upstream::{RawStream, RawUpstream, Received, Upstream, answer_every_head, answer_every_request};
pub(crate) use wait::{Deadline, PATIENCE, wait_until, wait_until_async};
pub(crate) use way::{WAYS, Way};
pub(crate) use web_socket::{WebSocket, WebSocketService};

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

/// A client address that no other caller of this process has: throttling is by address.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, high, middle, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, high + 1, middle, low)
}
