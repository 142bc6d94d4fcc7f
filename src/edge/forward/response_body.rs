//! The body of a response on its way to the client.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{
    body::received::ReceivedBody,
    exchange::{Exchange, Inbound, Sent},
    failure::Failure,
    head::client_response,
};

/// A response's body. With it ends the exchange: when it is dropped, the exchange is counted and logged.
pub(in crate::edge) struct ResponseBody {
    inner: Inner,
    /// Ends the stream of HTTP/2 whose client takes nothing. Over HTTP/1 the connection itself sees to that.
    taking: Option<Taking>,
}

/// Watches over a client that has a piece of a response to take, until this is dropped.
struct Taking {
    inbound: Arc<Inbound>,
    /// How long it has for each.
    time: Duration,
}

impl Taking {
    fn of(exchange: &Exchange) -> Option<Self> {
        let taking = exchange
            .is_http2()
            .then(|| Self { inbound: Arc::clone(&exchange.inbound), time: exchange.tunables.body_timeout });
        if let Some(taking) = &taking {
            taking.waits();
        }
        taking
    }

    /// The client has something to take.
    fn waits(&self) {
        self.inbound.guard.takes_until(Some(Instant::now() + self.time));
    }

    /// The client has room for more.
    fn has_taken(&self) {
        self.inbound.guard.takes_until(None);
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.has_taken();
    }
}

enum Inner {
    /// A response of ours.
    Local { exchange: Box<Exchange>, bytes: Bytes },
    /// A server's.
    Upstream(Relay),
    /// Nothing is left.
    Over,
}

/// A body that comes from a server.
pub(super) struct Relay {
    pub(super) exchange: Box<Exchange>,
    pub(super) incoming: ReceivedBody,
    /// Whether trailers are handed on.
    pub(super) trailers: bool,
    /// Whether the server is waited for.
    pub(super) waiting: bool,
    /// Since when the client has a piece that it may not have taken yet.
    pub(super) handed_on: Option<Instant>,
    /// Whether it broke off.
    pub(super) is_cut_off: bool,
}

/// The response cannot be continued. The engine that sends it ends the connection or the stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response broke off")
    }
}

impl std::error::Error for CutOff {}

impl ResponseBody {
    /// The body of a response of ours; `without` where the client must not receive any.
    pub(super) fn local(mut exchange: Box<Exchange>, bytes: Bytes, without: bool) -> Self {
        let bytes = if without { Bytes::new() } else { bytes };
        if bytes.is_empty() {
            exchange.sent = Sent::HandedOn;
        }
        let taking = Taking::of(&exchange);
        Self { inner: Inner::Local { exchange, bytes }, taking }
    }

    /// No body, and no exchange that ends with it.
    pub(super) const fn none() -> Self {
        Self { inner: Inner::Over, taking: None }
    }

    /// None, of a server's response that has no content whatever the server sends (RFC 9110 section 6.4.1).
    #[cold]
    pub(super) fn without_content(mut relay: Relay) -> Self {
        relay.end(&mut Context::from_waker(Waker::noop()));
        Self::local(relay.exchange, Bytes::new(), true)
    }

    /// A server's body.
    pub(super) fn upstream(mut relay: Relay) -> Self {
        if relay.is_complete() {
            relay.end(&mut Context::from_waker(Waker::noop()));
        }
        let taking = Taking::of(&relay.exchange);
        Self { inner: Inner::Upstream(relay), taking }
    }
}

