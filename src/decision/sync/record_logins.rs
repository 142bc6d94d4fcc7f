//! Writes down when accounts logged in, and how often that failed: once a minute, and when the gateway stops.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::state::{
    account::{Logins, write_logins},
    store::Store,
};

/// How often. An account is written at most as often.
const EVERY: Duration = Duration::from_secs(60);

/// Between two transactions. SQLite has no queue: a writer that waits must find the lock free some time.
const PAUSE: Duration = Duration::from_millis(25);

/// How long the last writing may take, when the gateway stops.
const LAST_TIMEOUT: Duration = Duration::from_secs(3);

/// Does so until `stop` says true, and then a last time.
pub async fn run(store: Store, logins: Arc<Logins>, mut stop: watch::Receiver<bool>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one comes at once.
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = ticks.tick() => {}
        }
        // What it was not done with is kept for the last time.
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = write(&store, &logins) => {}
        }
    }
    if timeout(LAST_TIMEOUT, write(&store, &logins)).await.is_err() {
        tracing::warn!("the last logins could not be written down in time");
    }
}

async fn write(store: &Store, logins: &Logins) {
    if let Err(error) = write_logins(store, logins, || sleep(PAUSE)).await {
        tracing::warn!(%error, "logins could not be written down; it is tried again in a minute");
    }
}
