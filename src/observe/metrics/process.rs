//! What the process itself counts: its audit log, hashes, token cache, config and clock.

use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{families::Families, requests::WAIT_BUCKETS};

/// What comes of a reload.
const RELOAD_OUTCOMES: [&str; 2] = ["success", "failure"];

/// What says which process this is, and what it uses.
pub(super) fn register_process(registry: &Registry) -> Result<(), prometheus::Error> {
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
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
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

/// What the hashing of passwords counts.
#[derive(Debug)]
#[expect(missing_docs, reason = "the help texts below say what each is")]
pub struct PasswordMetrics {
    pub hash_seconds: Histogram,
    pub queue: IntGauge,
    pub foreign_hashes: IntGaugeVec,
}

impl PasswordMetrics {
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
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
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
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
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
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
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
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
