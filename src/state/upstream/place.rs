//! How many requests a pool takes at once: so many in flight, so many that wait for one of them to end.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

/// The places of a pool. Taking and leaving one is an atomic step each while there are any free.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicUsize,
    taken_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
    left: Notify,
}

/// The right to have a request in flight; it ends when this is dropped.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Places {
    pub(super) fn new(taken_max: usize, waiting_max: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            taken_max,
            waiting: AtomicUsize::new(0),
            waiting_max,
            left: Notify::new(),
        })
    }

    /// A place, when one is free within `patience`; `None` at once where too many wait already.
    pub(super) async fn take(self: &Arc<Self>, patience: Duration) -> Option<Place> {
        if let Some(place) = self.try_take() {
            return Some(place);
        }
        let _waiting = Waiting::enter(self)?;
        timeout(patience, self.wait()).await.ok()
    }

    /// Requests in flight.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    async fn wait(self: &Arc<Self>) -> Place {
        loop {
            // Listens before it looks, so that no place is left in between unseen.
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if let Some(place) = self.try_take() {
                return place;
            }
            left.await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        // In one order with `waiting`: who leaves sees who waits, or who waits sees the place.
        let more = |taken: usize| (taken < self.taken_max).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.left.notify_one();
        }
    }
}

/// Somebody who waits, counted.
struct Waiting<'p>(&'p Places);

impl<'p> Waiting<'p> {
    fn enter(places: &'p Places) -> Option<Self> {
        let more = |waiting: usize| (waiting < places.waiting_max).then_some(waiting + 1);
        let entered = places.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        entered.ok().map(|_| Self(places))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_waits_for_one_and_who_finds_too_many_waiting_goes() {
        let places = Places::new(1, 1);
        let first = places.take(LONG).await.unwrap();
        let (waits, too_many) = tokio::join!(places.take(Duration::from_secs(1)), places.take(LONG));
        assert!(waits.is_none() && too_many.is_none());
        let leaves = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (waited, ()) = tokio::join!(places.take(LONG), leaves);
        assert_eq!((waited.is_some(), places.taken()), (true, 1));
        drop(waited);
        assert_eq!((places.taken(), places.waiting.load(Ordering::SeqCst)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_takes_nothing_away() {
        let places = Places::new(1, 2);
        let first = places.take(LONG).await.unwrap();
        {
            let mut gives_up = std::pin::pin!(places.take(LONG));
            assert!(futures_util::poll!(&mut gives_up).is_pending());
        }
        drop(first);
        assert!(places.take(LONG).await.is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_place_is_lost_or_made_up_among_many() {
        let places = Places::new(3, 1000);
        let users = (0..64).map(|_| {
            let places = Arc::clone(&places);
            tokio::spawn(async move {
                for _ in 0..200 {
                    let _place = places.take(LONG).await.expect("a place within a minute");
                    assert!(places.taken() <= 3);
                    tokio::task::yield_now().await;
                }
            })
        });
        for user in users.collect::<Vec<_>>() {
            user.await.unwrap();
        }
        assert_eq!(places.taken(), 0);
    }
}
