//! Which side is waited for in an exchange with a request body, and until when.
//!
//! The body and the response tell what happens; the sweeper over everything in flight looks whether somebody's time is
//! over. The task that still waits for the response's head hears of it, and answers. Where none does, the exchange is
//! cut off.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::error::BodyError;
use crate::{
    domain::Reason,
    upstream::{Held, Received},
};

/// How long a verdict may stay unheard before the exchange is cut off without a response.
const UNHEARD: Duration = Duration::from_secs(1);

/// How long the two sides of an exchange are waited for.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge::forward) struct Waits {
    /// For the next bytes of the body.
    pub(in crate::edge::forward) body_timeout: Duration,
    /// Bytes a second that a body has at least, once `rate_grace` is used up; 0 for no minimum.
    pub(in crate::edge::forward) rate_min: u64,
    /// How long the client is waited for in all before `rate_min` matters.
    pub(in crate::edge::forward) rate_grace: Duration,
    /// How long the client is waited for in all.
    pub(in crate::edge::forward) body_total: Duration,
    /// For the next bytes of the server, once it has the whole request.
    pub(in crate::edge::forward) read: Duration,
    /// For the server to take the next bytes of the body.
    pub(in crate::edge::forward) write: Duration,
    /// When the exchange has had all of its time.
    pub(in crate::edge::forward) ends_at: Instant,
    /// Whether the client said how long its body is. One that did not may be half of a stream both ways.
    pub(in crate::edge::forward) declared: bool,
}

/// Whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge::forward) enum Overdue {
    /// The client owes bytes of its body.
    Client,
    /// The server has the whole request and is silent.
    Server,
    /// The exchange has had all of its time, which says nothing about the server.
    Exchange,
}

impl Overdue {
    /// The reason to answer with.
    pub(in crate::edge::forward) const fn reason(self) -> Reason {
        match self {
            Self::Client => Reason::RequestTimeout,
            Self::Server | Self::Exchange => Reason::UpstreamTimeout,
        }
    }
}

/// How far an exchange with a body has come.
#[derive(Debug, Default)]
pub(in crate::edge::forward) struct Progress(Mutex<State>);

/// What [`Progress`] knows; pure.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each notes one thing that happened, and they happen in any order")]
struct State {
    /// `None` until a server was handed the request: before that nobody is waited for here.
    waits: Option<Waits>,
    /// Keeps others from a trial of the server.
    trial: Option<Held>,
    /// When the client's next bytes began to be waited for; `None` while they are not.
    asked: Option<Instant>,
    /// How long the client was waited for before `asked`.
    waited: Duration,
    /// Bytes of the body that came.
    bytes: u64,
    /// When the server was sent something, or sent something, or the client made room for more of it.
    moved: Option<Instant>,
    /// When the client stopped taking its response; `None` while it takes it.
    held_up: Option<Instant>,
    /// How long it held the response up before that.
    held: Duration,
    /// All of the body came.
    whole: bool,
    /// The final response began.
    answering: bool,
    /// All of the response came.
    answered: bool,
    /// Whose time was over, and since when.
    overdue: Option<(Overdue, Instant)>,
    /// Counts the bytes of the server, and how many were there at the last look.
    received: Option<(Received, u64)>,
    /// Whether some of the body was passed on.
    begun: bool,
    /// Whether that was heard.
    heard: bool,
    /// What went wrong with the body on the client's side.
    error: Option<BodyError>,
    /// Nobody takes the rest of the body any more.
    cancelled: bool,
    /// The task that waits for the next bytes of the body.
    waker: Option<Waker>,
    /// The task that waits for the server to take more of it, and for the next bytes.
    pipe: Option<Waker>,
}

/// What follows from the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge::forward) enum Verdict {
    /// Nothing.
    Fine,
    /// Somebody's time is over: the task that serves the exchange can say so.
    Tell,
    /// Nobody said so: the exchange is cut off.
    CutOff(Overdue),
}

impl State {
    /// Until when the exchange waits, and for which side.
    fn deadline(&self) -> Option<(Instant, Overdue)> {
        let waits = self.waits?;
        let over = (waits.ends_at, if self.whole { Overdue::Exchange } else { Overdue::Client });
        Some(self.wait(&waits).filter(|(end, _)| *end <= over.0).unwrap_or(over))
    }

    fn wait(&self, waits: &Waits) -> Option<(Instant, Overdue)> {
        if self.whole {
            let silent = !self.answered && self.held_up.is_none();
            return self.moved.filter(|_| silent).map(|moved| (moved + waits.read, Overdue::Server));
        }
        if self.answering && !self.answered && !waits.declared {
            // A stream both ways, on which either side may be silent: its token and its total time end it.
            return None;
        }
        let paced = self
            .bytes
            .checked_div(waits.rate_min)
            .map(|seconds| waits.rate_grace.saturating_add(Duration::from_secs(seconds)).saturating_sub(self.waited));
        let left = waits.body_total.saturating_sub(self.waited).min(waits.body_timeout);
        let Some(asked) = self.asked else {
            // A server that takes nothing keeps us from asking the client.
            return self.moved.filter(|_| self.begun).map(|moved| (moved + waits.write, Overdue::Server));
        };
        Some((asked + paced.map_or(left, |paced| paced.min(left)), Overdue::Client))
    }

    fn note_received(&mut self, now: Instant) {
        self.moved = Some(now);
        if let Some((received, seen)) = &mut self.received {
            *seen = received.bytes();
        }
    }

    fn note_asked(&mut self, now: Instant) {
        if !self.whole && self.waits.is_some() {
            self.asked.get_or_insert(now);
            // Nothing can be heard of the server before the client sends something: another request may ask.
            self.trial = None;
        }
    }

