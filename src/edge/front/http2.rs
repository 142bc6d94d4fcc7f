//! One HTTP/2 connection, on hyper's server. Each of its streams is a task.
//!
//! The bounds are hyper's own (resets, and the size of a head that is not even answered in our shape) and these; floods
//! of CONTINUATION frames and of frames without data end the connection in the `h2` crate, those of other frames in
//! `h2_floods`. What that crate refuses by itself is found out, logged and counted here.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{
    begun::Begun,
    refused_heads::{PENDING_RESET_STREAMS_MAX, RESET_STREAMS_MAX, RefusedHeads, StreamCounts},
};
use crate::{
    edge::{
        armour::{h2_floods::Counted, h2_heads::ReceivedHeads, head::HEAD_BYTES_MAX},
        forward::{
            context::{
                in_flight::{Registered, RequestGuard},
                worker::WorkerContext,
            },
            exchange::Inbound,
            record::head_refused,
            serve::serve,
        },
        listen::{connection::Connection, limits::ConnectionRefusal, stream::ClientStream},
    },
    timer::LazyTimeout,
};

/// Streams in work, as a multiple of those that may be open at once: some are still in work though the client has reset
/// them. One more ends the connection.
const STREAMS_IN_WORK: usize = 2;

/// What a client may send of one body before some of it was passed on.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;

/// What a client may send of all bodies of one connection before some of it was passed on: the streams' windows are the
/// bound. The `h2` crate derives from it what the frames of those bodies may take beside their payload (half of it, by
/// a count of 256 bytes for each frame, less its payload). An honest client sends small messages, and flow control
/// alone must hold it up: windows full of messages of 16 bytes fit.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;

/// What one stream holds of a response that the client does not take.
const SEND_BUFFER_BYTES_MAX: usize = 32 << 10;

/// What the `h2` crate takes of a head, by its own count of 32 bytes for each field beside name and value. Heads up to
/// here come to us, and those of more than [`HEAD_BYTES_MAX`] have the response that HTTP/1 gives them.
const HEAD_LIST_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

/// How long a connection without streams is kept once it was told to end: for a request that crossed our word.
const STOPPING_IDLE: Duration = Duration::from_secs(1);

/// The streams of one connection that are in work.
#[derive(Debug)]
struct Streams {
    in_work: AtomicUsize,
    in_work_max: usize,
    /// How many there were.
    handed_on: AtomicUsize,
    /// Of the connection, which looks around when a stream ends.
    connection: Arc<RequestGuard>,
    /// The stream that was just taken: hyper runs its task next.
    taken: Mutex<Option<Registered>>,
}

/// Runs hyper's tasks for a connection: each ends with its exchange.
#[derive(Clone)]
struct StreamExecutor(Arc<Streams>);

/// A stream in work while this lives.
struct InWork(Arc<Streams>);

impl Drop for InWork {
    fn drop(&mut self) {
        if self.0.in_work.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.connection.wake();
        }
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let streams = Arc::clone(&self.0);
        let taken = streams.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(registered) = taken else {
            // The other half of a stream that is in work.
            tokio::spawn(stream);
            return;
        };
        streams.in_work.fetch_add(1, Ordering::AcqRel);
        let in_work = InWork(streams);
        tokio::spawn(async move {
            // With its task dropped the stream is reset, and nothing else on the connection.
            let _ = registered.guard.guard(stream).await;
            drop(in_work);
        });
    }
}

impl Streams {
    /// Of a connection with `guard`, which takes so many at once.
    fn new(guard: &Arc<RequestGuard>, streams_max: u32) -> Arc<Self> {
        Arc::new(Self {
            in_work: AtomicUsize::new(0),
            handed_on: AtomicUsize::new(0),
            in_work_max: usize::try_from(streams_max).unwrap_or(usize::MAX).saturating_mul(STREAMS_IN_WORK),
            connection: Arc::clone(guard),
            taken: Mutex::default(),
        })
    }

    /// What became of those that came.
    fn counts(&self) -> StreamCounts {
        StreamCounts {
            handed_on: self.handed_on.load(Ordering::Relaxed),
            // hyper refuses another.
            are_full: self.in_work.load(Ordering::Acquire) >= self.in_work_max / STREAMS_IN_WORK,
        }
    }

