//! Metrics in the names of `docs/observability.md`. Handles are resolved when a snapshot is built
//! or when a label is first seen, so that a request costs an atomic addition and no look-up.

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::{
    requests::{RequestMetrics, WAIT_BUCKETS},
    verifiers::VerifierFamilies,
};
pub use super::{
    requests::{RouteMetrics, UpstreamWaits},
    verifiers::{TokenCheckMetrics, VerifierMetrics},
};
use crate::per_thread::PerThread;

/// What comes of a reload.
const RELOAD_OUTCOMES: [&str; 2] = ["success", "failure"];

/// Why a field of a request was not forwarded.
const FIELD_DROPS: [&str; 3] = ["spelling", "unsafe", "odd"];

/// Why a connection was closed before its first request.
const CONNECTION_REFUSALS: [&str; 3] = ["total", "address", "proxy_protocol"];

/// Why a TLS handshake came to nothing.
const HANDSHAKE_FAILURES: [&str; 4] = ["timeout", "client_certificate", "closed", "protocol"];

/// All metric families of the gateway.
#[derive(Debug)]
#[expect(missing_docs, reason = "the help texts below say what each is")]
pub struct Metrics {
    registry: Registry,
    requests: RequestMetrics,
    token_requests: IntCounterVec,
    /// Requests that are being served. Each thread adds and takes away its own.
    pub requests_active: PerThread<AtomicI64>,
    pub passwords: PasswordMetrics,
    pub token_cache: TokenCacheMetrics,
    pub revocations: IntGaugeVec,
    pub revocation_lag_seconds: Gauge,
    /// How old what is known of a shared store is; 0 where the store is a file.
    pub store_age_seconds: Gauge,
    /// Up to when the store's snapshot is confirmed; 0 where none is written.
    pub store_snapshot_timestamp_seconds: Gauge,
    /// What was written of the store's snapshot.
    pub store_snapshot_bytes: IntCounter,
    /// From a canary's revocation on any gateway until it was refused here, or for how long one has been missing.
    pub revocation_propagation_seconds: Gauge,
    /// The server's civil time less this gateway's.
    pub store_clock_offset_seconds: Gauge,
    pub unknown_account_tokens: IntCounterVec,
    pub clock: ClockMetrics,
    pub key_age_seconds: GaugeVec,
    pub upstream_healthy: IntGaugeVec,
    pub upstream_requests_in_flight: IntGaugeVec,
    upstreams: UpstreamFamilies,
    pub config: ConfigMetrics,
    pub connections: IntGaugeVec,
    pub header_fields_dropped: IntCounterVec,
    pub access_log_dropped: IntCounter,
    pub audit: AuditMetrics,
    pub listeners: ListenerMetrics,
    issuers: IssuerFamilies,
    verifiers: VerifierFamilies,
    /// Tokens of imported keys, each counted once for as long as it is remembered.
    pub imported_tokens: IntCounterVec,
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// Only when two families had the same name: a defect.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        register_process(&registry)?;
        let family = Families { registry: &registry };
        Ok(Arc::new(Self {
            requests: family.register(RequestMetrics::new()?)?,
            token_requests: family.counters(
                "portero_token_requests_total",
                "Requests to token endpoints.",
                &["realm", "outcome"],
            )?,
            requests_active: PerThread::made_ahead(),
            passwords: PasswordMetrics::register(&family)?,
            token_cache: TokenCacheMetrics::register(&family)?,
            revocations: family.gauges("portero_revocations", "Revocations in force.", &["kind"])?,
            revocation_lag_seconds: family.float(
                "portero_revocation_lag_seconds",
                "From the last revocation's commit until it was in force here.",
            )?,
            store_age_seconds: family.float(
                "portero_store_age_seconds",
                "How old what is known of a shared store is; 0 where the store is a file.",
            )?,
            store_snapshot_timestamp_seconds: family.float(
                "portero_store_snapshot_timestamp_seconds",
                "Up to when the store's snapshot on this gateway's disk is confirmed, in seconds since 1970; 0 where none is written.",
            )?,
            store_snapshot_bytes: family.counter(
                "portero_store_snapshot_bytes_total",
                "Bytes written of the store's snapshot on this gateway's disk.",
            )?,
            revocation_propagation_seconds: family.float(
                "portero_revocation_propagation_seconds",
                "From a canary's revocation until it was refused here, by the store's clock; while one is missing, the time since it was revoked.",
            )?,
            store_clock_offset_seconds: family.float(
                "portero_store_clock_offset_seconds",
                "How far the civil clock here is behind that of a shared store's server; negative where it is ahead.",
            )?,
            unknown_account_tokens: family.counters(
                "portero_unknown_account_tokens_total",
                "Tokens of accounts that the store does not have, let through under imported keys.",
                &["realm"],
            )?,
            clock: ClockMetrics::register(&family)?,
            key_age_seconds: family.floats(
                "portero_key_age_seconds",
                "Age of the youngest key of the state.",
                &["realm", "state"],
            )?,
            upstream_healthy: family.gauges(
                "portero_upstream_healthy",
                "1 when requests go to the server: it answers its health checks and is not ejected.",
                &["upstream", "server"],
            )?,
            upstream_requests_in_flight: family.gauges(
                "portero_upstream_requests_in_flight",
                "Requests that an upstream works on.",
                &["upstream"],
            )?,
            upstreams: UpstreamFamilies::register(&family)?,
            config: ConfigMetrics::register(&family)?,
            connections: family.gauges("portero_connections", "Client connections.", &["state"])?,
            header_fields_dropped: header_fields_dropped(&family)?,
            access_log_dropped: family
                .counter("portero_access_log_dropped_total", "Access log lines that nobody took in time.")?,
            audit: AuditMetrics::register(&family)?,
            listeners: ListenerMetrics::register(&family)?,
            issuers: IssuerFamilies::register(&family)?,
            verifiers: register_verifiers(&registry)?,
            imported_tokens: family.counters(
                "portero_imported_key_tokens_total",
                "Tokens of imported keys, each counted once for as long as it is remembered.",
                &["key"],
            )?,
            registry: registry.clone(),
        }))
    }

    /// The counters of a route.
    #[must_use]
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.requests.route(name)
    }

    /// The handles of a token endpoint: a route by the name of its path.
    #[must_use]
    pub fn endpoint(&self, path: &str) -> EndpointMetrics {
        EndpointMetrics { path: path.into(), route: self.route(path), token_requests: self.token_requests.clone() }
    }

    /// The waits for an upstream.
    #[must_use]
    pub fn upstream_waits(&self, upstream: &str) -> Arc<UpstreamWaits> {
        self.requests.upstream(upstream)
    }

    /// The handles of a pool, every failure counted from zero.
    #[must_use]
    pub fn upstream(&self, name: &str, failures: &[&str]) -> UpstreamMetrics {
        for failure in failures {
            self.upstreams.connection_failures.with_label_values(&[name, failure]);
        }
        UpstreamMetrics {
            name: name.into(),
            retries: self.upstreams.retries.with_label_values(&[name]),
            ejections: self.upstreams.ejections.clone(),
            connection_failures: self.upstreams.connection_failures.clone(),
        }
    }

    /// The handles of an external issuer, every outcome counted from zero.
    #[must_use]
    pub fn issuer(&self, name: &str, outcomes: &[&str]) -> IssuerMetrics {
        for outcome in outcomes {
            self.issuers.refreshes.with_label_values(&[name, outcome]);
        }
        let (refreshes, age_seconds) = (self.issuers.refreshes.clone(), self.issuers.age_seconds.clone());
        IssuerMetrics { name: name.into(), refreshes, age_seconds }
    }

    /// The handles of an old system.
    #[must_use]
    pub fn verifier(&self, name: &str) -> VerifierMetrics {
        self.verifiers.handles(name)
    }

    /// The handles of an issuer that is asked about its tokens.
    #[must_use]
    pub fn introspection(&self, name: &str) -> TokenCheckMetrics {
        self.verifiers.introspection(name)
    }

    /// Everything, in the text format that Prometheus scrapes.
    ///
    /// # Errors
    /// A family cannot be written, a defect.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.connections.with_label_values(&["active"]).set(self.requests_active.sum());
        let mut text = vec![];
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// What says which process this is, and what it uses.
fn register_process(registry: &Registry) -> Result<(), prometheus::Error> {
    let build_info =
        IntGaugeVec::new(Opts::new("portero_build_info", "Always 1; the version is the label."), &["version"])?;
    build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build_info))?;
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    Ok(())
}

