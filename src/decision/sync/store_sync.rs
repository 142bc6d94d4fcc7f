//! Following the store: what another process changed (revocations, epochs, keys) comes into force
//! here within [`POLL`] and what it takes to read it.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use super::rounds::Rounds;
use crate::{
    decision::decide::snapshot::LiveState,
    domain::Clock,
    observe::metrics::Metrics,
    state::{
        clock,
        keys::{KeyState, Vault, VaultError},
        revocation::{self, Follower},
        store::{FEED_POLL, Store, StoreError, Watch},
    },
};

/// How often the store is asked whether anything changed: a counter in shared memory, not a query.
pub const POLL: Duration = Duration::from_millis(100);

/// Between two attempts to read accounts.
const LOAD_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why the store could not be followed.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each is transparent")]
pub enum StoreSyncError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Brings the store's changes into the live state.
pub struct StoreSync {
    reading: Store,
    vault: Vault,
    live_state: Arc<LiveState>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    watch: Watch,
    follower: Follower,
    /// Those of a shared store.
    rounds: Option<Rounds>,
    /// When the last step began.
    stepped: Option<Instant>,
    keys_revision: Vec<u8>,
    /// Whether what is in force here is still to be written to a store that has another history.
    unrestored: bool,
    /// The same keys, through connections that may be busy for longer than a step.
    beside: Vault,
    /// Reads the accounts that imported keys wait for. One task at most, which ends with this.
    loading: JoinSet<()>,
}

impl StoreSync {
    /// Loads everything that is in force. A live state is not ready before this has returned.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn start(
        store: Store,
        vault: Vault,
        live_state: Arc<LiveState>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreSyncError> {
        // A connection of its own: what ends tokens does not wait behind logins.
        let reading = store.apart();
        let beside = vault;
        let vault = beside.through(reading.clone());
        // Watched before it is read, so that no change falls in between.
        let watch = store.watch().await?;
        let follower = Follower::new(reading.clone());
        let rounds = store.is_shared().then(|| Rounds::new(Arc::clone(&clock), Arc::clone(&metrics)));
        let mut store_sync = Self {
            reading,
            vault,
            live_state,
            clock,
            metrics,
            watch,
            follower,
            rounds,
            stepped: None,
            keys_revision: vec![],
            unrestored: false,
            beside,
            loading: JoinSet::new(),
        };
        let step = store_sync.live_state.following().begin(store_sync.clock.instant());
        store_sync.catch_up().await?;
        store_sync.live_state.load_accounts(&store_sync.beside).await?;
        // The state took its time: the bound holds from the first request on.
        store_sync.step(true).await?;
        store_sync.live_state.following().complete(step);
        Ok(store_sync)
    }

