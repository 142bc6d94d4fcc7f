//! The body of a request on its way to a server.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{
    error::BodyError,
    pipes::PipeExecutor,
    progress::Progress,
    received::{ReceivedBody, Unfinished},
};

/// How much of a body is kept for another attempt: one that is larger is sent once.
const REPLAY_BYTES_MAX: usize = 64 << 10;

/// A body as one attempt sends it.
#[derive(Debug, Default)]
pub(in crate::edge) struct RequestBody(Option<Sending>);

#[derive(Debug)]
struct Sending {
    upload: Upload,
    /// Pieces that were sent already by this attempt.
    sent: usize,
    /// What is told when it begins, on a connection of HTTP/2.
    pipes: Option<PipeExecutor>,
}

/// A request's body, from which each attempt takes its own.
#[derive(Clone, Debug)]
pub(in crate::edge::forward) struct Upload {
    source: Arc<Mutex<Source>>,
    progress: Arc<Progress>,
    /// Bytes, at most.
    bytes_max: Option<u64>,
}

#[derive(Debug)]
struct Source {
    incoming: ReceivedBody,
    /// What was sent; `None` where it was too much, or is not sent again.
    kept: Option<Vec<Bytes>>,
    kept_bytes: usize,
    ended: bool,
}

impl Upload {
    /// A body that comes; kept up to a bound where it may be sent `again`.
    pub(in crate::edge::forward) fn new(
        incoming: ReceivedBody,
        again: bool,
        bytes_max: Option<u64>,
        progress: &Arc<Progress>,
    ) -> Self {
        let kept = again.then(Vec::new);
        let source = Source { incoming, kept, kept_bytes: 0, ended: false };
        Self { source: Arc::new(Mutex::new(source)), progress: Arc::clone(progress), bytes_max }
    }

    /// The body for one attempt. Its trailers are not handed on: a service could take them for fields of the head,
    /// which have been judged.
    pub(in crate::edge::forward) fn body(&self) -> RequestBody {
        RequestBody(Some(Sending { upload: self.clone(), sent: 0, pipes: None }))
    }

    /// Whether all that was taken of it is still there.
    pub(in crate::edge::forward) fn is_repeatable(&self) -> bool {
        self.lock().kept.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Source> {
        // No lock is held over anything that could leave its data half-written.
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_next(&self, cx: &mut Context<'_>, sent: usize) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut source = self.lock();
        if let Some(piece) = source.kept.as_ref().and_then(|kept| kept.get(sent)) {
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        if source.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = Pin::new(&mut source.incoming).poll_frame(cx) else {
            if self.progress.is_cancelled() {
                return Poll::Ready(Some(Err(BodyError::Cancelled)));
            }
            self.progress.asked(Instant::now(), cx);
            return Poll::Pending;
        };
        let next = self.take(&mut source, next);
        if source.ended {
            // Its end may still come: what a client sends on a stream that is dropped would count against it.
            source.incoming.finish((), cx);
        }
        Poll::Ready(next)
    }

    fn take(
        &self,
        source: &mut Source,
        next: Option<Result<Frame<Bytes>, Unfinished>>,
    ) -> Option<Result<Frame<Bytes>, BodyError>> {
        let now = Instant::now();
        let frame = match next.transpose() {
            Ok(frame) => frame,
            Err(error) => {
                let error = BodyError::of(&error);
                self.progress.fail(error);
                return Some(Err(error));
            }
        };
        // Trailers are the last, too.
        let Some(data) = frame.and_then(|frame| frame.into_data().ok()) else {
            source.ended = true;
            self.progress.came(now, 0);
            self.progress.passed_on(now, true);
            return None;
        };
        let bytes = self.progress.came(now, data.len());
        if self.bytes_max.is_some_and(|most| bytes > most) {
            self.progress.fail(BodyError::TooLarge);
            return Some(Err(BodyError::TooLarge));
        }
        // With its last byte, wherever its end stands: hyper reads no further where the server speaks HTTP/1.
        source.ended = source.incoming.is_complete();
        self.progress.passed_on(now, source.ended);
        source.keep(&data);
        Some(Ok(Frame::data(data)))
    }
}

impl RequestBody {
    /// Says on which connection of HTTP/2 it is sent.
    pub(in crate::edge::forward) fn pass_through(&mut self, pipes: &PipeExecutor) {
        if let Some(sending) = &mut self.0 {
            sending.pipes = Some(pipes.clone());
        }
    }
}

impl Source {
    /// Whether all of it was sent by an attempt that sent so many pieces.
    fn is_sent(&self, pieces: usize) -> bool {
        self.ended && self.kept.as_ref().is_none_or(|kept| kept.len() <= pieces)
    }

    fn keep(&mut self, data: &Bytes) {
        let Some(kept) = &mut self.kept else { return };
        self.kept_bytes += data.len();
        if self.kept_bytes > REPLAY_BYTES_MAX {
            self.kept = None;
        } else {
            kept.push(data.clone());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(sending) = &mut self.0 else { return Poll::Ready(None) };
        if let Some(pipes) = sending.pipes.take() {
            pipes.begins(&sending.upload.progress);
        }
        let next = ready!(sending.upload.poll_next(cx, sending.sent));
        match &next {
            Some(Ok(frame)) if frame.is_data() => sending.sent += 1,
            // An error ends it, too.
            _ => self.0 = None,
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|sending| sending.upload.lock().is_sent(sending.sent))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            // What is left of it: before the first piece, all.
            Some(sending) if sending.sent == 0 => {
                let source = sending.upload.lock();
                if source.kept_bytes == 0 { source.incoming.size_hint() } else { SizeHint::default() }
            }
            Some(_) => SizeHint::default(),
        }
    }
}
