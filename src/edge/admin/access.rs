//! Which clients may ask the admin listener anything.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};

use super::Admin;
use crate::state::store::Trouble;

pub(super) async fn check_host(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if admin.hosts.allow(request.headers()) {
        return next.run(request).await;
    }
    failure(StatusCode::MISDIRECTED_REQUEST, "this listener does not answer under that Host; see admin.hosts")
}

/// Turns a request away when as many are in work as leave slots for health and metrics.
pub(super) async fn leave_slots(State(slots): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_slot) = slots.try_acquire() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "too many requests to the admin API are in work; ask again");
    };
    next.run(request).await
}

/// Runs what comes next where store I/O belongs: on the control runtime.
pub(super) async fn on_control(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let answered = admin.control.spawn(next.run(request)).await;
    answered.unwrap_or_else(|error| {
        tracing::error!(%error, "a request to the admin API failed");
        failure(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; the gateway's log says more")
    })
}

/// How long what is asked of the store may take: several calls, none of which hangs.
const STORE_DEADLINE: Duration = Duration::from_secs(10);

/// Answers in time what asks the store, and acknowledges nothing that was written to a file which is no longer
/// the store.
pub(super) async fn over_store(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let services = &admin.services;
    let unavailable = |why: &str| {
        failure(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("the store is out of reach: {why}; it may or may not be done"),
        )
    };
    // A wait for every gateway lasts for as long as one of them may be silent.
    let waits = request.uri().query().is_some_and(|query| query.split('&').any(|parameter| parameter == "wait=all"));
    let bound = admin.live_state.freshness().max().filter(|_| waits).unwrap_or_default();
    let Ok(response) = timeout(STORE_DEADLINE + bound, next.run(request)).await else {
        return unavailable(Trouble::Unresponsive.reason());
    };
    match services.confirm_store().await {
        Err(_) if response.status().is_success() => {
            unavailable(services.store_trouble().unwrap_or(Trouble::Unresponsive).reason())
        }
        _ => response,
    }
}

pub(super) async fn not_found() -> Response {
    failure(
        StatusCode::NOT_FOUND,
        "no such path; there are /health/alive, /health/ready, /health/serving and /metrics, and the API below /api/v1/",
    )
}

pub(super) async fn method_not_allowed() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, "the path has other methods")
}

/// An error of the admin listener: `{"error": text}`.
pub(super) fn failure(status: StatusCode, text: &str) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (status, headers, Json(json!({ "error": text }))).into_response()
}
