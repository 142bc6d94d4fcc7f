//! The operator's door: its own listener, its own runtime. Metrics and health answer anybody who
//! reaches it; the API asks for the token of `admin.token`.

mod access;
mod accounts;
mod api;
mod explain;
mod health;
mod settings;

use std::{net::TcpListener, sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, middleware, routing::get};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};

pub use access::{AdminToken, AllowedHosts};
pub use explain::explain;
pub use health::Readiness;
pub use settings::Settings;

use crate::{
    decision::{Gate, Steward},
    edge::proxy::Shared,
    observe::metrics::Metrics,
    state::account::Hasher,
};

/// Connections in all; operators are few.
const CONNECTIONS_MAX: usize = 128;

/// For a whole request head, and for the next one to begin.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// For everything that comes over one connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// What the admin listener works with.
#[derive(Debug)]
pub struct Admin {
    /// Revokes and lists.
    pub steward: Steward,
    /// Hashes new accounts' passwords.
    pub hasher: Arc<Hasher>,
    /// The gate, for its realms and its numbers.
    pub gate: Arc<Gate>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The front listener, for what it dropped.
    pub front: Arc<Shared>,
    /// Whether the gateway can serve.
    pub readiness: Arc<Readiness>,
    /// Where store I/O and password hashes are waited for.
    pub control: Handle,
    /// The API's bearer token.
    pub token: AdminToken,
    /// The names under which this listener answers.
    pub hosts: AllowedHosts,
}

/// Serves until `stop` says true. Runs on the runtime that it is awaited on.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let router = router(admin);
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        // One more than is taken is closed at once; so is one that could not be accepted.
        let (Ok((stream, _)), Ok(permit)) = (accepted, Arc::clone(&connections).try_acquire_owned()) else {
            tokio::task::yield_now().await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // However a connection ends, it concerns nobody else.
            tokio::select! {
                _ = tokio::time::timeout(CONNECTION_LIFE, connection) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            drop(permit);
        });
    }
}

fn router(admin: Arc<Admin>) -> Router {
    let api = api::routes()
        .merge(accounts::routes())
        .merge(explain::routes())
        .layer(DefaultBodyLimit::max(api::BODY_BYTES_MAX))
        .fallback(access::not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), access::on_control))
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), access::require_token));
    Router::new()
        .route("/metrics", get(health::metrics))
        .route("/health/alive", get(health::alive))
        .route("/health/ready", get(health::ready))
        .nest("/api/v1", api)
        .fallback(access::not_found)
        .method_not_allowed_fallback(access::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), access::check_host))
        .with_state(admin)
}
