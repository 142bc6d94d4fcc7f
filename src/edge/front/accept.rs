//! The accept loop: ours, so that there is one place for caps, deadlines and draining.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pingora::protocols::Stream;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, timeout_at},
};

use super::{
    http1::serve_connection,
    http2,
    workers::{Station, Workers},
};
use crate::edge::{
    armour::{watch::Watch, wire},
    forward::{in_flight::SWEEP_INTERVAL, services::Shared, upstream_request},
    listen::{
        connection::{Connection, Protocol, Scheme},
        limits::{Limits, Place, Refusal},
        listener_runtime::Door,
        preface, proxy_protocol,
        sockets::Listeners,
        tls,
    },
};

/// After a failed accept (no file descriptors left), how long to wait for things to get better.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts on every listener and gives the connections to `workers`, until `shutdown` says true; then waits for the
/// connections to end: idle ones within the grace for them (with the request that they send meanwhile), others with
/// their present request.
pub async fn serve(listeners: Listeners, workers: Workers, shared: Arc<Shared>, shutdown: watch::Receiver<bool>) {
    let workers = Arc::new(workers);
    let limits = Arc::new(Limits::default());
    let sweeper = tokio::spawn(keep_sweeping(Arc::clone(&shared)));
    let mut loops = vec![];
    for (at, listener) in listeners.0.into_iter().enumerate() {
        let front = Front { at, shared: Arc::clone(&shared), shutdown: shutdown.clone() };
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                loops.push(tokio::spawn(accept_loop(listener, front, Arc::clone(&workers), Arc::clone(&limits))));
            }
            Err(error) => tracing::error!(%error, "a listener cannot be used"),
        }
    }
    for accept_loop in loops {
        if accept_loop.await.is_err() {
            tracing::error!("an accept loop panicked");
        }
    }
    limits.all_ended().await;
    sweeper.abort();
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
#[derive(Clone)]
struct Front {
    /// Which of the listeners it is.
    at: usize,
    shared: Arc<Shared>,
    shutdown: watch::Receiver<bool>,
}

async fn accept_loop(listener: TcpListener, mut front: Front, workers: Arc<Workers>, limits: Arc<Limits>) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = front.shutdown.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match front.admit(&limits, peer) {
            Ok(place) => front.hand_over(&workers, stream, peer, place),
            Err(refusal) => front.shared.connection_refused(refusal),
        }
    }
}

/// A connection that is ready for its first request.
struct Arrived {
    stream: Stream,
    protocol: Protocol,
    connection: Arc<Connection>,
}

impl Front {
    /// Whether one more connection is taken. Who it is from is known here, unless a balancer says it first.
    fn admit(&self, limits: &Arc<Limits>, peer: SocketAddr) -> Result<Place, Refusal> {
        let mut place = limits.enter(self.shared.connections_max()).ok_or(Refusal::Total)?;
        let trusted = self.is_trusted(peer);
        if self.door().is_some_and(|door| door.proxy_protocol) {
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

    fn door(&self) -> Option<&Door> {
        self.shared.doors().get(self.at)
    }

    /// Gives a connection to a worker, whose reactor watches it from then on.
    fn hand_over(&self, workers: &Workers, stream: TcpStream, peer: SocketAddr, place: Place) {
        let Ok(stream) = stream.into_std() else { return };
        let front = self.clone();
        workers.give(|station| async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                front.enter(stream, peer, place, &station).await;
            }
        });
    }

    /// Takes a connection through everything that comes before its first request, and serves it.
    async fn enter(self, stream: TcpStream, peer: SocketAddr, mut place: Place, station: &Station) {
        let _open = self.shared.connection_opened();
        let accepted = Instant::now();
        let deadline = accepted + self.shared.tunables().head_timeout;
        let mut stopped = self.shutdown.clone();
        let arrived = tokio::select! {
            biased;
            arrived = timeout_at(deadline, self.arrive(stream, peer, &mut place)) => arrived,
            () = self.shared.idle_grace_over(&mut stopped) => return,
        };
        let Ok(Some(Arrived { stream, protocol, connection })) = arrived else {
            if arrived.is_err() && self.door().is_some_and(|door| door.tls.is_some()) {
                self.shared.handshake_failed("timeout");
            }
            return;
        };
        let (shared, shutdown) = (&self.shared, self.shutdown);
        match protocol {
            Protocol::Http1 => serve_connection(stream, &connection, station, shared, accepted, shutdown).await,
            Protocol::Http2 => {
                http2::serve_connection(stream, &connection, &station.proxy, shared, deadline, shutdown).await;
            }
        }
    }

    async fn arrive(&self, mut stream: TcpStream, peer: SocketAddr, place: &mut Place) -> Option<Arrived> {
        stream.set_nodelay(true).ok()?;
        let door = self.shared.doors().get(self.at)?;
        let mut client = peer;
        if door.proxy_protocol {
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
        let watch = Watch::default();
        let Some(terminator) = &door.tls else {
            let (stream, protocol) = preface::listen(stream, watch.clone()).await?;
            let connection = Connection::new(client, Scheme::Http, protocol, watch);
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
        let connection = Connection::new(client, Scheme::Https, protocol, watch.clone());
        let connection = connection.certified(certified, client_certificate);
        Some(Arrived { stream: wire::over_tls(stream, watch), protocol, connection: Arc::new(connection) })
    }
}
