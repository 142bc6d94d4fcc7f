//! How many may use something at once, a pool of servers or the store: so many that do, so many that wait for one of
//! them to end.
//!
//! A client takes every slot that is free. While requests wait, their clients take turns, and a client that has more
//! than its share of the slots gets none of those that become free.

mod share;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use self::share::Counts;
use crate::{
    aside::aside,
    rules::limit::{ClientKey, FairQueue, Joined, Ticket},
};

pub use self::share::Share;

/// The slots of what is shared. Taking and leaving one is a few atomic steps while there are any free and nobody
/// waits.
#[derive(Debug)]
pub struct RequestSlots {
    taken: AtomicUsize,
    taken_max: AtomicUsize,
    /// As many as stand in the queue, or are about to.
    waiting: AtomicUsize,
    queue: Mutex<FairQueue<oneshot::Sender<RequestSlot>>>,
    share: AtomicU16,
    counts: Counts,
}

/// The right to use it; it ends when this is dropped.
#[derive(Debug)]
pub struct RequestSlot {
    slots: Arc<RequestSlots>,
    client: ClientKey,
}

impl RequestSlots {
    /// So many slots, and a waiting room.
    #[must_use]
    pub fn new(taken_max: usize, waiting_max: usize, share: Share) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            taken_max: AtomicUsize::new(taken_max),
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(FairQueue::new(waiting_max)),
            share: AtomicU16::new(share.0),
            counts: Counts::new(),
        })
    }

    /// Changes how many there are from now on. Those that are taken stay taken, even where there are fewer now.
    pub fn set_limits(self: &Arc<Self>, taken_max: usize, waiting_max: usize, share: Share) {
        self.taken_max.store(taken_max, Ordering::SeqCst);
        self.share.store(share.0, Ordering::Relaxed);
        self.queue().set_items_max(waiting_max);
        self.hand_out();
    }

    fn share(&self) -> Share {
        Share(self.share.load(Ordering::Relaxed))
    }

    /// A slot for `client`, when one is free within `patience`; `None` at once where too many wait already.
    pub async fn take(self: &Arc<Self>, client: ClientKey, patience: Duration) -> Option<RequestSlot> {
        // Clients that are not told apart have one turn.
        let client = if self.share().is_all() { ClientKey::OPERATOR } else { client };
        // A later client goes behind those that wait.
        if self.waiting.load(Ordering::SeqCst) == 0 && self.reserve() {
            return Some(self.slot(client));
        }
        aside(|| self.wait(client, patience)).await
    }

    async fn wait(self: &Arc<Self>, client: ClientKey, patience: Duration) -> Option<RequestSlot> {
        let (give, given) = oneshot::channel();
        let _waiting = Waiting::join(self, client, give)?;
        // A slot may have become free before this waited.
        self.hand_out();
        timeout(patience, given).await.ok()?.ok()
    }

    /// Places that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Makes one slot taken, if there is one.
    fn reserve(&self) -> bool {
        // In one order with `waiting`: the request that leaves sees the one that waits, or that one sees the slot.
        let taken_max = self.taken_max.load(Ordering::SeqCst);
        let more = |taken: usize| (taken < taken_max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    fn slot(self: &Arc<Self>, client: ClientKey) -> RequestSlot {
        self.counts.add(client);
        RequestSlot { slots: Arc::clone(self), client }
    }

    /// Gives free slots to requests that wait.
    fn hand_out(self: &Arc<Self>) {
        while let Some((client, give)) = self.next() {
            // One that has just gone leaves its slot to the next.
            drop(give.send(self.slot(client)));
        }
    }

    /// The client that gets a free slot; it is taken then.
    fn next(&self) -> Option<(ClientKey, oneshot::Sender<RequestSlot>)> {
        let mut queue = self.queue();
        if queue.is_empty() || !self.reserve() {
            return None;
        }
        let share = self.share();
        let most = share.part_of(self.taken_max.load(Ordering::SeqCst));
        let below = |client: ClientKey| self.counts.of(client) < most;
        let next = if share.is_all() { queue.pop_client(|_| true) } else { queue.pop_client(below) };
        // Where all waiting clients have more than their share, they wait for nobody else.
        next.or_else(|| queue.pop_client(|_| true))
    }

    fn queue(&self) -> MutexGuard<'_, FairQueue<oneshot::Sender<RequestSlot>>> {
        // Nothing under the lock leaves the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        let slots = &self.slots;
        slots.counts.take(self.client);
        slots.taken.fetch_sub(1, Ordering::SeqCst);
        if slots.waiting.load(Ordering::SeqCst) > 0 {
            slots.hand_out();
        }
    }
}

/// A request that waits, counted.
struct Waiting<'p> {
    slots: &'p Arc<RequestSlots>,
    ticket: Option<Ticket>,
}

