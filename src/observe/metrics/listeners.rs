//! What is counted of clients before their requests: connections, handshakes, certificates; and dropped fields.

use prometheus::{GaugeVec, IntCounterVec};

use super::families::Families;

/// Why a field of a request was not forwarded.
const FIELD_DROPS: [&str; 3] = ["spelling", "unsafe", "odd"];

/// Why a connection was closed before its first request.
const CONNECTION_REFUSALS: [&str; 3] = ["total", "address", "proxy_protocol"];

/// Why a TLS handshake came to nothing.
const HANDSHAKE_FAILURES: [&str; 4] = ["timeout", "client_certificate", "closed", "protocol"];

/// What comes before a connection's first request. All of it is rare: look-ups will do.
#[derive(Debug)]
pub struct ListenerMetrics {
    connections_refused: IntCounterVec,
    tls_handshake_failures: IntCounterVec,
    certificate_expiry_seconds: GaugeVec,
}

impl ListenerMetrics {
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
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

/// Every reason counted from zero.
pub(super) fn header_fields_dropped(family: &Families<'_>) -> Result<IntCounterVec, prometheus::Error> {
    let help = "Fields of requests that were not forwarded because of their names.";
    let dropped = family.counters("portero_header_fields_dropped_total", help, &["reason"])?;
    for reason in FIELD_DROPS {
        dropped.with_label_values(&[reason]);
    }
    Ok(dropped)
}
