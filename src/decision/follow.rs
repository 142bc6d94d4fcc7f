//! Following the store: what another process changed (revocations, epochs, keys) comes into force
//! here within [`POLL`] and what it takes to read it.

use std::{pin::pin, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{sync::watch, time::MissedTickBehavior};

use super::snapshot::Gate;
use crate::{
    domain::{Clock, Timestamp},
    observe::metrics::Metrics,
    state::{
        keys::{Vault, VaultError},
        refresh,
        revocation::log,
        session,
        store::{ChangeWatch, Store, StoreError},
    },
};

/// How often the store is asked whether anything changed: a counter in shared memory, not a query.
pub const POLL: Duration = Duration::from_millis(100);

/// Records that are read at once.
const BATCH: u32 = 10_000;

/// How often what has ended is cleared away.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// Rows that one transaction of a clearing removes, at most, so that no writer waits long for it.
const PRUNE_ROWS_MAX: u32 = 1_000;

/// Between two of them. SQLite has no queue: who waits for the lock asks again now and then, and must
/// find it free some time.
const PRUNE_PAUSE: Duration = Duration::from_millis(25);

/// Why the store could not be followed.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each is transparent")]
pub enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Brings the store's changes into the gate.
pub struct Follower {
    store: Store,
    reading: Store,
    vault: Vault,
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    watch: ChangeWatch,
    seen: i64,
    keys_revision: Vec<u8>,
}

impl Follower {
    /// Loads everything that is in force. A gate is not ready before this has returned.
    pub async fn start(
        store: Store,
        vault: Vault,
        gate: Arc<Gate>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, FollowError> {
        // A connection of its own: what ends tokens does not wait behind logins.
        let reading = store.apart();
        let vault = vault.through(reading.clone());
        // Watched before it is read, so that no change falls in between.
        let watch = store.watch().await?;
        let mut follower = Self { store, reading, vault, gate, clock, metrics, watch, seen: 0, keys_revision: vec![] };
        let step = follower.gate.following().begin(follower.clock.instant());
        follower.catch_up().await?;
        follower.gate.following().complete(step);
        Ok(follower)
    }

    /// Follows until `stop` says true. A store that is out of reach is said once, and tried again.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let mut behind = false;
        // By the clock that nobody sets: a lag is not to grow or shrink with the civil time.
        let mut followed = clock.instant();
        let show = |lag: Duration| metrics.revocation_lag_seconds.set(lag.as_secs_f64());
        // What was said of the present failure; another kind of failure is said too.
        let mut said: Option<String> = None;
        'following: loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = ticks.tick() => {}
            }
            let begun = self.gate.following().begin(clock.instant());
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
                            show(clock.instant().duration_since(followed));
                        }
                    }
                }
            };
            match done {
                Ok(lag) => {
                    self.gate.following().complete(begun);
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
                    self.gate.following().away();
                    let text = error.to_string();
                    if said.as_ref() != Some(&text) {
                        tracing::error!(error = text, "the store cannot be followed; what is in force stays in force");
                        said = Some(text);
                    }
                    behind = true;
                    show(clock.instant().duration_since(followed));
                    if matches!(&error, FollowError::Store(error) | FollowError::Vault(VaultError::Store(error)) if error.hangs())
                    {
                        self.reconnect();
                    }
                }
            }
        }
        self.gate.following().away();
        self.watch.close().await;
    }

    /// Goes on with another connection than the one that hangs.
    fn reconnect(&mut self) {
        if let Some(reading) = self.reading.instead() {
            self.vault = self.vault.through(reading.clone());
            self.reading = reading;
        }
    }

    /// Clears away what has ended, now and then, until `stop` says true. Apart from following, which
    /// it must not hold up. It may be dropped at any point.
    pub fn prune(&self, mut stop: watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
        let (store, gate, clock) = (self.store.clone(), Arc::clone(&self.gate), Arc::clone(&self.clock));
        async move {
            let mut ticks = tokio::time::interval(PRUNE_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    _ = ticks.tick() => {}
                }
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = prune(&store, &gate, clock.now()) => {}
                }
            }
        }
    }

    async fn step(&mut self, behind: bool) -> Result<Option<Duration>, FollowError> {
        // After a failure everything not seen is read, whatever the counter says.
        let lag = if self.watch.changed().await? || behind { self.catch_up().await? } else { None };
        self.reading.recheck().await?;
        Ok(lag)
    }

    /// Brings everything not seen yet into force; answers how long the last of it had to wait.
    async fn catch_up(&mut self) -> Result<Option<Duration>, FollowError> {
        let mut lag = None;
        loop {
            let (records, seen) = log::since(&self.reading, self.seen, BATCH).await?;
            let Some(last) = records.last() else { break };
            self.gate.revocations().apply(&records);
            self.seen = seen;
            lag = Some(self.clock.now().since(last.created_at));
        }
        self.gate.accounts().follow(&self.reading).await?;
        let revision = self.vault.revision().await?;
        if revision != self.keys_revision {
            self.gate.refresh_keys(&self.vault).await?;
            self.keys_revision = revision;
        }
        Ok(lag)
    }
}

