//! Bound sockets: what clients connect to, before anything is accepted.

use std::{io, net::SocketAddr};

use socket2::{Domain, Socket, Type};

/// Connections that the kernel may hold for us to accept.
const BACKLOG: i32 = 4096;

/// Bound sockets, before anything is accepted on them.
#[derive(Debug)]
pub struct Listeners(pub(super) Vec<std::net::TcpListener>);

impl Listeners {
    /// Binds every address. Port 0 takes a free one.
    ///
    /// # Errors
    /// The address that could not be bound, and why.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, (SocketAddr, io::Error)> {
        let sockets = addresses.iter().map(|&address| bind(address).map_err(|error| (address, error)));
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// Where the sockets are bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Without it a restart would wait for the connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
