//! Connections to servers, of one thread that serves: those of HTTP/1 wait for their next request, those of HTTP/2
//! carry many at once.

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::Either;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::watch,
    time::{Instant, interval},
};

use crate::{
    edge::forward::{
        body::{pipes::PipeExecutor, request::RequestBody},
        failure::Unconnected,
    },
    per_thread::Handle,
    timer::LazyTimeout,
    upstream::{Pool, Received, Server, Speak, Transport},
    wakes::HoldableWaker,
};

/// Connections that wait, at most: fewer than are in use in turn would be closed and made anew, request after request.
const IDLE_CONNECTIONS_MAX: usize = 2048;

/// Between two looks at whether connections have waited for long enough.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Streams that share a connection, at most; what the server allows is a bound too.
const STREAMS_MAX: usize = 100;

/// Streams of a connection whose server has not said yet how many it allows (RFC 9113 section 3.4): the first request
/// goes at once, and others wait.
const STREAMS_AT_FIRST: usize = 1;

/// How often a connection with streams is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long it has for its answer.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of the head of a response over HTTP/2, at most.
const RESPONSE_HEAD_BYTES_MAX: u32 = 64 << 10;

/// What a server may send of one response before some of it was passed on.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;

/// What a server may send of all responses of one connection before some of it was passed on: the streams' windows are
/// the bound. Clients that take nothing would hold up the others' responses otherwise.
#[expect(clippy::cast_possible_truncation, reason = "a hundred")]
const CONNECTION_WINDOW_BYTES: u32 = STREAMS_MAX as u32 * STREAM_WINDOW_BYTES;

/// What one stream holds of a request that its server does not take.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;

/// Connections that were used before. A server's connections are nobody else's, not even those of the same address in
/// another pool.
#[derive(Debug, Default)]
pub(in crate::edge) struct Connections(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By the server's number.
    servers: BTreeMap<u64, OfServer>,
    /// How many of HTTP/1 wait.
    waiting: usize,
}

#[derive(Debug, Default)]
struct OfServer {
    /// The one that waits for the shortest time is last.
    http1: VecDeque<Waiting>,
    http2: Vec<Shared>,
    /// The one that was begun last; others may use it once it is made.
    being_made: Option<BeingMade>,
}

/// A connection that somebody makes, for those who wait for it.
#[derive(Debug)]
struct BeingMade {
    outcome: watch::Receiver<Result<(), Unconnected>>,
    /// Requests that it is for.
    requests: usize,
}

/// Held while a connection is made, and until its server has said how many streams it allows.
#[derive(Clone, Debug)]
struct Making(watch::Sender<Result<(), Unconnected>>);

impl Making {
    /// Tells those who wait why it could not be made.
    fn failed(&self, why: Unconnected) {
        self.0.send_replace(Err(why)).ok();
    }
}

/// A connection that another request makes.
#[derive(Debug)]
pub(in crate::edge::forward) struct Awaited(watch::Receiver<Result<(), Unconnected>>);

impl Awaited {
    /// Waits until it is made, or nobody makes it any more.
    ///
    /// # Errors
    /// Why it could not be made.
    pub(in crate::edge::forward) async fn made(mut self) -> Result<(), Unconnected> {
        match self.0.wait_for(Result::is_err).await {
            Ok(failed) => *failed,
            Err(_) => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Waiting {
    connection: Http1,
    until: Instant,
}

/// A connection with streams.
#[derive(Debug)]
struct Shared {
    connection: Http2,
    idle: Duration,
    /// When it is closed, unless it has streams then.
    until: Instant,
}

/// The right to send a request on a connection.
#[derive(Debug)]
pub(in crate::edge::forward) enum Lease {
    Http1(Http1),
    Http2(Http2),
}

/// A connection of HTTP/1.
#[derive(Debug)]
pub(in crate::edge::forward) struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    received: Received,
    /// For the server's next bytes.
    timeout: LazyTimeout,
}

/// A stream of a connection of HTTP/2.
#[derive(Clone, Debug)]
pub(in crate::edge::forward) struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    /// One for the connection, and one for each stream. It has how many the server allows.
    streams: Arc<AtomicUsize>,
    pipes: PipeExecutor,
}

impl Http2 {
    fn streams(&self) -> usize {
        Arc::strong_count(&self.streams) - 1
    }

    fn takes_another(&self) -> bool {
        !self.sender.is_closed() && self.streams() < STREAMS_MAX.min(self.streams.load(Ordering::Relaxed))
    }
}

impl Lease {
    /// Sends a request. An error has the request where nothing of it was sent.
    pub(in crate::edge::forward) fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        match self {
            Self::Http1(connection) => Either::Left(connection.sender.try_send_request(request)),
            Self::Http2(connection) => {
                request.body_mut().pass_through(&connection.pipes);
                Either::Right(connection.sender.try_send_request(request))
            }
        }
    }

