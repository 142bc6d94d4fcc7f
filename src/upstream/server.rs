//! A server: one address that requests go to, and how it has been doing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use prometheus::IntCounter;
use rustls::pki_types::ServerName;

use super::{
    balance::{hash_of, is_within},
    breaker::{Admission, Breaker, Failure},
    connect::{HttpVersion, Tls},
    epoch::Epoch,
    recent_successes::{ClientRoute, RecentSuccesses},
    settings::{Balance, Eject, PoolSettings},
};
use crate::per_thread::{Handle, Spread};

/// One address of a server.
#[derive(Debug)]
pub struct Server {
    name: Arc<str>,
    pub(super) socket: SocketAddr,
    pub(super) weight: u32,
    /// What its address is for the hash.
    pub(super) id: u64,
    /// The name that its certificate must have.
    pub(super) certificate_name: Option<ServerName<'static>>,
    number: u64,
    eject: Eject,
    ejections: IntCounter,
    epoch: Arc<Epoch>,
    breaker: Breaker,
    recent_successes: RecentSuccesses,
    passes_probes: AtomicBool,
    /// Requests in flight, where anybody asks: all threads would write to it.
    in_flight: AtomicUsize,
    counts_in_flight: bool,
    /// How many requests its last connection took at once, or may take as far as anybody knows.
    streams: AtomicUsize,
}

/// A request that goes to a server, until this is dropped.
#[derive(Debug)]
pub struct ServerLease {
    server: Handle<Server>,
    admission: Admission,
    /// The client, and what it asked for.
    pair: ClientRoute,
    outcome: Outcome,
    is_settled: bool,
}

/// A trial whose outcome its client delays. When this is dropped, the next request gets a trial.
#[derive(Debug)]
pub struct Held {
    server: Handle<Server>,
    admission: Admission,
}

/// What became of a request, as far as that says something about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Unknown,
    /// When the response began, in milliseconds.
    Answered(u64),
    Failed,
}

/// What the servers of a pool have in common.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) epoch: Arc<Epoch>,
    pub(super) tls: Option<Tls>,
}

impl Server {
    pub(super) fn new(
        (name, weight): (&Arc<str>, u32),
        socket: SocketAddr,
        certificate_name: Option<ServerName<'static>>,
        settings: &PoolSettings,
        kind: &Kind,
        ejections: IntCounter,
    ) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Self {
            name: Arc::clone(name),
            socket,
            weight,
            id: hash_of(&[socket.to_string().as_bytes()]),
            certificate_name,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            eject: settings.eject,
            ejections,
            epoch: Arc::clone(&kind.epoch),
            breaker: Breaker::default(),
            recent_successes: RecentSuccesses::default(),
            passes_probes: AtomicBool::new(true),
            in_flight: AtomicUsize::new(0),
            counts_in_flight: settings.balance == Balance::LeastConnections,
            streams: AtomicUsize::new(if settings.http == HttpVersion::One { 1 } else { usize::MAX }),
        }
    }

    /// `host:port` as the config has it: its name in metrics and logs.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.name
    }

    /// Its own for as long as the process runs, whatever its address: connections to it are no other server's.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// How many requests a connection to it carries at once, at most: 1 for HTTP/1. Before one was made anything is
    /// possible where the two have yet to agree.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Notes how many requests its last connection carries at once.
    pub fn note_streams(&self, streams: usize) {
        self.streams.store(streams, Ordering::Relaxed);
    }

    /// A connection that carried so many has ended: unless another said something else, that says nothing any more.
    pub fn forget_streams(&self, streams: usize) {
        let _ = self.streams.compare_exchange(streams, usize::MAX, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether requests go to it: it answers its health checks, and is not ejected.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.passes_probes() && !self.breaker.is_open()
    }

    /// Whether a request may go to it at `now`.
    pub(super) fn is_available(&self, now: Instant) -> bool {
        self.passes_probes() && self.breaker.admits(|| self.epoch.millis(now))
    }

    /// Sends a request there, unless another took the one trial.
    pub(super) fn take(server: &Spread<Self>, now: Instant) -> Option<ServerLease> {
        let admission = server.breaker.admit(|| server.epoch.millis(now), server.eject)?;
        Some(ServerLease::new(server.handle(), admission))
    }

    /// Sends a request there though it is left alone: only for failures that may be their requests' own doing, and only
    /// where there is no other server.
    pub(super) fn take_as_last(server: &Spread<Self>) -> Option<ServerLease> {
        let is_last = server.passes_probes() && server.is_suspected();
        is_last.then(|| ServerLease::new(server.handle(), Admission::EXTRA_TRIAL))
    }

    /// Whether it takes the turn that came to it at `now`: while it is coming back, not each.
    pub(super) fn takes_turn(&self, now: Instant) -> bool {
        self.breaker.takes_turn(|| self.epoch.millis(now))
    }

    /// Whether it takes this key at `now`: while it is coming back, not each.
    pub(super) fn takes_key(&self, now: Instant, key: u64) -> bool {
        is_within(self.breaker.share(|| self.epoch.millis(now)), key, self.id)
    }

    /// Whether it is not coming back at `now`.
    pub(super) fn takes_its_whole_share(&self, now: Instant) -> bool {
        self.breaker.share(|| self.epoch.millis(now)) >= 1.0
    }

    /// Whether it is left alone for failures that may be their requests' own doing.
    pub(super) fn is_suspected(&self) -> bool {
        self.breaker.is_suspected()
    }

    /// Requests in flight, in a pool that goes by them.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn passes_probes(&self) -> bool {
        self.passes_probes.load(Ordering::Relaxed)
    }

    /// What health checks found at `now`.
    pub(super) fn set_passes_probes(&self, passes_probes: bool, now: Instant) {
        if !self.passes_probes.swap(passes_probes, Ordering::Relaxed) && passes_probes {
            self.breaker.starts_slowly(self.epoch.millis(now));
        }
    }
}

