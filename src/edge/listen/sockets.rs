//! Bound sockets: what clients connect to, before anything is accepted.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Socket, Type};

/// Connections that the kernel may hold for us to accept.
const BACKLOG: i32 = 4096;

/// Bound sockets, before anything is accepted on them. Several may have one address.
#[derive(Debug)]
pub struct Listeners(pub(in crate::edge) Vec<TcpListener>);

impl Listeners {
    /// Sockets that listen already, and never block.
    #[must_use]
    pub const fn new(sockets: Vec<TcpListener>) -> Self {
        Self(sockets)
    }

    /// Where the sockets are bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// The same sockets once more: the kernel's queue of each stays one, and stays open until both are gone.
    ///
    /// # Errors
    /// Fails when no more files may be open.
    pub fn try_clone(&self) -> io::Result<Vec<TcpListener>> {
        self.0.iter().map(TcpListener::try_clone).collect()
    }
}

/// Binds `address` and listens. Port 0 takes a free one.
///
/// # Errors
/// Fails when the address is in use or not ours.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether [`bind`] could bind `address`. No client is listened to meanwhile.
///
/// # Errors
/// Fails when the address is in use or not ours.
pub fn can_bind(address: SocketAddr) -> io::Result<()> {
    bound(address).map(drop)
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Without it a restart would wait for the connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
