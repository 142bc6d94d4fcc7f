//! A pool: its servers, which of them is next, and what may be asked of them at once and again.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use hyper::client::conn::http1;
use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};

use super::{
    budget::Budget,
    connect::{HttpVersion, Speak, Tls, TlsError, Transport},
    epoch::Epoch,
    own,
    request_slot::{RequestSlot, RequestSlots},
    server::{Kind, Server, ServerLease},
    servers::Servers,
    settings::{Balance, HashBy, PoolSettings, ServerSettings},
};
use crate::{
    observe::metrics::UpstreamMetrics,
    per_thread::{Handle, Spread},
    rules::limit::ClientKey,
};

pub use super::breaker::Failure;

/// How connections fail, as metrics call it.
pub const CONNECTION_FAILURES: [&str; 5] = ["refused", "timeout", "unreachable", "tls", "other"];

/// Bytes of the head of a response over HTTP/1, at most; and what is read at once of a body.
pub const RESPONSE_BUFFER_BYTES: usize = 64 << 10;

/// Addresses of one name, at most: a name server could answer with any number.
const ADDRESSES_MAX: usize = 64;

/// An upstream that cannot be used as it is configured.
#[derive(Debug, Error)]
#[error("upstream '{upstream}': {source}")]
pub struct Unusable {
    upstream: String,
    source: TlsError,
}

/// An upstream, ready to be used.
#[derive(Debug)]
pub struct Pool {
    /// As the config has it.
    pub settings: PoolSettings,
    /// Its counters.
    pub metrics: UpstreamMetrics,
    kind: Kind,
    servers: ArcSwap<Servers>,
    next: AtomicU64,
    slots: Arc<RequestSlots>,
    budget: Budget,
    /// Serialises ejections, so that two servers that fail at once are not both ejected.
    ejecting: Mutex<()>,
}

impl Pool {
    /// A pool whose servers that have a name have no address yet: see [`super::look_up`].
    ///
    /// # Errors
    /// Fails when its TLS settings cannot be used; the error names the upstream.
    pub fn new(settings: PoolSettings, metrics: UpstreamMetrics) -> Result<Self, Unusable> {
        let slots = RequestSlots::new(settings.connections_max, settings.pending_max, settings.share_per_address);
        Self::with_slots(settings, metrics, slots)
    }

    /// A pool that follows this one. What is in flight to this one counts for its limits too, which hold from
    /// [`Self::hold_limits`] on.
    ///
    /// # Errors
    /// As those of [`Self::new`].
    pub fn successor(&self, settings: PoolSettings, metrics: UpstreamMetrics) -> Result<Self, Unusable> {
        Self::with_slots(settings, metrics, Arc::clone(&self.slots))
    }

    /// Has the limits of its settings hold, in place of those of a pool before it.
    pub fn hold_limits(&self) {
        let PoolSettings { connections_max, pending_max, share_per_address, .. } = self.settings;
        self.slots.set_limits(connections_max, pending_max, share_per_address);
    }

    fn with_slots(
        settings: PoolSettings,
        metrics: UpstreamMetrics,
        slots: Arc<RequestSlots>,
    ) -> Result<Self, Unusable> {
        let unusable = |source| Unusable { upstream: settings.name.to_string(), source };
        let tls = settings.tls.as_ref().map(|tls| Tls::new(tls, settings.http)).transpose().map_err(unusable)?;
        for server in settings.servers.iter().filter(|_| tls.is_some()) {
            tls.as_ref().map(|tls| tls.name(&server.host)).transpose().map_err(unusable)?;
        }
        let kind = Kind { epoch: Arc::new(Epoch::default()), tls };
        let pool = Self {
            slots,
            servers: ArcSwap::default(),
            next: AtomicU64::new(0),
            budget: Budget::default(),
            ejecting: Mutex::default(),
            settings,
            metrics,
            kind,
        };
        for server in &pool.settings.servers {
            if let Ok(address) = server.host.parse::<IpAddr>() {
                pool.set_addresses(server, &pool.external(&[SocketAddr::new(address, server.port)]));
            }
        }
        Ok(pool)
    }

