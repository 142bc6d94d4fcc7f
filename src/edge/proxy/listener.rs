//! The accept loop: ours, so that there is one place for caps, deadlines and draining.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pingora::{protocols::l4::stream::Stream as TcpLayer, proxy::HttpProxy};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{
    connection::{Connection, Scheme},
    doorman::Doorman,
    serve::serve_connection,
    shared::Shared,
    sockets::Listeners,
};

/// After a failed accept (no file descriptors left), how long to wait for things to get better.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts on every listener until `shutdown` says true, then waits for the connections to end:
/// idle ones within the grace for them (with the request that they send meanwhile), others with their present request. Must run inside the runtime, of `threads`
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
            enter(stream, peer, &proxy, &shared, shutdown).await;
            drop(permit);
        });
    }
}

/// What a fresh connection goes through before its first request.
async fn enter(
    stream: TcpStream,
    peer: SocketAddr,
    proxy: &Arc<HttpProxy<Doorman>>,
    shared: &Shared,
    shutdown: watch::Receiver<bool>,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let connection = Arc::new(Connection { peer, scheme: Scheme::Http });
    serve_connection(Box::new(TcpLayer::from(stream)), &connection, proxy, shared, shutdown).await;
}
