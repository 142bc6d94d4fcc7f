//! A body as it is received, over either version of HTTP.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use crate::wakes::hold;

/// How long the end of a body is waited for that has come up to its length.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that ends only as its sender ends it.
#[derive(Debug)]
pub(in crate::edge) struct ReceivedBody {
    /// `None` once nobody reads on.
    incoming: Option<Incoming>,
    is_http2: bool,
}

/// Why a body cannot be read to its end.
#[derive(Debug)]
pub(in crate::edge) enum Unfinished {
    /// As hyper tells it.
    Failed(hyper::Error),
    /// Its stream was reset with `NO_ERROR`.
    Reset,
}

impl ReceivedBody {
    /// The body of a message of this `version`.
    pub(in crate::edge::forward) fn new(incoming: Incoming, version: Version) -> Self {
        Self { incoming: Some(incoming), is_http2: version == Version::HTTP_2 }
    }

    /// Whether all of its bytes have come: it has ended, or is as long as it was said to be. Over HTTP/2 its end may
    /// come by itself, behind its last bytes.
    pub(in crate::edge::forward) fn is_complete(&self) -> bool {
        self.incoming.as_ref().is_none_or(is_complete)
    }

    /// Reads the end of a body that is complete, in a task of its own where that is still to come; `with` lives as
    /// long. A stream that is dropped before its end is reset, and its sender takes that for a failure.
    pub(in crate::edge::forward) fn finish<T: Send + 'static>(&mut self, with: T, cx: &mut Context<'_>) {
        let Some(mut incoming) = self.incoming.take().filter(|incoming| !incoming.is_end_stream()) else { return };
        // Bytes are none of it: whoever sends them is reset.
        let mut poll_end = move |cx: &mut Context<'_>| loop {
            match ready!(Pin::new(&mut incoming).poll_frame(cx)) {
                Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                _ => return Poll::Ready(()),
            }
        };
        if poll_end(cx).is_pending() {
            tokio::spawn(async move {
                // A server that does not end it in time is reset.
                let _ = timeout(END_TIMEOUT, poll_fn(poll_end)).await;
                drop(with);
            });
        }
    }
}

fn is_complete(incoming: &Incoming) -> bool {
    incoming.is_end_stream() || incoming.size_hint().exact() == Some(0)
}

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = Unfinished;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unfinished>>> {
        let is_http2 = self.is_http2;
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        if !is_http2 {
            let (next, wake) = hold(|| Pin::new(&mut *incoming).poll_frame(cx));
            // Behind its last byte the connection's task has nothing to read.
            if !is_complete(incoming) {
                wake.release();
            }
            return next.map(|next| next.map(|frame| frame.map_err(Unfinished::Failed)));
        }
        Poll::Ready(match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            // hyper gives the same for a stream's end and for its reset with NO_ERROR. Only the end makes a body whole
            // (RFC 9113 section 8.1).
            None if !incoming.is_end_stream() => Some(Err(Unfinished::Reset)),
            next => next.map(|frame| frame.map_err(Unfinished::Failed)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}
