//! What a connection goes through before its first request: limits, the PROXY protocol, TLS; then its version of HTTP.

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll};

use tokio::{net::TcpStream, sync::watch, time::Instant};

use super::{begun::Begun, http1, http2, workers::Here};
use crate::{
    aside::aside,
    edge::{
        armour::deadline::Timeouts,
        forward::{
            context::{in_flight::Registered, services::Shared, worker::WorkerContext},
            head::upstream_request,
        },
        listen::{
            connection::{Connection, Protocol, Scheme},
            limits::{ConnectionRefusal, ConnectionSlot, Limits},
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
struct ReadyConnection {
    stream: ClientStream,
    protocol: Protocol,
    connection: Arc<Connection>,
}

/// What came of the wait for it.
enum HandshakeOutcome {
    Ready(ReadyConnection),
    /// It ended, or was refused.
    Ended,
    TimedOut,
}

impl Front {
    /// Whether one more connection is taken. Its client is known here, unless a balancer names it first.
    pub(super) fn admit(&self, peer: SocketAddr) -> Result<ConnectionSlot, ConnectionRefusal> {
        let mut slot = self.limits.enter(self.shared.connections_max()).ok_or(ConnectionRefusal::Total)?;
        let trusted = self.is_trusted(peer);
        if self.listener_runtime().is_some_and(|listener_runtime| listener_runtime.proxy_protocol) {
            return if trusted { Ok(slot) } else { Err(ConnectionRefusal::ProxyProtocol) };
        }
        // A proxy before us has everybody's connections.
        if trusted || self.count(&mut slot, peer) { Ok(slot) } else { Err(ConnectionRefusal::Address) }
    }

    fn count(&self, slot: &mut ConnectionSlot, peer: SocketAddr) -> bool {
        slot.count_to(upstream_request::canonical(peer.ip()), self.shared.tunables().connections_per_address)
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
        slot: ConnectionSlot,
    ) {
        let front = front.clone();
        here.give(|worker| async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                front.enter(stream, peer, slot, &worker).await;
            }
        });
    }

    /// Takes a connection through everything that comes before its first request, and serves it.
    async fn enter(&self, stream: TcpStream, peer: SocketAddr, mut slot: ConnectionSlot, worker: &Arc<WorkerContext>) {
        let _open = self.shared.connection_opened();
        let registered = self.shared.in_flight().register();
        let accepted = Instant::now();
        let mut deadline = LazyTimeout::until(accepted + self.shared.tunables().head_timeout);
        let outcome = self.handshake_outcome(stream, peer, &mut slot, &registered, &mut deadline).await;
        let ReadyConnection { stream, protocol, connection } = match outcome {
            HandshakeOutcome::Ready(ready) => ready,
            HandshakeOutcome::Ended => return,
            HandshakeOutcome::TimedOut => {
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
    async fn handshake_outcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: &mut ConnectionSlot,
        registered: &Registered,
        deadline: &mut LazyTimeout,
    ) -> HandshakeOutcome {
        let mut handshake = pin!(self.handshake(stream, peer, slot));
        poll_fn(|cx| {
            // Nothing ends it: it is woken to look around.
            let _ = registered.guard.poll_ended(cx);
            if let Poll::Ready(ready) = handshake.as_mut().poll(cx) {
                return Poll::Ready(ready.map_or(HandshakeOutcome::Ended, HandshakeOutcome::Ready));
            }
            // One that has not even begun a request has none to lose.
            if self.shared.is_idle_grace_over() {
                return Poll::Ready(HandshakeOutcome::Ended);
            }
            deadline.poll_over(cx).map(|()| HandshakeOutcome::TimedOut)
        })
        .await
    }

    async fn handshake(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        slot: &mut ConnectionSlot,
    ) -> Option<ReadyConnection> {
        let listener_runtime = self.shared.listener_runtimes().get(self.at)?;
        let mut client = peer;
        if listener_runtime.proxy_protocol {
            let Ok(said) = aside(|| proxy_protocol::read(&mut stream)).await else {
                self.shared.connection_refused(ConnectionRefusal::ProxyProtocol);
                return None;
            };
            if let Some(said) = said {
                client = said;
                if !self.count(slot, client) {
                    self.shared.connection_refused(ConnectionRefusal::Address);
                    return None;
                }
            }
        }
        let Some(terminator) = &listener_runtime.tls else {
            let (stream, protocol) = preface::listen(stream).await?;
            let connection = Connection::new(client, Scheme::Http, protocol);
            return Some(ReadyConnection { stream, protocol, connection: Arc::new(connection) });
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
        Some(ReadyConnection { stream: ClientStream::tls(stream), protocol, connection: Arc::new(connection) })
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
            slot: ConnectionSlot,
            worker: Arc<WorkerContext>,
        ) {
            front.enter(stream, peer, slot, &worker).await;
        }
        assert!(size(task) <= 3500, "{}", size(task));
    }
}
