//! Connections to servers that wait for their next request, of one thread that serves.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, interval},
};

use super::super::patience::Patience;
use crate::state::upstream::{Server, Transport};

/// Connections that are kept, at most: fewer than are in use in turn would be closed and made anew, request after request.
const IDLE_MAX: usize = 2048;

/// Between two looks at whether servers have ended their connections, or these have waited for long enough.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A connection to a server.
pub(super) struct Upstream {
    pub(super) stream: Transport,
    /// With the server, for its next bytes.
    pub(super) patience: Patience,
}

/// What waits. A server's connections are nobody else's, not even those of the same address in another pool.
#[derive(Default)]
pub(in super::super) struct Idle(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By the server's number; the one that waits for the shortest time is last.
    servers: HashMap<u64, Vec<Waiting>>,
    count: usize,
}

struct Waiting {
    upstream: Upstream,
    until: Instant,
}

impl Upstream {
    pub(super) fn new(stream: Transport) -> Self {
        Self { stream, patience: Patience::until(Instant::now()) }
    }

    /// Whether there is nothing to read: what a server says unasked is no answer, and its end is the connection's.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

impl Idle {
    /// A connection to the server that was used already, if one waits.
    pub(super) fn take(&self, server: &Server) -> Option<Upstream> {
        let mut kept = self.lock();
        let kept = &mut *kept;
        let waiting = kept.servers.get_mut(&server.number())?;
        while let Some(Waiting { mut upstream, .. }) = waiting.pop() {
            kept.count -= 1;
            if upstream.is_quiet() {
                return Some(upstream);
            }
        }
        None
    }

    /// Keeps a connection to the server `for_long`, unless there are too many.
    pub(super) fn put(&self, server: &Server, upstream: Upstream, for_long: Duration) {
        let mut kept = self.lock();
        if kept.count < IDLE_MAX {
            kept.count += 1;
            let until = Instant::now() + for_long;
            kept.servers.entry(server.number()).or_default().push(Waiting { upstream, until });
        }
    }

    /// Closes what has waited for too long or has ended, for ever.
    pub(in super::super) async fn sweep(&self) {
        let mut ticks = interval(SWEEP_INTERVAL);
        loop {
            self.close_ended(ticks.tick().await);
        }
    }

    fn close_ended(&self, now: Instant) {
        let mut kept = self.lock();
        kept.servers.retain(|_, waiting| {
            waiting.retain_mut(|waiting| waiting.until > now && waiting.upstream.is_quiet());
            !waiting.is_empty()
        });
        kept.count = kept.servers.values().map(Vec::len).sum();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing that could leave it half-written is done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
