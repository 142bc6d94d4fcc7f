//! The sockets that a gateway listens on: bound by itself, or inherited from systemd or from the
//! gateway before it, and handed over to the one after it. All are matched by their address.

use std::{
    env,
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use listenfd::ListenFd;

use super::StartError;
use crate::edge::listen::{Listeners, bind};

/// Sockets that are taken over, at most.
const INHERITED_MAX: usize = 1024;

/// Where systemd says how the sockets are called, separated by colons (`sd_listen_fds_with_names(3)`).
pub(super) const NAMES_VARIABLE: &str = "LISTEN_FDNAMES";

/// The name of a front socket that a gateway hands over.
const FRONT: &str = "portero-front";

/// The name of the admin socket that a gateway hands over.
const ADMIN: &str = "portero-admin";

/// The name of the way back to the gateway that hands over.
pub(super) const PREDECESSOR: &str = "portero-predecessor";

/// What the successor says when it accepts connections.
pub(super) const READY: &[u8] = b"ready\n";

/// Sockets that are open before anything else is touched: a taken port leaves nothing behind.
#[derive(Debug)]
pub struct Sockets {
    pub(super) front: Listeners,
    pub(super) admin: TcpListener,
}

impl Sockets {
    /// Opens the front and the admin listener: inherited where there is one, bound otherwise. What is
    /// inherited and not configured any more is closed.
    ///
    /// # Errors
    /// Fails when an address is in use or not ours; the error names its config key.
    pub fn open(front: &[SocketAddr], admin: SocketAddr, mut inherited: Inherited) -> Result<Self, StartError> {
        let mut open = |key, name, address| {
            let listener = inherited.take(name, address).map_or_else(|| bind(address), Ok);
            let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
            listener.map_err(|source| StartError::Listen { key, address, source })
        };
        // One at any port takes what those at a named one have left.
        let mut in_turn: Vec<_> = front.iter().enumerate().collect();
        in_turn.sort_by_key(|(_, address)| address.port() == 0);
        let mut opened = vec![];
        for (at, &address) in in_turn {
            opened.push((at, open("server.listen", FRONT, address)?));
        }
        opened.sort_by_key(|(at, _)| *at);
        let front = Listeners::new(opened.into_iter().map(|(_, socket)| socket).collect());
        Ok(Self { front, admin: open("admin.listen", ADMIN, admin)? })
    }

    /// Where the front listeners are.
    #[must_use]
    pub fn front(&self) -> Vec<SocketAddr> {
        self.front.addresses()
    }

    /// Where the admin listener is.
    ///
    /// # Errors
    /// Fails when the system does not say where the socket is bound.
    pub fn admin(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// The same sockets once more, to hand over.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { front: Listeners::new(self.front.try_clone()?), admin: self.admin.try_clone()? })
    }

    /// Each socket, with the name under which a successor looks for it.
    pub(super) fn named(&self) -> io::Result<Vec<(&'static str, OwnedFd)>> {
        let front = self.front.try_clone()?.into_iter().map(|socket| (FRONT, socket.into()));
        Ok(front.chain([(ADMIN, self.admin.try_clone()?.into())]).collect())
    }
}

/// The sockets that this process was started with.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(String, TcpListener)>,
    predecessor: Option<Predecessor>,
}

impl Inherited {
    /// Takes what `LISTEN_FDS` announces; must come before anything else has opened a file.
    #[must_use]
    pub fn from_environment() -> Self {
        let names = env::var(NAMES_VARIABLE).unwrap_or_default();
        let mut names = names.split(':');
        let mut given = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..given.len().min(INHERITED_MAX) {
            let name = names.next().unwrap_or_default();
            if let Ok(Some(socket)) = given.take_tcp_listener(index) {
                inherited.sockets.push((name.to_owned(), socket));
            } else if name == PREDECESSOR
                && let Ok(Some(socket)) = given.take_unix_listener(index)
            {
                // No listener, but one end of a pair: what it is beyond a descriptor is ours to say.
                inherited.predecessor = Some(Predecessor(UnixStream::from(OwnedFd::from(socket))));
            }
        }
        inherited
    }

    /// The gateway that waits for this one to take over.
    pub fn predecessor(&mut self) -> Option<Predecessor> {
        self.predecessor.take()
    }

