//! `POST /api/v1/explain`: what the gateway would do with a request, and why. Nothing comes of asking.

use std::{net::IpAddr, sync::Arc};

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::context::Admin,
    message::{ApiError, ApiResponse, Body, Hidden},
    operations::{About, Kind, Member, Operations, ResponseBody},
};
use crate::{
    decision::{
        Decision, View,
        decide::explain::{self, Explained, Forwarded, Inquiry, Keys, NoRequest, Question},
    },
    domain::{Reason, Secret, Timestamp},
    edge::respond::{self, Asker},
    state::admin_token::AdminRole,
};

const EXPLAIN: About = About {
    summary: "What the gateway would do with a request, and why",
    query: &[],
    bodies: &[&[
        Member::required("method", Kind::Text),
        Member::required("url", Kind::Text),
        Member::optional("headers", Kind::Pairs),
        Member::optional("token", Kind::Text).nullable(),
        Member::optional("client", Kind::Text).nullable(),
    ]],
    response: ResponseBody::One(&[
        Member::required("decision", Kind::Text),
        Member::required("reason", Kind::Text).nullable(),
        Member::required("status", Kind::Integer).nullable(),
        Member::required("route", Kind::Text).nullable(),
        Member::required("steps", Kind::Objects),
    ]),
};

/// Adds explaining.
pub(super) fn operations(operations: Operations) -> Operations {
    operations.post("/explain", AdminRole::Read, EXPLAIN, explain_decision)
}

/// The token travels in the body, which is never logged.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    token: Option<Hidden>,
    client: Option<IpAddr>,
}

async fn explain_decision(State(admin): State<Arc<Admin>>, Body(asked): Body<Asked>) -> ApiResponse {
    let Asked { method, url, headers, token, client } = asked;
    let token: Option<Secret> = token.map(Hidden::into_inner);
    let inquiry = Inquiry { method: &method, url: &url, headers: &headers, token: token.as_ref(), client };
    let explained = explain(&admin.live_state.view(), admin.services.now(), &inquiry, Keys::Known);
    explained.map(Json).map_err(|error| ApiError::bad(&error.to_string()))
}

/// What would be done with a request, as `docs/explain.md` describes it.
///
/// # Errors
/// What is asked about is no request.
pub fn explain(view: &View<'_>, now: Timestamp, inquiry: &Inquiry<'_>, keys: Keys) -> Result<Value, NoRequest> {
    let question = Question::of(inquiry, view.snapshot())?;
    let request = question.request();
    let asker = Asker { headers: request.headers, secure: false };
    let Explained { steps, decision } = explain::explain(view, now, &question, keys);
    let (word, reason, status, route, forwards) = match &decision {
        None => ("undecided", None, None, None, None),
        Some(Decision::Forward(permit)) => {
            let word = if permit.is_shadow() { "shadow" } else { "forward" };
            let route = Some(permit.route.settings.name.to_string());
            (word, Some(permit.reason.name()), None, route, Some(Forwarded::of(permit)))
        }
        Some(Decision::Reply(denial)) => {
            let status = Some(respond::denial(denial, &asker).status().as_u16());
            let route = denial.route.as_ref().map(|route| route.settings.name.to_string());
            ("deny", Some(denial.reason.name()), status, route, None)
        }
        Some(Decision::Endpoint(endpoint)) => {
            ("endpoint", None, None, Some(endpoint.metrics.route.name().to_owned()), None)
        }
        Some(Decision::Preflight(preflight)) => {
            let status = respond::preflight(&preflight.cors, &asker).status().as_u16();
            ("preflight", Some(Reason::Preflight.name()), Some(status), Some(preflight.target.name().to_owned()), None)
        }
        // A proof was given, and a key was asked for once.
        Some(Decision::Verify(_) | Decision::AwaitKey(_) | Decision::AwaitCheck(_) | Decision::AwaitStep(_)) => {
            ("deny", Some("internal"), Some(500), None, None)
        }
    };
    Ok(json!({
        "decision": word,
        "reason": reason,
        "status": status,
        "route": route,
        "steps": steps,
        "forwards": forwards,
    }))
}