impl ServerLease {
    fn new(server: Handle<Server>, admission: Admission) -> Self {
        if server.counts_in_flight {
            server.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        Self { server, admission, pair: ClientRoute::default(), outcome: Outcome::Unknown, is_settled: false }
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &Handle<Server> {
        &self.server
    }

    /// Says which client asks for which route.
    pub const fn set_client_route(&mut self, pair: ClientRoute) {
        self.pair = pair;
    }

    /// A connection to it was made at `now`. Where no connection could be made before, a trial has succeeded with that:
    /// its client may keep back what a response takes.
    pub fn connected(&mut self, now: Instant) {
        let server = &self.server;
        if matches!(self.admission, Admission::Trial(_)) && server.breaker.connected(server.epoch.millis(now)) {
            self.admission = Admission::Ordinary;
        }
    }

    /// What keeps others from a trial, where this is one. Drop it when the client owes what a response takes.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        let is_trial = matches!(self.admission, Admission::Trial(_)) && self.outcome == Outcome::Unknown;
        is_trial.then(|| Held { server: self.server.clone(), admission: self.admission })
    }

    /// It began to answer at `now`. A trial has succeeded with that.
    pub fn answered(&mut self, now: Instant) {
        if self.outcome == Outcome::Unknown {
            let now = self.server.epoch.millis(now);
            self.outcome = Outcome::Answered(now);
            if matches!(self.admission, Admission::Trial(_)) {
                self.server.breaker.recovered(now);
            }
        }
    }

    /// It failed at `now`, which counts once. Whether the server `may` be left alone for failures after requests were
    /// sent is asked where nobody else was given a good response meanwhile.
    pub(super) fn failed(&mut self, failure: Failure, now: Instant, may: impl FnOnce(&Server) -> bool) {
        if self.is_settled || self.outcome == Outcome::Failed {
            return;
        }
        self.outcome = Outcome::Failed;
        let (server, now) = (&self.server, self.server.epoch.millis(now));
        let suspect = || !server.recent_successes.has_another(self.pair, now) && may(server);
        if server.breaker.failed(failure, self.admission, now, server.eject, suspect) {
            server.ejections.inc();
            tracing::warn!(server = server.address(), address = %server.socket, "a server failed and is left alone");
        }
    }

    /// The server has done its part: what its client still takes says nothing of it.
    pub fn settle(&mut self) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        if self.server.counts_in_flight {
            self.server.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        // Only at its end: a server that breaks off every response fails in a row.
        if let Outcome::Answered(at) = self.outcome {
            self.server.breaker.succeeded();
            self.server.recent_successes.note(self.pair, at);
        }
        if self.outcome == Outcome::Unknown {
            self.server.breaker.give_back(self.admission);
        }
    }
}

impl Drop for ServerLease {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.server.breaker.give_back(self.admission);
    }
}
