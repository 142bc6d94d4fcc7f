//! Who is waited for in an exchange with a request body, and until when.

use std::{
    io,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;

use crate::{domain::Reason, edge::lazy_timeout::Patience, upstream::Held};

/// How long a verdict may stay unheard before the exchange is cut off without an answer: pingora does not read from a
/// client while it waits for something else.
const UNHEARD: Duration = Duration::from_secs(1);

/// How long the two sides of an exchange are waited for.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Waits {
    /// For the next bytes of the body.
    pub(in crate::edge) body_timeout: Duration,
    /// Bytes a second that a body has at least, once `rate_grace` is used up; 0 for no minimum.
    pub(in crate::edge) rate_min: u64,
    /// How long the client is waited for in all before `rate_min` matters.
    pub(in crate::edge) rate_grace: Duration,
    /// How long the client is waited for in all.
    pub(in crate::edge) body_total: Duration,
    /// For the next bytes of the server, once it has the whole request.
    pub(in crate::edge) read: Duration,
    /// When the exchange has had all of its time.
    pub(in crate::edge) ends_at: Instant,
    /// Whether the client said how long its body is. One that did not may be half of a stream both ways.
    pub(in crate::edge) declared: bool,
}

/// Whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Overdue {
    /// The client owes bytes of its body.
    Client,
    /// The server has the whole request and is silent.
    Server,
    /// The exchange has had all of its time, which says nothing about the server.
    Exchange,
}

impl Overdue {
    /// The reason to answer with.
    pub(in crate::edge) const fn reason(self) -> Reason {
        match self {
            Self::Client => Reason::RequestTimeout,
            Self::Server | Self::Exchange => Reason::UpstreamTimeout,
        }
    }
}

/// How far an exchange with a body has come. The hooks and the client's connection tell it what happens.
#[derive(Debug, Default)]
pub(in crate::edge) struct Progress(Mutex<State>);

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
    /// Bytes of the body that came, framing included.
    bytes: u64,
    /// When the server was sent something, or sent something, or the client made room for more of it.
    moved: Option<Instant>,
    /// When the client stopped taking its answer; `None` while it takes it.
    held_up: Option<Instant>,
    /// How long it held the answer up before that.
    held: Duration,
    /// All of the body came.
    whole: bool,
    /// The final answer began.
    answering: bool,
    /// All of the answer came.
    answered: bool,
    /// Whose time was over, and since when.
    overdue: Option<(Overdue, Instant)>,
    /// Whether pingora was told.
    told: bool,
}

/// What the watch does next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Nothing until something happens.
    Rest,
    /// Looks again then.
    Wait(Instant),
    /// There is a verdict that pingora can hear now.
    Tell,
    /// pingora did not hear it.
    CutOff(Overdue),
}

impl State {
    /// Until when who is waited for.
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
        self.asked.map(|asked| (asked + paced.map_or(left, |paced| paced.min(left)), Overdue::Client))
    }

    fn next(&mut self, now: Instant) -> Next {
        if self.told {
            return Next::Rest;
        }
        if let Some((overdue, since)) = self.overdue {
            let end = since + UNHEARD;
            return if now >= end { Next::CutOff(overdue) } else { Next::Wait(end) };
        }
        match self.deadline() {
            None => Next::Rest,
            Some((end, _)) if now < end => Next::Wait(end),
            Some((_, overdue)) => {
                self.overdue = Some((overdue, now));
                Next::Tell
            }
        }
    }
}

impl Progress {
    /// A server is handed the request; on another attempt, another one.
    pub(in crate::edge) fn begin(&self, now: Instant, waits: Waits, held: Option<Held>) {
        let mut state = self.lock();
        state.waits = Some(waits);
        state.moved = Some(now);
        state.trial = held;
    }

    /// The client is waited for.
    pub(super) fn asked(&self, now: Instant) {
        let mut state = self.lock();
        if !state.whole && state.waits.is_some() {
            state.asked.get_or_insert(now);
            // Nothing can be heard of the server before the client sends something: another request may ask.
            state.trial = None;
        }
    }

    /// The client sent this many bytes.
    pub(super) fn came(&self, now: Instant, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_add(bytes as u64);
        if let Some(asked) = state.asked.take() {
            state.waited = state.waited.saturating_add(now.saturating_duration_since(asked));
        }
    }

    /// A piece of the body is passed on; `end` where it is the last.
    pub(in crate::edge::forward) fn passed_on(&self, now: Instant, end: bool) {
        let mut state = self.lock();
        state.moved = Some(now);
        if end {
            (state.whole, state.asked) = (true, None);
        }
    }

    /// The server sent something.
    pub(in crate::edge) fn received(&self, now: Instant) {
        self.lock().moved = Some(now);
    }

    /// The server sent the head of its final answer.
    pub(in crate::edge) fn answering(&self, now: Instant) {
        let mut state = self.lock();
        (state.moved, state.answering) = (Some(now), true);
    }

    /// The server sent all of its answer.
    pub(in crate::edge) fn answered(&self) {
        self.lock().answered = true;
    }

    /// Whether the client takes its answer.
    pub(super) fn takes(&self, now: Instant, takes: bool) {
        let mut state = self.lock();
        if !takes {
            state.held_up.get_or_insert(now);
        } else if let Some(since) = state.held_up.take() {
            state.held = state.held.saturating_add(now.saturating_duration_since(since));
            state.moved = Some(now);
        }
    }

    /// Whose time was over.
    pub(in crate::edge) fn overdue(&self) -> Option<Overdue> {
        self.lock().overdue.map(|(overdue, _)| overdue)
    }

    /// Whether the client owes the server bytes of its body right now.
    pub(in crate::edge::forward) fn client_owes(&self) -> bool {
        let state = self.lock();
        !state.whole && state.asked.is_some()
    }

    /// How long the client held its answer up.
    pub(in crate::edge::forward) fn held_up(&self, now: Instant) -> Duration {
        let state = self.lock();
        let present = state.held_up.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        state.held.saturating_add(present)
    }

    /// What who waits for the client is told, once, when somebody's time is over.
    pub(super) fn verdict(&self) -> io::Result<()> {
        let mut state = self.lock();
        if state.overdue.is_none() || state.told {
            return Ok(());
        }
        state.told = true;
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Serves an exchange. It must be polled where the client's connection is: what happens there is seen here at once.
    ///
    /// # Errors
    /// Whose time is over, where pingora could not be told: the exchange has been dropped where it stood then.
    pub(in crate::edge) async fn watch<T>(&self, exchange: impl Future<Output = T>) -> Result<T, Overdue> {
        let mut exchange = pin!(exchange);
        let mut patience = Patience::until(Instant::now());
        std::future::poll_fn(|context| {
            loop {
                if let Poll::Ready(done) = exchange.as_mut().poll(context) {
                    return Poll::Ready(Ok(done));
                }
                let next = self.lock().next(Instant::now());
                match next {
                    Next::Rest => return Poll::Pending,
                    Next::Wait(end) => {
                        patience.set(end);
                        if patience.poll_over(context).is_pending() {
                            return Poll::Pending;
                        }
                    }
                    Next::Tell => {}
                    Next::CutOff(overdue) => return Poll::Ready(Err(overdue)),
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No lock is held over anything that could leave its data half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