    /// The socket at `address`; for port 0 any of that name at the same IP address. One that a gateway
    /// handed over is only taken for what it was.
    fn take(&mut self, name: &str, address: SocketAddr) -> Option<TcpListener> {
        let found = self.sockets.iter().position(|(given, socket)| {
            let of_another = given != name && matches!(given.as_str(), FRONT | ADMIN);
            let Ok(local) = socket.local_addr() else { return false };
            let at_any_port = address.port() == 0 && given == name && local.ip() == address.ip();
            !of_another && (local == address || at_any_port)
        })?;
        // In their order: several that took any free port are told apart by it.
        Some(self.sockets.remove(found).1)
    }
}

/// The gateway that started this one to take over from it.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// Says that this process accepts connections: the predecessor stops to.
    pub(super) fn ready(&self) -> io::Result<()> {
        (&self.0).write_all(READY)
    }

    /// Says why this process ends.
    pub fn failed(&self, why: &dyn std::fmt::Display) {
        // It may have gone, or lost its patience.
        let _ = (&self.0).write_all(why.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn inherited(sockets: &[(&str, &TcpListener)]) -> Inherited {
        let sockets = sockets.iter().map(|(name, socket)| ((*name).to_owned(), socket.try_clone().unwrap()));
        Inherited { sockets: sockets.collect(), predecessor: None }
    }

    #[test]
    fn inherited_sockets_are_matched_by_address_whatever_their_order() {
        let [a, b, c] = [0; 3].map(|_| bind(loopback()).unwrap());
        let [at_a, at_b, at_c] = [&a, &b, &c].map(|socket| socket.local_addr().unwrap());
        let given = inherited(&[("portero.socket", &c), ("", &b), ("x", &a)]);
        // Bound anew they would be in use.
        let sockets = Sockets::open(&[at_a, at_b], at_c, given).unwrap();
        assert_eq!((sockets.front(), sockets.admin().unwrap()), (vec![at_a, at_b], at_c));
    }

    #[test]
    fn a_socket_that_was_handed_over_stays_what_it_was() {
        let [front, admin] = [0; 2].map(|_| bind(loopback()).unwrap());
        let [at_front, at_admin] = [&front, &admin].map(|socket| socket.local_addr().unwrap());
        let given = inherited(&[(ADMIN, &admin), (FRONT, &front)]);
        let sockets = Sockets::open(&[loopback()], loopback(), given).unwrap();
        assert_eq!((sockets.front(), sockets.admin().unwrap()), (vec![at_front], at_admin));
        let given = inherited(&[(ADMIN, &admin)]);
        assert!(Sockets::open(&[at_admin], loopback(), given).is_err(), "the operator's socket is no client's");
    }

    #[test]
    fn sockets_at_any_port_keep_their_order() {
        let fronts = [0; 5].map(|_| bind(loopback()).unwrap());
        let admin = bind(loopback()).unwrap();
        let handed: Vec<_> = fronts.iter().map(|front| (FRONT, front)).chain([(ADMIN, &admin)]).collect();
        let sockets = Sockets::open(&[loopback(); 5], loopback(), inherited(&handed)).unwrap();
        let addresses: Vec<_> = fronts.iter().map(|front| front.local_addr().unwrap()).collect();
        assert_eq!(sockets.front(), addresses, "behind each is another door");
    }

    #[test]
    fn a_socket_that_is_named_is_not_taken_for_one_at_any_port() {
        let [front, admin] = [0; 2].map(|_| bind(loopback()).unwrap());
        let at_front = front.local_addr().unwrap();
        let given = inherited(&[(FRONT, &front), (ADMIN, &admin)]);
        let sockets = Sockets::open(&[loopback(), at_front], loopback(), given).unwrap();
        assert_eq!(sockets.front()[1], at_front);
    }

    #[test]
    fn what_is_missing_is_bound_and_what_is_too_much_is_closed() {
        let [kept, extra] = [0; 2].map(|_| bind(loopback()).unwrap());
        let (at_kept, at_extra) = (kept.local_addr().unwrap(), extra.local_addr().unwrap());
        let given = inherited(&[(FRONT, &kept), (FRONT, &extra)]);
        drop((kept, extra));
        let sockets = Sockets::open(&[at_kept, SocketAddr::from(([127, 0, 0, 2], 0))], loopback(), given).unwrap();
        assert_eq!(sockets.front().len(), 2);
        assert!(std::net::TcpStream::connect(at_kept).is_ok());
        assert!(std::net::TcpStream::connect(at_extra).is_err(), "closed");
    }
}
