//! One HTTP/1 connection, on hyper's server.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::timeout,
};

use super::begun::Begun;
use crate::{
    aside::aside,
    domain::Reason,
    edge::{
        armour::{
            deadline::Timeouts,
            head::{HEAD_BYTES_MAX, HeadError},
            state::Http1State,
            stream::Armour,
        },
        forward::{
            context::{in_flight::RequestGuard, services::Shared, worker::WorkerContext},
            exchange::{Inbound, Tunnel},
            give_up::Unanswered,
            local_response,
            record::head_refused,
            response_body::ResponseBody,
            serve::serve,
        },
        listen::{
            connection::{Connection, Scheme},
            stream::ClientStream,
        },
    },
    wakes::HoldableWaker,
};

/// Bytes of a refused request that are read, so that the response is not lost in a reset.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// How long a refused request is read on.
const LINGER: Duration = Duration::from_secs(1);

/// What a connection holds of what it reads or writes, at most: a whole head, with a query that was escaped.
const BUFFER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

/// How a connection came to its end.
enum End {
    /// As HTTP has it, or as the armour found it.
    Done(Result<(), hyper::Error>),
    /// An exchange on it was ended.
    Ended,
    /// It rests: nothing is on its way, in neither direction.
    Rests,
}

/// What is left to do with a connection that HTTP is done with.
enum Last {
    Close,
    /// Close it in order: over TLS, what was sent is whole only where that is said (RFC 8446 section 6.1).
    End,
    /// End it with a reset: what was sent would look whole.
    Reset,
    /// Read on for a while: closing a connection with bytes unread resets it, and the client may lose its response.
    Linger,
    /// The same, where hyper has refused what the armour let pass, and has answered it.
    LingerRefused,
    /// Answer a head that the armour has refused.
    Refuse(Reason),
}

impl Last {
    fn of<S>(end: &End, armour: &Armour<S>, state: &Http1State) -> Self {
        match (end, armour.refusal().map(HeadError::reason)) {
            (End::Ended | End::Done(Err(_)), _) if state.ends_with_connection() => Self::Reset,
            (End::Done(Err(error)), _) if error.is_parse() => Self::LingerRefused,
            (End::Ended | End::Done(Err(_)), _) => Self::Close,
            (End::Done(Ok(())), Some(reason)) => Self::Refuse(reason),
            (End::Done(Ok(())), None) if !armour.has_ended() && !armour.is_at_rest() => Self::Linger,
            (End::Done(Ok(())) | End::Rests, _) => Self::End,
        }
    }

    async fn carry_out(self, mut stream: ClientStream, connection: &Connection, worker: &WorkerContext) {
        match self {
            Self::Close => {}
            Self::End => {
                if connection.scheme == Scheme::Https {
                    let _ = timeout(LINGER, AsyncWriteExt::shutdown(&mut stream)).await;
                }
            }
            Self::Reset => stream.reset(),
            Self::Linger => linger(stream).await,
            Self::LingerRefused => {
                head_refused(&worker.shared, connection.peer, Reason::MalformedRequest);
                linger(stream).await;
            }
            Self::Refuse(reason) => refuse(stream, reason, connection, worker).await,
        }
    }
}

