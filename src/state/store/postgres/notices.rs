//! Waking the other gateways: `NOTIFY` in a transaction of its own after a change is committed, never in that of a
//! login. A notice that is lost costs nothing but the time until the next poll.
//!
//! Here is also remembered what this process committed last, until its feed was seen to have it: a replica that took
//! over may lack it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use super::{connections::Connections, feed::Position};

/// The channel on which gateways wake each other.
pub(super) const CHANNEL: &str = "portero_feed";

/// Tells that the feed has grown.
#[derive(Clone, Debug)]
pub(super) struct Notices {
    connections: Connections,
    /// Whether a notice is under way that will tell of whatever is committed by now.
    pending: Arc<AtomicBool>,
    /// The tasks of this process that follow the feed.
    own: Arc<Notify>,
    /// The last row that this process committed, where nobody looked for it yet.
    committed: Arc<Mutex<Option<Position>>>,
}

impl Notices {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections, pending: Arc::default(), own: Arc::default(), committed: Arc::default() }
    }

    /// A transaction was committed whose last row of the feed is this one: it is acknowledged from here on.
    pub(super) fn commit(&self, last: Position) {
        let mut committed = self.committed();
        // Transactions are answered in any order, and become visible in that of their numbers.
        if committed.is_none_or(|before| before.seq < last.seq) {
            *committed = Some(last);
        }
        drop(committed);
        self.wake();
    }

    /// The last row that this process committed, where nobody looked for it yet.
    pub(super) fn last_committed(&self) -> Option<Position> {
        *self.committed()
    }

    /// The row was looked for, and found or not.
    pub(super) fn looked_for(&self, row: Position) {
        let mut committed = self.committed();
        *committed = committed.filter(|last| *last != row);
    }

    fn committed(&self) -> MutexGuard<'_, Option<Position>> {
        // It is written at once.
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those that follow the feed, here and elsewhere. It waits for nothing.
    fn wake(&self) {
        self.own.notify_one();
        if self.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let (connections, pending) = (self.connections.clone(), Arc::clone(&self.pending));
        tokio::spawn(async move {
            pending.store(false, Ordering::Release);
            // The poll does without it.
            let _ = connections.execute(sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL)).await;
        });
    }

    /// Waits until this process changed something.
    pub(super) async fn woken(&self) {
        self.own.notified().await;
    }
}
