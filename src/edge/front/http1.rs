//! One HTTP/1 connection, request after request: the head is read here, and says who does the rest.

use std::{mem, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::BytesMut;
use pingora::{
    apps::HttpServerApp,
    protocols::{Stream, http::ServerSession},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::{Instant, timeout},
};

use super::workers::Station;
use crate::edge::{
    armour::{
        chunks,
        head::{HeadError, read_head},
    },
    forward::{
        direct::{self, Carried},
        exchange::Arrival,
        local_response,
        services::{Shared, Tunables},
        upgrade,
        upload::{self, Progress, unwatched, watched_stream},
    },
    lazy_timeout::Patience,
    listen::connection::Connection,
};

/// Bytes of a refused request that are read, so that the answer is not lost in a reset.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// How long a refused request is read on.
const LINGER: Duration = Duration::from_secs(1);

/// Serves a connection that was `accepted` then, until the client or `shutdown` ends it, or a request leaves the connection in doubt.
pub(in crate::edge) async fn serve_connection(
    mut stream: Stream,
    connection: &Arc<Connection>,
    station: &Station,
    shared: &Arc<Shared>,
    accepted: Instant,
    mut shutdown: watch::Receiver<bool>,
) {
    let registered = shared.lifelines().register();
    let lifeline = &registered.lifeline;
    let mut patience = Patience::until(accepted);
    let mut accepted = Some(accepted);
    let mut early = BytesMut::new();
    let mut stopped = shutdown.clone();
    let mut drained = pin!(shared.idle_grace_over(&mut stopped));
    loop {
        // Copies: a guard that is held while a client is waited for would make others' dearer.
        let Tunables { head_timeout, keepalive_timeout, body_timeout, .. } = **shared.tunables();
        let idle = if accepted.is_some() { head_timeout } else { keepalive_timeout };
        let head = tokio::select! {
            biased;
            head = read_head(&mut stream, &mut patience, idle, head_timeout, accepted, mem::take(&mut early)) => head,
            () = &mut drained => return,
        };
        let head = match head {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => return refuse(stream, connection.peer, shared, &error).await,
        };
        if !connection.stands(&*shared.means.clock) {
            // As if it had waited for too long: the client connects again, with the certificate that it has now.
            return;
        }
        let _busy = shared.request_begun();
        let upload = head.has_body.then(Arc::<Progress>::default);
        let mut arrival = Arrival {
            connection: Arc::clone(connection),
            lifeline: Arc::clone(lifeline),
            upload: upload.clone(),
            client: None,
            decided: None,
        };
        let mut bytes = head.bytes;
        if let Some(at) = head.chunks_at {
            stream = chunks::armour(stream, &mut bytes, at);
        }
        if head.upgrade {
            match upgrade::enter(&mut stream, bytes, &mut arrival, shared, &mut shutdown).await {
                upgrade::Entered::Ordinary(ordinary) => bytes = ordinary,
                upgrade::Entered::Ended => return,
                upgrade::Entered::Answered => return linger(stream).await,
            }
        }
        if head.plain {
            let closing = *shutdown.borrow();
            match direct::carry(&mut stream, bytes, &mut arrival, (&station.doorman, &station.idle), closing).await {
                Carried::Ordinary(ordinary) => bytes = ordinary,
                Carried::Ended => return,
                Carried::Closing => return linger(stream).await,
                Carried::Answered(next) => {
                    if lifeline.has_ended() {
                        return;
                    }
                    (early, accepted) = (next, None);
                    continue;
                }
            }
        }
        if let Some(upload) = &upload {
            stream = watched_stream(stream, upload);
        }
        let mut session = ServerSession::new_http1(stream);
        // How long a body is waited for is a matter of more than its own pauses: see `upload`.
        session.set_read_timeout(upload.is_none().then_some(body_timeout));
        session.set_write_timeout(Some(body_timeout));
        session.set_total_drain_timeout(Some(body_timeout));
        session.set_connection_user_context(Some(Box::new(arrival)));
        session.set_pipelined_prefix(bytes);
        let served = upload::serve(upload.as_deref(), station.proxy.process_new_http(session, &shutdown));
        match lifeline.guard(served).await {
            Ok(Ok(Some(reusable))) => stream = reusable.consume().0,
            Ok(Ok(None)) => return,
            Ok(Err(overdue)) => {
                if let Some(mut left) = lifeline.take_left() {
                    station.doorman.cut_off(&mut left, overdue);
                }
                return;
            }
            Err(reason) => {
                if let Some(mut left) = lifeline.take_left() {
                    left.failure = Some(reason);
                    shared.record_left(&mut left);
                }
                return;
            }
        }
        if upload.is_some() {
            let Some(bare) = unwatched(stream) else { return };
            stream = bare;
        }
        if head.chunks_at.is_some() {
            let Some(bare) = chunks::unarmoured(stream) else { return };
            stream = bare;
        }
        if lifeline.has_ended() {
            // Its next request would be cut off before anybody answered it.
            return;
        }
        accepted = None;
    }
}

/// Answers a head that was not taken, and closes.
async fn refuse(mut stream: Stream, peer: SocketAddr, shared: &Shared, error: &HeadError) {
    let Some(reason) = error.reason() else { return };
    shared.head_refused(peer, reason);
    let Ok(answer) = local_response::closing_answer(reason) else { return };
    let written = timeout(LINGER, async {
        stream.write_all(&answer).await?;
        stream.flush().await
    });
    if matches!(written.await, Ok(Ok(()))) {
        linger(stream).await;
    }
}

/// Says that nothing more comes and reads on for a while, so that what was written last is not lost in a reset.
async fn linger(mut stream: Stream) {
    let rest = timeout(LINGER, async {
        if AsyncWriteExt::shutdown(&mut stream).await.is_err() {
            return;
        }
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