/// Tells what has not gone out that the connection has ended, also where its task is dropped.
struct Ending<'s>(&'s Http1State);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Serves a connection until the client or `shutdown` ends it, or a request leaves the connection in doubt.
pub(super) async fn serve_connection(
    stream: ClientStream,
    begun: Begun,
    worker: &Arc<WorkerContext>,
    timeouts: &Timeouts,
    shutdown: &watch::Receiver<bool>,
) {
    let shared = &worker.shared;
    let Begun { connection, registered, accepted, deadline } = begun;
    let state = Arc::<Http1State>::default();
    let inbound = Inbound::new(worker, &connection, &registered.guard, Some(Arc::clone(&state)));
    let service = {
        let inbound = Arc::clone(&inbound);
        service_fn(move |request| serve(Arc::clone(&inbound), request))
    };
    let respelt = shared.services.live_state.view().respelt_names();
    let preserves_case = respelt.is_some();
    let mut armour = Armour::new(stream, &state, timeouts, (accepted, deadline), respelt);
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).preserve_header_case(preserves_case).max_buf_size(BUFFER_BYTES_MAX);
    let ending = Ending(&state);
    let end = loop {
        let mut serving = builder.serve_connection(TokioIo::new(armour), service.clone());
        let end = serve_requests(&mut serving, &registered.guard, &state, shared).await;
        // hyper holds nothing that was handed on: each request of it is answered. Its buffers are what a connection
        // that rests has no use for: nothing of them may live beyond this.
        let http1::Parts { io, read_buf, .. } = serving.into_parts();
        armour = io.into_inner();
        let may_rest = matches!(end, End::Rests) && read_buf.is_empty();
        drop(read_buf);
        if !may_rest {
            break end;
        }
        if let Some(end) = rest(&mut armour, &registered.guard, shared).await {
            break end;
        }
    };
    drop(ending);
    let last = Last::of(&end, &armour, &state);
    let (stream, held) = armour.into_parts();
    let tunnel = inbound.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(tunnel) = tunnel {
        aside(|| go_on(tunnel, stream, held, shutdown.clone())).await;
    } else if !matches!(last, Last::Close) {
        aside(|| last.carry_out(stream, &connection, worker)).await;
    }
}

/// Serves one request after the other, until the connection ends or rests.
async fn serve_requests<S>(
    serving: &mut http1::Connection<TokioIo<Armour<ClientStream>>, S>,
    guard: &RequestGuard,
    state: &Http1State,
    shared: &Shared,
) -> End
where
    S: Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Unanswered>,
{
    let mut draining = false;
    let mut waker = HoldableWaker::default();
    poll_fn(|cx| {
        loop {
            if guard.poll_ended(cx).is_ready() {
                return Poll::Ready(End::Ended);
            }
            if let Poll::Ready(done) = Pin::new(&mut *serving).poll(&mut waker.context(cx)) {
                return Poll::Ready(End::Done(done));
            }
            if state.take_rest() {
                return Poll::Ready(End::Rests);
            }
            if draining || !shared.is_idle_grace_over() {
                return Poll::Pending;
            }
            draining = true;
            Pin::new(&mut *serving).graceful_shutdown();
        }
    })
    .await
}

/// Waits while the connection rests. `None` when the next request begins, and how it ends otherwise.
async fn rest(armour: &mut Armour<ClientStream>, guard: &RequestGuard, shared: &Shared) -> Option<End> {
    poll_fn(|cx| {
        if guard.poll_ended(cx).is_ready() {
            return Poll::Ready(Some(End::Ended));
        }
        if armour.poll_arrival(cx).is_ready() {
            return Poll::Ready(armour.has_ended().then_some(End::Rests));
        }
        if shared.is_idle_grace_over() { Poll::Ready(Some(End::Rests)) } else { Poll::Pending }
    })
    .await
}

/// Goes on as another protocol, and has `held` of what the client sent.
async fn go_on(tunnel: Tunnel, stream: ClientStream, held: BytesMut, shutdown: watch::Receiver<bool>) {
    if let Some(stream) = tunnel.run(stream, held, shutdown).await {
        linger(stream).await;
    }
}

/// Answers a head that was not taken, and closes.
async fn refuse(mut stream: ClientStream, reason: Reason, connection: &Connection, worker: &WorkerContext) {
    head_refused(&worker.shared, connection.peer, reason);
    let response = local_response::closing_response(reason, worker.shared.services.clock.now());
    let written = timeout(LINGER, async {
        stream.write_all(&response).await?;
        stream.flush().await
    });
    if matches!(written.await, Ok(Ok(()))) {
        linger(stream).await;
    }
}

/// Says that nothing more comes and reads on for a while, so that what was written last is not lost in a reset.
async fn linger(mut stream: ClientStream) {
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