    pub(in crate::edge::forward) const fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Counts the bytes that come; HTTP/1 alone, where they are one exchange's.
    pub(in crate::edge::forward) const fn received(&self) -> Option<&Received> {
        match self {
            Self::Http1(connection) => Some(&connection.received),
            Self::Http2(_) => None,
        }
    }

    /// The same, with the timer that was taken.
    pub(in crate::edge::forward) fn with_timeout(mut self, timeout: LazyTimeout) -> Self {
        if let Self::Http1(connection) = &mut self {
            connection.timeout = timeout;
        }
        self
    }

    /// A timer for the server's next bytes: the connection's own, where it has one.
    pub(in crate::edge::forward) fn take_timeout(&mut self) -> LazyTimeout {
        match self {
            Self::Http1(connection) => std::mem::take(&mut connection.timeout),
            Self::Http2(_) => LazyTimeout::default(),
        }
    }
}

async fn http2_over(transport: Transport, server: &Handle<Server>, making: Making) -> io::Result<Http2> {
    let received = transport.received();
    let pipes = PipeExecutor::default();
    let handshake = http2::Builder::new(pipes.clone())
        .timer(TokioTimer::new())
        .initial_max_send_streams(STREAMS_AT_FIRST)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_header_list_size(RESPONSE_HEAD_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(transport));
    let (sender, mut connection) = handshake.await.map_err(io::Error::other)?;
    let streams = Arc::new(AtomicUsize::new(STREAMS_AT_FIRST));
    let allowed = Arc::downgrade(&streams);
    let server = server.clone();
    tokio::spawn(async move {
        // hyper reads in another task, which tells nobody what the server allows. It is the first that a server says.
        let mut began = pin!(received.began());
        let mut making = Some(making);
        let mut noted = None;
        poll_fn(|cx| {
            // A sender is told how it ends.
            let ended = Pin::new(&mut connection).poll(cx);
            let allows = connection.current_max_send_streams();
            if let Some(allowed) = allowed.upgrade() {
                allowed.store(allows, Ordering::Relaxed);
            }
            if making.is_some() && began.as_mut().poll(cx).is_ready() {
                making = None;
            }
            if making.is_none() && noted.replace(allows) != Some(allows) {
                server.note_streams(allows);
            }
            ended.map(drop)
        })
        .await;
        // It ended before its server said anything: those who wait hear that together.
        if let Some(making) = making {
            making.failed(Unconnected::Other);
        }
        // The next one may allow another number.
        if let Some(noted) = noted {
            server.forget_streams(noted);
        }
    });
    Ok(Http2 { sender, streams, pipes })
}

async fn http1_over(pool: &Pool, transport: Transport) -> io::Result<Http1> {
    let received = transport.received();
    let (sender, mut connection) = pool.http1().handshake(TokioIo::new(transport)).await.map_err(io::Error::other)?;
    let mut waker = HoldableWaker::default();
    tokio::spawn(async move {
        // The sender on it is told how it ends.
        let _ = poll_fn(|cx| Pin::new(&mut connection).poll(&mut waker.context(cx))).await;
    });
    Ok(Http1 { sender, received, timeout: LazyTimeout::default() })
}

impl Connections {
    /// A connection to the server that was made before, if there is one; `now` is the present.
    pub(in crate::edge::forward) fn take(&self, server: &Server, now: Instant) -> Option<Lease> {
        let mut kept = self.lock();
        let kept = &mut *kept;
        let connections = kept.servers.get_mut(&server.number())?;
        connections.http2.retain(|shared| !shared.connection.sender.is_closed());
        if let Some(shared) = connections.http2.iter_mut().find(|shared| shared.connection.takes_another()) {
            shared.until = now + shared.idle;
            return Some(Lease::Http2(shared.connection.clone()));
        }
        let mut unsettled = vec![];
        let mut found = None;
        while let Some(last) = connections.http1.pop_back() {
            if last.until <= now || last.connection.sender.is_closed() {
                kept.waiting -= 1;
            } else if last.connection.sender.is_ready() {
                kept.waiting -= 1;
                found = Some(Lease::Http1(last.connection));
                break;
            } else {
                // Its last response was just read to its end: it is ready in a moment.
                unsettled.push(last);
            }
        }
        connections.http1.extend(unsettled.into_iter().rev());
        found
    }

