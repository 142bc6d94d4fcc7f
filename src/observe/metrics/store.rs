//! What is known of the store: how old it is, its snapshot, its clock, and the revocations that it holds.

use prometheus::{Gauge, IntCounter, IntGaugeVec};

use super::families::Families;

/// What is known of a store that may be shared.
#[derive(Debug)]
pub struct StoreMetrics {
    /// How old that is; 0 where the store is a file.
    pub age_seconds: Gauge,
    /// Up to when the store's snapshot is confirmed; 0 where none is written.
    pub snapshot_timestamp_seconds: Gauge,
    /// What was written of the store's snapshot.
    pub snapshot_bytes: IntCounter,
    /// The server's civil time less this gateway's.
    pub clock_offset_seconds: Gauge,
}

impl StoreMetrics {
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            age_seconds: family.float(
                "portero_store_age_seconds",
                "How old what is known of a shared store is; 0 where the store is a file.",
            )?,
            snapshot_timestamp_seconds: family.float(
                "portero_store_snapshot_timestamp_seconds",
                "Up to when the store's snapshot on this gateway's disk is confirmed, in seconds since 1970; 0 where none is written.",
            )?,
            snapshot_bytes: family.counter(
                "portero_store_snapshot_bytes_total",
                "Bytes written of the store's snapshot on this gateway's disk.",
            )?,
            clock_offset_seconds: family.float(
                "portero_store_clock_offset_seconds",
                "How far the civil clock here is behind that of a shared store's server; negative where it is ahead.",
            )?,
        })
    }
}

/// Revocations, and how fast they come.
#[derive(Debug)]
pub struct RevocationMetrics {
    /// How many are in force, by kind.
    pub in_force: IntGaugeVec,
    /// From the last one's commit until it was in force here.
    pub lag_seconds: Gauge,
    /// From a canary's revocation on any gateway until it was refused here, or for how long one has been missing.
    pub propagation_seconds: Gauge,
}

impl RevocationMetrics {
    pub(super) fn register(family: &Families<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            in_force: family.gauges("portero_revocations", "Revocations in force.", &["kind"])?,
            lag_seconds: family.float(
                "portero_revocation_lag_seconds",
                "From the last revocation's commit until it was in force here.",
            )?,
            propagation_seconds: family.float(
                "portero_revocation_propagation_seconds",
                "From a canary's revocation until it was refused here, by the store's clock; while one is missing, the time since it was revoked.",
            )?,
        })
    }
}