impl Relay {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if self.is_cut_off {
            return Poll::Ready(Some(Err(CutOff)));
        }
        self.note_taken();
        let next = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                ready!(self.poll_late(cx));
                return self.fail(Failure::ReadTimeout, cx);
            }
        };
        self.waiting = false;
        match next {
            None => {
                self.end(cx);
                Poll::Ready(None)
            }
            Some(Err(error)) => self.fail(Failure::of_body(&error), cx),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take(data, cx),
                Err(trailers) => {
                    let trailers = trailers.into_trailers().ok().filter(|_| self.trailers).zip(self.exchange.route());
                    let trailers = trailers.map(|(mut trailers, route)| {
                        client_response::amend_trailers(&mut trailers, route);
                        Ok(Frame::trailers(trailers))
                    });
                    self.end(cx);
                    Poll::Ready(trailers)
                }
            },
        }
    }

    /// Whether all of the body has come that the client reads. A client of HTTP/1 reads no further than its length, and
    /// so nor does hyper.
    fn is_complete(&self) -> bool {
        if self.exchange.is_http2() { self.incoming.is_end_stream() } else { self.incoming.is_complete() }
    }

    fn take(&mut self, data: Bytes, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let is_last = self.is_complete();
        if !is_last && self.exchange.is_over() {
            return self.fail(Failure::ReadTimeout, cx);
        }
        self.exchange.bytes_out += data.len() as u64;
        if is_last {
            self.end(cx);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let now = Instant::now();
        self.handed_on = Some(now);
        if let Some(upload) = &self.exchange.upload {
            upload.received(now);
            upload.takes(now, false);
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    /// The client has room for more.
    fn note_taken(&mut self) {
        let Some(since) = self.handed_on.take() else { return };
        let now = Instant::now();
        self.exchange.held_up += now.saturating_duration_since(since);
        if let Some(upload) = &self.exchange.upload {
            upload.takes(now, true);
        }
    }

    /// Ready when the server sends nothing in its time. Where the request has a body, its progress says so.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.exchange.upload.is_some() {
            return Poll::Pending;
        }
        if !self.waiting {
            self.waiting = true;
            let Some(route) = self.exchange.route() else { return Poll::Ready(()) };
            let left = route.pool.settings.timeouts.read.min(self.exchange.time_left(route));
            self.exchange.timeout.set(Instant::now() + left);
        }
        self.exchange.timeout.poll_over(cx)
    }

    /// All of it came.
    fn end(&mut self, cx: &mut Context<'_>) {
        self.exchange.sent = Sent::HandedOn;
        let now = self.exchange.shared().services.clock.instant();
        // Over HTTP/2 hyper holds a piece until its client has room for it.
        self.exchange.ended = self.exchange.inbound.http1.is_some().then_some(now);
        if let Some(upload) = &self.exchange.upload {
            upload.answered();
        }
        let exchange = &mut *self.exchange;
        exchange.server_is_done();
        let Some(lease) = exchange.lease.take() else { return };
        if lease.is_http2() {
            return self.incoming.finish(lease, cx);
        }
        let lease = lease.with_timeout(std::mem::take(&mut exchange.timeout));
        if let Some((server, route)) = exchange.server().zip(exchange.route()) {
            let idle = route.pool.settings.timeouts.idle;
            exchange.inbound.worker.connections.put(server, lease, idle, Instant::from_std(now));
        }
    }

    /// The response cannot go on. hyper hears of it a turn later: what it has of the response is sent first, so that
    /// the client knows that there was one.
    fn fail(&mut self, failure: Failure, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        self.exchange.lease = None;
        self.exchange.broke_off(failure);
        self.is_cut_off = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        std::mem::replace(&mut self.inner, Inner::Over).leave();
    }
}

impl Inner {
    /// Nothing more of it is asked for.
    fn leave(self) {
        match self {
            Self::Over => {}
            Self::Local { exchange, .. } | Self::Upstream(Relay { exchange, .. }) => exchange.leave(),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self {
            Self::Over => Poll::Ready(None),
            Self::Local { exchange, bytes } => {
                let bytes = std::mem::take(bytes);
                exchange.sent = Sent::HandedOn;
                exchange.bytes_out += bytes.len() as u64;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Upstream(relay) => relay.poll_frame(cx),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let next = self.inner.poll_next(cx);
        let has_piece = matches!(&next, Poll::Ready(Some(Ok(frame))) if frame.is_data());
        if next.is_ready() && !has_piece {
            std::mem::replace(&mut self.inner, Inner::Over).leave();
        }
        match &self.taking {
            Some(taking) if has_piece => taking.waits(),
            Some(taking) => taking.has_taken(),
            None => {}
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Over => true,
            Inner::Local { bytes, .. } => bytes.is_empty(),
            Inner::Upstream(relay) => relay.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Over => SizeHint::with_exact(0),
            Inner::Local { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Inner::Upstream(relay) => relay.incoming.size_hint(),
        }
    }
}