/// What the audit log of logins counts.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    /// Events that have their line, alone or in a sum.
    pub written: IntCounter,
    /// Refusals above the rate, which wait for the line of their sum.
    pub summed: IntCounter,
    /// Events that have none: the queue or the disk was full.
    pub lost: IntCounter,
    /// 1 while the file cannot be written.
    pub failing: IntGauge,
    /// When the store had last how far the chain has come.
    pub anchored_seconds: Gauge,
}

impl AuditMetrics {
    fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        let events = family.counters("portero_audit_events_total", "Events of the audit log.", &["outcome"])?;
        let outcome = |outcome| events.with_label_values(&[outcome]);
        Ok(Self {
            written: outcome("written"),
            summed: outcome("summed"),
            lost: outcome("lost"),
            failing: family.gauge("portero_audit_failing", "1 while the audit file cannot be written.")?,
            anchored_seconds: family.float(
                "portero_audit_anchored_timestamp_seconds",
                "When the store last took down how far the audit file has come; 0 where there is none.",
            )?,
        })
    }
}

fn register_verifiers(registry: &Registry) -> Result<VerifierFamilies, prometheus::Error> {
    let families = VerifierFamilies::new()?;
    families.collectors().into_iter().try_for_each(|family| registry.register(family))?;
    Ok(families)
}

