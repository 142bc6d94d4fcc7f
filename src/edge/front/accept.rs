//! The accept loop: ours, so that there is one place for caps, deadlines and draining.

use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::{
    begun::Begun,
    http1, http2,
    workers::{Here, Workers},
};
use crate::{
    edge::{
        armour::stream::{ClientTimeouts, Timeouts},
        forward::{
            in_flight::{Registered, SWEEP_INTERVAL},
            services::Shared,
            upstream_request,
            worker::WorkerContext,
        },
        listen::{
            connection::{Connection, Protocol, Scheme},
            limits::{Limits, Place, Refusal},
            listener_runtime::ListenerRuntime,
            preface, proxy_protocol,
            sockets::Listeners,
            stream::ClientStream,
            tls,
        },
    },
    per_thread::{Handle, Spread},
    timer::LazyTimeout,
};

/// After a failed accept (no file descriptors left), how long to wait for things to get better.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that one worker accepts in a row, before it is another's turn.
const ACCEPTED_IN_A_ROW_MAX: usize = 64;

/// Connections that one worker accepts before it looks after its others.
const ACCEPTED_AT_ONCE_MAX: usize = 8;

/// How often the worker that accepts is asked whether it takes up work at all.
const WORKER_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long it has for its answer. Then another accepts.
const WORKER_PATIENCE: Duration = Duration::from_secs(1);

/// Has `workers` accept on every listener, until `shutdown` says true; then waits for the connections to end: idle ones
/// within the grace for them (with the request that they send meanwhile), others with their present request.
pub async fn serve(listeners: Listeners, workers: Workers, shared: Arc<Shared>, shutdown: watch::Receiver<bool>) {
    let workers = Arc::new(workers);
    let limits = Arc::new(Limits::default());
    let sweeper = tokio::spawn(keep_sweeping(Arc::clone(&shared)));
    let draining = tokio::spawn({
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        async move { shared.drain(shutdown).await }
    });
    let timeouts = client_timeouts(&shared);
    let mut loops = vec![];
    for (at, listener) in listeners.0.into_iter().enumerate() {
        let timeouts = Arc::clone(&timeouts);
        let limits = Arc::clone(&limits);
        let front = Front { at, shared: Arc::clone(&shared), timeouts, limits, shutdown: shutdown.clone() };
        loops.push(tokio::spawn(accept_in_turn(listener, Spread::new(front), Arc::clone(&workers))));
    }
    for accept_loop in loops {
        if accept_loop.await.is_err() {
            tracing::error!("an accept loop panicked");
        }
    }
    limits.all_ended().await;
    sweeper.abort();
    draining.abort();
}

/// How long clients are waited for, as the present settings say.
fn client_timeouts(shared: &Arc<Shared>) -> Timeouts {
    let shared = Arc::clone(shared);
    Arc::new(move || {
        let tunables = shared.tunables();
        ClientTimeouts {
            head: tunables.head_timeout,
            keepalive: tunables.keepalive_timeout,
            write: tunables.body_timeout,
        }
    })
}

/// Sweeps until it is aborted: a defect that ends the sweeper must not leave ended tokens in flight.
async fn keep_sweeping(shared: Arc<Shared>) {
    loop {
        let mut sweeper = JoinSet::new();
        sweeper.spawn(sweep(Arc::clone(&shared)));
        if let Some(Err(error)) = sweeper.join_next().await {
            tracing::error!(%error, "the sweeper failed and is started again");
        }
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Ends what is in flight when its token ends.
async fn sweep(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        shared.sweep();
    }
}

/// What a connection of one listener meets.
struct Front {
    /// Which of the listeners it is.
    at: usize,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    timeouts: Timeouts,
    shutdown: watch::Receiver<bool>,
}

/// A listening socket, whose connections no reactor knows before their worker's: tokio's own listener would register
/// each with the reactor that accepts, only for it to be taken out again.
struct Acceptor<'l> {
    listener: &'l TcpListener,
    /// The same socket once more, as tokio watches it.
    watched: TcpStream,
}

impl<'l> Acceptor<'l> {
    /// Watched by the reactor of the worker that it is made on, which `watched` is for.
    fn new(listener: &'l TcpListener, watched: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self { listener, watched: TcpStream::from_std(watched)? })
    }