    /// Keeps a connection to the server from `now` on, `idle` long while it has no request. Where too many wait,
    /// another is closed for it. One that many requests share is kept since it was made, unless it was forgotten.
    pub(in crate::edge::forward) fn put(&self, server: &Server, lease: Lease, idle: Duration, now: Instant) {
        let Lease::Http1(connection) = lease else { return };
        if connection.sender.is_closed() {
            return;
        }
        let mut kept = self.lock();
        if kept.waiting >= IDLE_CONNECTIONS_MAX {
            kept.close_one();
        }
        kept.waiting += 1;
        let waiting = Waiting { connection, until: now + idle };
        kept.servers.entry(server.number()).or_default().http1.push_back(waiting);
    }

    /// The connection to the server that another request makes, where it may have room for one more.
    pub(in crate::edge::forward) fn awaited(&self, server: &Server) -> Option<Awaited> {
        let mut kept = self.lock();
        let being_made = kept.servers.get_mut(&server.number())?.being_made.as_mut()?;
        let is_made = being_made.outcome.has_changed().is_err();
        if is_made || being_made.requests >= STREAMS_MAX.min(server.streams()) {
            return None;
        }
        being_made.requests += 1;
        Some(Awaited(being_made.outcome.clone()))
    }

    /// Makes a connection to the server. Where it carries many requests at once, others may use it from then on; it is
    /// kept as long as the pool's `timeouts.idle` while it has none.
    ///
    /// # Errors
    /// Why it could not be made; those who wait for it hear that too.
    pub(in crate::edge::forward) async fn connect(
        &self,
        pool: &Pool,
        server: &Handle<Server>,
    ) -> Result<Lease, Unconnected> {
        let making = self.begin(server);
        let made = async {
            let making = making.clone();
            let transport = pool.connect(server, Speak::AsConfigured).await?;
            if pool.speaks_http2(&transport) {
                return http2_over(transport, server, making).await.map(Lease::Http2);
            }
            server.note_streams(1);
            http1_over(pool, transport).await.map(Lease::Http1)
        };
        let made = made.await.map_err(|error| Unconnected::of(&error));
        let lease = made.inspect_err(|why| making.failed(*why))?;
        if let Lease::Http2(connection) = &lease {
            let idle = pool.settings.timeouts.idle;
            let shared = Shared { connection: connection.clone(), idle, until: Instant::now() + idle };
            self.lock().servers.entry(server.number()).or_default().http2.push(shared);
        }
        Ok(lease)
    }

    /// Lets others wait for a connection to the server that is made now, in place of one that was begun before.
    fn begin(&self, server: &Server) -> Making {
        let (making, outcome) = watch::channel(Ok(()));
        if server.streams() > 1 {
            self.lock().servers.entry(server.number()).or_default().being_made =
                Some(BeingMade { outcome, requests: 1 });
        }
        Making(making)
    }

    /// Sends nothing more on a connection that many requests share.
    pub(in crate::edge::forward) fn forget(&self, server: &Server, lease: &Lease) {
        let Lease::Http2(connection) = lease else { return };
        if let Some(connections) = self.lock().servers.get_mut(&server.number()) {
            connections.http2.retain(|shared| !Arc::ptr_eq(&shared.connection.streams, &connection.streams));
        }
    }

    /// Closes what has waited for too long or has ended, for ever.
    pub(in crate::edge) async fn sweep(&self) {
        let mut ticks = interval(SWEEP_INTERVAL);
        loop {
            ticks.tick().await;
            self.close_ended(Instant::now());
        }
    }

    fn close_ended(&self, now: Instant) {
        let mut kept = self.lock();
        let kept = &mut *kept;
        kept.servers.retain(|_, connections| {
            let before = connections.http1.len();
            connections.http1.retain(|waiting| waiting.until > now && !waiting.connection.sender.is_closed());
            kept.waiting -= before - connections.http1.len();
            connections.http2.retain_mut(|shared| {
                if shared.connection.streams() > 0 {
                    shared.until = now + shared.idle;
                }
                shared.until > now && !shared.connection.sender.is_closed()
            });
            let is_awaited = connections.being_made.as_ref().is_some_and(|made| made.outcome.has_changed().is_ok());
            !connections.http1.is_empty() || !connections.http2.is_empty() || is_awaited
        });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // No lock is held over anything that could leave its data half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Closes the connection whose time is over first.
    fn close_one(&mut self) {
        let waiting = self.servers.values_mut().map(|connections| &mut connections.http1);
        let oldest =
            waiting.filter(|waiting| !waiting.is_empty()).min_by_key(|waiting| waiting.front().map(|one| one.until));
        if let Some(oldest) = oldest {
            oldest.pop_front();
            self.waiting -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
