//! Keeps the tokens of old systems in memory as the store has them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::takeovers::Takeovers;
use crate::state::{
    store::{Store, StoreError},
    takeover::old_tokens,
};

/// How often it is asked whether somebody imported some.
const EVERY: Duration = Duration::from_secs(1);

/// What was read last.
#[derive(Debug, Default)]
pub struct Table {
    revision: Option<Vec<u8>>,
}

impl Table {
    /// Reads the table where it was changed since; at most one row where it was not.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged. What was read before stays in force.
    pub async fn refresh(&mut self, store: &Store, takeovers: &Takeovers) -> Result<(), StoreError> {
        let revision = old_tokens::revision(store).await?;
        if revision == self.revision {
            return Ok(());
        }
        // The revision was read before: what is imported meanwhile is read the next time.
        takeovers.old_tokens.store(Arc::new(old_tokens::load(store).await?));
        self.revision = revision;
        Ok(())
    }

    /// Does so once a second, until `stop` says true.
    pub async fn run(mut self, store: Store, takeovers: Arc<Takeovers>, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.refresh(&store, &takeovers).await {
                tracing::debug!(%error, "the table of old tokens could not be read; it is tried again in a second");
            }
        }
    }
}
