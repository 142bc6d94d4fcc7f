//! Which operation a request asks for, and what every request passes before it.

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware, routing::get};
use tokio::sync::Semaphore;

use super::{
    Admin, access,
    api::{API, BODY_BYTES_MAX, Served},
    health, operator,
    slots::API_REQUESTS_MAX,
};

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
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
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
        .nest(API, api)
        .fallback(access::not_found)
        .method_not_allowed_fallback(access::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), access::check_host))
        .layer(middleware::from_fn(operator::name_request))
        .with_state(admin)
}
