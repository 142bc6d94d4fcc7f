//! What is in flight ends when its token does: a sweeper looks at every exchange that was let through
//! and ends those whose token expired or was revoked, those whose client's certificate is over, and
//! those that had all of their time. It does not matter whether bytes move.
//!
//! A connection (a stream, where one carries many) has one [`Lifeline`] for all of its exchanges. An
//! exchange that nobody ends pays for it with two uncontended locks and no allocation.

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
    edge::listen::tls::Validity,
    state::token::Verified,
};

/// Between two looks at everything in flight: a revocation must hold within a second.
pub(in crate::edge) const SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// How much longer than its total time an exchange may take: who watches its bytes comes first, because he can
/// still answer.
const TOTAL_GRACE: Duration = Duration::from_secs(1);

/// Locks that connections are spread over.
const SHARDS: usize = 16;

/// Every lifeline; `L` is what an exchange leaves behind.
#[derive(Debug)]
pub(in crate::edge) struct Lifelines<L> {
    shards: [Mutex<Shard<L>>; SHARDS],
    next: AtomicUsize,
}

/// Lifelines and the places between them that are free again; as many as connections at most.
#[derive(Debug)]
struct Shard<L> {
    places: Vec<Option<Arc<Lifeline<L>>>>,
    free: Vec<usize>,
}

/// What ends the exchanges of a connection, one after the other.
#[derive(Debug)]
pub(in crate::edge) struct Lifeline<L> {
    /// Whether there is anything to look at: all that an idle connection costs the sweeper.
    watched: AtomicBool,
    ended: OnceLock<Reason>,
    state: Mutex<State<L>>,
}

#[derive(Debug)]
struct State<L> {
    watch: Option<Watch>,
    waker: Option<Waker>,
    /// What an exchange left that was dropped before it was counted and logged.
    left: Option<Box<L>>,
}

#[derive(Debug)]
struct Watch {
    identity: Option<Arc<Verified>>,
    certified: Validity,
    ends_at: Option<Instant>,
}

/// A lifeline that the sweeper sees while this lives.
#[derive(Debug)]
pub(in crate::edge) struct Registered<'l, L> {
    lifelines: &'l Lifelines<L>,
    shard: usize,
    place: usize,
    pub(in crate::edge) lifeline: Arc<Lifeline<L>>,
}

impl<L> Lifelines<L> {
    /// A new lifeline that is looked after.
    pub(in crate::edge) fn register(&self) -> Registered<'_, L> {
        let lifeline = Arc::new(Lifeline::default());
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut lines = lock(&self.shards[shard]);
        let place = lines.free.pop().unwrap_or_else(|| {
            lines.places.push(None);
            lines.places.len() - 1
        });
        lines.places[place] = Some(Arc::clone(&lifeline));
        Registered { lifelines: self, shard, place, lifeline }
    }

    /// Looks at every exchange once.
    pub(in crate::edge) fn sweep(&self, view: &View<'_>, now: Timestamp, instant: Instant) {
        for shard in &self.shards {
            for lifeline in lock(shard).places.iter().flatten() {
                if lifeline.watched.load(Ordering::Relaxed) {
                    lifeline.judge(view, now, instant);
                }
            }
        }
    }
}

impl<L> Drop for Registered<'_, L> {
    fn drop(&mut self) {
        let mut lines = lock(&self.lifelines.shards[self.shard]);
        lines.places[self.place] = None;
        lines.free.push(self.place);
    }
}

impl<L> Lifeline<L> {
    /// From now on an exchange is in flight that ends with `identity`'s token, outside of the time in which its client is
    /// `certified`, or `total` after it `started`.
    pub(in crate::edge) fn watch(
        &self,
        identity: Option<&Arc<Verified>>,
        certified: Validity,
        started: Instant,
        total: Option<Duration>,
    ) {
        let ends_at = total.and_then(|total| started.checked_add(total)?.checked_add(TOTAL_GRACE));
        let watch = Watch { identity: identity.cloned(), certified, ends_at };
        lock(&self.state).watch = Some(watch);
        self.watched.store(true, Ordering::Relaxed);
    }

    /// Whether an exchange was ended, perhaps while it came to its own end: the connection takes no other.
    pub(in crate::edge) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Nothing is in flight any more.
    fn rest(&self) {
        if self.watched.swap(false, Ordering::Acquire) {
            lock(&self.state).watch = None;
        }
    }