    /// The server that a request goes to next, and not one of those that it was `tried` at unless
    /// there is no other; `None` when no server is healthy. `key` is asked for where requests are
    /// spread by one. A server that is coming back has less than its share.
    #[must_use]
    pub fn pick(
        &self,
        now: Instant,
        tried: &[Handle<Server>],
        key: impl FnOnce(&HashBy) -> u64,
    ) -> Option<ServerLease> {
        let servers = self.servers.load();
        let turn = match &self.settings.balance {
            Balance::RoundRobin | Balance::LeastConnections => self.next_turn(&servers),
            Balance::Hash(by) => key(by),
        };
        let fresh = |server: &Server| !was_tried(tried, server) && server.is_available(now);
        let chosen = servers.choose(&self.settings.balance, turn, fresh).map(|server| {
            if self.takes(server, turn, now) {
                return server;
            }
            // What it does not take goes to the others by the same rule. Where they all come back, each has its part.
            let other =
                |other: &Server| other.number() != server.number() && fresh(other) && other.takes_its_whole_share(now);
            servers.choose(&self.settings.balance, turn, other).unwrap_or(server)
        });
        // Somebody else may have taken the one trial meanwhile, or all were tried.
        chosen.and_then(|server| Server::take(server, now)).or_else(|| {
            let others = servers.from(turn).filter(|server| fresh(server));
            let again = servers.from(turn).filter(|server| was_tried(tried, server) && server.is_available(now));
            let last = || servers.from(turn).find_map(Server::take_as_last);
            others.chain(again).find_map(|server| Server::take(server, now)).or_else(last)
        })
    }

