//! A pool: servers taken in turn, with connections that are kept alive.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use pingora::upstreams::peer::HttpPeer;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::settings::Settings;

/// A server whose name has no address.
#[derive(Debug, Error)]
#[error("upstream '{upstream}': server '{server}' has no address: {source}")]
pub struct UnresolvedServer {
    upstream: String,
    server: String,
    source: io::Error,
}

/// An upstream, ready to be used.
#[derive(Debug)]
pub struct Pool {
    /// As the config has it.
    pub settings: Settings,
    servers: Vec<Server>,
    next: AtomicUsize,
}

/// A connection to a server, over TLS where the pool asks for it.
pub type Transport = Box<dyn Bytes>;

/// Reads and writes.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// A server of a pool.
#[derive(Debug)]
pub struct Server {
    /// `host:port` as the config has it: its name in metrics and logs.
    pub name: Box<str>,
    socket: SocketAddr,
    peer: HttpPeer,
    reachable: AtomicBool,
}

impl Pool {
    /// Resolves the servers' names: it may wait for a name server, so not on a thread that serves
    /// requests. A name with several addresses stands for the first, an IPv4 one if there is any.
    pub fn resolve(settings: Settings) -> Result<Self, UnresolvedServer> {
        let servers = settings.servers.iter().map(|name| {
            let address = resolve(name).map_err(|source| UnresolvedServer {
                upstream: settings.name.to_string(),
                server: name.to_string(),
                source,
            })?;
            Ok(Server {
                name: name.clone(),
                socket: address,
                peer: peer(address, &settings),
                reachable: AtomicBool::new(true),
            })
        });
        let servers = servers.collect::<Result<_, _>>()?;
        Ok(Self { settings, servers, next: AtomicUsize::new(0) })
    }

    /// The index of the server whose turn it is; of the one behind `failed`, when that was tried.
    #[must_use]
    pub fn pick(&self, failed: Option<usize>) -> Option<usize> {
        let turn = failed.map_or_else(|| self.next.fetch_add(1, Ordering::Relaxed), |failed| failed + 1);
        turn.checked_rem(self.servers.len())
    }

    /// A fresh connection to a server, for who speaks HTTP with it without pingora.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::TimedOut`] when `timeouts.connect` is over.
    pub async fn connect(&self, server: &Server) -> io::Result<Transport> {
        let connecting = TcpStream::connect(server.socket);
        let stream = timeout(self.settings.timeouts.connect, connecting).await.map_err(io::Error::from)??;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    /// All servers.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }
}

impl Server {
    /// The server in the form that pingora connects to.
    #[must_use]
    pub fn peer(&self) -> Box<HttpPeer> {
        Box::new(self.peer.clone())
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.name
    }

    /// Notes whether the last connection to it succeeded.
    pub fn note_reachable(&self, reachable: bool) {
        if self.reachable.load(Ordering::Relaxed) != reachable {
            self.reachable.store(reachable, Ordering::Relaxed);
        }
    }

    /// Whether the last connection to it succeeded.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }
}

fn resolve(name: &str) -> io::Result<SocketAddr> {
    let addresses: Vec<_> = name.to_socket_addrs()?.collect();
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

fn peer(address: SocketAddr, settings: &Settings) -> HttpPeer {
    let mut peer = HttpPeer::new(address, false, String::new());
    let timeouts = settings.timeouts;
    let options = &mut peer.options;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect);
    options.read_timeout = Some(timeouts.read);
    options.write_timeout = Some(timeouts.write);
    options.idle_timeout = Some(timeouts.idle);
    peer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::upstream::Timeouts;

    fn settings(servers: &[&str]) -> Settings {
        let servers = servers.iter().map(|&server| server.into()).collect();
        Settings { name: "crm".into(), servers, timeouts: Timeouts::default() }
    }

    #[test]
    fn servers_take_turns() {
        let pool = Pool::resolve(settings(&["127.0.0.1:1", "127.0.0.1:2"])).unwrap();
        let turns: Vec<_> = (0..4).map(|_| pool.pick(None).unwrap()).collect();
        assert_eq!(turns, [0, 1, 0, 1]);
        assert_eq!((pool.pick(Some(0)), pool.pick(Some(1))), (Some(1), Some(0)));
    }

    #[test]
    fn a_server_without_an_address_is_named() {
        let error = Pool::resolve(settings(&["nowhere.invalid:80"])).unwrap_err();
        assert!(error.to_string().starts_with("upstream 'crm': server 'nowhere.invalid:80' has no address"), "{error}");
    }
}