    /// Takes the stream that hyper hands on now, and whose task it runs next.
    fn take(&self, worker: &Arc<WorkerContext>, connection: &Arc<Connection>) -> Arc<Inbound> {
        self.handed_on.fetch_add(1, Ordering::Relaxed);
        let registered = worker.shared.in_flight().register();
        let inbound = Inbound::new(worker, connection, &registered.guard, None);
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(registered);
        inbound
    }
}

/// Serves until the client or the shutdown ends it, or a bound is passed.
pub(super) async fn serve_connection(stream: ClientStream, begun: Begun, worker: &Arc<WorkerContext>) {
    let shared = &worker.shared;
    let Begun { connection, registered, deadline, .. } = begun;
    let streams_max = shared.tunables().requests_per_connection;
    let streams = Streams::new(&registered.guard, streams_max);
    let service = service_fn(|request| {
        let inbound = streams.take(worker, &connection);
        // Boxed, because hyper and the runtime move a stream's future some ten times.
        Box::pin(serve(inbound, request))
    });
    let received = Arc::<ReceivedHeads>::default();
    let (counted, flood) = Counted::new(stream, &shared.services.clock, &received);
    let serving = builder(&streams, streams_max).serve_connection(TokioIo::new(counted), service);
    let mut serving = pin!(serving);
    // A fresh connection has no longer for its first request than one of HTTP/1.
    let mut idle = Idle { timeout: deadline, was_busy: false, stopping: false, finishing: false };
    let mut refused = RefusedHeads::new(received);
    poll_fn(|cx| {
        loop {
            // The connection itself is never ended: it is woken to look around.
            let _ = registered.guard.poll_ended(cx);
            let polled = serving.as_mut().poll(cx);
            if !idle.stopping {
                refused.find(&polled, streams.counts(), &flood, |reason| head_refused(shared, connection.peer, reason));
            }
            if polled.is_ready() {
                return Poll::Ready(());
            }
            if refused.let_end() {
                continue;
            }
            let in_work = streams.in_work.load(Ordering::Acquire);
            if in_work > streams.in_work_max {
                return Poll::Ready(());
            }
            let is_over = !connection.stands(&*shared.services.clock) || shared.is_stopping();
            if is_over && !idle.stopping {
                idle.stop(in_work > 0);
                serving.as_mut().graceful_shutdown();
                continue;
            }
            idle.note(in_work, shared.tunables().keepalive_timeout);
            if in_work > 0 || idle.timeout.poll_over(cx).is_pending() {
                return Poll::Pending;
            }
            if idle.stopping {
                return Poll::Ready(());
            }
            // A request may be on its way already: with the word that it is over none is lost.
            idle.stop(false);
            serving.as_mut().graceful_shutdown();
        }
    })
    .await;
    if flood.has_begun() {
        shared.connection_refused(ConnectionRefusal::Flood);
    }
}

/// How HTTP/2 is spoken with clients.
fn builder(streams: &Arc<Streams>, streams_max: u32) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(StreamExecutor(Arc::clone(streams)));
    builder
        .max_concurrent_streams(streams_max)
        .max_pending_accept_reset_streams(PENDING_RESET_STREAMS_MAX)
        .max_local_error_reset_streams(RESET_STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(HEAD_LIST_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}

/// How long a connection without streams is kept.
struct Idle {
    timeout: LazyTimeout,
    was_busy: bool,
    /// Whether the client was told that the connection ends.
    stopping: bool,
    /// Whether streams that were in work then still are.
    finishing: bool,
}

impl Idle {
    fn note(&mut self, in_work: usize, keepalive: Duration) {
        let is_busy = in_work > 0;
        let ended = self.was_busy && !is_busy;
        // A client that goes on asking keeps no connection that is over.
        if ended && (!self.stopping || self.finishing) {
            let idle = if self.stopping { STOPPING_IDLE } else { keepalive };
            self.timeout.set(Instant::now() + idle);
            self.finishing = false;
        }
        self.was_busy = is_busy;
    }

    fn stop(&mut self, finishing: bool) {
        (self.stopping, self.finishing) = (true, finishing);
        self.timeout.set(Instant::now() + STOPPING_IDLE);
    }
}
