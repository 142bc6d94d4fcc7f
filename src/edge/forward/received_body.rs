//! A body as it is received, over either version of HTTP.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Version;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A body that ends only as its sender ends it.
#[derive(Debug)]
pub(in crate::edge) struct ReceivedBody {
    incoming: Incoming,
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
    pub(super) fn new(incoming: Incoming, version: Version) -> Self {
        Self { incoming, is_http2: version == Version::HTTP_2 }
    }
}

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = Unfinished;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unfinished>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            // hyper gives the same for a stream's end and for its reset with NO_ERROR. Only the end makes a body whole
            // (RFC 9113 section 8.1).
            None if self.is_http2 && !self.incoming.is_end_stream() => Some(Err(Unfinished::Reset)),
            next => next.map(|frame| frame.map_err(Unfinished::Failed)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
