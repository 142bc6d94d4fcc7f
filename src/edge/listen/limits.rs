//! How many connections there may be: in all, and from one address.

use std::{
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry};
use foldhash::quality::RandomState;
use tokio::sync::Notify;

use crate::rules::limit::ClientKey;

/// A network of 48 bits of IPv6 has so many times what one client has: it may be an organisation, or one attacker.
const NETWORK_MULTIPLE: usize = 4;

/// Why a connection was refused: a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum ConnectionRefusal {
    /// There are as many as there may be.
    Total,
    /// Its address has as many as it may have.
    Address,
    /// It sent a flood of HTTP/2 frames that carry no request.
    Flood,
    /// On a listener for the PROXY protocol: from a peer that is not trusted, or without a good header.
    ProxyProtocol,
}

impl ConnectionRefusal {
    /// The label.
    pub(in crate::edge) const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::Flood => "h2_flood",
            Self::ProxyProtocol => "proxy_protocol",
        }
    }
}

/// The open connections. There are never more addresses in the table than connections.
#[derive(Debug, Default)]
pub(in crate::edge) struct Limits {
    open: AtomicUsize,
    all_ended: Notify,
    by_address: Counts,
}

impl Limits {
    /// A slot for one more connection, when there are fewer than `most`.
    pub(in crate::edge) fn enter(self: &Arc<Self>, most: usize) -> Option<ConnectionSlot> {
        let slot = ConnectionSlot { limits: Arc::clone(self), address: None };
        // Counted first: what is over goes down again with the slot.
        (self.open.fetch_add(1, Ordering::AcqRel) < most).then_some(slot)
    }

    /// Waits for the last connection to end.
    pub(in crate::edge) async fn all_ended(&self) {
        loop {
            let mut ended = pin!(self.all_ended.notified());
            ended.as_mut().enable();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A connection's slot; it is free again when this is dropped.
#[derive(Debug)]
pub(in crate::edge) struct ConnectionSlot {
    limits: Arc<Limits>,
    address: Option<ClientKey>,
}

impl ConnectionSlot {
    /// Counts the connection to its client; false when that has `most` already.
    pub(in crate::edge) fn count_to(&mut self, address: IpAddr, most: usize) -> bool {
        let client = ClientKey::of(address);
        let entered = self.limits.by_address.enter(client, most);
        if entered {
            self.address = Some(client);
        }
        entered
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        if let Some(client) = self.address {
            self.limits.by_address.leave(client);
        }
        if self.limits.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.limits.all_ended.notify_waiters();
        }
    }
}

/// The requests in flight of clients that may have several: over HTTP/2, or through a trusted proxy. There are never
/// more clients in the table than requests.
#[derive(Debug, Default)]
pub(in crate::edge) struct Requests {
    by_client: Counts,
}

impl Requests {
    /// A slot for one more request of a client, when it has fewer than `most`.
    pub(in crate::edge) fn enter(self: &Arc<Self>, client: IpAddr, most: usize) -> Option<ClientRequestSlot> {
        let client = ClientKey::of(client);
        self.by_client.enter(client, most).then(|| ClientRequestSlot { requests: Arc::clone(self), client })
    }
}

/// A request's slot; it is free again when this is dropped.
#[derive(Debug)]
pub(in crate::edge) struct ClientRequestSlot {
    requests: Arc<Requests>,
    client: ClientKey,
}

impl Drop for ClientRequestSlot {
    fn drop(&mut self) {
        self.requests.by_client.leave(self.client);
    }
}

/// How many each client has: an address of IPv4, and of IPv6 a network of 64 bits, which a subscriber has as a rule.
/// Many have 48 bits and so 65,536 of those: such a network is counted too.
///
/// Clients choose their keys in part. The hash has a seed of its own in each process, and there are never more entries
/// than connections or requests.
#[derive(Debug, Default)]
struct Counts(DashMap<u128, usize, RandomState>);

impl Counts {
    /// Counts one more, when the client has fewer than `most`, and its network fewer than [`NETWORK_MULTIPLE`] times
    /// that.
    fn enter(&self, client: ClientKey, most: usize) -> bool {
        if !self.add(client.address(), most) {
            return false;
        }
        let whole = client.network() == client.address();
        let entered = whole || self.add(client.network(), most.saturating_mul(NETWORK_MULTIPLE));
        if !entered {
            self.take(client.address());
        }
        entered
    }

    fn leave(&self, client: ClientKey) {
        self.take(client.address());
        if client.network() != client.address() {
            self.take(client.network());
        }
    }

    fn add(&self, key: u128, most: usize) -> bool {
        let mut count = self.0.entry(key).or_default();
        // At least one fits, so that nothing is left in the table with a count of 0.
        let fits = *count < most.max(1);
        *count += usize::from(fits);
        fits
    }

    fn take(&self, key: u128) {
        if let Entry::Occupied(mut count) = self.0.entry(key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_and_given_back() {
        let limits = Arc::new(Limits::default());
        let (first, mut second) = (limits.enter(2).unwrap(), limits.enter(2).unwrap());
        assert!(limits.enter(2).is_none());
        drop(first);
        let mut third = limits.enter(2).unwrap();
        let address = IpAddr::from([192, 0, 2, 1]);
        assert!(second.count_to(address, 1));
        assert!(!third.count_to(address, 1));
        assert!(third.count_to(IpAddr::from([192, 0, 2, 2]), 1));
        drop(second);
        assert!(limits.enter(2).unwrap().count_to(address, 1));
        drop(third);
        assert!(limits.by_address.0.is_empty());
    }

    #[test]
    fn requests_are_counted_by_subscriber() {
        let requests = Arc::new(Requests::default());
        let client = |text: &str| text.parse().unwrap();
        let first = requests.enter(client("2001:db8::1"), 2).unwrap();
        let second = requests.enter(client("2001:db8::2"), 2).unwrap();
        assert!(requests.enter(client("2001:db8::3"), 2).is_none());
        assert!(requests.enter(client("2001:db8:0:1::1"), 2).is_some());
        drop(first);
        let third = requests.enter(client("2001:db8::3"), 2).unwrap();
        drop((second, third));
        assert!(requests.by_client.0.is_empty());
    }

    #[test]
    fn a_network_of_48_bits_has_a_few_times_what_one_of_its_clients_has() {
        let requests = Arc::new(Requests::default());
        let enter = |network: u16| requests.enter(format!("2001:db8:0:{network:x}::1").parse().unwrap(), 2);
        let mut entered: Vec<_> = (0..100).filter_map(enter).collect();
        assert_eq!(entered.len(), 2 * NETWORK_MULTIPLE);
        assert!(requests.enter("2001:db8:1::1".parse().unwrap(), 2).is_some(), "another network");
        entered.pop();
        assert!(enter(100).is_some());
        drop(entered);
        let ipv4 = |last: u8| requests.enter(IpAddr::from([192, 0, 2, last]), 1);
        let clients: Vec<_> = (0..100).map(|last| ipv4(last).unwrap()).collect();
        drop(clients);
        assert!(requests.by_client.0.is_empty(), "nothing stays of those who were refused");
    }

    #[tokio::test]
    async fn the_last_connection_ends_the_wait() {
        let limits = Arc::new(Limits::default());
        limits.all_ended().await;
        let slot = limits.enter(1).unwrap();
        let waiting = tokio::spawn({
            let limits = Arc::clone(&limits);
            async move { limits.all_ended().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(slot);
        waiting.await.unwrap();
    }
}