    fn judge(&mut self, now: Instant) -> Verdict {
        if self.heard {
            return Verdict::Fine;
        }
        if self.received.as_ref().is_some_and(|(received, seen)| received.bytes() != *seen) {
            self.note_received(now);
        }
        if self.overdue.is_none() {
            let over = self.deadline().filter(|(end, _)| now >= *end);
            self.overdue = over.map(|(_, overdue)| (overdue, now));
            if over.is_some() && !self.answering {
                return Verdict::Tell;
            }
        }
        match self.overdue {
            // A response that has begun cannot say it.
            Some((overdue, since)) if self.answering || now >= since + UNHEARD => Verdict::CutOff(overdue),
            _ => Verdict::Fine,
        }
    }
}

impl Progress {
    /// A server is handed the request; on another attempt, another one.
    pub(in crate::edge::forward) fn begin(&self, now: Instant, waits: Waits, held: Option<Held>) {
        let mut state = self.lock();
        state.waits = Some(waits);
        state.moved = Some(now);
        state.trial = held;
        // What was found of the attempt before, and not heard, says nothing about this one.
        state.overdue = None;
    }

    /// The attempt came to nothing: until the next one begins nobody is waited for here.
    pub(in crate::edge::forward) fn attempt_failed(&self) {
        self.lock().waits = None;
    }

    /// The client is waited for.
    pub(in crate::edge::forward) fn asked(&self, now: Instant, cx: &Context<'_>) {
        let mut state = self.lock();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        state.note_asked(now);
    }

    /// The client sent this many bytes. Gives how many there were in all.
    pub(in crate::edge::forward) fn came(&self, now: Instant, bytes: usize) -> u64 {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_add(bytes as u64);
        if let Some(asked) = state.asked.take() {
            state.waited = state.waited.saturating_add(now.saturating_duration_since(asked));
        }
        state.bytes
    }

    /// The server's bytes are counted there: each of them moves the exchange on.
    pub(in crate::edge::forward) fn follow(&self, received: Received) {
        let seen = received.bytes();
        self.lock().received = Some((received, seen));
    }

    /// A piece of the body is passed on; `end` where it is the last.
    pub(in crate::edge::forward) fn passed_on(&self, now: Instant, end: bool) {
        let mut state = self.lock();
        (state.moved, state.begun) = (Some(now), true);
        if end {
            (state.whole, state.asked) = (true, None);
        }
    }

    /// The server sent something.
    pub(in crate::edge::forward) fn received(&self, now: Instant) {
        self.lock().note_received(now);
    }

    /// The server sent the head of its final response.
    pub(in crate::edge::forward) fn answering(&self, now: Instant) {
        let mut state = self.lock();
        state.note_received(now);
        state.answering = true;
        // It came in time after all: nobody has heard otherwise.
        state.overdue = None;
    }

    /// The server sent all of its response.
    pub(in crate::edge::forward) fn answered(&self) {
        self.lock().answered = true;
    }

    /// Whether the client takes its response.
    pub(in crate::edge::forward) fn takes(&self, now: Instant, takes: bool) {
        let mut state = self.lock();
        if !takes {
            state.held_up.get_or_insert(now);
        } else if let Some(since) = state.held_up.take() {
            state.held = state.held.saturating_add(now.saturating_duration_since(since));
            state.moved = Some(now);
        }
    }

    /// Whose time was over.
    pub(in crate::edge::forward) fn overdue(&self) -> Option<Overdue> {
        self.lock().overdue.map(|(overdue, _)| overdue)
    }

    /// Whether the client owes the server bytes of its body right now.
    pub(in crate::edge::forward) fn client_owes(&self) -> bool {
        let state = self.lock();
        !state.whole && state.asked.is_some()
    }

    /// How long the client held its response up.
    pub(in crate::edge::forward) fn held_up(&self, now: Instant) -> Duration {
        let state = self.lock();
        let present = state.held_up.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        state.held.saturating_add(present)
    }

    /// Looks whether somebody's time is over.
    pub(in crate::edge::forward) fn judge(&self, now: Instant) -> Verdict {
        self.lock().judge(now)
    }

    /// Whose time is over, for a task that can still answer: the exchange is not cut off then.
    pub(in crate::edge::forward) fn hear(&self) -> Option<Overdue> {
        let mut state = self.lock();
        let (overdue, _) = state.overdue?;
        state.heard = true;
        Some(overdue)
    }

    /// Whether all of the body came.
    pub(in crate::edge::forward) fn is_whole(&self) -> bool {
        self.lock().whole
    }

    /// Bytes of the body that came.
    pub(in crate::edge::forward) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// The body failed on the client's side.
    pub(in crate::edge::forward) fn fail(&self, error: BodyError) {
        self.lock().error = Some(error);
    }

    /// How the body failed on the client's side.
    pub(in crate::edge::forward) fn error(&self) -> Option<BodyError> {
        self.lock().error
    }

    /// Nobody takes the rest of the body any more: a task that waits for it gives up.
    pub(in crate::edge::forward) fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        let waker = state.waker.take().filter(|_| !state.whole);
        let pipe = state.pipe.take();
        drop(state);
        for waker in waker.into_iter().chain(pipe) {
            waker.wake();
        }
    }

    /// Ready when nobody takes the rest of the body any more, for the task that passes it on.
    pub(in crate::edge::forward) fn poll_cancelled(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.cancelled {
            return Poll::Ready(());
        }
        if !state.pipe.as_ref().is_some_and(|pipe| pipe.will_wake(cx.waker())) {
            state.pipe = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(in crate::edge::forward) fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No lock is held over anything that could leave its data half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
