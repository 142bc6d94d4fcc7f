//! What is counted of others who are reached: upstreams, and external issuers' keys.

use std::time::Duration;

use prometheus::{GaugeVec, IntCounter, IntCounterVec};

use super::families::Families;

/// What pools count.
#[derive(Debug)]
pub(super) struct UpstreamFamilies {
    pub(super) retries: IntCounterVec,
    pub(super) ejections: IntCounterVec,
    pub(super) connection_failures: IntCounterVec,
}

impl UpstreamFamilies {
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
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
    pub(super) name: Box<str>,
    /// Requests that were sent again.
    pub retries: IntCounter,
    pub(super) ejections: IntCounterVec,
    pub(super) connection_failures: IntCounterVec,
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
pub(super) struct IssuerFamilies {
    pub(super) refreshes: IntCounterVec,
    pub(super) age_seconds: GaugeVec,
}

impl IssuerFamilies {
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
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
    pub(super) name: Box<str>,
    pub(super) refreshes: IntCounterVec,
    pub(super) age_seconds: GaugeVec,
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
