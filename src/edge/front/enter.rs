//! What a connection goes through before its first request: limits, the PROXY protocol, TLS; then its version of HTTP.

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll};

use tokio::{net::TcpStream, sync::watch, time::Instant};

use super::{begun::Begun, http1, http2, workers::Here};
use crate::{
    aside::aside,
    edge::{
        armour::deadline::Timeouts,
        forward::{head::upstream_request, in_flight::Registered, services::Shared, worker::WorkerContext},
        listen::{
            connection::{Connection, Protocol, Scheme},
            limits::{Limits, Place, Refusal},
            listener_runtime::ListenerRuntime,
            preface, proxy_protocol,
            stream::ClientStream,
            tls,
        },
    },
    per_thread::Handle,
    timer::LazyTimeout,
};

/// What a connection of one listener meets.
pub(super) struct Front {
    /// Which of the listeners it is.
    pub(super) at: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) limits: Arc<Limits>,
    pub(super) timeouts: Timeouts,
    pub(super) shutdown: watch::Receiver<bool>,
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
    /// Whether one more connection is taken. Its client is known here, unless a balancer names it first.
    pub(super) fn admit(&self, peer: SocketAddr) -> Result<Place, Refusal> {
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
    pub(super) fn hand_over(
        front: &Handle<Self>,
        here: &Here,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        place: Place,
    ) {
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
            Protocol::Http2 => aside(|| http2::serve_connection(stream, begun, worker)).await,
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
            let Ok(said) = aside(|| proxy_protocol::read(&mut stream)).await else {
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
        let (stream, certified) = match aside(|| terminator.accept(stream)).await {
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
