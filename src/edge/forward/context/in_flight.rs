//! What is in flight ends when its token does: a sweeper looks at every exchange that was let through
//! and ends those whose token expired or was revoked, those whose client's certificate is over, those that had all of
//! their time, and those in which a side that is waited for is late. It does not matter whether bytes move.
//!
//! An HTTP/1 connection and an HTTP/2 stream each have one [`RequestGuard`] for all of their exchanges. An exchange
//! that nobody ends pays for it with two uncontended locks and no allocation.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::{
    decision::View,
    domain::{Reason, Timestamp},
    edge::{
        forward::body::progress::{Progress, Verdict},
        listen::tls::Validity,
    },
    state::token::Verified,
};

/// Between two looks at everything in flight: a revocation must hold within a second.
pub(in crate::edge) const SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// How much longer than its total time an exchange may take. Whatever watches its bytes acts first, because it can
/// still send a response.
const TOTAL_GRACE: Duration = Duration::from_secs(1);

/// Exchanges in flight end within this when a shared store was not heard of for too long.
const STALE_SPREAD: Duration = Duration::from_secs(10);

/// Locks that connections are spread over.
const SHARDS: usize = 16;

/// The guards of everything in flight.
#[derive(Debug)]
pub(in crate::edge) struct InFlight {
    shards: [Mutex<Shard>; SHARDS],
    next: AtomicUsize,
}

/// Guards, and the indices between them that are free again; as many as connections and streams at most.
#[derive(Debug, Default)]
struct Shard {
    guards: Vec<Option<Arc<RequestGuard>>>,
    free: Vec<usize>,
}

/// What ends the exchanges of a connection, one after the other.
#[derive(Debug, Default)]
pub(in crate::edge) struct RequestGuard {
    /// Whether there is anything to look at: all that an idle connection costs the sweeper.
    watched: AtomicBool,
    ended: OnceLock<Reason>,
    /// Whether a waker is in its place: asking again costs nothing then.
    waits: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watch: Option<Watch>,
    /// Until when the client is waited for to take some of its response, where nothing below sees to that.
    takes_until: Option<tokio::time::Instant>,
    waker: Option<Waker>,
}

/// When an exchange ends before its time.
#[derive(Debug)]
pub(in crate::edge::forward) struct Watch {
    /// With whose token.
    pub(in crate::edge::forward) identity: Option<Arc<Verified>>,
    /// When what is known of a shared store is too old to say that the token holds.
    pub(in crate::edge::forward) ends_stale: bool,
    /// Outside of the time in which its client's certificate is good.
    pub(in crate::edge::forward) certified: Validity,
    /// When it has had all of its time, if that is bounded.
    pub(in crate::edge::forward) ends_at: Option<Instant>,
    /// Where a side that is waited for is late, if it has a body.
    pub(in crate::edge::forward) upload: Option<Arc<Progress>>,
}

impl Watch {
    /// The end of an exchange that may take `total` from its start.
    pub(in crate::edge::forward) fn end(started: Instant, total: Duration) -> Option<Instant> {
        started.checked_add(total)?.checked_add(TOTAL_GRACE)
    }
}

/// A guard that the sweeper sees while this lives.
#[derive(Debug)]
pub(in crate::edge) struct Registered {
    in_flight: Arc<InFlight>,
    shard: usize,
    index: usize,
    pub(in crate::edge) guard: Arc<RequestGuard>,
}

impl InFlight {
    /// A new guard that is looked after.
    pub(in crate::edge) fn register(self: &Arc<Self>) -> Registered {
        let guard = Arc::<RequestGuard>::default();
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut locked = lock(&self.shards[shard]);
        let index = locked.free.pop().unwrap_or_else(|| {
            locked.guards.push(None);
            locked.guards.len() - 1
        });
        locked.guards[index] = Some(Arc::clone(&guard));
        drop(locked);
        Registered { in_flight: Arc::clone(self), shard, index, guard }
    }

    /// Looks at every exchange once.
    pub(in crate::edge) fn sweep(&self, view: &View<'_>, now: Timestamp, instant: Instant) {
        let stale_for = view.stale_for();
        for (number, shard) in self.shards.iter().enumerate() {
            for (index, guard) in lock(shard).guards.iter().enumerate() {
                let Some(guard) = guard.as_ref().filter(|guard| guard.watched.load(Ordering::Relaxed)) else {
                    continue;
                };
                let is_stale = stale_for.is_some_and(|time| time >= stale_grace(number + index * SHARDS));
                guard.judge(view, now, instant, is_stale);
            }
        }
    }

    /// Ends every exchange, for this reason.
    pub(in crate::edge::forward) fn end_all(&self, reason: Reason) {
        for shard in &self.shards {
            for guard in lock(shard).guards.iter().flatten() {
                let mut state = lock(&guard.state);
                if state.watch.is_some() {
                    guard.end(&mut state, reason);
                }
            }
        }
    }

    /// Has every connection look around: the gateway stops.
    pub(in crate::edge) fn wake_all(&self) {
        for shard in &self.shards {
            for guard in lock(shard).guards.iter().flatten() {
                guard.wake();
            }
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut shard = lock(&self.in_flight.shards[self.shard]);
        shard.guards[self.index] = None;
        shard.free.push(self.index);
    }
}

impl RequestGuard {
    /// From now on an exchange is in flight that ends so.
    pub(in crate::edge::forward) fn watch(&self, watch: Watch) {
        lock(&self.state).watch = Some(watch);
        self.watched.store(true, Ordering::Relaxed);
    }

