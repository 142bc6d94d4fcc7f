//! Clearing away what has ended: from memory, and from the store in small pieces. Only by trusted time: while the civil
//! clock is in doubt, everything stays.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::MissedTickBehavior};

use crate::{
    decision::decide::live_state::LiveState,
    domain::TrustedNow,
    state::{
        account,
        clock::TrustedClock,
        limit, refresh,
        revocation::log,
        session,
        store::{self, Store, StoreError},
    },
};

/// How often what has ended is cleared away.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// Rows that one transaction of a clearing removes, at most, so that no writer waits long for it.
const PRUNE_ROWS_MAX: u32 = 1_000;

/// Between two of them. SQLite has no queue: a process that waits for the lock asks again now and then, and
/// must find it free some time.
const PRUNE_PAUSE: Duration = Duration::from_millis(25);

/// Clears away what has ended.
#[derive(Debug)]
pub struct Pruner {
    store: Store,
    live_state: Arc<LiveState>,
    trusted: TrustedClock,
}

impl Pruner {
    /// A pruner of a live state.
    #[must_use]
    pub const fn new(store: Store, live_state: Arc<LiveState>, trusted: TrustedClock) -> Self {
        Self { store, live_state, trusted }
    }

    /// Clears away now and then, until `stop` says true. It may be dropped at any point.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(PRUNE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.prune() => {}
            }
        }
    }

    /// Clears away once, unless the clock is in doubt.
    pub(in crate::decision) async fn prune(&self) {
        let Ok(now) = self.trusted.now() else { return };
        // Off the runtime's own threads: with millions of revocations it takes a while.
        let live_state = Arc::clone(&self.live_state);
        let forgotten = tokio::task::spawn_blocking(move || live_state.revocations().prune(now));
        if let Err(error) = forgotten.await {
            tracing::error!(%error, "what has ended could not be forgotten");
        }
        if let Err(error) = clear_away(&self.store, now, PRUNE_ROWS_MAX).await {
            tracing::warn!(%error, "what has ended could not be cleared away");
        }
    }
}

/// Removes all that has ended for long enough from the store, `rows` a transaction, so that it can be interrupted
/// anywhere and goes on from there the next time.
async fn clear_away(store: &Store, now: TrustedNow, rows: u32) -> Result<(), StoreError> {
    while log::prune(store, now, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    while refresh::prune(store, now, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    while limit::prune(store, now, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    while session::prune(store, now, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    while store::forget_anchors(store, now, store::ANCHORS_KEPT, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    while account::prune_previous(store, now, rows).await? >= u64::from(rows) {
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;
    use crate::{
        domain::{RevocationId, Timestamp, trusted_time::trusted},
        state::{
            revocation::log::{Record, RevokedSubject},
            store::{StoreSettings, Turn},
        },
    };

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    /// Rows at first: past, and to be kept.
    const ROWS: (u8, u8) = (40, 20);

    fn token(n: u8) -> RevokedSubject {
        RevokedSubject::Token(RevocationId::from_bytes([n; 16]))
    }

    /// What is to be kept: without expiry, not past yet, or not past for long enough.
    fn expiry(n: u8) -> Option<Timestamp> {
        let kept = [None, Some(NOW.plus(Duration::from_secs(1))), Some(NOW.minus(log::EXPIRED_KEPT))];
        if n < ROWS.0 { Some(Timestamp::from_secs(i64::from(n))) } else { kept[usize::from(n) % 3] }
    }

    async fn left(store: &Store) -> Vec<RevokedSubject> {
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
        let folder = crate::memory::new_folder();
        let settings = StoreSettings::Sqlite(folder.path().join("portero.db"));
        let store = Store::make(&settings).await.unwrap();
        let mut transaction = store.begin(Turn::Upkeep).await.unwrap();
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
            let done = poll_times(clear_away(&store, trusted(NOW), 4), polls).await;
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
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let mut transaction = store.begin(Turn::Upkeep).await.unwrap();
        for n in 0..ROWS.0 {
            let record = Record { subject: token(n), expires_at: expiry(n), created_at: Timestamp::from_secs(1) };
            log::append_in(&mut transaction, &record).await.unwrap();
        }
        transaction.commit().await.unwrap();
        clear_away(&store, trusted(NOW), 10).await.unwrap();
        assert_eq!(left(&store).await, []);
    }
}
