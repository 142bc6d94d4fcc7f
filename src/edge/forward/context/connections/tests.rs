//! Connections to real servers of this machine: which of them is taken, which is closed, and who waits for one.

use std::{pin::pin, task::Poll};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    observe::metrics::Metrics,
    upstream::{HttpVersion, PoolSettings, ServerSettings},
};

const IDLE: Duration = Duration::from_secs(60);

/// Where a server is to accept, the pool with that server alone, and no connections yet.
async fn speaking(http: HttpVersion) -> (TcpListener, Pool, Handle<Server>, Connections) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = ServerSettings {
        name: address.to_string().into(),
        host: address.ip().to_string().into(),
        port: address.port(),
        weight: 1,
    };
    let settings = PoolSettings { http, ..PoolSettings::new("crm", vec![server]) };
    let pool = Pool::new(settings, Metrics::new().unwrap().upstream("crm", &[])).unwrap();
    let server = pool.servers()[0].handle();
    (listener, pool, server, Connections::default())
}

fn request() -> Request<RequestBody> {
    Request::builder().uri("http://a/").body(RequestBody::default()).unwrap()
}

/// A server of HTTP/2 that allows so many streams at once, and responds to none.
fn serve_http2(listener: TcpListener, streams: u32) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let shaking_hands = h2::server::Builder::new().max_concurrent_streams(streams).handshake(stream);
                let mut connection: h2::server::Connection<_, Bytes> = shaking_hands.await.unwrap();
                let mut kept = vec![];
                while let Some(Ok(accepted)) = connection.accept().await {
                    kept.push(accepted);
                }
            });
        }
    });
}

/// Waits until the tasks of all connections that were put back have begun.
async fn begun(connections: &Connections, server: &Server) {
    while !connections.lock().servers[&server.number()].http1.iter().all(|one| one.connection.sender.is_ready()) {
        tokio::task::yield_now().await;
    }
}

/// A connection whose server has said what it allows.
async fn settled(connections: &Connections, pool: &Pool, server: &Handle<Server>) -> Lease {
    let lease = connections.connect(pool, server).await.unwrap();
    while let Some(awaited) = connections.awaited(server) {
        awaited.made().await.unwrap();
    }
    lease
}

#[tokio::test]
async fn the_last_that_was_put_back_is_taken_first_unless_its_time_is_over() {
    let (listener, pool, server, connections) = speaking(HttpVersion::One).await;
    let now = Instant::now();
    let mut accepted = vec![];
    for idle in [IDLE, 2 * IDLE, 3 * IDLE] {
        let lease = connections.connect(&pool, &server).await.unwrap();
        assert!(!lease.is_http2());
        accepted.push(listener.accept().await.unwrap().0);
        connections.put(&server, lease, idle, now);
    }
    assert_eq!(connections.lock().waiting, 3);
    begun(&connections, &server).await;
    let mut lease = connections.take(&server, now).unwrap();
    let _sending = lease.send(request());
    let mut head = [0; 16];
    accepted[2].read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"GET http://a/ HT");
    // The first is over by then.
    assert!(connections.take(&server, now + IDLE).is_some());
    assert!(connections.take(&server, now + IDLE).is_none());
    assert_eq!(connections.lock().waiting, 0);
}

#[tokio::test]
async fn what_its_server_closed_is_not_taken() {
    let (listener, pool, server, connections) = speaking(HttpVersion::One).await;
    let now = Instant::now();
    let lease = connections.connect(&pool, &server).await.unwrap();
    connections.put(&server, lease, IDLE, now);
    let (mut accepted, _) = listener.accept().await.unwrap();
    accepted.shutdown().await.unwrap();
    // The connection's own task hears of it.
    accepted.read_to_end(&mut vec![]).await.unwrap();
    connections.close_ended(now);
    assert!(connections.take(&server, now).is_none());
    let kept = connections.lock();
    assert_eq!((kept.waiting, kept.servers.len()), (0, 0));
}

