//! What the accept loop and the workers share, and what a reload may change of it.

use std::{
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use prometheus::IntGauge;
use tokio::{runtime::Handle, sync::watch};

use super::in_flight::InFlight;
use crate::{
    decision::{ExternalIssuers, LiveState, Route, StaleAction, TokenAsker},
    domain::{Clock, Reason},
    edge::{
        listen::{
            ListenSettings,
            limits::{ClientRequestSlot, ConnectionRefusal, Requests},
            listener_runtime::{ListenerRuntimes, NextTls, watch_certificates, with_certificates_of},
            settings::Listen,
            trusted::TrustedHeaders,
        },
        token_endpoints::TokenEndpoints,
    },
    observe::{
        access_log::AccessLog,
        metrics::{Metrics, RouteMetrics},
    },
    per_thread::Spread,
    rules::rewrite::{Dropped, OddNames},
};

/// What a reload may change about the front listener.
#[derive(Clone, Debug)]
pub struct Tunables {
    /// See [`ListenSettings::trusted_proxies`].
    pub trusted_proxies: Vec<IpNet>,
    /// See [`ListenSettings::trusted_headers`].
    pub trusted_headers: TrustedHeaders,
    /// See [`ListenSettings::head_timeout`].
    pub head_timeout: Duration,
    /// See [`ListenSettings::keepalive_timeout`].
    pub keepalive_timeout: Duration,
    /// See [`ListenSettings::body_timeout`].
    pub body_timeout: Duration,
    /// See [`ListenSettings::body_rate_min`].
    pub body_rate_min: u64,
    /// See [`ListenSettings::body_rate_grace`].
    pub body_rate_grace: Duration,
    /// See [`ListenSettings::body_total_timeout`].
    pub body_total_timeout: Duration,
    /// See [`ListenSettings::connections_max`].
    pub connections_max: usize,
    /// See [`ListenSettings::connections_per_address`].
    pub connections_per_address: usize,
    /// See [`ListenSettings::requests_per_address`].
    pub requests_per_address: usize,
    /// See [`ListenSettings::requests_per_connection`].
    pub requests_per_connection: u32,
    /// See [`ListenSettings::drain_timeout`].
    pub drain_timeout: Duration,
    /// Whether requests are logged.
    pub access_log: bool,
    /// See [`ListenSettings::odd_header_names`].
    pub odd_header_names: OddNames,
}

impl Tunables {
    /// From the settings.
    #[must_use]
    pub fn of(settings: &ListenSettings, access_log: bool) -> Self {
        Self {
            trusted_proxies: settings.trusted_proxies.clone(),
            trusted_headers: settings.trusted_headers,
            head_timeout: settings.head_timeout,
            keepalive_timeout: settings.keepalive_timeout,
            body_timeout: settings.body_timeout,
            body_rate_min: settings.body_rate_min,
            body_rate_grace: settings.body_rate_grace,
            body_total_timeout: settings.body_total_timeout,
            connections_max: settings.connections_max,
            connections_per_address: settings.connections_per_address,
            requests_per_address: settings.requests_per_address,
            requests_per_connection: settings.requests_per_connection,
            drain_timeout: settings.drain_timeout,
            access_log,
            odd_header_names: settings.odd_header_names,
        }
    }
}

/// What the front works with.
pub struct Services {
    /// Decides about requests.
    pub live_state: Arc<LiveState>,
    /// Asks external issuers for their keys.
    pub external: Arc<ExternalIssuers>,
    /// Asks old systems about their tokens.
    pub token_asker: Arc<TokenAsker>,
    /// Answers token endpoints.
    pub endpoints: Arc<TokenEndpoints>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where store I/O and password hashes are waited for: not on the proxy's threads.
    pub control: Handle,
    /// Where requests are logged.
    pub access_log: AccessLog,
}

/// Certificates that are ready for the next handshake.
#[derive(Debug)]
pub struct Certificates {
    listen: Vec<Listen>,
    next: Vec<NextTls>,
}

/// What the accept loop and the workers share.
pub struct Shared {
    pub(in crate::edge) services: Services,
    unrouted: Arc<RouteMetrics>,
    connections_open: IntGauge,
    connections_tunnel: IntGauge,
    in_flight: Arc<InFlight>,
    requests: Arc<Requests>,
    tunables: ArcSwap<Spread<Tunables>>,
    connections_possible: usize,
    listener_runtimes: ListenerRuntimes,
    /// Those that there are, with their present certificates; in the order of the sockets.
    listen: ArcSwap<Vec<Listen>>,
    metrics: Arc<Metrics>,
    idle_grace_ms: AtomicU64,
    /// Whether the front drains, and whether idle connections are no longer waited for.
    stopping: AtomicBool,
    idle_grace_over: AtomicBool,
    draining_since: OnceLock<tokio::time::Instant>,
    drain_over: AtomicBool,
}

impl Shared {
    /// Puts the pieces together. The open files allow `connections_possible`, whatever the settings say.
    ///
    /// # Errors
    /// When TLS cannot be set up for want of randomness.
    pub fn new(
        services: Services,
        metrics: &Arc<Metrics>,
        tunables: Tunables,
        listen: &[Listen],
        connections_possible: usize,
    ) -> Result<Self, rustls::Error> {
        watch_certificates(listen, metrics, services.clock.now());
        let listener_runtimes = ListenerRuntimes::new(listen, &services.clock)?;
        Ok(Self {
            unrouted: metrics.route("-"),
            connections_open: metrics.connections.with_label_values(&["open"]),
            connections_tunnel: metrics.connections.with_label_values(&["tunnel"]),
            in_flight: Arc::default(),
            requests: Arc::default(),
            services,
            tunables: ArcSwap::from_pointee(Spread::new(tunables)),
            connections_possible,
            listener_runtimes,
            listen: ArcSwap::from_pointee(listen.to_vec()),
            metrics: Arc::clone(metrics),
            idle_grace_ms: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            idle_grace_over: AtomicBool::new(false),
            draining_since: OnceLock::new(),
            drain_over: AtomicBool::new(false),
        })
    }

    /// Makes changed certificates ready for [`set_certificates`](Self::set_certificates); changes nothing yet.
    ///
    /// # Errors
    /// When TLS cannot be set up for want of randomness.
    pub fn prepare_certificates(&self, listen: &[Listen]) -> Result<Certificates, rustls::Error> {
        let listen = with_certificates_of(&self.listen.load(), listen);
        Ok(Certificates { next: self.listener_runtimes.prepare(&listen)?, listen })
    }

    /// Takes over changed certificates: for the next handshake.
    pub fn set_certificates(&self, certificates: Certificates) {
        self.listener_runtimes.take_over(certificates.next);
        watch_certificates(&certificates.listen, &self.metrics, self.services.clock.now());
        self.listen.store(Arc::new(certificates.listen));
    }

    /// How long connections that wait for a request live on when the front drains: a request that is on its
    /// way is answered, with `Connection: close`. It must be said before the front is told to drain.
    pub fn set_idle_grace(&self, grace: Duration) {
        self.idle_grace_ms.store(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Takes over what a reload changed; it holds for the next request.
    pub fn set_tunables(&self, tunables: Tunables) {
        self.tunables.store(Arc::new(Spread::new(tunables)));
    }

    /// Log lines dropped since the start.
    #[must_use]
    pub fn access_lines_dropped(&self) -> u64 {
        self.services.access_log.dropped()
    }

    pub(in crate::edge) fn tunables(&self) -> arc_swap::Guard<Arc<Spread<Tunables>>> {
        self.tunables.load()
    }

    /// Has every connection end when `shutdown` says so: with its present request, or, where it waits for one, once the
    /// grace for that is over.
    pub(in crate::edge) async fn drain(&self, mut shutdown: watch::Receiver<bool>) {
        // A sender that has gone stops the front as well.
        let _ = shutdown.wait_for(|stop| *stop).await;
        self.draining_since();
        self.stopping.store(true, Ordering::Release);
        self.in_flight.wake_all();
        tokio::time::sleep(Duration::from_millis(self.idle_grace_ms.load(Ordering::Acquire))).await;
        self.idle_grace_over.store(true, Ordering::Release);
        self.in_flight.wake_all();
    }

    /// When the front began to drain; it is asked for only where that has begun.
    pub(in crate::edge::forward) fn draining_since(&self) -> tokio::time::Instant {
        *self.draining_since.get_or_init(tokio::time::Instant::now)
    }

    /// Cuts off what is in flight: it had all of the drain timeout.
    pub fn set_drain_over(&self) {
        self.drain_over.store(true, Ordering::Release);
        self.in_flight.end_all(Reason::GatewayStopped);
    }

    /// Whether what is in flight is cut off because the gateway stops.
    pub(in crate::edge::forward) fn is_drain_over(&self) -> bool {
        self.drain_over.load(Ordering::Acquire)
    }

    /// Whether the front drains: a response is the last of its connection.
    pub(in crate::edge) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether the front drains and idle connections are no longer waited for.
    pub(in crate::edge) fn is_idle_grace_over(&self) -> bool {
        self.idle_grace_over.load(Ordering::Acquire)
    }

    pub(in crate::edge) fn connections_max(&self) -> usize {
        self.tunables().connections_max.min(self.connections_possible)
    }

    pub(in crate::edge) const fn listener_runtimes(&self) -> &ListenerRuntimes {
        &self.listener_runtimes
    }

    pub(in crate::edge) fn connection_refused(&self, refusal: ConnectionRefusal) {
        self.metrics.listeners.refused(refusal.as_str());
    }

    pub(in crate::edge::forward) fn fields_dropped(&self, dropped: &[Dropped]) {
        // Rare: a look-up will do.
        for why in dropped.iter().filter_map(|why| why.as_str()) {
            self.metrics.header_fields_dropped.with_label_values(&[why]).inc();
        }
    }

    pub(in crate::edge) fn handshake_failed(&self, reason: &str) {
        self.metrics.listeners.handshake_failed(reason);
        tracing::debug!(reason, "a TLS handshake came to nothing");
    }

    pub(in crate::edge) fn connection_opened(&self) -> Gauged<'_> {
        Gauged::up(&self.connections_open)
    }

    pub(in crate::edge::forward) fn request_begins(&self) {
        self.metrics.requests_active.add(1);
    }

    pub(in crate::edge::forward) fn request_ends(&self) {
        self.metrics.requests_active.add(-1);
    }

    pub(in crate::edge) fn tunnel_begun(&self) -> Gauged<'_> {
        Gauged::up(&self.connections_tunnel)
    }

    /// A place for one more request of a client that may have several in flight; `None` when it has as many as it may.
    pub(in crate::edge::forward) fn enter_request(&self, client: IpAddr) -> Option<ClientRequestSlot> {
        self.requests.enter(client, self.tunables().requests_per_address)
    }

    pub(in crate::edge) const fn in_flight(&self) -> &Arc<InFlight> {
        &self.in_flight
    }

    /// Whether requests of a route end when a shared store was not heard of for too long.
    pub(in crate::edge::forward) fn refuses_stale(&self, route: &Route) -> bool {
        let action = route.settings.stale.unwrap_or(self.services.live_state.freshness().action());
        action == StaleAction::Refuse
    }

    /// Ends what is in flight and may be so no longer.
    pub(in crate::edge) fn sweep(&self) {
        let clock = &self.services.clock;
        self.in_flight.sweep(&self.services.live_state.view(), clock.now(), clock.instant());
    }

    pub(in crate::edge::forward) fn unrouted(&self) -> &RouteMetrics {
        &self.unrouted
    }

    pub(in crate::edge) fn since(&self, start: Instant) -> Duration {
        self.services.clock.instant().saturating_duration_since(start)
    }
}

/// A gauge that is one higher while this lives.
pub(in crate::edge) struct Gauged<'g>(&'g IntGauge);

impl<'g> Gauged<'g> {
    fn up(gauge: &'g IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Gauged<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared(…)")
    }
}