impl<'p> Waiting<'p> {
    fn join(slots: &'p Arc<RequestSlots>, client: ClientKey, give: oneshot::Sender<RequestSlot>) -> Option<Self> {
        slots.waiting.fetch_add(1, Ordering::SeqCst);
        let mut waiting = Self { slots, ticket: None };
        let joined = slots.queue().push(client, give, 0);
        // A displaced client is told by losing what it waits for, outside of the lock.
        let Joined { ticket, displaced } = joined.ok()?;
        drop(displaced);
        waiting.ticket = Some(ticket);
        Some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.ticket.take().and_then(|ticket| self.slots.queue().remove(&ticket));
        drop(left);
        self.slots.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const ONE: ClientKey = ClientKey::OPERATOR;

    fn client(last: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, last].into())
    }

    #[tokio::test(start_paused = true)]
    async fn other_limits_hold_from_now_on_for_what_is_taken_too() {
        let slots = RequestSlots::new(1, 1, Share::ALL);
        let first = slots.take(ONE, LONG).await.unwrap();
        let mut waits = Box::pin(slots.take(ONE, LONG));
        assert!(futures_util::poll!(&mut waits).is_pending());
        slots.set_limits(2, 0, Share::HALF);
        let second = waits.await.expect("there is room for it now");
        assert!(slots.take(ONE, LONG).await.is_none(), "nobody may wait any more");
        slots.set_limits(1, 1, Share::HALF);
        drop(first);
        let mut waits = Box::pin(slots.take(ONE, LONG));
        assert!(futures_util::poll!(&mut waits).is_pending(), "one is taken, and there is one");
        drop(second);
        assert!(waits.await.is_some());
        assert_eq!((slots.taken(), slots.counts.of(ONE)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_waits_for_one_and_who_finds_too_many_waiting_goes() {
        let slots = RequestSlots::new(1, 1, Share::HALF);
        let first = slots.take(ONE, LONG).await.unwrap();
        let (waits, too_many) = tokio::join!(slots.take(ONE, Duration::from_secs(1)), slots.take(ONE, LONG));
        assert!(waits.is_none() && too_many.is_none());
        let leaves = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (waited, ()) = tokio::join!(slots.take(ONE, LONG), leaves);
        assert_eq!((waited.is_some(), slots.taken()), (true, 1));
        drop(waited);
        assert_eq!((slots.taken(), slots.waiting.load(Ordering::SeqCst)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_takes_nothing_away() {
        let slots = RequestSlots::new(1, 2, Share::HALF);
        let first = slots.take(ONE, LONG).await.unwrap();
        {
            let mut gives_up = std::pin::pin!(slots.take(ONE, LONG));
            assert!(futures_util::poll!(&mut gives_up).is_pending());
            // It is given the slot, and goes before it knows.
            drop(first);
        }
        assert_eq!(slots.taken(), 0);
        assert!(slots.take(ONE, LONG).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_alone_has_every_place_and_while_another_waits_no_more_than_its_share() {
        let slots = RequestSlots::new(4, 8, Share::HALF);
        let mut held = vec![];
        for _ in 0..4 {
            held.push(slots.take(client(1), LONG).await.unwrap());
        }
        let mut flood: Vec<_> = (0..8).map(|_| Box::pin(slots.take(client(1), LONG))).collect();
        for waits in &mut flood {
            assert!(futures_util::poll!(waits).is_pending());
        }
        // Another makes its way past all of them, though the queue was full.
        let mut others: Vec<_> = (0..2).map(|_| Box::pin(slots.take(client(2), LONG))).collect();
        for waits in &mut others {
            assert!(futures_util::poll!(waits).is_pending());
        }
        drop((held.pop(), held.pop()));
        for waits in others {
            held.push(waits.await.expect("each slot that became free"));
        }
        // Nobody else waits: all of the pool is the first one's again.
        held.clear();
        let mut served = vec![];
        for waits in flood {
            served.extend(waits.await);
            if served.len() == 4 {
                break;
            }
        }
        assert_eq!((served.len(), slots.taken()), (4, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn without_shares_clients_are_not_told_apart() {
        let slots = RequestSlots::new(1, 2, Share::ALL);
        let first = slots.take(client(1), LONG).await.unwrap();
        let mut waits = [1, 2].map(|who| Box::pin(slots.take(client(who), LONG)));
        for waits in &mut waits {
            assert!(futures_util::poll!(waits).is_pending());
        }
        drop(first);
        let [one, mut other] = waits;
        assert!(futures_util::poll!(&mut other).is_pending());
        assert!(one.await.is_some());
        assert!(other.await.is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_place_is_lost_or_made_up_among_many() {
        for share in [Share::ALL, Share::HALF] {
            let slots = RequestSlots::new(3, 1000, share);
            let users = (0..64_u8).map(|user| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move {
                    for _ in 0..200 {
                        // Some give up at once, perhaps with a slot in their hands.
                        let patience = if user % 4 == 0 { Duration::ZERO } else { LONG };
                        let slot = slots.take(client(user % 8), patience).await;
                        assert!(slot.is_some() || patience.is_zero(), "a slot within a minute");
                        assert!(slots.taken() <= 3);
                        tokio::task::yield_now().await;
                    }
                })
            });
            for user in users.collect::<Vec<_>>() {
                user.await.unwrap();
            }
            assert_eq!((slots.taken(), slots.waiting.load(Ordering::SeqCst), slots.queue().len()), (0, 0, 0));
        }
    }
}
