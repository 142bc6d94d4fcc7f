//! The admin listener's connections, from accept to close.

use std::{
    future::poll_fn,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpStream, sync::watch, task::JoinSet};

use super::{
    Admin,
    operator::Peer,
    router::router,
    slots::{AdminSlot, AdminSlots, InWork},
};

/// For a whole request head, and for the next one to begin.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);

/// How long nobody is accepted after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// For everything that comes over one connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// Serves until `stop` says true, then closes the listener and ends what was begun. Runs on the
/// runtime that it is awaited on.
///
/// # Errors
/// Fails when the runtime does not take the listener.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let slots = Arc::new(AdminSlots::default());
    let router = router(admin);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // First: a client that hears of a successor must find it with its next request.
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // For want of descriptors, say: the next attempt would fail at once, and again.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // One that finds no slot is closed at once.
        if let Some(slot) = slots.enter() {
            connections.spawn(serve_connection((stream, peer), slot, router.clone(), stop.clone()));
        }
        // The connections that came are looked at before more are accepted.
        tokio::task::yield_now().await;
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Serves one connection until it ends, `stop` says true, or another one needs its slot.
async fn serve_connection(
    (stream, peer): (TcpStream, SocketAddr),
    (slot, first_look): (AdminSlot, InWork),
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        let in_work = slot.begin();
        request.extensions_mut().insert(Peer(peer));
        let answering = router.call(request);
        async move {
            let response = answering.await;
            drop(in_work);
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut first_look = Some(first_look);
    // However a connection ends, it concerns nobody else.
    let served = tokio::time::timeout(CONNECTION_LIFE, async {
        tokio::select! {
            biased;
            () = poll_fn(|cx| {
                let over = connection.as_mut().poll(cx).map(drop);
                first_look = None;
                over
            }) => return,
            () = slot.taken_away() => return,
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // The response that is being made goes out, and says that no other follows.
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    });
    let _ = served.await;
}