/// What the hashing of passwords counts.
#[derive(Debug)]
#[expect(missing_docs, reason = "the help texts below say what each is")]
pub struct PasswordMetrics {
    pub hash_seconds: Histogram,
    pub queue: IntGauge,
    pub foreign_hashes: IntGaugeVec,
}

impl PasswordMetrics {
    fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            hash_seconds: family.histogram(
                "portero_password_hash_seconds",
                "Time of one password hash.",
                &WAIT_BUCKETS,
            )?,
            queue: family.gauge("portero_password_queue", "Passwords waiting to be hashed.")?,
            foreign_hashes: family.gauges(
                "portero_foreign_hashes",
                "Accounts whose hash another system made; sealed ones are left to wrap.",
                &["realm", "format", "kept"],
            )?,
        })
    }
}

/// What the cache of verified tokens counts.
#[derive(Debug)]
#[expect(missing_docs, reason = "the help texts below say what each is")]
pub struct TokenCacheMetrics {
    pub hits: IntCounter,
    pub misses: IntCounter,
    pub evictions: IntCounter,
    pub entries: IntGauge,
}

impl TokenCacheMetrics {
    fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            hits: family.counter("portero_token_cache_hits_total", "Tokens found in the verified-token cache.")?,
            misses: family.counter("portero_token_cache_misses_total", "Tokens that had to be opened.")?,
            evictions: family.counter("portero_token_cache_evictions_total", "Entries that made room for others.")?,
            entries: family.gauge("portero_token_cache_entries", "Entries of the verified-token cache.")?,
        })
    }
}

/// What reloads count.
#[derive(Debug)]
#[expect(missing_docs, reason = "the help texts below say what each is")]
pub struct ConfigMetrics {
    pub reloads: IntCounterVec,
    pub last_success_seconds: Gauge,
}

