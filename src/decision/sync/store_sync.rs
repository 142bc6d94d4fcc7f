//! Following the store: what another process changed (revocations, epochs, keys) comes into force
//! here within [`POLL`] and what it takes to read it.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use super::{
    error::StoreSyncError,
    recording::Recording,
    restoring::Restoring,
    resuming::{Reopening, Resumed},
    rounds::Rounds,
};
use crate::{
    decision::decide::live_state::LiveState,
    domain::{Clock, RealmName},
    observe::metrics::Metrics,
    state::{
        account::AccountId,
        clock,
        keys::{Vault, VaultError},
        revocation::{RevocationReader, log::Record},
        store::{FEED_POLL, Store, Watch},
        store_snapshot::Recorder,
    },
};

/// How often the store is asked whether anything changed: a counter in shared memory, not a query.
pub const POLL: Duration = Duration::from_millis(100);

/// Between two attempts to read accounts.
const LOAD_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Brings the store's changes into the live state.
pub struct StoreSync {
    reading: Store,
    vault: Vault,
    live_state: Arc<LiveState>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    watch: Watch,
    reader: RevocationReader,
    /// Those of a shared store.
    rounds: Option<Rounds>,
    /// When the last step began.
    stepped: Option<Instant>,
    keys_revision: Vec<u8>,
    /// Writes what is in force here to a store that has another history.
    restoring: Restoring,
    /// The same keys, through connections that may be busy for longer than a step.
    beside: Vault,
    /// What is still to be done before the store is worked with: the start did without it.
    reopening: Option<Reopening>,
    /// Writes what came in to the disk of this gateway, where the config says so.
    recording: Option<Recording>,
    /// The number up to which accounts were read.
    accounts_seen: i64,
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
        // Watched before it is read, so that no change falls in between.
        let watch = store.watch().await?;
        let reader = RevocationReader::new(store.apart());
        let mut store_sync = Self::assemble(&store, vault, live_state, clock, metrics, watch, reader);
        let step = store_sync.live_state.following().begin(store_sync.clock.instant());
        store_sync.catch_up().await?;
        store_sync.live_state.load_accounts(&store_sync.beside).await?;
        // The state took its time: the bound holds from the first request on.
        store_sync.step(true).await?;
        store_sync.live_state.following().complete(step);
        Ok(store_sync)
    }

    /// Begins by the store's snapshot, and goes on from there when the server of the store is back.
    ///
    /// # Errors
    /// Fails when the snapshot is of no use.
    pub async fn resume(
        store: Store,
        vault: Vault,
        live_state: Arc<LiveState>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        resumed: &Resumed,
        reopening: Reopening,
    ) -> Result<Self, StoreSyncError> {
        resumed.bring_into_force(&live_state, &vault).await?;
        let watch = store.watch().await?;
        let reader = RevocationReader::from(store.apart(), resumed.found().confirmed.position);
        let store_sync = Self::assemble(&store, vault, live_state, clock, metrics, watch, reader);
        Ok(Self { reopening: Some(reopening), ..store_sync })
    }

    /// Writes what comes in to the store's snapshot.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn record(mut self, recorder: Recorder) -> Result<Self, StoreSyncError> {
        let mut recording = Recording::new(recorder);
        // Where the store was not read yet, they come with its first reading.
        if self.reopening.is_none() {
            recording.note_keys(&self.vault).await?;
        }
        self.recording = Some(recording);
        Ok(self)
    }

    fn assemble(
        store: &Store,
        vault: Vault,
        live_state: Arc<LiveState>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        watch: Watch,
        reader: RevocationReader,
    ) -> Self {
        // A connection of its own: what ends tokens does not wait behind logins.
        let reading = store.apart();
        let rounds = store.is_shared().then(|| Rounds::new(Arc::clone(&clock), Arc::clone(&metrics)));
        Self {
            vault: vault.through(reading.clone()),
            beside: vault,
            reading,
            live_state,
            clock,
            metrics,
            watch,
            reader,
            rounds,
            stepped: None,
            keys_revision: vec![],
            restoring: Restoring::default(),
            reopening: None,
            recording: None,
            accounts_seen: 0,
            loading: JoinSet::new(),
        }
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
        let show = |lag: Duration| metrics.revocations.lag_seconds.set(lag.as_secs_f64());
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
                    self.fails(&error, &mut said);
                    behind = true;
                    show(clock.instant().duration_since(followed));
                }
            }
        }
        self.live_state.following().away();
        if let Some(rounds) = &self.rounds {
            rounds.end(&self.reading).await;
        }
        self.watch.close().await;
    }

    /// Says once what is wrong, and leaves a connection that hangs.
    fn fails(&mut self, error: &StoreSyncError, said: &mut Option<String>) {
        let text = error.to_string();
        if said.as_ref() != Some(&text) {
            tracing::error!(error = text, "the store cannot be followed; what is in force stays in force");
            *said = Some(text);
        }
        if let Some(rounds) = &mut self.rounds {
            rounds.warn_of_age(self.live_state.freshness());
        }
        if matches!(error, StoreSyncError::Store(error) | StoreSyncError::Vault(VaultError::Store(error)) if error.hangs())
        {
            self.reconnect();
        }
    }

    /// Goes on with another connection than the one that hangs.
    fn reconnect(&mut self) {
        if let Some(reading) = self.reading.instead() {
            self.vault = self.vault.through(reading.clone());
            self.reader.read_by(reading.clone());
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
        if let Some(reopening) = &self.reopening {
            reopening.complete(&self.reading, &self.vault, &self.live_state, self.clock.now()).await?;
            self.reopening = None;
            tracing::info!("the store is there; the gateway started by its snapshot works with it from now on");
        }
        let freshness = self.live_state.freshness();
        let seq = self.reader.position().map_or(0, |position| position.seq);
        let round = match &mut self.rounds {
            Some(rounds) => rounds.begin(&self.reading, freshness, seq, self.live_state.serves_stale()).await?,
            None => None,
        };
        // After a failure everything not seen is read, whatever the counter says.
        let lag = if self.watch.changed().await? || behind { self.catch_up().await? } else { None };
        if let Some(began) = round {
            self.live_state.freshness().confirm(began);
        }
        if let Some(recording) = &mut self.recording {
            if let Some(began) = round {
                recording.confirm(began);
            }
            let accounts = (self.live_state.accounts(), self.accounts_seen);
            recording.hand_over(self.reader.position(), accounts, self.clock.since_boot());
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
        let mut recording = self.recording.as_mut();
        let in_force = |records: &[Record]| {
            live_state.revocations().apply(records);
            if let Some(recording) = &mut recording {
                recording.recorder.note(records);
            }
        };
        let caught = self.reader.catch_up(in_force).await?;
        if let Some(rounds) = &mut self.rounds {
            rounds.see(&caught.canaries, &live_state);
        }
        let lag = caught.last.map(|last| self.clock.now().since(last.created_at));
        if caught.is_another_history {
            self.restoring.begin(&live_state, &self.beside, &self.clock);
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
        // Afterwards: what drops a record says so at the same time.
        if let Some(row) = clock::read(&self.reading).await? {
            self.live_state.revocations().note_pruned(row.pruned);
            if let Some(recording) = &mut self.recording {
                recording.recorder.note_clock(row);
            }
        }
        // Before accounts: whatever is wrong with those, a revoked key ends.
        let revision = self.vault.revision().await?;
        if revision != self.keys_revision {
            self.live_state.refresh_keys(&self.vault).await?;
            if let Some(recording) = &mut self.recording {
                recording.note_keys(&self.vault).await?;
            }
            self.keys_revision = revision;
        }
        self.live_state.admin_tokens().follow(&self.reading).await?;
        let mut recording = self.recording.as_mut();
        let tell = |realm: &RealmName, ids: &[AccountId]| {
            if let Some(recording) = &mut recording {
                recording.recorder.note_accounts(realm, ids);
            }
        };
        self.accounts_seen = self.live_state.accounts().follow(&self.reading, tell).await?;
        Ok(lag)
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
        f.debug_struct("StoreSync").field("reader", &self.reader).finish_non_exhaustive()
    }
}