    fn judge(&self, view: &View<'_>, now: Timestamp, instant: Instant) {
        let mut state = lock(&self.state);
        let Some(watch) = &state.watch else { return };
        let standing = watch.identity.as_deref().map_or(Ok(()), |identity| view.check_standing(identity, now));
        let verdict = match standing {
            Ok(()) if !watch.certified.contains(now) => Err(Reason::Expired),
            Ok(()) if watch.ends_at.is_some_and(|end| instant >= end) => Err(Reason::UpstreamTimeout),
            verdict => verdict,
        };
        if let Err(reason) = verdict {
            self.end(&mut state, reason);
        }
    }

    fn end(&self, state: &mut State<L>, reason: Reason) {
        state.watch = None;
        // It ends once: the connection goes with it. Who sees below that nothing is watched sees this too.
        let _ = self.ended.set(reason);
        self.watched.store(false, Ordering::Release);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Serves an exchange until it is over or was ended; then it has been dropped where it stood.
    ///
    /// # Errors
    /// Why it was ended.
    pub(in crate::edge) async fn guard<T>(&self, exchange: impl Future<Output = T>) -> Result<T, Reason> {
        let mut exchange = pin!(exchange);
        let mut registered = None;
        let outcome = std::future::poll_fn(|context| {
            if let Some(reason) = self.ended.get() {
                return Poll::Ready(Err(*reason));
            }
            match exchange.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Ok(done)),
                Poll::Pending => self.poll_ended(context, &mut registered).map(Err),
            }
        });
        let outcome = outcome.await;
        self.rest();
        outcome
    }

    /// Waits until the exchange is ended, and says why.
    pub(in crate::edge) async fn ended(&self) -> Reason {
        let mut registered = None;
        std::future::poll_fn(|context| self.poll_ended(context, &mut registered)).await
    }

    /// `registered` is the waker that was left here last: a task keeps its own.
    fn poll_ended(&self, context: &Context<'_>, registered: &mut Option<Waker>) -> Poll<Reason> {
        if !registered.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *registered = Some(context.waker().clone());
            lock(&self.state).waker.clone_from(registered);
        }
        // After the waker is in its place: what ends in between is seen here or wakes.
        self.ended.get().map_or(Poll::Pending, |reason| Poll::Ready(*reason))
    }

    /// Leaves an exchange that was dropped before it was counted and logged.
    pub(in crate::edge) fn leave(&self, exchange: Box<L>) {
        lock(&self.state).left = Some(exchange);
    }

    /// Takes what was left.
    pub(in crate::edge) fn take_left(&self) -> Option<Box<L>> {
        lock(&self.state).left.take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No lock is held over anything that could leave its data half-written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<L> Default for Lifelines<L> {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::new(Shard { places: vec![], free: vec![] }));
        Self { shards, next: AtomicUsize::new(0) }
    }
}

impl<L> Default for Lifeline<L> {
    fn default() -> Self {
        let state = Mutex::new(State { watch: None, waker: None, left: None });
        Self { watched: AtomicBool::new(false), ended: OnceLock::new(), state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let lifelines = Lifelines::<()>::default();
        for _ in 0..4 * SHARDS {
            drop(lifelines.register());
        }
        let places = lifelines.shards.iter().map(|shard| lock(shard).places.len());
        assert_eq!(places.sum::<usize>(), SHARDS);
    }

    #[tokio::test]
    async fn what_is_over_by_itself_is_not_ended() {
        let lifeline = Lifeline::<()>::default();
        lifeline.watch(None, Validity::ALWAYS, tokio::time::Instant::now().into_std(), None);
        assert_eq!(lifeline.guard(async { 1 }).await.ok(), Some(1));
        assert!(!lifeline.watched.load(Ordering::Relaxed));
        assert!(lock(&lifeline.state).watch.is_none());
        assert!(!lifeline.has_ended());
    }

    #[tokio::test]
    async fn who_was_ended_while_he_came_to_his_own_end_takes_nothing_more() {
        let lifeline = Lifeline::<()>::default();
        lifeline.watch(None, Validity::ALWAYS, tokio::time::Instant::now().into_std(), None);
        let exchange = async { lifeline.end(&mut lock(&lifeline.state), Reason::Expired) };
        assert_eq!(lifeline.guard(exchange).await.ok(), Some(()));
        assert!(lifeline.has_ended());
    }
}
