//! Writes down what the throttle has counted, and reads what others have. A login never waits for it: while the store
//! is away, what was counted stays in memory, and goes to the store when it is back.

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::state::{
    keys::{Vault, VaultError},
    limit::Exchange,
};

/// Does so now and then until `stop` says true, and once more then. Where the gateway started without its store, it
/// begins when that is there.
pub async fn run(exchange: Exchange, vault: Vault, mut stop: watch::Receiver<bool>) {
    let mut said = false;
    let mut ticks = interval(exchange.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            _ = ticks.tick() => {}
        }
        let done = step(&exchange, &vault).await;
        say(&done, &mut said);
    }
    if let Err(error) = exchange.run_once().await {
        tracing::warn!(%error, "the failed logins of the last seconds could not be written down");
    }
}

async fn step(exchange: &Exchange, vault: &Vault) -> Result<(), VaultError> {
    if !exchange.has_begun().await {
        exchange.begin(vault).await?;
    }
    Ok(exchange.run_once().await?)
}

/// Says once that it fails, and once that it works again.
fn say(done: &Result<(), VaultError>, said: &mut bool) {
    match done {
        Ok(()) if *said => tracing::info!("failed logins are written down again"),
        Err(error) if !*said => {
            tracing::warn!(%error, "failed logins cannot be written down; they are counted in memory meanwhile");
        }
        _ => {}
    }
    *said = done.is_err();
}
