//! The accept loop: ours, so that there is one place for caps, deadlines and draining.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use pingora::{
    apps::HttpServerApp,
    protocols::{Stream, http::ServerSession, l4::stream::Stream as TcpLayer},
    proxy::HttpProxy,
};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

use super::{
    doorman::Doorman,
    head::{HeadError, read_head},
    local,
    shared::Shared,
};

/// Connections that the kernel may hold for us to accept.
const BACKLOG: i32 = 4096;

/// After a failed accept (no file descriptors left), how long to wait for things to get better.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a refused request that are read, so that the answer is not lost in a reset.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// How long a refused request is read on.
const LINGER: Duration = Duration::from_secs(1);

/// Bound sockets, before anything is accepted on them.
#[derive(Debug)]
pub struct Listeners(Vec<std::net::TcpListener>);

impl Listeners {
    /// Binds every address. Port 0 takes a free one.
    ///
    /// # Errors
    /// The address that could not be bound, and why.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, (SocketAddr, io::Error)> {
        let sockets = addresses.iter().map(|&address| bind(address).map_err(|error| (address, error)));
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// Where the sockets are bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Without it a restart would wait for the connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts on every listener until `shutdown` says true, then waits for the connections to end:
/// idle ones at once, others with their present request. Must run inside the runtime, of `threads`
/// threads, that is to serve them.
pub async fn serve(listeners: Listeners, threads: usize, shared: Arc<Shared>, shutdown: watch::Receiver<bool>) {
    let proxy = Arc::new(Doorman::in_pingora(Arc::clone(&shared), threads));
    let total = shared.connections_max();
    let connections = Arc::new(Semaphore::new(total));
    let mut loops = vec![];
    for listener in listeners.0 {
        match TcpListener::from_std(listener) {
            Ok(listener) => loops.push(tokio::spawn(accept_loop(
                listener,
                Arc::clone(&proxy),
                Arc::clone(&shared),
                Arc::clone(&connections),
                shutdown.clone(),
            ))),
            Err(error) => tracing::error!(%error, "a listener cannot be used"),
        }
    }
    for accept_loop in loops {
        if accept_loop.await.is_err() {
            tracing::error!("an accept loop panicked");
        }
    }
    // Every permit back means every connection ended.
    let all = u32::try_from(total).unwrap_or(u32::MAX);
    drop(connections.acquire_many(all).await);
}

async fn accept_loop(
    listener: TcpListener,
    proxy: Arc<HttpProxy<Doorman>>,
    shared: Arc<Shared>,
    connections: Arc<Semaphore>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
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
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            shared.connection_refused();
            continue;
        };
        let (proxy, shared, shutdown) = (Arc::clone(&proxy), Arc::clone(&shared), shutdown.clone());
        tokio::spawn(async move {
            let _open = shared.connection_opened();
            serve_connection(stream, peer, &proxy, &shared, shutdown).await;
            drop(permit);
        });
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    proxy: &Arc<HttpProxy<Doorman>>,
    shared: &Shared,
    mut shutdown: watch::Receiver<bool>,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut stream: Stream = Box::new(TcpLayer::from(stream));
    let mut accepted = Some(Instant::now());
    loop {
        let tunables = shared.tunables();
        let idle = if accepted.is_some() { tunables.head_timeout } else { tunables.keepalive_timeout };
        let head = tokio::select! {
            biased;
            head = read_head(&mut stream, idle, tunables.head_timeout, accepted) => head,
            _ = shutdown.wait_for(|stop| *stop) => return,
        };
        let head = match head {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => return refuse(stream, peer, shared, &error).await,
        };
        let _busy = shared.request_begun();
        let mut session = ServerSession::new_http1(stream);
        session.set_read_timeout(Some(tunables.body_timeout));
        session.set_write_timeout(Some(tunables.body_timeout));
        session.set_connection_user_context(Some(Box::new(peer)));
        session.set_pipelined_prefix(head);
        match proxy.process_new_http(session, &shutdown).await {
            Some(reusable) => stream = reusable.consume().0,
            None => return,
        }
        accepted = None;
    }
}

/// Answers a head that was not taken, and closes.
async fn refuse(mut stream: Stream, peer: SocketAddr, shared: &Shared, error: &HeadError) {
    let Some(reason) = error.reason() else { return };
    shared.head_refused(peer, reason);
    let answer = local::closing_answer(reason);
    let written = timeout(LINGER, async {
        stream.write_all(&answer).await?;
        stream.flush().await?;
        AsyncWriteExt::shutdown(&mut stream).await
    });
    if !matches!(written.await, Ok(Ok(()))) {
        return;
    }
    let rest = timeout(LINGER, async {
        let mut discarded = vec![0; 16 << 10];
        let mut total = 0;
        while total < LINGER_BYTES_MAX {
            match stream.read(&mut discarded).await {
                Ok(0) | Err(_) => break,
                Ok(read) => total += read,
            }
        }
    });
    // Whether the client stopped sending or the time is over: the connection ends here.
    let _ = rest.await;
}
