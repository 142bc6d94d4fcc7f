//! Health and metrics.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Admin, access::failure};
use crate::{
    decision::{Route, StaleAction},
    domain::Timestamp,
    rules::policy::Auth,
};

pub(super) async fn alive() -> &'static str {
    "alive\n"
}

pub(super) async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match admin.readiness.problem().map(str::to_owned).or_else(|| of_store(&admin)) {
        // Serving goes on: what waits for a trusted clock is said, and no reason to take the gateway out.
        None => match admin.trusted.now() {
            Ok(_) => "ready\n".into_response(),
            Err(suspended) => format!("ready\nclock in doubt: {}\n", suspended.doubt.name()).into_response(),
        },
        Some(problem) => failure(StatusCode::SERVICE_UNAVAILABLE, &problem),
    }
}

/// What of the store keeps this gateway from being asked before others. A file that fails is this gateway's own: others
/// serve better at once. A server that nobody reaches would take all gateways out, while all of them still know what is
/// revoked: there a gateway goes when what it knows is too old.
fn of_store(admin: &Admin) -> Option<String> {
    let freshness = admin.live_state.freshness();
    if freshness.max().is_some() {
        let stale = freshness.stale_for().map(|_| "stale: the store was not heard of for too long");
        let apart = freshness.is_clock_apart().then_some("the civil clock is apart from that of the store's server");
        return stale.or(apart).map(str::to_owned);
    }
    let of_store = admin.services.store_trouble().map(|trouble| format!("the store: {}", trouble.reason()));
    let failing = admin.live_state.following().is_failing(admin.trusted.clock().instant());
    of_store.or_else(|| failing.then(|| "the store cannot be followed".to_owned()))
}

/// Whether any route is served: a gateway that is stale still has its public routes, and those that serve all the same.
pub(super) async fn serving(State(admin): State<Arc<Admin>>) -> Response {
    let problem = admin.readiness.problem().or_else(|| {
        let serves = |route: &Route| {
            let action = route.settings.stale.unwrap_or(admin.live_state.freshness().action());
            route.settings.policy.auth != Auth::Required || action == StaleAction::Serve
        };
        let is_stale = admin.live_state.freshness().stale_for().is_some();
        (is_stale && !admin.live_state.snapshot().routes.routes().any(|route| serves(route)))
            .then_some("stale, and no route is served then")
    });
    match problem {
        None => "serving\n".into_response(),
        Some(problem) => failure(StatusCode::SERVICE_UNAVAILABLE, problem),
    }
}

pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    admin.take_readings();
    match admin.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be rendered"),
    }
}

impl Admin {
    /// Brings those metrics up to date that are read and not counted.
    fn take_readings(&self) {
        let metrics = &self.metrics;
        let cache = self.live_state.verified();
        metrics.token_cache.entries.set(count(cache.len()));
        advance(&metrics.token_cache.hits, cache.hits());
        advance(&metrics.token_cache.misses, cache.misses());
        advance(&metrics.token_cache.evictions, cache.evictions());
        advance(&metrics.access_log_dropped, self.front.access_lines_dropped());
        metrics.passwords.queue.set(count(self.hasher.queue_len()));
        let revocations = self.live_state.revocations().counts();
        for (kind, number) in
            [("token", revocations.tokens), ("session", revocations.sessions), ("principal", revocations.principals)]
        {
            metrics.revocations.in_force.with_label_values(&[kind]).set(count(number));
        }
        for reading in self.live_state.accounts().readings() {
            advance(&metrics.unknown_account_tokens.with_label_values(&[reading.realm.as_str()]), reading.strangers);
        }
        metrics.store.age_seconds.set(self.live_state.freshness().age().map_or(0.0, |age| age.as_secs_f64()));
        let snapshot = self.live_state.snapshot();
        metrics.key_age_seconds.reset();
        for key in snapshot.keys.own() {
            let age = metrics.key_age_seconds.with_label_values(&[key.realm.as_str(), key.state.name()]);
            let seconds = age_seconds(self.services.now(), key.created_at);
            // The youngest key of a state: 0 is what a fresh gauge shows.
            if age.get() == 0.0 || seconds < age.get() {
                age.set(seconds);
            }
        }
        metrics.upstream_healthy.reset();
        metrics.upstream_requests_in_flight.reset();
        for pool in snapshot.pools.iter() {
            let name = &*pool.settings.name;
            metrics.upstream_requests_in_flight.with_label_values(&[name]).set(count(pool.in_flight()));
            for (server, healthy) in pool.health() {
                metrics.upstream_healthy.with_label_values(&[name, server]).set(healthy.into());
            }
        }
    }
}

fn age_seconds(now: Timestamp, created_at: Timestamp) -> f64 {
    now.since(created_at).as_secs_f64()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Brings a counter to a total that is counted elsewhere.
fn advance(counter: &prometheus::IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
