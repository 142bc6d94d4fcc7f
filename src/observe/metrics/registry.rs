//! All metric families of the gateway, and the handles that are resolved from them.

use std::sync::{Arc, atomic::AtomicI64};

use prometheus::{Encoder, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

use super::{
    families::Families,
    listeners::{ListenerMetrics, header_fields_dropped},
    process::{AuditMetrics, ClockMetrics, ConfigMetrics, PasswordMetrics, TokenCacheMetrics, register_process},
    reached::{IssuerFamilies, IssuerMetrics, UpstreamFamilies, UpstreamMetrics},
    requests::{RequestMetrics, RouteMetrics, UpstreamWaits},
    store::{RevocationMetrics, StoreMetrics},
    verifiers::{TokenCheckMetrics, VerifierFamilies, VerifierMetrics},
};
use crate::per_thread::PerThread;

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
    pub revocations: RevocationMetrics,
    pub store: StoreMetrics,
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
            revocations: RevocationMetrics::register(&family)?,
            store: StoreMetrics::register(&family)?,
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

fn register_verifiers(registry: &Registry) -> Result<VerifierFamilies, prometheus::Error> {
    let families = VerifierFamilies::new()?;
    families.collectors().into_iter().try_for_each(|family| registry.register(family))?;
    Ok(families)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