impl ConfigMetrics {
    fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        let help = "Reloads of the configuration.";
        let reloads = family.counters("portero_config_reload_total", help, &["outcome"])?;
        // An alert on a rate needs the zero that the first failure starts from.
        for outcome in RELOAD_OUTCOMES {
            reloads.with_label_values(&[outcome]);
        }
        let last_success_seconds = family
            .float("portero_config_last_success_timestamp_seconds", "When the configuration was last taken over.")?;
        Ok(Self { reloads, last_success_seconds })
    }
}

/// Whether the civil clock is trusted.
#[derive(Debug)]
pub struct ClockMetrics {
    trusted: IntGauge,
    in_step_left_seconds: Gauge,
}

impl ClockMetrics {
    fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            trusted: family.gauge(
                "portero_clock_trusted",
                "1 where the civil clock is trusted, 0 where nothing is pruned, wiped or retired by it.",
            )?,
            in_step_left_seconds: family.float(
                "portero_clock_in_step_left_seconds",
                "How long both clocks must still run in step until the civil clock is trusted again.",
            )?,
        })
    }

    /// Says how long both clocks must still run in step; `None` where the civil clock is trusted.
    pub fn set(&self, left: Option<Duration>) {
        self.trusted.set(left.is_none().into());
        self.in_step_left_seconds.set(left.unwrap_or_default().as_secs_f64());
    }
}

/// Every reason counted from zero.
fn header_fields_dropped(family: &Families<'_>) -> Result<IntCounterVec, prometheus::Error> {
    let help = "Fields of requests that were not forwarded because of their names.";
    let dropped = family.counters("portero_header_fields_dropped_total", help, &["reason"])?;
    for reason in FIELD_DROPS {
        dropped.with_label_values(&[reason]);
    }
    Ok(dropped)
}

/// What comes before a connection's first request. All of it is rare: look-ups will do.
#[derive(Debug)]
pub struct ListenerMetrics {
    connections_refused: IntCounterVec,
    tls_handshake_failures: IntCounterVec,
    certificate_expiry_seconds: GaugeVec,
}

impl ListenerMetrics {
    fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            connections_refused: family.counters(
                "portero_connections_refused_total",
                "Connections closed before their first request.",
                &["reason"],
            )?,
            tls_handshake_failures: family.counters(
                "portero_tls_handshake_failures_total",
                "TLS handshakes with clients that came to nothing.",
                &["reason"],
            )?,
            certificate_expiry_seconds: family.floats(
                "portero_certificate_expiry_timestamp_seconds",
                "Until when a listener's certificate is good.",
                &["listener", "name"],
            )?,
        };
        for reason in CONNECTION_REFUSALS {
            metrics.connections_refused.with_label_values(&[reason]);
        }
        for reason in HANDSHAKE_FAILURES {
            metrics.tls_handshake_failures.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    /// Counts a connection that was closed.
    pub fn refused(&self, reason: &str) {
        self.connections_refused.with_label_values(&[reason]).inc();
    }

    /// Counts a handshake that failed.
    pub fn handshake_failed(&self, reason: &str) {
        self.tls_handshake_failures.with_label_values(&[reason]).inc();
    }

    /// Forgets every certificate: those in force are about to be told.
    pub fn forget_certificates(&self) {
        self.certificate_expiry_seconds.reset();
    }

    /// Tells until when, in seconds since the epoch, a listener's certificate for a name is good.
    pub fn set_certificate_expiry(&self, listener: &str, name: &str, seconds: f64) {
        self.certificate_expiry_seconds.with_label_values(&[listener, name]).set(seconds);
    }
}

/// A token endpoint's handles.
#[derive(Debug)]
pub struct EndpointMetrics {
    /// Its path, which is its name.
    pub path: Box<str>,
    /// Counted like a route's.
    pub route: Arc<RouteMetrics>,
    token_requests: IntCounterVec,
}

