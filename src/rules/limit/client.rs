//! Which client a bound counts for.

use std::net::IpAddr;

/// A client as bounds count it: by its address, and by the network above it.
///
/// An IPv6 client stands for its /64, which is what one subscriber has, and its network is the /48, which is what one
/// site has. An IPv4 address is a client and a network of its own; an IPv4-mapped address is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey {
    pub(super) network: u128,
    pub(super) address: u128,
}

impl ClientKey {
    /// The operator, whose work has no address.
    pub const OPERATOR: Self = Self { network: u128::MAX, address: u128::MAX };

    /// The network above it.
    #[must_use]
    pub const fn network(self) -> u128 {
        self.network
    }

    /// The client itself.
    #[must_use]
    pub const fn address(self) -> u128 {
        self.address
    }

    /// The client behind an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let key = v4.to_ipv6_mapped().to_bits();
                Self { network: key, address: key }
            }
            IpAddr::V6(v6) => {
                let key = v6.to_bits() >> 64 << 64;
                // The lowest bit tells a /64 from the /48 of the same bits.
                Self { network: key >> 80 << 80, address: key | 1 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_apart_by_what_a_subscriber_has() {
        let key = |text: &str| ClientKey::of(text.parse().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1").network, key("192.0.2.2").network);
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        let (one, other) = (key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(one.address, other.address);
        assert_eq!(one.network, other.network);
        assert_ne!(one.network, key("2001:db8:1:1::1").network);
        let lowest = key("2001:db8::1");
        assert_ne!(lowest.network, lowest.address);
    }
}
