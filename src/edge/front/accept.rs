//! Accepting, from the start of the gateway to the end of its last connection: one place for caps, deadlines and
//! draining.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use super::{enter::Front, turns::accept_in_turn, workers::Workers};
use crate::{
    edge::{
        armour::deadline::{ClientTimeouts, Timeouts},
        forward::context::{in_flight::SWEEP_INTERVAL, services::Shared},
        listen::{limits::Limits, sockets::Listeners},
    },
    per_thread::Spread,
};

/// Has `workers` accept on every listener, until `shutdown` says true; then waits for the connections to end: idle ones
/// within the grace for them (with the request that they send meanwhile), others with their present request.
pub async fn serve(listeners: Listeners, workers: Workers, shared: Arc<Shared>, shutdown: watch::Receiver<bool>) {
    let workers = Arc::new(workers);
    let limits = Arc::new(Limits::default());
    let sweeper = tokio::spawn(keep_sweeping(Arc::clone(&shared)));
    let draining = tokio::spawn({
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        async move { shared.drain(shutdown).await }
    });
    let timeouts = client_timeouts(&shared);
    let mut loops = vec![];
    for (at, listener) in listeners.0.into_iter().enumerate() {
        let timeouts = Arc::clone(&timeouts);
        let limits = Arc::clone(&limits);
        let front = Front { at, shared: Arc::clone(&shared), timeouts, limits, shutdown: shutdown.clone() };
        loops.push(tokio::spawn(accept_in_turn(listener, Spread::new(front), Arc::clone(&workers))));
    }
    for accept_loop in loops {
        if accept_loop.await.is_err() {
            tracing::error!("an accept loop panicked");
        }
    }
    limits.all_ended().await;
    sweeper.abort();
    draining.abort();
}

/// How long clients are waited for, as the present settings say.
fn client_timeouts(shared: &Arc<Shared>) -> Timeouts {
    let shared = Arc::clone(shared);
    Arc::new(move || {
        let tunables = shared.tunables();
        ClientTimeouts {
            head: tunables.head_timeout,
            keepalive: tunables.keepalive_timeout,
            write: tunables.body_timeout,
        }
    })
}

/// Sweeps until it is aborted: a defect that ends the sweeper must not leave ended tokens in flight.
async fn keep_sweeping(shared: Arc<Shared>) {
    loop {
        let mut sweeper = JoinSet::new();
        sweeper.spawn(sweep(Arc::clone(&shared)));
        if let Some(Err(error)) = sweeper.join_next().await {
            tracing::error!(%error, "the sweeper failed and is started again");
        }
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Ends what is in flight when its token ends.
async fn sweep(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        shared.sweep();
    }
}
