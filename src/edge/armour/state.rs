//! What the armour of an HTTP/1 connection and those who serve its requests tell one another.

use std::{
    fmt::Debug,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::BytesMut;
use tokio::time::Instant;

/// Bytes of informational responses that wait to be sent. More are dropped: they are hints.
const INFORMATIONAL_BYTES_MAX: usize = 16 << 10;

/// A response that was handed on to be sent, and is over once it has gone out. Where the connection ends before that,
/// it is dropped.
pub(in crate::edge) trait HandedOn: Debug + Send {
    /// All of it has gone out. Says whether it had to wait for its client.
    fn has_gone_out(self: Box<Self>, waited: bool);
}

/// The state of one HTTP/1 connection.
#[derive(Debug, Default)]
pub(in crate::edge) struct Http1State {
    /// Requests whose head was handed on, less those whose response is over.
    in_flight: AtomicUsize,
    /// When the last response ended.
    ended: Mutex<Option<Instant>>,
    /// The task that reads on when it has.
    waiting: Mutex<Option<Waker>>,
    is_waited_for: AtomicBool,
    /// Whether an end before its time must be a reset: the response has no other end than the connection's.
    ends_with_connection: AtomicBool,
    has_informational: AtomicBool,
    informational: Mutex<BytesMut>,
    /// Whether there is a response in `handed_on`.
    is_handed_on: AtomicBool,
    handed_on: Mutex<Option<Box<dyn HandedOn>>>,
    /// Whether nothing happened for so long that what serves requests may be put away until one comes.
    rests: AtomicBool,
}

impl Http1State {
    /// A head is handed on.
    pub(super) fn request_begins(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.rests.store(false, Ordering::Relaxed);
    }

    /// Nothing happened for a while.
    pub(super) fn rest(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    /// Whether the connection rests; it is told once.
    pub(in crate::edge) fn take_rest(&self) -> bool {
        self.rests.load(Ordering::Relaxed) && self.rests.swap(false, Ordering::Relaxed)
    }

    /// A response is over `now`.
    pub(in crate::edge) fn response_ends(&self, now: Instant) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        *lock(&self.ended) = Some(now);
        if self.is_waited_for.swap(false, Ordering::Relaxed)
            && let Some(waker) = lock(&self.waiting).take()
        {
            waker.wake();
        }
    }

    /// A response was handed on, and goes out next.
    pub(in crate::edge) fn hand_on(&self, response: Box<dyn HandedOn>) {
        *lock(&self.handed_on) = Some(response);
        self.is_handed_on.store(true, Ordering::Relaxed);
    }

    /// What was handed on has gone out; `waited` says whether it had to wait. Until then no other request begins.
    pub(super) fn goes_out(&self, waited: bool) {
        if let Some(response) = self.take_handed_on() {
            response.has_gone_out(waited);
        }
    }

    /// The connection has ended: what has not gone out never will.
    pub(in crate::edge) fn end(&self) {
        drop(self.take_handed_on());
    }

    fn take_handed_on(&self) -> Option<Box<dyn HandedOn>> {
        if !self.is_handed_on.load(Ordering::Relaxed) {
            return None;
        }
        self.is_handed_on.store(false, Ordering::Relaxed);
        lock(&self.handed_on).take()
    }

    /// When the last response ended; `None` before the first.
    pub(super) fn response_ended(&self) -> Option<Instant> {
        *lock(&self.ended)
    }

    /// Pending until the response that is on its way has ended.
    pub(super) fn poll_answered(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_answering() {
            return Poll::Ready(());
        }
        *lock(&self.waiting) = Some(cx.waker().clone());
        self.is_waited_for.store(true, Ordering::Relaxed);
        Poll::Pending
    }

    /// Whether a response is still to come.
    pub(super) fn is_answering(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// A response begins whose body ends with the connection, or does not.
    pub(in crate::edge) fn set_ends_with_connection(&self, ends: bool) {
        self.ends_with_connection.store(ends, Ordering::Relaxed);
    }

    /// Whether a response that is cut off now would look whole.
    pub(in crate::edge) fn ends_with_connection(&self) -> bool {
        self.ends_with_connection.load(Ordering::Relaxed)
    }

    /// Leaves an informational response to be sent before the final one.
    pub(in crate::edge) fn inform(&self, head: &[u8]) {
        let mut informational = lock(&self.informational);
        if informational.len() + head.len() <= INFORMATIONAL_BYTES_MAX {
            informational.extend_from_slice(head);
            self.has_informational.store(true, Ordering::Relaxed);
        }
    }

    /// Takes what is to be sent; nothing in almost every case.
    pub(super) fn take_informational(&self) -> Option<BytesMut> {
        if !self.has_informational.load(Ordering::Relaxed) {
            return None;
        }
        self.has_informational.store(false, Ordering::Relaxed);
        let mut informational = lock(&self.informational);
        Some(std::mem::take(&mut *informational))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No lock is held over anything that could leave its data half-written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