    fn next_turn(&self, servers: &Servers) -> u64 {
        // One server has every turn: no thread waits for another to count them.
        if servers.all.len() == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) }
    }

    /// Whether a server takes what came to it at `now`: while it is coming back, not each.
    fn takes(&self, server: &Server, turn: u64, now: Instant) -> bool {
        match self.settings.balance {
            Balance::RoundRobin | Balance::LeastConnections => server.takes_turn(now),
            Balance::Hash(_) => server.takes_key(now, turn),
        }
    }

    /// Notes that a request failed.
    pub fn failed(&self, lease: &mut ServerLease, failure: Failure, now: Instant) {
        // Nothing that could leave anything half-written is done under the lock.
        let _alone = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        lease.failed(failure, now, |server| self.may_suspect(server));
    }

    /// Whether a server may be ejected for failures that its requests may have caused: not the last one, and no more
    /// servers than the settings say.
    fn may_suspect(&self, server: &Server) -> bool {
        let servers = self.servers.load();
        let others = || servers.all.iter().filter(|other| other.number() != server.number());
        let suspected = others().filter(|other| other.is_suspected()).count() + 1;
        let most = servers.all.len() * self.settings.eject_max_percent as usize / 100;
        suspected <= most && others().any(|other| other.is_healthy())
    }

    /// Whether there is a server that a request was not tried at and may go to.
    #[must_use]
    pub fn has_another(&self, now: Instant, tried: &[Handle<Server>], present: &Server) -> bool {
        let other = |server: &Server| server.number() != present.number() && !was_tried(tried, server);
        self.servers.load().all.iter().any(|server| other(server) && server.is_available(now))
    }

    /// A slot for a request of `client` that has so much time `left`, within `timeouts.connect`. `None` when the pool
    /// is full.
    pub async fn enter(&self, client: ClientKey, left: Duration) -> Option<RequestSlot> {
        self.budget.deposit();
        self.slots.take(client, left.min(self.settings.timeouts.connect)).await
    }

    /// Takes one from the pool's retries, where there is one: then a request may be sent again.
    #[must_use]
    pub fn spend_retry(&self, now: Instant) -> bool {
        let may = self.budget.withdraw(self.kind.epoch.millis(now));
        if may {
            self.metrics.retries.inc();
        }
        may
    }

    /// A new connection to a server.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] when it is the TLS handshake that fails, and
    /// [`io::ErrorKind::TimedOut`] when `timeouts.connect` is over.
    pub async fn connect(&self, server: &Server, speak: Speak) -> io::Result<Transport> {
        let connecting = async {
            let stream = TcpStream::connect(server.socket).await?;
            stream.set_nodelay(true)?;
            let write_timeout = self.settings.timeouts.write;
            match self.kind.tls.as_ref().zip(server.certificate_name.clone()) {
                Some((tls, name)) => {
                    let agreed = tls.connect(stream, name, speak).await;
                    let stream = agreed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    let transport = Transport::tls(stream, write_timeout);
                    if speak == Speak::AsConfigured
                        && self.settings.http == HttpVersion::Two
                        && !transport.agreed_on_http2()
                    {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "the server does not speak HTTP/2"));
                    }
                    Ok(transport)
                }
                None => Ok(Transport::plain(stream, write_timeout)),
            }
        };
        timeout(self.settings.timeouts.connect, connecting).await.map_err(io::Error::from)?
    }

    /// Whether a connection that was made for it speaks HTTP/2.
    #[must_use]
    pub fn speaks_http2(&self, transport: &Transport) -> bool {
        match self.settings.http {
            HttpVersion::One => false,
            HttpVersion::Two => true,
            HttpVersion::Auto => transport.agreed_on_http2(),
        }
    }

    /// How HTTP/1 is spoken with its servers. What old servers write is put right (RFC 9112 sections 5.1 and 5.2).
    /// Names of fields are in lower case, which costs least, unless the servers look for one spelling.
    #[must_use]
    pub fn http1(&self) -> http1::Builder {
        let is_spelt = self.settings.preserve_header_case;
        let mut builder = http1::Builder::new();
        builder
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .title_case_headers(is_spelt)
            .preserve_header_case(is_spelt)
            .max_buf_size(RESPONSE_BUFFER_BYTES);
        builder
    }

    /// All servers that have an address.
    #[must_use]
    pub fn servers(&self) -> Vec<Spread<Server>> {
        self.servers.load().all.to_vec()
    }

    /// Every configured server by its name, and whether requests go to at least one of its addresses.
    pub fn health(&self) -> impl Iterator<Item = (&str, bool)> {
        let servers = self.servers.load_full();
        self.settings.servers.iter().map(move |entry| {
            let of_entry = |server: &&Spread<Server>| server.address() == &*entry.name;
            (&*entry.name, servers.all.iter().filter(of_entry).any(|server| server.is_healthy()))
        })
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.slots.taken()
    }

    /// Those of `addresses` that do not lead back to the gateway itself.
    pub(super) fn external(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let is_own = |address: &SocketAddr| {
            let arrives = |listener: &SocketAddr| own::arrives(*address, *listener, &own::is_of_this_machine);
            self.settings.own.iter().any(arrives)
        };
        addresses.iter().copied().filter(|address| !is_own(address)).collect()
    }

    /// Takes over the addresses that a configured server has now. Those that stay keep their
    /// history; requests to those that go end as they would. True when there was a change.
    pub(super) fn set_addresses(&self, entry: &ServerSettings, addresses: &[SocketAddr]) -> bool {
        let present = self.servers.load_full();
        let mut wanted: Vec<SocketAddr> = addresses.iter().copied().take(ADDRESSES_MAX).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let of_entry = |server: &&Spread<Server>| server.address() == &*entry.name;
        let mut known: Vec<SocketAddr> = present.all.iter().filter(of_entry).map(|server| server.socket).collect();
        known.sort_unstable();
        if wanted == known {
            return false;
        }
        self.servers.rcu(|present| {
            let mut all = vec![];
            for configured in &self.settings.servers {
                let kept = present.all.iter().filter(|server| server.address() == &*configured.name);
                if configured.name == entry.name {
                    all.extend(wanted.iter().filter_map(|&address| {
                        let same = kept.clone().find(|server| server.socket == address);
                        same.cloned().or_else(|| self.make(entry, address))
                    }));
                } else {
                    all.extend(kept.cloned());
                }
            }
            Servers::new(all)
        });
        true
    }

    fn make(&self, entry: &ServerSettings, address: SocketAddr) -> Option<Spread<Server>> {
        // That there is a name was seen when the pool was made.
        let certificate_name = match &self.kind.tls {
            Some(tls) => Some(tls.name(&entry.host).ok()?),
            None => None,
        };
        let ejections = self.metrics.ejections(&entry.name);
        let named = (&entry.name, entry.weight);
        Some(Spread::new(Server::new(named, address, certificate_name, &self.settings, &self.kind, ejections)))
    }
}

