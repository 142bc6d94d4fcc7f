//! The gateway's own addresses. A request that is forwarded to one of them comes back, and is forwarded again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The listener of `own` to which a connection to `host` and `port` leads; `host` is a name or an address without
/// brackets. `is_local` says whether an address is one of this machine's. Of names, only those for the loopback
/// addresses are known here: the others are judged by their addresses, when they have been looked up.
pub fn led_to(host: &str, port: u16, own: &[SocketAddr], is_local: &dyn Fn(IpAddr) -> bool) -> Option<SocketAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let targets = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) if host == "localhost" || host.ends_with(".localhost") => LOOPBACK.to_vec(),
        Err(_) => vec![],
    };
    let arrives = |listener: &&SocketAddr| {
        targets.iter().any(|&target| arrives(SocketAddr::new(target, port), **listener, is_local))
    };
    own.iter().find(arrives).copied()
}

/// Whether a connection to `target` arrives at `listener`. A listener on `0.0.0.0` or `[::]` counts for its own family,
/// as the gateway binds them; of one that was handed over and has both, nothing is said.
pub fn arrives(target: SocketAddr, listener: SocketAddr, is_local: &dyn Fn(IpAddr) -> bool) -> bool {
    if listener.port() == 0 || listener.port() != target.port() {
        return false;
    }
    let (address, listens) = (target.ip().to_canonical(), listener.ip().to_canonical());
    // A connection to 0.0.0.0 or [::] goes to the machine itself.
    let target = match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    let takes_all = listens.is_unspecified() && listens.is_ipv4() == target.is_ipv4();
    target == listens || takes_all && (target.is_loopback() || is_local(target))
}

/// Whether an address is one of this machine's. The system is asked which address a datagram to it would come from:
/// for an own address it is the same. Nothing is sent.
#[must_use]
pub fn is_of_this_machine(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        // The port does not matter; 0 is no port.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_spelling_of_an_own_address_is_known() {
        let nobody = |_: IpAddr| false;
        for (target, listener, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::ffff:0.0.0.0]:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.9.9.9:80", "0.0.0.0:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::]:80", "[::]:80", true),
            ("127.0.0.1:80", "[::]:80", false),
            ("[::ffff:127.0.0.1]:80", "[::]:80", false),
            ("[::1]:80", "0.0.0.0:80", false),
            ("0.0.0.0:80", "[::]:80", false),
            ("0.0.0.0:80", "0.0.0.0:80", true),
            ("10.0.0.5:80", "10.0.0.5:80", true),
            ("127.0.0.1:81", "127.0.0.1:80", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("10.0.0.5:80", "0.0.0.0:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(arrives(socket(target), socket(listener), &nobody), expected, "{target} at {listener}");
        }
        let machine = |address: IpAddr| address == IpAddr::from([10, 0, 0, 5]);
        assert!(arrives(socket("10.0.0.5:80"), socket("0.0.0.0:80"), &machine));
        assert!(arrives(socket("[::ffff:10.0.0.5]:80"), socket("0.0.0.0:80"), &machine));
        assert!(!arrives(socket("10.0.0.6:80"), socket("0.0.0.0:80"), &machine));
        let own = [socket("127.0.0.1:80"), socket("0.0.0.0:81")];
        for (host, port, expected) in [
            ("localhost", 80, Some(own[0])),
            ("a.localhost.", 81, Some(own[1])),
            ("10.0.0.5", 81, Some(own[1])),
            ("::ffff:10.0.0.5", 81, Some(own[1])),
            ("crm.internal", 80, None),
        ] {
            assert_eq!(led_to(host, port, &own, &machine), expected, "{host}");
        }
    }

    #[test]
    fn the_system_knows_the_addresses_of_this_machine() {
        assert!(is_of_this_machine(Ipv4Addr::LOCALHOST.into()));
        // RFC 5737: for documentation, so nobody's.
        let elsewhere = IpAddr::from([192, 0, 2, 1]);
        assert!(!is_of_this_machine(elsewhere));
        // The address by which this machine would go there, where it has one.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        if socket.connect((elsewhere, 9)).is_ok() {
            assert!(is_of_this_machine(socket.local_addr().unwrap().ip()));
        }
    }
}
