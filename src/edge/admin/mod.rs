//! The operator's door: its own listener, its own runtime. Metrics and health answer anybody who
//! reaches it; the API asks for a token, and each of its operations for a role.
//!
//! ```text
//! access      who may ask at all: hosts, the token in the file, places     operator    who asks, and with which role
//! operations  each with its role, and what the document says of it
//! api · accounts · companies · explain · process                           the operations themselves
//! ```

mod access;
mod accounts;
mod api;
mod companies;
mod explain;
mod health;
mod limits;
mod openapi;
mod operations;
mod operator;
mod places;
mod process;
mod settings;

use std::{
    future::poll_fn,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, middleware, routing::get};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinSet,
};

pub use access::{AdminToken, AllowedHosts};
pub use explain::explain;
pub use health::Readiness;
use operations::{Operation, Operations};
use operator::Peer;
use places::{API_REQUESTS_MAX, InWork, Place, Places};
pub use process::{Order, Orders};
pub use settings::AdminSettings;

use super::forward::Shared;
use crate::{
    decision::{AdminServices, LiveState},
    observe::metrics::Metrics,
    state::{account::Hasher, clock::TrustedClock},
};

/// For a whole request head, and for the next one to begin.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);

/// How long nobody is accepted after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// For everything that comes over one connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// What the admin listener works with.
#[derive(Debug)]
pub struct Admin {
    /// Does what the API is asked for.
    pub services: Arc<AdminServices>,
    /// Hashes passwords; here for its queue.
    pub hasher: Arc<Hasher>,
    /// The live state, for its realms and its numbers.
    pub live_state: Arc<LiveState>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The front listener, for what it dropped.
    pub front: Arc<Shared>,
    /// Whether the gateway can serve.
    pub readiness: Arc<Readiness>,
    /// Whether the civil clock is trusted.
    pub trusted: TrustedClock,
    /// Where store I/O and password hashes are waited for.
    pub control: Handle,
    /// The task that reloads the config and hands over.
    pub orders: Orders,
    /// The API's token in a file.
    pub token: AdminToken,
    /// The names under which this listener answers.
    pub hosts: AllowedHosts,
}

/// Serves until `stop` says true, then closes the listener and ends what was begun. Runs on the
/// runtime that it is awaited on.
///
/// # Errors
/// Fails when the runtime does not take the listener.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Places::default());
    let router = router(admin);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // First: a client that hears of a successor must find it with its next request.
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // For want of descriptors, say: the next attempt would fail at once, and again.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // One that finds no place is closed at once.
        if let Some(place) = places.enter() {
            connections.spawn(serve_connection((stream, peer), place, router.clone(), stop.clone()));
        }
        // Those who came are looked at before more are accepted.
        tokio::task::yield_now().await;
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Serves one connection until it ends, `stop` says true, or another one needs its place.
async fn serve_connection(
    (stream, peer): (TcpStream, SocketAddr),
    (place, first_look): (Place, InWork),
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        let in_work = place.begin();
        request.extensions_mut().insert(Peer(peer));
        let answering = router.call(request);
        async move {
            let answer = answering.await;
            drop(in_work);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut first_look = Some(first_look);
    // However a connection ends, it concerns nobody else.
    let served = tokio::time::timeout(CONNECTION_LIFE, async {
        tokio::select! {
            biased;
            () = poll_fn(|cx| {
                let over = connection.as_mut().poll(cx).map(drop);
                first_look = None;
                over
            }) => return,
            () = place.taken_away() => return,
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // The answer that is being made goes out, and says that no other follows.
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    });
    let _ = served.await;
}

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
            document: openapi::operations(none()),
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

fn router(admin: Arc<Admin>) -> Router {
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
        // Before the token is asked for: who has none learns nothing of the paths and their methods.
        .method_not_allowed_fallback(access::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), access::on_control))
        .layer(middleware::from_fn_with_state(Arc::new(Semaphore::new(API_REQUESTS_MAX)), access::leave_places))
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