    /// Why an exchange was ended, perhaps while it came to its own end: the connection takes no other.
    pub(in crate::edge) fn reason(&self) -> Option<Reason> {
        self.ended.get().copied()
    }

    /// Nothing is in flight any more.
    pub(in crate::edge::forward) fn unwatch(&self) {
        if self.watched.load(Ordering::Acquire) {
            let mut state = lock(&self.state);
            state.watch = None;
            self.watched.store(state.takes_until.is_some(), Ordering::Release);
        }
    }

    /// The client has something to take, at the latest then; `None` where it has taken everything.
    pub(in crate::edge::forward) fn takes_until(&self, end: Option<tokio::time::Instant>) {
        let mut state = lock(&self.state);
        state.takes_until = end;
        self.watched.store(end.is_some() || state.watch.is_some(), Ordering::Release);
    }

    /// Has the task that serves the connection look around.
    pub(in crate::edge) fn wake(&self) {
        self.wake_from(&mut lock(&self.state));
    }

    fn wake_from(&self, state: &mut State) {
        self.waits.store(false, Ordering::Relaxed);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn judge(&self, view: &View<'_>, now: Timestamp, instant: Instant, is_stale: bool) {
        let mut state = lock(&self.state);
        if state.takes_until.is_some_and(|end| tokio::time::Instant::now() >= end) {
            return self.end(&mut state, Reason::ClientLeft);
        }
        let Some(watch) = &state.watch else { return };
        let account_status =
            watch.identity.as_deref().map_or(Ok(()), |identity| view.check_account_status(identity, now));
        let late = || watch.upload.as_ref().map_or(Verdict::Fine, |upload| upload.judge(tokio::time::Instant::now()));
        let verdict = match account_status {
            Err(reason) => Err(reason),
            Ok(()) if is_stale && watch.ends_stale => Err(Reason::Stale),
            Ok(()) if !watch.certified.contains(now) => Err(Reason::Expired),
            Ok(()) if watch.ends_at.is_some_and(|end| instant >= end) => Err(Reason::UpstreamTimeout),
            Ok(()) => match late() {
                Verdict::Fine => Ok(()),
                Verdict::CutOff(overdue) => Err(overdue.reason()),
                Verdict::Tell => {
                    self.wake_from(&mut state);
                    Ok(())
                }
            },
        };
        if let Err(reason) = verdict {
            self.end(&mut state, reason);
        }
    }

    fn end(&self, state: &mut State, reason: Reason) {
        state.watch = None;
        // It ends once: the connection goes with it. A thread that sees below that nothing is watched sees this too.
        let _ = self.ended.set(reason);
        self.watched.store(false, Ordering::Release);
        self.wake_from(state);
    }

    /// What comes of `work`, unless the exchange is ended; then the work has been dropped where it stood.
    ///
    /// # Errors
    /// Why it was ended.
    pub(in crate::edge) async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, Reason> {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(reason) = self.poll_ended(context) {
                return Poll::Ready(Err(reason));
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// Waits until the exchange is ended, and says why.
    pub(in crate::edge) async fn ended(&self) -> Reason {
        std::future::poll_fn(|context| self.poll_ended(context)).await
    }

    /// Ready with the reason when the exchange is ended. One task asks, always the same. It is woken also
    /// when there is something to look at, such as a verdict of [`Progress`].
    pub(in crate::edge) fn poll_ended(&self, context: &Context<'_>) -> Poll<Reason> {
        if !self.waits.load(Ordering::Relaxed) {
            let mut state = lock(&self.state);
            state.waker = Some(context.waker().clone());
            self.waits.store(true, Ordering::Relaxed);
        }
        // After the waker is in its place: what ends in between is seen here or wakes.
        self.ended.get().map_or(Poll::Pending, |reason| Poll::Ready(*reason))
    }
}

/// How much longer the exchange of this number may go on than the bound of a stale store: all of them at once would
/// come back at once too.
fn stale_grace(number: usize) -> Duration {
    // A prime number of parts, so that neighbours lie far apart.
    let part = u32::try_from(number * 389 % 997).unwrap_or(0);
    STALE_SPREAD * part / 997
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No lock is held over anything that could leave its data half-written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for InFlight {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), next: AtomicUsize::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch { identity: None, ends_stale: false, certified: Validity::ALWAYS, ends_at: None, upload: None }
    }

    #[test]
    fn indices_are_used_again() {
        let in_flight = Arc::<InFlight>::default();
        for _ in 0..4 * SHARDS {
            drop(in_flight.register());
        }
        let indices = in_flight.shards.iter().map(|shard| lock(shard).guards.len());
        assert_eq!(indices.sum::<usize>(), SHARDS);
    }

    #[tokio::test]
    async fn what_is_over_by_itself_is_not_ended() {
        let guard = RequestGuard::default();
        guard.watch(watch());
        assert_eq!(guard.guard(async { 1 }).await.ok(), Some(1));
        guard.unwatch();
        assert!(!guard.watched.load(Ordering::Relaxed));
        assert!(lock(&guard.state).watch.is_none());
        assert_eq!(guard.reason(), None);
    }

    #[tokio::test]
    async fn work_that_was_ended_while_it_came_to_its_own_end_is_followed_by_none() {
        let guard = RequestGuard::default();
        guard.watch(watch());
        let exchange = async { guard.end(&mut lock(&guard.state), Reason::Expired) };
        assert_eq!(guard.guard(exchange).await.ok(), Some(()));
        assert_eq!(guard.reason(), Some(Reason::Expired));
    }
}
