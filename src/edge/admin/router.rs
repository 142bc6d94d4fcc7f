//! Which operation a request asks for, and what every request passes before it.

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware, routing::get};
use tokio::sync::Semaphore;

use super::{
    Admin, access, accounts, api, companies, explain, health, limits, openapi,
    operations::{Operation, Operations},
    operator, process,
    slots::API_REQUESTS_MAX,
};

/// All operations, by what stands around them.
struct Served {
    over_store: Operations,
    others: Operations,
    document: Operations,
}

impl Served {
    fn by(admin: &Arc<Admin>) -> Self {
        let none = || Operations::new(admin);
        Self {
            over_store: limits::clearing(companies::operations(accounts::operations(api::operations(none())))),
            others: limits::looking(process::operations(explain::operations(none()))),
            document: openapi::operations(none(), listed),
        }
    }
}

/// Every operation of this listener that asks for a role, with what stands before its path.
fn listed(admin: &Arc<Admin>) -> Vec<(&'static str, Operation)> {
    let Served { over_store, others, document } = Served::by(admin);
    let below =
        |prefix, operations: Operations| operations.finish().1.into_iter().map(move |operation| (prefix, operation));
    below(openapi::API, over_store).chain(below(openapi::API, others)).chain(below("", document)).collect()
}

/// What answers each request.
pub(super) fn router(admin: Arc<Admin>) -> Router {
    let Served { over_store, others, document } = Served::by(&admin);
    let (document, _) = document.finish();
    let (others, _) = others.finish();
    let document = document.layer(middleware::from_fn_with_state(Arc::clone(&admin), operator::require_token));
    let api = over_store
        .finish()
        .0
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), access::over_store))
        .merge(others)
        .layer(DefaultBodyLimit::max(api::BODY_BYTES_MAX))
        .fallback(access::not_found)
        // Before the token is asked for: a client without one learns nothing of the paths and their methods.
        .method_not_allowed_fallback(access::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), access::on_control))
        .layer(middleware::from_fn_with_state(Arc::new(Semaphore::new(API_REQUESTS_MAX)), access::leave_slots))
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), operator::require_token));
    Router::new()
        .route("/metrics", get(health::metrics))
        .route("/health/alive", get(health::alive))
        .route("/health/ready", get(health::ready))
        .route("/health/serving", get(health::serving))
        .merge(document)
        .nest(openapi::API, api)
        .fallback(access::not_found)
        .method_not_allowed_fallback(access::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), access::check_host))
        .layer(middleware::from_fn(operator::name_request))
        .with_state(admin)
}
