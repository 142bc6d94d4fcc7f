//! The slots that the admin listener has. Idle connections hold none that somebody else needs: the one that was idle
//! for longest makes way. Requests to the API leave slots for health and metrics.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Connections in all; operators are few.
const CONNECTIONS_MAX: usize = 128;

/// Requests to the API in work at once: fewer than connections, so that health and metrics always find a slot.
pub(super) const API_REQUESTS_MAX: usize = 64;

/// The connections that are open.
#[derive(Debug, Default)]
pub(super) struct AdminSlots {
    visitors: Mutex<Vec<Arc<Visitor>>>,
    /// Counts what happens, so that the latest of two is known without a clock.
    events: AtomicU64,
}

/// One connection.
#[derive(Debug, Default)]
struct Visitor {
    /// Its requests that are in work.
    requests: AtomicUsize,
    /// The number of what happened last on it.
    latest: AtomicU64,
    leaves: Notify,
}

/// A connection's slot, until it is dropped.
#[derive(Debug)]
pub(super) struct AdminSlot {
    slots: Arc<AdminSlots>,
    visitor: Arc<Visitor>,
}

/// A request in work, until it is dropped.
#[derive(Debug)]
pub(super) struct InWork {
    slots: Arc<AdminSlots>,
    visitor: Arc<Visitor>,
}

impl AdminSlots {
    /// A slot, and a guard: until that is dropped, the slot is not taken away, so that a request that comes with its
    /// connection is served however many others come. Where all slots are taken, the connection that is idle for
    /// longest is closed; `None` where none is idle.
    pub(super) fn enter(self: &Arc<Self>) -> Option<(AdminSlot, InWork)> {
        let visitor = Arc::new(Visitor::default());
        self.touch(&visitor);
        let mut visitors = self.lock();
        if visitors.len() >= CONNECTIONS_MAX {
            let idle = visitors.iter().enumerate().filter(|(_, other)| other.requests.load(Ordering::Acquire) == 0);
            let (oldest, _) = idle.min_by_key(|(_, other)| other.latest.load(Ordering::Acquire))?;
            visitors.swap_remove(oldest).leaves.notify_one();
        }
        let slot = AdminSlot { slots: Arc::clone(self), visitor: Arc::clone(&visitor) };
        let first_look = slot.begin();
        visitors.push(visitor);
        drop(visitors);
        Some((slot, first_look))
    }

    fn touch(&self, visitor: &Visitor) {
        visitor.latest.store(self.events.fetch_add(1, Ordering::Relaxed), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Visitor>>> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AdminSlot {
    /// Ends when the slot is needed for another connection.
    pub(super) async fn taken_away(&self) {
        self.visitor.leaves.notified().await;
    }

    /// Notes a request: while it is in work, the slot is not taken away.
    pub(super) fn begin(&self) -> InWork {
        self.visitor.requests.fetch_add(1, Ordering::AcqRel);
        self.slots.touch(&self.visitor);
        InWork { slots: Arc::clone(&self.slots), visitor: Arc::clone(&self.visitor) }
    }
}

impl Drop for AdminSlot {
    fn drop(&mut self) {
        self.slots.lock().retain(|visitor| !Arc::ptr_eq(visitor, &self.visitor));
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.slots.touch(&self.visitor);
        self.visitor.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Context};

    use super::*;

    fn is_taken_away(slot: &AdminSlot) -> bool {
        pin!(slot.taken_away()).as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    /// A slot after its first look.
    fn idle(slots: &Arc<AdminSlots>) -> AdminSlot {
        slots.enter().unwrap().0
    }

    #[test]
    fn who_was_not_looked_at_yet_is_not_sent_away() {
        let slots = Arc::new(AdminSlots::default());
        let mut taken: Vec<_> = (0..CONNECTIONS_MAX).map(|_| slots.enter().unwrap()).collect();
        assert!(slots.enter().is_none(), "each may have sent its request already");
        let (slot, first_look) = taken.pop().unwrap();
        drop(first_look);
        assert!(slots.enter().is_some() && is_taken_away(&slot));
    }

    #[test]
    fn the_one_that_is_idle_for_longest_makes_way() {
        let slots = Arc::new(AdminSlots::default());
        let taken: Vec<_> = (0..CONNECTIONS_MAX).map(|_| idle(&slots)).collect();
        let in_work = taken[0].begin();
        drop(taken[1].begin());
        let newcomer = idle(&slots);
        let left: Vec<_> = (0..taken.len()).filter(|&at| is_taken_away(&taken[at])).collect();
        assert_eq!(left, [2], "the first works, the second did a moment ago");
        drop((in_work, newcomer));
        drop(taken);
        assert!(slots.lock().is_empty());
    }

    #[test]
    fn where_everybody_works_nobody_is_sent_away() {
        let slots = Arc::new(AdminSlots::default());
        let taken: Vec<_> = (0..CONNECTIONS_MAX).map(|_| idle(&slots)).collect();
        let mut working: Vec<_> = taken.iter().map(AdminSlot::begin).collect();
        assert!(slots.enter().is_none());
        working.pop();
        assert!(slots.enter().is_some());
    }
}