impl EndpointMetrics {
    /// Counts what came of a token request. Logins are rare beside requests: a look-up will do.
    pub fn token_request(&self, realm: &str, outcome: &str) {
        self.token_requests.with_label_values(&[realm, outcome]).inc();
    }
}

/// What pools count.
#[derive(Debug)]
struct UpstreamFamilies {
    retries: IntCounterVec,
    ejections: IntCounterVec,
    connection_failures: IntCounterVec,
}

impl UpstreamFamilies {
    fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            retries: family.counters(
                "portero_upstream_retries_total",
                "Requests that were sent again.",
                &["upstream"],
            )?,
            ejections: family.counters(
                "portero_upstream_ejections_total",
                "Times that a server failed and was left alone.",
                &["upstream", "server"],
            )?,
            connection_failures: family.counters(
                "portero_upstream_connection_failures_total",
                "Connections to servers that could not be made.",
                &["upstream", "kind"],
            )?,
        })
    }
}

/// A pool's handles.
#[derive(Debug)]
pub struct UpstreamMetrics {
    name: Box<str>,
    /// Requests that were sent again.
    pub retries: IntCounter,
    ejections: IntCounterVec,
    connection_failures: IntCounterVec,
}

impl UpstreamMetrics {
    /// The ejections of a server of the pool.
    #[must_use]
    pub fn ejections(&self, server: &str) -> IntCounter {
        self.ejections.with_label_values(&[&*self.name, server])
    }

    /// Counts a connection that could not be made. Failures are rare: a look-up will do.
    pub fn connection_failed(&self, kind: &str) {
        self.connection_failures.with_label_values(&[&*self.name, kind]).inc();
    }
}

/// What the keys of external issuers count.
#[derive(Debug)]
struct IssuerFamilies {
    refreshes: IntCounterVec,
    age_seconds: GaugeVec,
}

impl IssuerFamilies {
    fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            refreshes: family.counters(
                "portero_jwks_refresh_total",
                "Fetches of an issuer's keys.",
                &["issuer", "outcome"],
            )?,
            age_seconds: family.floats(
                "portero_jwks_age_seconds",
                "Since the issuer confirmed the keys in force; absent while there are none.",
                &["issuer"],
            )?,
        })
    }
}

/// An external issuer's handles. Fetches are rare: look-ups will do.
#[derive(Debug)]
pub struct IssuerMetrics {
    name: Box<str>,
    refreshes: IntCounterVec,
    age_seconds: GaugeVec,
}

impl IssuerMetrics {
    /// Counts what came of a fetch.
    pub fn refreshed(&self, outcome: &str) {
        self.refreshes.with_label_values(&[&*self.name, outcome]).inc();
    }

    /// How old the keys in force are; `None` while there are none.
    pub fn set_age(&self, age: Option<Duration>) {
        match age {
            Some(age) => self.age_seconds.with_label_values(&[&*self.name]).set(age.as_secs_f64()),
            // An error says that it was not there.
            None => drop(self.age_seconds.remove_label_values(&[&*self.name])),
        }
    }
}

struct Families<'r> {
    registry: &'r Registry,
}

impl Families<'_> {
    fn register<T: prometheus::core::Collector + Clone + 'static>(&self, family: T) -> Result<T, prometheus::Error> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn float(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.register(Gauge::new(name, help)?)
    }

    fn floats(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reason;

    #[test]
    fn routes_count_by_code_and_reason() {
        let metrics = Metrics::new().unwrap();
        let route = metrics.route("r");
        for code in [200, 200, 418] {
            route.answered(code, Duration::from_millis(1));
        }
        route.decided("deny", Reason::Expired);
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for line in [
            r#"portero_requests_total{code="200",route="r"} 2"#,
            r#"portero_requests_total{code="418",route="r"} 1"#,
            r#"portero_decisions_total{decision="deny",reason="expired",route="r"} 1"#,
            r#"portero_gateway_seconds_count{route="r"} 3"#,
            "portero_build_info",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
    }
}