#[tokio::test]
async fn too_many_that_wait_close_the_one_whose_time_is_over_first() {
    let (listener, pool, server, connections) = speaking(HttpVersion::One).await;
    let now = Instant::now();
    let mut accepted = vec![];
    for idle in [IDLE, 2 * IDLE] {
        let lease = connections.connect(&pool, &server).await.unwrap();
        accepted.push(listener.accept().await.unwrap().0);
        connections.lock().waiting = IDLE_CONNECTIONS_MAX - 1 + accepted.len() - 1;
        connections.put(&server, lease, idle, now);
    }
    assert_eq!(accepted[0].read(&mut [0]).await.unwrap(), 0);
    assert_eq!(connections.lock().waiting, IDLE_CONNECTIONS_MAX);
    assert_eq!(connections.lock().servers[&server.number()].http1.len(), 1);
}

#[tokio::test]
async fn a_connection_has_as_many_streams_as_its_server_allows_until_it_is_forgotten() {
    let (listener, pool, server, connections) = speaking(HttpVersion::Two).await;
    serve_http2(listener, 3);
    let lease = settled(&connections, &pool, &server).await;
    assert_eq!(server.streams(), 3);
    let now = Instant::now();
    let others = [(); 2].map(|()| connections.take(&server, now).unwrap());
    assert!(connections.take(&server, now).is_none());
    drop(others);
    // With streams it outlives its idle time.
    connections.close_ended(now + 2 * pool.settings.timeouts.idle);
    assert!(connections.take(&server, now).is_some());
    connections.forget(&server, &lease);
    assert!(connections.take(&server, now).is_none());
    // The end of one of its streams does not bring it back.
    connections.put(&server, lease, IDLE, now);
    assert!(connections.take(&server, now).is_none());
}

#[tokio::test]
async fn what_a_server_allowed_is_forgotten_with_the_connection() {
    let (listener, pool, server, connections) = speaking(HttpVersion::Two).await;
    serve_http2(listener, 1);
    let lease = settled(&connections, &pool, &server).await;
    assert_eq!(server.streams(), 1);
    drop((lease, connections));
    while server.streams() == 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn others_wait_for_a_connection_that_is_made_as_many_as_it_carries() {
    let (_listener, pool, server, connections) = speaking(HttpVersion::Two).await;
    assert!(connections.awaited(&server).is_none());
    let awaited: Vec<_> = {
        let mut making = pin!(connections.connect(&pool, &server));
        assert!(futures_util::poll!(&mut making).is_pending());
        // What is not made yet is not swept.
        connections.close_ended(Instant::now());
        std::iter::from_fn(|| connections.awaited(&server)).collect()
    };
    assert_eq!(awaited.len(), STREAMS_MAX - 1);
    // Its request was given up: the others look for another.
    assert!(join_all(awaited.into_iter().map(Awaited::made)).await.iter().all(Result::is_ok));
    assert!(connections.awaited(&server).is_none());
}

#[tokio::test]
async fn those_who_wait_hear_why_a_connection_could_not_be_made() {
    let (listener, pool, server, connections) = speaking(HttpVersion::Two).await;
    drop(listener);
    let mut making = pin!(connections.connect(&pool, &server));
    let awaited = match futures_util::poll!(&mut making) {
        Poll::Pending => connections.awaited(&server).unwrap().made(),
        Poll::Ready(_) => unreachable!("a connection takes a turn"),
    };
    assert_eq!(making.await.unwrap_err(), Unconnected::Refused);
    assert_eq!(awaited.await, Err(Unconnected::Refused));
    assert!(connections.awaited(&server).is_none());
}

#[tokio::test]
async fn those_who_wait_hear_together_of_a_server_that_closes_without_a_word() {
    let (listener, pool, server, connections) = speaking(HttpVersion::Two).await;
    let _lease = connections.connect(&pool, &server).await.unwrap();
    let awaited: Vec<_> = std::iter::from_fn(|| connections.awaited(&server)).collect();
    assert_eq!(awaited.len(), STREAMS_MAX - 1);
    drop(listener.accept().await.unwrap());
    let heard = join_all(awaited.into_iter().map(Awaited::made)).await;
    assert!(heard.iter().all(|heard| *heard == Err(Unconnected::Other)));
    assert!(connections.awaited(&server).is_none());
}

#[tokio::test]
async fn nobody_waits_for_what_carries_one_request() {
    let (_listener, pool, server, connections) = speaking(HttpVersion::One).await;
    let mut making = pin!(connections.connect(&pool, &server));
    assert!(futures_util::poll!(&mut making).is_pending());
    assert!(connections.awaited(&server).is_none());
}
