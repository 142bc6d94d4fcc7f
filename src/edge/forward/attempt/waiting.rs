//! How long the head of a response is waited for.

use std::time::Duration;

use tokio::time::Instant;

use crate::decision::Route;

/// A wait for the head of a response: `timeouts.read` for the next bytes, and no longer than the exchange has.
pub(in crate::edge::forward) struct Waiting {
    read_timeout: Duration,
    ends_at: Instant,
    /// Bytes that had come: more of them let the wait begin anew.
    seen: u64,
}

impl Waiting {
    /// For a request on this route whose exchange ends then, on a connection on which `seen` bytes had come.
    pub(in crate::edge::forward) fn new(route: &Route, ends_at: Instant, seen: u64) -> Self {
        Self { read_timeout: route.pool.settings.timeouts.read, ends_at, seen }
    }

    /// When it is over that begins `now`.
    pub(in crate::edge::forward) fn end(&self, now: Instant) -> Instant {
        (now + self.read_timeout).min(self.ends_at)
    }

    /// When it is over that is over `now`, where more `bytes` came meanwhile and the exchange has not ended.
    pub(in crate::edge::forward) fn begins_anew(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        if bytes == self.seen || now >= self.ends_at {
            return None;
        }
        self.seen = bytes;
        Some(self.end(now))
    }
}