async fn prune(store: &Store, gate: &Arc<Gate>, now: Timestamp) {
    // Off the runtime's own threads: with millions of revocations it takes a while.
    let gate = Arc::clone(gate);
    let forgotten = tokio::task::spawn_blocking(move || gate.revocations().prune(now.minus(log::EXPIRED_KEPT)));
    if let Err(error) = forgotten.await {
        tracing::error!(%error, "what has ended could not be forgotten");
    }
    if let Err(error) = clear_away(store, now, PRUNE_ROWS_MAX).await {
        tracing::warn!(%error, "what has ended could not be cleared away");
    }
}

/// Removes all that has ended from the store, `rows` a transaction, so that it can be interrupted
/// anywhere and goes on from there the next time.
async fn clear_away(store: &Store, now: Timestamp, rows: u32) -> Result<(), StoreError> {
    while log::prune(store, now, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    while refresh::prune(store, now, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    while session::prune(store, now, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    Ok(())
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;
    use crate::{
        domain::RevocationId,
        state::{
            revocation::log::{Record, Subject},
            store::Settings,
        },
    };

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    /// Rows at first: past, and to be kept.
    const ROWS: (u8, u8) = (40, 20);

    fn token(n: u8) -> Subject {
        Subject::Token(RevocationId::from_bytes([n; 16]))
    }

    /// What is to be kept: without expiry, not past yet, or not past for long enough.
    fn expiry(n: u8) -> Option<Timestamp> {
        let kept = [None, Some(NOW.plus(Duration::from_secs(1))), Some(NOW.minus(log::EXPIRED_KEPT))];
        if n < ROWS.0 { Some(Timestamp::from_secs(i64::from(n))) } else { kept[usize::from(n) % 3] }
    }

    async fn left(store: &Store) -> Vec<Subject> {
        log::since(store, 0, 1_000).await.unwrap().0.into_iter().map(|record| record.subject).collect()
    }

    /// Polls it so often, at most; answers whether it ended.
    async fn poll_times(future: impl Future<Output = Result<(), StoreError>>, times: usize) -> bool {
        let mut future = pin!(future);
        let mut left = times;
        poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(false);
            }
            left -= 1;
            future.as_mut().poll(context).map(|done| {
                done.unwrap();
                true
            })
        })
        .await
    }

    #[tokio::test]
    async fn a_clearing_that_is_interrupted_anywhere_loses_nothing_and_is_made_up_for() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { path: folder.path().join("portero.db") };
        let store = Store::make(&settings).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        for n in 0..ROWS.0 + ROWS.1 {
            let record = Record { subject: token(n), expires_at: expiry(n), created_at: Timestamp::from_secs(1) };
            log::append_in(&mut transaction, &record).await.unwrap();
        }
        transaction.commit().await.unwrap();
        store.close().await;

        let kept: Vec<_> = (ROWS.0..ROWS.0 + ROWS.1).map(token).collect();
        let mut interrupted = 0;
        for polls in 1.. {
            let store = Store::make(&settings).await.unwrap();
            let done = poll_times(clear_away(&store, NOW, 4), polls).await;
            store.close().await;
            let store = Store::make(&settings).await.unwrap();
            let left = left(&store).await;
            assert!(left.ends_with(&kept), "after {polls} polls: {left:?}");
            store.close().await;
            if done {
                assert_eq!(left, kept);
                break;
            }
            interrupted += 1;
        }
        assert!(interrupted > 1, "it was interrupted");
    }

    #[tokio::test]
    async fn a_backlog_is_cleared_in_one_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(&Settings { path: folder.path().join("portero.db") }).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        for n in 0..ROWS.0 {
            let record = Record { subject: token(n), expires_at: expiry(n), created_at: Timestamp::from_secs(1) };
            log::append_in(&mut transaction, &record).await.unwrap();
        }
        transaction.commit().await.unwrap();
        clear_away(&store, NOW, 10).await.unwrap();
        assert_eq!(left(&store).await, []);
    }
}