fn was_tried(tried: &[Handle<Server>], server: &Server) -> bool {
    tried.iter().any(|tried| tried.number() == server.number())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use super::*;
    use crate::{
        domain::{Clock, SystemClock},
        observe::metrics::Metrics,
        upstream::{Eject, balance},
    };

    fn pool(balance: Balance, weights: &[u32]) -> Pool {
        let server = |(index, &weight): (usize, &u32)| ServerSettings {
            name: format!("10.0.0.{index}:80").into(),
            host: format!("10.0.0.{index}").into(),
            port: 80,
            weight,
        };
        let servers = weights.iter().enumerate().map(server).collect();
        let eject = Eject { failures: 1, pause: Duration::from_secs(10) };
        let settings = PoolSettings { balance, eject, ..PoolSettings::new("crm", servers) };
        Pool::new(settings, Metrics::new().unwrap().upstream("crm", &[])).unwrap()
    }

    fn no_key(_: &HashBy) -> u64 {
        panic!("nobody asked for a key")
    }

    #[test]
    fn an_ejected_server_is_passed_over_until_its_trial() {
        let (pool, start) = (pool(Balance::RoundRobin, &[1, 1]), SystemClock.instant());
        let mut failing = pool.pick(start, &[], no_key).unwrap();
        pool.failed(&mut failing, Failure::AfterSending, start);
        let failed = failing.server().clone();
        drop(failing);
        assert!(!failed.is_healthy());
        let picked = |now| pool.pick(now, &[], no_key).unwrap().server().number() == failed.number();
        assert!((0..10).all(|_| !picked(start + Duration::from_secs(9))));
        let later = start + Duration::from_secs(10);
        // Each is still under way: a trial whose client leaves goes to the next.
        let under_way: Vec<_> = (0..10).map(|_| pool.pick(later, &[], no_key).unwrap()).collect();
        let trials = under_way.iter().filter(|turn| turn.server().number() == failed.number()).count();
        assert_eq!(trials, 1, "one trial");
        let mut trial = pool.pick(later + Duration::from_secs(10), &[], no_key).unwrap();
        if trial.server().number() != failed.number() {
            trial = pool.pick(later + Duration::from_secs(10), &[], no_key).unwrap();
        }
        trial.answered(later + Duration::from_secs(10));
        assert!(failed.is_healthy());
    }

    #[test]
    fn without_a_server_that_is_well_there_is_none() {
        let (pool, now) = (pool(Balance::LeastConnections, &[1, 1]), SystemClock.instant());
        for server in pool.servers() {
            server.set_passes_probes(false, now);
        }
        assert!(pool.pick(now, &[], no_key).is_none());
        assert!(pool.health().all(|(_, healthy)| !healthy));
    }

    #[test]
    fn another_attempt_goes_elsewhere_while_there_is_elsewhere() {
        for balance in balances() {
            let (pool, now) = (pool(balance, &[1, 1, 1]), SystemClock.instant());
            let mut tried = vec![];
            for _ in 0..3 {
                let turn = pool.pick(now, &tried, |_| 7).unwrap();
                assert!(!was_tried(&tried, turn.server()));
                assert_eq!(pool.has_another(now, &tried, turn.server()), tried.len() < 2);
                tried.push(turn.server().clone());
            }
            assert!(pool.pick(now, &tried, |_| 7).is_some(), "the same again is better than none");
        }
    }

    /// How many of so many requests each server gets at `now`, each over before the next.
    fn parts(pool: &Pool, now: Instant, requests: u64) -> Vec<u64> {
        let servers = pool.servers();
        let mut parts = vec![0; servers.len()];
        for request in 0..requests {
            let lease = pool.pick(now, &[], |_| balance::hash_of(&[&request.to_be_bytes()])).unwrap();
            let at = servers.iter().position(|server| server.number() == lease.server().number()).unwrap();
            parts[at] += 1;
        }
        parts
    }

    fn balances() -> [Balance; 3] {
        [Balance::RoundRobin, Balance::LeastConnections, Balance::Hash(HashBy::Address)]
    }

    #[test]
    fn what_a_server_does_not_take_goes_to_all_others() {
        for balance in balances() {
            let (pool, now) = (pool(balance.clone(), &[1, 1, 1, 3]), SystemClock.instant());
            pool.servers()[2].set_passes_probes(false, now);
            let parts = parts(&pool, now, 5000);
            // The least busy of idle servers has nothing to do with weights.
            let fair = if balance == Balance::LeastConnections { [1667; 4] } else { [1000, 1000, 0, 3000] };
            for (at, (part, fair)) in parts.iter().zip(fair).enumerate().filter(|(at, _)| *at != 2) {
                assert!(part.abs_diff(fair) < fair / 6, "{balance:?}, {at}: {parts:?}");
            }
            assert_eq!(parts[2], 0, "{balance:?}");
        }
    }

    #[test]
    fn a_server_that_comes_back_takes_a_tenth_of_what_comes_to_it() {
        for balance in balances() {
            let (pool, now) = (pool(balance.clone(), &[1; 20]), SystemClock.instant());
            // Time begins with the first request.
            drop(pool.pick(now, &[], |_| 0));
            let returning = &pool.servers()[7];
            returning.set_passes_probes(false, now);
            returning.set_passes_probes(true, now);
            let parts = parts(&pool, now, 20_000);
            assert!((60..=140).contains(&parts[7]), "{balance:?}: {parts:?}");
            for (at, part) in parts.iter().enumerate().filter(|(at, _)| *at != 7) {
                assert!(part.abs_diff(1047) < 200, "{balance:?}, {at}: {parts:?}");
            }
        }
    }

    #[test]
    fn servers_that_all_come_back_have_their_shares_and_keys_stay() {
        for balance in balances() {
            let (pool, now) = (pool(balance.clone(), &[1; 4]), SystemClock.instant());
            drop(pool.pick(now, &[], |_| 0));
            let before = parts(&pool, now, 4000);
            for server in pool.servers() {
                server.set_passes_probes(false, now);
                server.set_passes_probes(true, now);
            }
            let parts = parts(&pool, now, 4000);
            assert!(parts.iter().all(|part| part.abs_diff(1000) < 150), "{balance:?}: {parts:?}");
            if matches!(balance, Balance::Hash(_)) {
                assert_eq!(parts, before);
            }
        }
    }

    #[test]
    fn requests_in_flight_decide_by_weight() {
        let (pool, now) = (pool(Balance::LeastConnections, &[3, 1]), SystemClock.instant());
        let turns: Vec<_> = (0..40).map(|_| pool.pick(now, &[], no_key).unwrap()).collect();
        let mut counts = HashMap::new();
        for turn in &turns {
            *counts.entry(turn.server().address()).or_insert(0) += 1;
        }
        assert_eq!((counts["10.0.0.0:80"], counts["10.0.0.1:80"]), (30, 10));
        drop(turns);
        assert!(pool.servers().iter().all(|server| server.in_flight() == 0));
    }

    #[test]
    fn connections_of_two_pools_are_never_the_same() {
        let [one, other] = [pool(Balance::RoundRobin, &[1]), pool(Balance::RoundRobin, &[1])].map(|pool| {
            let turn = pool.pick(SystemClock.instant(), &[], no_key).unwrap();
            turn.server().number()
        });
        assert_ne!(one, other);
    }
}