    /// Follows until `stop` says true. A store that is out of reach is said once, and tried again.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (clock, metrics, live_state) =
            (Arc::clone(&self.clock), Arc::clone(&self.metrics), Arc::clone(&self.live_state));
        let mut behind = false;
        // By the clock that nobody sets: a lag is not to grow or shrink with the civil time.
        let mut followed = clock.instant();
        let show = |lag: Duration| metrics.revocation_lag_seconds.set(lag.as_secs_f64());
        // What was said of the present failure; another kind of failure is said too.
        let mut said: Option<String> = None;
        'following: loop {
            let woken = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = ticks.tick() => false,
                () = self.watch.woken() => true,
            };
            if !woken && !behind && !self.is_due() {
                self.live_state.following().poll(clock.instant());
                continue;
            }
            let begun = self.live_state.following().begin(clock.instant());
            let mut late = behind;
            let done = {
                let mut catching = pin!(self.step(behind));
                loop {
                    tokio::select! {
                        done = &mut catching => break done,
                        _ = stop.wait_for(|stop| *stop) => break 'following,
                        // A step that hangs is seen while it does.
                        _ = ticks.tick() => {
                            late = true;
                            live_state.following().poll(clock.instant());
                            show(clock.instant().duration_since(followed));
                        }
                    }
                }
            };
            match done {
                Ok(lag) => {
                    self.live_state.following().complete(begun);
                    if behind {
                        tracing::info!("the store is followed again");
                    }
                    if let Some(lag) = lag.or(late.then_some(Duration::ZERO)) {
                        show(lag);
                    }
                    (behind, said) = (false, None);
                    followed = clock.instant();
                }
                Err(error) => {
                    self.live_state.following().fail(begun);
                    let text = error.to_string();
                    if said.as_ref() != Some(&text) {
                        tracing::error!(error = text, "the store cannot be followed; what is in force stays in force");
                        said = Some(text);
                    }
                    behind = true;
                    if let Some(rounds) = &mut self.rounds {
                        rounds.warn_of_age(live_state.freshness());
                    }
                    show(clock.instant().duration_since(followed));
                    if matches!(&error, StoreSyncError::Store(error) | StoreSyncError::Vault(VaultError::Store(error)) if error.hangs())
                    {
                        self.reconnect();
                    }
                }
            }
        }
        self.live_state.following().away();
        if let Some(rounds) = &self.rounds {
            rounds.end(&self.reading).await;
        }
        self.watch.close().await;
    }

    /// Goes on with another connection than the one that hangs.
    fn reconnect(&mut self) {
        if let Some(reading) = self.reading.instead() {
            self.vault = self.vault.through(reading.clone());
            self.follower.read_by(reading.clone());
            self.reading = reading;
        }
    }

    /// Whether it is time to look: a counter in memory is looked at each time, a server now and then.
    fn is_due(&self) -> bool {
        let Some(stepped) = self.stepped.filter(|_| self.rounds.is_some()) else { return true };
        self.clock.instant().duration_since(stepped) >= FEED_POLL
    }

    async fn step(&mut self, behind: bool) -> Result<Option<Duration>, StoreSyncError> {
        self.stepped = Some(self.clock.instant());
        let freshness = self.live_state.freshness();
        let seq = self.follower.position().map_or(0, |position| position.seq);
        let round = match &mut self.rounds {
            Some(rounds) => rounds.begin(&self.reading, freshness, seq, self.live_state.serves_stale()).await?,
            None => None,
        };
        // After a failure everything not seen is read, whatever the counter says.
        let lag = if self.watch.changed().await? || behind { self.catch_up().await? } else { None };
        if let Some(began) = round {
            self.live_state.freshness().confirm(began);
        }
        while self.loading.try_join_next().is_some() {}
        if self.loading.is_empty() && self.live_state.accounts().misses_some() {
            self.loading.spawn(load_accounts(Arc::clone(&self.live_state), self.beside.clone()));
        }
        self.reading.recheck().await?;
        Ok(lag)
    }

    /// Brings everything not seen yet into force; answers how long the last of it had to wait.
    pub(in crate::decision) async fn catch_up(&mut self) -> Result<Option<Duration>, StoreSyncError> {
        let live_state = Arc::clone(&self.live_state);
        let caught = self.follower.catch_up(|records| live_state.revocations().apply(records)).await?;
        if let Some(rounds) = &mut self.rounds {
            rounds.see(&caught.canaries, live_state.revocations());
        }
        let lag = caught.last.map(|last| self.clock.now().since(last.created_at));
        if caught.is_another_history {
            self.unrestored = true;
            tracing::error!(
                "the store has another history than the one that was followed (a backup, or a replica that was promoted \
                 without the last transactions), or nobody heard of it here for a day; what is in force here stays in \
                 force and is written again"
            );
            // The same numbers may stand for something else.
            self.keys_revision.clear();
            self.live_state.accounts().begin_anew().await;
            self.live_state.admin_tokens().begin_anew();
        }
        if self.unrestored {
            self.restore().await?;
            self.unrestored = false;
        }
        // Afterwards: whoever drops a record says so at the same time.
        if let Some(row) = clock::read(&self.reading).await? {
            self.live_state.revocations().note_pruned(row.pruned);
        }
        // Before accounts: whatever is wrong with those, a revoked key ends.
        let revision = self.vault.revision().await?;
        if revision != self.keys_revision {
            self.live_state.refresh_keys(&self.vault).await?;
            self.keys_revision = revision;
        }
        self.live_state.admin_tokens().follow(&self.reading).await?;
        self.live_state.accounts().follow(&self.reading).await?;
        Ok(lag)
    }

    /// Writes what is in force here, and the store lacks, down again.
    async fn restore(&self) -> Result<(), StoreSyncError> {
        let now = self.clock.now();
        let mut written = revocation::restore(self.live_state.revocations(), &self.reading, now).await?;
        let snapshot = self.live_state.snapshot();
        let revoked: Vec<_> = snapshot.keys.own().filter(|key| key.state == KeyState::Revoked).collect();
        for record in self.vault.records().await? {
            let was_revoked = record.state != KeyState::Revoked && revoked.iter().any(|key| key.id == record.id);
            if was_revoked && self.vault.revoke(&record.id, now).await?.is_some() {
                written += 1;
            }
        }
        if written > 0 {
            tracing::warn!(written, "revocations that the store did not know any more were written again");
        }
        Ok(())
    }
}

/// Loads accounts until that has worked.
async fn load_accounts(live_state: Arc<LiveState>, vault: Vault) {
    let mut said: Option<String> = None;
    while let Err(error) = live_state.load_accounts(&vault).await {
        let text = error.to_string();
        if said.as_ref() != Some(&text) {
            tracing::error!(error = text, "accounts cannot be read; imported keys wait for them");
            said = Some(text);
        }
        tokio::time::sleep(LOAD_AGAIN_AFTER).await;
    }
}

impl std::fmt::Debug for StoreSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSync").field("follower", &self.follower).finish_non_exhaustive()
    }
}