    async fn accept(&self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        loop {
            self.watched.readable().await?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let accepting = || Ok(acceptfrom_with(self.listener, flags)?);
            match self.watched.try_io(Interest::READABLE, accepting) {
                Ok((socket, peer)) => {
                    // A connection that has gone already has no other end.
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    let Some(peer) = peer else { continue };
                    return Ok((socket.into(), peer));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The same socket once more, for a reactor to watch.
fn watched(listener: &TcpListener) -> io::Result<std::net::TcpStream> {
    Ok(std::net::TcpStream::from(OwnedFd::from(listener.try_clone()?)))
}

/// Has one worker after the other accept, until the gateway stops. No two accept on the same listener, or each
/// connection would wake them all; but a worker that takes up no work for a while does not keep the others from it.
async fn accept_in_turn(listener: TcpListener, front: Spread<Front>, workers: Arc<Workers>) {
    // Its connections inherit that they send small pieces at once.
    if let Err(error) = SockRef::from(&listener).set_tcp_nodelay(true) {
        return tracing::error!(%error, "a listener cannot be used");
    }
    let listener = Arc::new(listener);
    let round = Arc::<Round>::default();
    // It goes from turn to turn, so that no turn needs another file. A turn that is lost takes it along.
    let mut kept = None;
    loop {
        let watched = match kept.take().map_or_else(|| watched(&listener), Ok) {
            Ok(watched) => watched,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let (ended, end) = oneshot::channel();
        let number = round.begin();
        let turn =
            Turn { front: front.clone(), listener: Arc::clone(&listener), round: Arc::clone(&round), number, ended };
        if turn.pass(&workers, round.at(), watched).is_none() {
            return tracing::error!("every thread that serves has ended");
        }
        match end_of_round(end, &round, &workers).await {
            Some(Ok((watched, End::Failed(error)))) => {
                kept = watched;
                pause_after(&error).await;
            }
            Some(Ok((_, End::Stopped))) => return,
            Some(Err(_)) if workers.have_ended() => return tracing::error!("every thread that serves has ended"),
            // A defect of the loop: another worker goes on.
            Some(Err(_)) => {
                tracing::error!("an accept loop panicked");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // Its turn is over once its worker does something else.
            None => {}
        }
    }
}

/// Waits until nobody accepts any more; `None` where the worker whose turn it is takes up no work.
async fn end_of_round(
    mut end: oneshot::Receiver<Ended>,
    round: &Round,
    workers: &Workers,
) -> Option<Result<Ended, oneshot::error::RecvError>> {
    loop {
        let hangs = async {
            tokio::time::sleep(WORKER_LOOK_INTERVAL).await;
            let at = round.at();
            // It may have given its turn to another meanwhile, and be busy.
            !workers.answers(at, WORKER_PATIENCE).await && round.at() == at
        };
        tokio::select! {
            biased;
            ended = &mut end => return Some(ended),
            hangs = hangs => if hangs { return None },
        }
    }
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Which worker accepts on a listener: each gives its turn to another, without a word to the others. Holds the number
/// of the round, and in the lowest bits whose turn it is: one value, so that no turn of a round that is over can say
/// that it is the present one.
#[derive(Debug, Default)]
struct Round(AtomicU64);

impl Round {
    /// Bits that say whose turn it is.
    const AT_BITS: u32 = 16;

    /// Begins a round. Turns of those before are over, even where their worker has not found the time to notice.
    fn begin(&self) -> u64 {
        (self.0.fetch_add(1 << Self::AT_BITS, Ordering::Relaxed) >> Self::AT_BITS) + 1
    }

    fn is_present(&self, number: u64) -> bool {
        self.0.load(Ordering::Relaxed) >> Self::AT_BITS == number
    }

    /// Which worker's turn it is.
    fn at(&self) -> usize {
        let at = self.0.load(Ordering::Relaxed) & ((1 << Self::AT_BITS) - 1);
        usize::try_from(at).unwrap_or_default()
    }

    /// Notes that it is the turn of the worker `at`, where the round of this number is the present one.
    fn note(&self, number: u64, at: usize) {
        let noted = |present: u64| {
            let at = u64::from(u16::try_from(at).ok()?);
            (present >> Self::AT_BITS == number).then_some(number << Self::AT_BITS | at)
        };
        // A turn of a round that is over ends as soon as it begins.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, noted);
    }
}

/// A worker's turn to accept on a listener.
struct Turn {
    front: Spread<Front>,
    listener: Arc<TcpListener>,
    round: Arc<Round>,
    number: u64,
    /// Told when no other turn follows.
    ended: oneshot::Sender<Ended>,
}

/// Why no turn follows, and what the listener was watched with.
type Ended = (Option<std::net::TcpStream>, End);

enum End {
    /// The gateway stops.
    Stopped,
    /// The listener gave no connection.
    Failed(io::Error),
}

impl Turn {
    /// Gives the turn to the worker with the fewest connections, if possible another than that `at`; `None` where every
    /// worker has ended.
    fn pass(self, workers: &Arc<Workers>, at: usize, watched: std::net::TcpStream) -> Option<()> {
        workers.run(at, |here| {
            self.round.note(self.number, here.at());
            self.accept(watched, here)
        })
    }

    /// Accepts on this worker while that has no more connections than it should, and gives the turn to another then.
    /// Boxed, because it ends with its own beginning.
    fn accept(self, watched: std::net::TcpStream, here: Here) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if !self.round.is_present(self.number) {
                return;
            }
            let acceptor = match Acceptor::new(&self.listener, watched) {
                Ok(acceptor) => acceptor,
                Err(error) => return self.end(None, End::Failed(error)),
            };
            let front = self.front.handle();
            let end = Front::accept(&front, &acceptor, &here, || self.round.is_present(self.number)).await;
            let watched = acceptor.watched.into_std();
            match (end, watched) {
                (Some(end), watched) => self.end(watched.ok(), end),
                (None, Err(error)) => self.end(None, End::Failed(error)),
                (None, Ok(watched)) => {
                    if let Some(workers) = here.workers() {
                        self.pass(&workers, here.at(), watched);
                    }
                }
            }
        })
    }

    fn end(self, watched: Option<std::net::TcpStream>, end: End) {
        // Nobody hears it when another round has begun.
        drop(self.ended.send((watched, end)));
    }
}

/// A connection that is ready for its first request.
struct Arrived {
    stream: ClientStream,
    protocol: Protocol,
    connection: Arc<Connection>,
}

/// What came of the wait for it.
enum Arrival {
    Ready(Arrived),
    /// It ended, or was refused.
    Ended,
    TimedOut,
}

impl Front {
    /// Accepts on this worker, until it is another's turn or this one `is_present` no longer. Otherwise says why no
    /// other can accept.
    async fn accept(
        front: &Handle<Self>,
        acceptor: &Acceptor<'_>,
        here: &Here,
        is_present: impl Fn() -> bool,
    ) -> Option<End> {
        let mut shutdown = front.shutdown.clone();
        for accepted in 1..=ACCEPTED_IN_A_ROW_MAX {
            let (stream, peer) = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return Some(End::Stopped),
                accepted = acceptor.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => return Some(End::Failed(error)),
                },
            };
            match front.admit(peer) {
                Ok(place) => Self::hand_over(front, here, stream, peer, place),
                Err(refusal) => front.shared.connection_refused(refusal),
            }
            if !is_present() || here.has_surplus() {
                break;
            }
            if accepted % ACCEPTED_AT_ONCE_MAX == 0 {
                // The worker has requests to serve, too.
                tokio::task::yield_now().await;
            }
        }
        None
    }

    /// Whether one more connection is taken. Its client is known here, unless a balancer names it first.
    fn admit(&self, peer: SocketAddr) -> Result<Place, Refusal> {
        let mut place = self.limits.enter(self.shared.connections_max()).ok_or(Refusal::Total)?;
        let trusted = self.is_trusted(peer);
        if self.listener_runtime().is_some_and(|listener_runtime| listener_runtime.proxy_protocol) {
            return if trusted { Ok(place) } else { Err(Refusal::ProxyProtocol) };
        }
        // A proxy before us has everybody's connections.
        if trusted || self.count(&mut place, peer) { Ok(place) } else { Err(Refusal::Address) }
    }

    fn count(&self, place: &mut Place, peer: SocketAddr) -> bool {
        place.count_to(upstream_request::canonical(peer.ip()), self.shared.tunables().connections_per_address)
    }

    fn is_trusted(&self, peer: SocketAddr) -> bool {
        upstream_request::is_trusted(peer.ip(), &self.shared.tunables().trusted_proxies)
    }

    fn listener_runtime(&self) -> Option<&ListenerRuntime> {
        self.shared.listener_runtimes().get(self.at)
    }

    /// Gives a connection to this worker, whose reactor watches it from then on.
    fn hand_over(front: &Handle<Self>, here: &Here, stream: std::net::TcpStream, peer: SocketAddr, place: Place) {
        let front = front.clone();
        here.give(|worker| async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                front.enter(stream, peer, place, &worker).await;
            }
        });
    }

    /// Takes a connection through everything that comes before its first request, and serves it.
    async fn enter(&self, stream: TcpStream, peer: SocketAddr, mut place: Place, worker: &Arc<WorkerContext>) {
        let _open = self.shared.connection_opened();
        let registered = self.shared.in_flight().register();
        let accepted = Instant::now();
        let mut deadline = LazyTimeout::until(accepted + self.shared.tunables().head_timeout);
        let arrival = self.arrival(stream, peer, &mut place, &registered, &mut deadline).await;
        let Arrived { stream, protocol, connection } = match arrival {
            Arrival::Ready(arrived) => arrived,
            Arrival::Ended => return,
            Arrival::TimedOut => {
                if self.listener_runtime().is_some_and(|listener_runtime| listener_runtime.tls.is_some()) {
                    self.shared.handshake_failed("timeout");
                }
                return;
            }
        };
        let begun = Begun { connection, registered, accepted, deadline };
        match protocol {
            Protocol::Http1 => http1::serve_connection(stream, begun, worker, &self.timeouts, &self.shutdown).await,
            // Boxed: the task of each connection of HTTP/1 would have room for it.
            Protocol::Http2 => Box::pin(http2::serve_connection(stream, begun, worker)).await,
        }
    }

    /// Waits until a connection is ready for its first request, no longer than until `deadline`.
    async fn arrival(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: &mut Place,
        registered: &Registered,
        deadline: &mut LazyTimeout,
    ) -> Arrival {
        let mut arriving = pin!(self.arrive(stream, peer, place));
        poll_fn(|cx| {
            // Nothing ends it: it is woken to look around.
            let _ = registered.guard.poll_ended(cx);
            if let Poll::Ready(arrived) = arriving.as_mut().poll(cx) {
                return Poll::Ready(arrived.map_or(Arrival::Ended, Arrival::Ready));
            }
            // One that has not even begun a request has none to lose.
            if self.shared.is_idle_grace_over() {
                return Poll::Ready(Arrival::Ended);
            }
            deadline.poll_over(cx).map(|()| Arrival::TimedOut)
        })
        .await
    }

    async fn arrive(&self, mut stream: TcpStream, peer: SocketAddr, place: &mut Place) -> Option<Arrived> {
        let listener_runtime = self.shared.listener_runtimes().get(self.at)?;
        let mut client = peer;
        if listener_runtime.proxy_protocol {
            let Ok(said) = proxy_protocol::read(&mut stream).await else {
                self.shared.connection_refused(Refusal::ProxyProtocol);
                return None;
            };
            if let Some(said) = said {
                client = said;
                if !self.count(place, client) {
                    self.shared.connection_refused(Refusal::Address);
                    return None;
                }
            }
        }
        let Some(terminator) = &listener_runtime.tls else {
            let (stream, protocol) = preface::listen(stream).await?;
            let connection = Connection::new(client, Scheme::Http, protocol);
            return Some(Arrived { stream, protocol, connection: Arc::new(connection) });
        };
        let (stream, certified) = match terminator.accept(stream).await {
            Ok(accepted) => accepted,
            Err(failure) => {
                self.shared.handshake_failed(failure.as_str());
                return None;
            }
        };
        let session = stream.get_ref().1;
        let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let client_certificate = match certificate.map(|certificate| tls::forwarded_certificate(certificate)) {
            // It was verified, so it can be read; if not, nobody is to believe that there was none.
            Some(None) => return None,
            told => told.flatten(),
        };
        let connection = Connection::new(client, Scheme::Https, protocol);
        let connection = connection.certified(certified, client_certificate);
        Some(Arrived { stream: ClientStream::tls(stream), protocol, connection: Arc::new(connection) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of a function's future.
    fn size<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// Each connection has one for as long as it lives.
    #[test]
    fn a_connections_task_is_small() {
        async fn task(
            front: Handle<Front>,
            stream: TcpStream,
            peer: SocketAddr,
            place: Place,
            worker: Arc<WorkerContext>,
        ) {
            front.enter(stream, peer, place, &worker).await;
        }
        assert!(size(task) <= 3500, "{}", size(task));
    }
}
