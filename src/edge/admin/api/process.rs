//! What an operator asks of the process itself: to reload its config, to hand over to another one.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    super::{
        context::Admin,
        operator::Operator,
        orders::{NotCarriedOut, Order},
    },
    message::{ApiError, ApiResponse, Body},
    operations::{About, Kind, Member, Operations, ResponseBody},
};
use crate::{
    decision::AdminError,
    state::{
        admin_token::AdminRole,
        store::{Action, StoreError},
    },
};

/// How long a new process may take to serve, unless the operator says otherwise.
const PATIENCE_SECONDS: u64 = 30;

/// How long it may be given.
const PATIENCE_SECONDS_MAX: u64 = 300;

/// How long an operator's word that a stale gateway serves may hold: a day.
const STALE_SECONDS_MAX: u64 = 24 * 60 * 60;

const PROCESS: About = About {
    summary: "Which process answers",
    query: &[],
    bodies: &[],
    response: ResponseBody::One(&[Member::required("pid", Kind::Integer), Member::required("version", Kind::Text)]),
};
const RELOAD: About = About {
    summary: "Read the config again",
    query: &[],
    bodies: &[],
    response: ResponseBody::One(&[
        Member::required("reloaded", Kind::Boolean),
        Member::required("needs_restart", Kind::Texts),
    ]),
};
const UPGRADE: About = About {
    summary: "Hand over to a process of the binary that lies there now",
    query: &[],
    bodies: &[&[Member::optional("timeout_seconds", Kind::Integer).nullable()]],
    response: ResponseBody::One(&[
        Member::required("pid", Kind::Integer),
        Member::required("handed_over_by", Kind::Integer),
    ]),
};
const STALE: About = About {
    summary: "Let checked requests go on for a while however long the store was not heard of",
    query: &[],
    bodies: &[&[Member::required("serve_seconds", Kind::Integer)]],
    response: ResponseBody::One(&[
        Member::required("serve_seconds", Kind::Integer),
        Member::required("age_seconds", Kind::Integer).nullable(),
    ]),
};

impl From<NotCarriedOut> for ApiError {
    fn from(why: NotCarriedOut) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, why.to_string())
    }
}

/// Adds what is asked of the process itself.
pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .get("/process", AdminRole::Read, PROCESS, process)
        .post("/reload", AdminRole::Operate, RELOAD, reload)
        .post("/upgrade", AdminRole::Admin, UPGRADE, upgrade)
        .post("/stale", AdminRole::Admin, STALE, stale)
}

async fn process() -> ApiResponse {
    Ok(Json(json!({ "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION") })))
}

async fn reload(State(admin): State<Arc<Admin>>, operator: Operator) -> ApiResponse {
    let (sender, outcome) = oneshot::channel();
    let order = Order::Reload { actor: operator.actor().clone(), outcome: sender };
    let outcome = admin.orders.carried_out(order, outcome).await?;
    let needs_restart = outcome.map_err(|why| ApiError(StatusCode::CONFLICT, why))?;
    Ok(Json(json!({ "reloaded": true, "needs_restart": needs_restart })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stale {
    serve_seconds: u64,
}

/// Lets checked requests go on for a while however long the store was not heard of. It takes no store.
async fn stale(
    State(admin): State<Arc<Admin>>,
    operator: Operator,
    Body(Stale { serve_seconds }): Body<Stale>,
) -> ApiResponse {
    if serve_seconds > STALE_SECONDS_MAX {
        return Err(ApiError(StatusCode::BAD_REQUEST, format!("serve_seconds is 0 to {STALE_SECONDS_MAX}")));
    }
    let freshness = admin.live_state.freshness();
    if freshness.max().is_none() {
        let text = "the store is this gateway's own file: it is never stale".to_owned();
        return Err(ApiError(StatusCode::CONFLICT, text));
    }
    let lifted = json!({ "serve_seconds": serve_seconds });
    let lift = || freshness.lift(Duration::from_secs(serve_seconds));
    if operator.is_local() {
        // It is for when there is no store, and waits for none: its row is written as soon as there is one.
        lift();
        admin.services.note_in_any_case(operator.actor(), Action::StaleServe, lifted).await;
    } else {
        admin.services.by(operator.actor().clone()).note(Action::StaleServe, lifted).await?;
        lift();
    }
    let age_seconds = freshness.age().map(|age| age.as_secs());
    tracing::warn!(
        serve_seconds,
        age_seconds,
        "an operator decides what becomes of checked requests while the store is not heard of"
    );
    Ok(Json(json!({ "serve_seconds": serve_seconds, "age_seconds": age_seconds })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upgrade {
    timeout_seconds: Option<u64>,
}

async fn upgrade(State(admin): State<Arc<Admin>>, operator: Operator, Body(asked): Body<Upgrade>) -> ApiResponse {
    let patience = asked.timeout_seconds.unwrap_or(PATIENCE_SECONDS);
    if !(1..=PATIENCE_SECONDS_MAX).contains(&patience) {
        let text = format!("timeout_seconds is 1 to {PATIENCE_SECONDS_MAX}");
        return Err(ApiError(StatusCode::BAD_REQUEST, text));
    }
    let another = || ApiError(StatusCode::CONFLICT, "another upgrade is under way".to_owned());
    let alone = admin.orders.alone().ok_or_else(another)?;
    // Before it: a successor may be the one who answers next.
    let handing_over = json!({ "handed_over_by": std::process::id() });
    match admin.services.by(operator.actor().clone()).note(Action::ProcessUpgrade, handing_over).await {
        // A store that has moved takes no row ever again, and its gateways must make way for those of the new one.
        Err(AdminError::Store(moved @ StoreError::Moved { .. })) if operator.is_local() => {
            tracing::warn!(error = %moved, "an upgrade has no row in the audit log");
        }
        noted => noted?,
    }
    let (sender, outcome) = oneshot::channel();
    let order = Order::Upgrade { patience: Duration::from_secs(patience), outcome: sender, alone };
    let pid = admin.orders.carried_out(order, outcome).await?;
    let pid = pid.map_err(|why| ApiError(StatusCode::CONFLICT, why))?;
    Ok(Json(json!({ "pid": pid, "handed_over_by": std::process::id() })))
}
