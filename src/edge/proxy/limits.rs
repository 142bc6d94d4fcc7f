//! How many connections there may be: in all, and from one address.

use std::{
    net::{IpAddr, Ipv6Addr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry};
use tokio::sync::Notify;

/// Why a connection was refused: a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There are as many as there may be.
    Total,
    /// Its address has as many as it may have.
    Address,
    /// It sent a flood of HTTP/2 frames that carry no request.
    Flood,
    /// On a listener for the PROXY protocol: from a peer that is not trusted, or without a good header.
    ProxyProtocol,
}

impl Refusal {
    /// The label.
    pub(super) const fn as_str(self) -> &'static str {
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
pub(super) struct Limits {
    open: AtomicUsize,
    all_ended: Notify,
    by_address: DashMap<IpAddr, usize>,
}

impl Limits {
    /// A place for one more connection, when there are fewer than `most`.
    pub(super) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let place = Place { limits: Arc::clone(self), address: None };
        // Counted first: what is over goes down again with the place.
        (self.open.fetch_add(1, Ordering::AcqRel) < most).then_some(place)
    }

    /// Waits for the last connection to end.
    pub(super) async fn all_ended(&self) {
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

/// A connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    limits: Arc<Limits>,
    address: Option<IpAddr>,
}

impl Place {
    /// Counts the connection to its address (an IPv6 network of 64 bits, which one client has as a rule); false when
    /// that has `most` already.
    pub(super) fn count_to(&mut self, address: IpAddr, most: usize) -> bool {
        let address = subscriber(address);
        match self.limits.by_address.entry(address) {
            Entry::Occupied(mut count) if *count.get() < most => *count.get_mut() += 1,
            Entry::Occupied(_) => return false,
            Entry::Vacant(count) => drop(count.insert(1)),
        }
        self.address = Some(address);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(Entry::Occupied(mut count)) = self.address.map(|address| self.limits.by_address.entry(address)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if self.limits.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.limits.all_ended.notify_waiters();
        }
    }
}

/// An IPv6 address stands for its network of 64 bits, which one client has as a rule.
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// The requests in flight of clients that may have several: over HTTP/2, or through a trusted proxy. There are never
/// more clients in the table than requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    by_client: DashMap<IpAddr, usize>,
}

impl Requests {
    /// A place for one more request of a client (of IPv6 a network of 64 bits), when it has fewer than `most`.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr, most: usize) -> Option<RequestPlace> {
        let client = subscriber(client);
        let mut count = self.by_client.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(count);
        Some(RequestPlace { requests: Arc::clone(self), client })
    }
}

/// A request's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct RequestPlace {
    requests: Arc<Requests>,
    client: IpAddr,
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.requests.by_client.entry(self.client) {
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
    fn places_are_counted_and_given_back() {
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
        assert!(limits.by_address.is_empty());
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
        assert!(requests.by_client.is_empty());
    }

    #[tokio::test]
    async fn the_last_connection_ends_the_wait() {
        let limits = Arc::new(Limits::default());
        limits.all_ended().await;
        let place = limits.enter(1).unwrap();
        let waiting = tokio::spawn({
            let limits = Arc::clone(&limits);
            async move { limits.all_ended().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(place);
        waiting.await.unwrap();
    }
}
