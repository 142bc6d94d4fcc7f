//! Heads of HTTP/2 that the `h2` crate refuses by itself: found out from outside, to be logged and counted.

use std::{error::Error as _, sync::Arc, task::Poll};

use crate::{
    domain::Reason,
    edge::armour::{h2_floods::Flood, h2_heads::ReceivedHeads},
};

/// Streams that the client reset before they were taken; one more ends the connection (CVE-2023-44487).
pub(super) const PENDING_RESET_STREAMS_MAX: usize = 20;

/// Streams that are reset for what came on them, and streams that are refused; one more ends the connection.
pub(super) const RESET_STREAMS_MAX: usize = 1024;

/// What became of a connection's streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamCounts {
    /// How many were handed on to be served.
    pub(super) handed_on: usize,
    /// Whether there are as many as may be open at once.
    pub(super) are_full: bool,
}

/// Finds the heads that the `h2` crate refused by itself.
pub(super) struct RefusedHeads {
    received: Arc<ReceivedHeads>,
    told: usize,
    large_told: usize,
}

impl RefusedHeads {
    /// Of a connection whose heads `received` counts.
    pub(super) fn new(received: Arc<ReceivedHeads>) -> Self {
        Self { received, told: 0, large_told: 0 }
    }

    /// Lets the connection end whose client has: its task goes on once more where that is so.
    pub(super) fn let_end(&self) -> bool {
        self.received.let_end()
    }

    /// Tells of each that was refused since the last time, now that the connection waits or has ended.
    ///
    /// Once a connection is told to stop, heads that come still are ignored, and this must not be asked.
    pub(super) fn find(
        &mut self,
        polled: &Poll<hyper::Result<()>>,
        streams: StreamCounts,
        flood: &Flood,
        tell: impl Fn(Reason),
    ) {
        let handed_on = streams.handed_on;
        match polled {
            // All that was decoded is handed on then, or refused.
            Poll::Pending => {
                let refused = self.received.decoded().saturating_sub(handed_on);
                while self.told < refused {
                    tell(self.reason(streams));
                    self.told += 1;
                }
                // The others that were large were handed on.
                self.large_told = self.received.large();
            }
            Poll::Ready(Ok(())) => {}
            // Of those that came with what ended it, one is told: nobody knows how many were looked at, and which.
            Poll::Ready(Err(error)) => {
                let untold = self.received.begun().saturating_sub(handed_on + self.told);
                if untold > 0
                    && let Some(reason) = self.reason_of_end(error, untold, flood)
                {
                    tell(reason);
                }
            }
        }
    }

    /// Why a stream was refused, as far as can be told from outside.
    fn reason(&mut self, streams: StreamCounts) -> Reason {
        if self.large_told < self.received.large() {
            self.large_told += 1;
            Reason::HeadTooLarge
        } else if streams.are_full {
            Reason::TooManyRequests
        } else {
            Reason::MalformedRequest
        }
    }

    /// Why heads were refused with their connection; none where the client ended it.
    fn reason_of_end(&self, error: &hyper::Error, untold: usize, flood: &Flood) -> Option<Reason> {
        if flood.has_begun() {
            return Some(Reason::TooManyRequests);
        }
        let error = error.source()?.downcast_ref::<h2::Error>().filter(|error| error.is_library())?;
        Some(match error.reason()? {
            // Too many frames for one head, or a head of few bytes that stand for many: not where there are as many
            // heads as end the connection in the other case.
            h2::Reason::ENHANCE_YOUR_CALM
                if self.received.is_last_frame_of_head()
                    && self.told + untold <= RESET_STREAMS_MAX
                    && untold <= PENDING_RESET_STREAMS_MAX =>
            {
                Reason::HeadTooLarge
            }
            // Too many streams that were reset, by either side.
            h2::Reason::ENHANCE_YOUR_CALM => Reason::TooManyRequests,
            _ => Reason::MalformedRequest,
        })
    }
}
