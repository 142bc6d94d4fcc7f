//! What becomes of a request on its way to an upstream and back: which server it goes to, what that
//! receives, and what follows when it fails.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::TrySendError,
};
use tokio::time::{Instant, timeout};

use super::{
    body::{
        error::BodyError,
        progress::{Overdue, Progress, Waits},
        received::ReceivedBody,
        request::{RequestBody, Upload},
    },
    connections::Lease,
    exchange::{Exchange, Verdict},
    failure::{Failure, Unconnected},
    give_up::{Unanswered, give_up},
    head::{
        client_response,
        upstream_request::{self, Terms},
    },
    response_body::{Relay, ResponseBody},
};
use crate::{
    aside::aside,
    decision::Route,
    edge::listen::trusted::TrustedHeaders,
    rules::rewrite::method_overrides,
    upstream::{self, HttpVersion, Received, Server, Speak},
};

/// A request on its way to a server, beside its head.
pub(super) struct Outbound {
    /// Its body, where it has one.
    upload: Option<Upload>,
    /// Whether its method may reach a server twice.
    is_idempotent: bool,
}

/// An attempt came to nothing, and is to be followed by another or not.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) again: bool,
}

impl Outbound {
    /// Whether it can be sent once more as it was.
    fn is_repeatable(&self) -> bool {
        self.is_idempotent && self.upload.as_ref().is_none_or(Upload::is_repeatable)
    }
}

impl Exchange {
    /// What attempts need to know of its request.
    pub(super) fn outbound(&mut self, body: Option<ReceivedBody>, route: &Route) -> Outbound {
        let is_idempotent = is_idempotent(&self.head);
        let upload = body.map(|body| {
            let progress = Arc::<Progress>::default();
            self.upload = Some(Arc::clone(&progress));
            let again = is_idempotent && route.pool.settings.retries > 0;
            Upload::new(body, again, route.settings.body_bytes_max, &progress)
        });
        Outbound { upload, is_idempotent }
    }

    /// Asks the server that was `acquired` just now. An error says whether another attempt may be made.
    pub(super) async fn attempt(
        &mut self,
        outbound: &Outbound,
        route: &Route,
        mut acquired: std::time::Instant,
    ) -> Result<Response<Incoming>, Failed> {
        loop {
            let connections = &self.inbound.worker.connections;
            self.lease = self.server().and_then(|server| connections.take(server, Instant::from_std(acquired)));
            let (now, reused) = if self.lease.is_some() {
                (acquired, true)
            } else {
                let this = &mut *self;
                aside(move || this.connect_or_share(route)).await?
            };
            let failure = match self.send(outbound, route, now).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            self.lease = None;
            let failed = (failure != Failure::Unsent || !reused)
                .then(|| self.failed_on_the_way(failure, reused, outbound.is_repeatable()));
            if let Some(upload) = &self.upload {
                upload.attempt_failed();
            }
            if let Some(again) = failed {
                return Err(Failed { failure, again });
            }
            // It was closed while it waited, and nothing was sent: the next one, or a new one.
            acquired = self.shared().services.clock.instant();
        }
    }

    /// Finds a connection to the server where none had room: one that another request makes, or a new one. Gives when
    /// it was there, and whether another request made it. An error says whether another server may be asked.
    async fn connect_or_share(&mut self, route: &Route) -> Result<(std::time::Instant, bool), Failed> {
        let Some(server) = self.server_lease.as_ref().map(|server_lease| server_lease.server().clone()) else {
            return Err(Failed { failure: Failure::Internal, again: false });
        };
        let connections = &self.inbound.worker.connections;
        while let Some(awaited) = connections.awaited(&server) {
            let patience = self.time_left(route).min(route.pool.settings.timeouts.connect);
            match timeout(patience, awaited.made()).await {
                Ok(Ok(())) => {}
                // The request that makes it says so of the server.
                Ok(Err(why)) => {
                    return Err(Failed { failure: Failure::Unconnected(why), again: self.may_retry(false) });
                }
                // A server that does not say what it allows may take a request on another. One that has said nothing at
                // all would be waited for once more, where there are others.
                Err(_) if self.may_retry(false) => {
                    return Err(Failed { failure: Failure::Unconnected(Unconnected::Timeout), again: true });
                }
                Err(_) => break,
            }
            let now = self.shared().services.clock.instant();
            self.lease = connections.take(&server, Instant::from_std(now));
            if self.lease.is_some() {
                return Ok((now, true));
            }
        }
        let connected = timeout(self.time_left(route), connections.connect(&route.pool, &server)).await;
        let lease = connected.unwrap_or(Err(Unconnected::Timeout));
        let lease = lease.map_err(|why| self.not_connected(why, Speak::AsConfigured))?;
        self.lease = Some(lease);
        self.connected();
        Ok((self.shared().services.clock.instant(), false))
    }

    /// Sends the request `now` and waits for the head of its response.
    async fn send(
        &mut self,
        outbound: &Outbound,
        route: &Route,
        now: std::time::Instant,
    ) -> Result<Response<Incoming>, Failure> {
        let (before, sending) = {
            let mut request = Request::new(outbound.upload.as_ref().map(Upload::body).unwrap_or_default());
            self.hand_over(&mut request, route, now)?;
            self.frame_request(&mut request, outbound, route)?;
            self.listen(&mut request);
            let Some(lease) = &mut self.lease else { return Err(Failure::Internal) };
            self.timeout = lease.take_timeout();
            (lease.received().map_or(0, Received::bytes), lease.send(request))
        };
        let mut waiting = Waiting {
            read_timeout: route.pool.settings.timeouts.read,
            ends_at: self.ends_at(route, now),
            seen: before,
        };
        self.timeout.set(waiting.end(Instant::from_std(now)));
        if let Some((upload, received)) = self.upload.as_ref().zip(self.received()) {
            upload.follow(received.clone());
        }
        let sent = self.response(pin!(sending), &mut waiting).await;
        let began = self.received().map_or(0, Received::bytes) != before;
        self.is_answering |= began || self.is_informed();
        if matches!(sent, Err(Failure::ReadTimeout | Failure::Unsent))
            && let Some((server, lease)) = self.server().zip(self.lease.as_ref())
        {
            // The server may be silent on all of its streams, or take no more of them.
            self.inbound.worker.connections.forget(server, lease);
        }
        let response = sent?;
        self.stop_listening();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked to switch here: what follows would be no HTTP.
            return Err(Failure::Invalid);
        }
        self.is_answering = true;
        self.note_response(response.status());
        Ok(response)
    }

    /// Waits for the head of a response, no longer than each side has.
    async fn response(
        &mut self,
        mut sending: Pin<&mut impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>>,
        waiting: &mut Waiting,
    ) -> Result<Response<Incoming>, Failure> {
        poll_fn(|cx| {
            if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
                return Poll::Ready(sent.map_err(|mut error| self.unsent_or_failed(&mut error)));
            }
            if self.is_informed_too_often() {
                return Poll::Ready(Err(Failure::Invalid));
            }
            match &self.upload {
                Some(upload) => match upload.overdue() {
                    None => Poll::Pending,
                    Some(Overdue::Client) => Poll::Ready(Err(Failure::Body(BodyError::Late))),
                    Some(Overdue::Server | Overdue::Exchange) => Poll::Ready(Err(Failure::ReadTimeout)),
                },
                None => self.poll_over(waiting, cx).map(|()| Err(Failure::ReadTimeout)),
            }
        })
        .await
    }

    /// Ready when the server has sent nothing in its time.
    fn poll_over(&mut self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timeout.poll_over(cx));
            let bytes = self.received().map_or(0, Received::bytes);
            let now = Instant::now();
            if bytes == waiting.seen || now >= waiting.ends_at {
                return Poll::Ready(());
            }
            waiting.seen = bytes;
            self.timeout.set(waiting.end(now));
        }
    }

    #[cold]
    fn unsent_or_failed(&self, error: &mut TrySendError<Request<RequestBody>>) -> Failure {
        if error.take_message().is_some() {
            return Failure::Unsent;
        }
        match self.upload.as_ref().and_then(|upload| upload.error()) {
            Some(error) => Failure::Body(error),
            None => Failure::of(error.error()),
        }
    }

    /// Says how a request is framed to its server, in the form of its connection.
    fn frame_request(
        &self,
        request: &mut Request<RequestBody>,
        outbound: &Outbound,
        route: &Route,
    ) -> Result<(), Failure> {
        if self.lease.as_ref().is_some_and(Lease::is_http2) {
            let encrypted = route.pool.settings.tls.is_some();
            let trailers = self.is_http2() && upstream_request::takes_trailers(&self.head.headers);
            return upstream_request::for_http2(request, encrypted, trailers).map_err(|_| Failure::Internal);
        }
        if outbound.upload.is_some() && !request.headers().contains_key(header::CONTENT_LENGTH) {
            request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Ok(())
    }

    /// Gives a `request`, which is sent `now`, the head that the server receives, for HTTP/1.
    pub(super) fn hand_over(
        &mut self,
        request: &mut Request<RequestBody>,
        route: &Route,
        now: std::time::Instant,
    ) -> Result<(), Failure> {
        self.handed_over = Some(now);
        if let Some(upload) = &self.upload {
            let trial = self.server_lease.as_ref().and_then(upstream::ServerLease::held);
            upload.begin(Instant::from_std(now), self.waits(route, now), trial);
        }
        // What came has room for the fields that are added. A copy of it has not, and stays here.
        let copy = self.head.headers.clone();
        *request.headers_mut() = std::mem::replace(&mut self.head.headers, copy);
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        if route.pool.settings.preserve_header_case {
            // What hyper's server left there says how names were spelt, and hyper's client writes them so.
            *request.extensions_mut() = self.head.extensions.clone();
        }
        let Verdict::Forward(permitted) = &self.verdict else { return Err(Failure::Internal) };
        let tunables = &self.tunables;
        let connection = self.connection();
        let is_trusted = upstream_request::is_trusted(connection.peer.ip(), &tunables.trusted_proxies);
        let dropped = upstream_request::prepare(
            request,
            &Terms {
                route,
                identity: permitted.identity.as_deref(),
                internal_token: permitted.internal_token.as_ref(),
                path: permitted.path.as_deref(),
                server: self.server().map(Server::address),
                request_id: &self.request_id,
                connection: Some(connection),
                trusted: if is_trusted { tunables.trusted_headers } else { TrustedHeaders::NONE },
                odd_names: tunables.odd_header_names,
            },
        );
        let dropped = dropped.map_err(|_| Failure::Internal)?;
        if self.head.version == Version::HTTP_10
            && !request.headers().contains_key(header::HOST)
            && let Some(server) = self.server().and_then(|server| HeaderValue::from_str(server.address()).ok())
        {
            // HTTP/1.0 names no host, and what we speak with servers does.
            request.headers_mut().insert(header::HOST, server);
        }
        // Another attempt drops the same fields once more.
        if self.tries <= 1 {
            self.shared().fields_dropped(&dropped);
        }
        Ok(())
    }

    /// How long the two sides of an exchange with a body are waited for.
    fn waits(&self, route: &Route, now: std::time::Instant) -> Waits {
        let headers = &self.head.headers;
        let tunables = &self.tunables;
        // A field alone exempts nobody: a gRPC call is HTTP/2 on both sides.
        let is_grpc = upstream_request::is_grpc(headers, Some(self.connection()))
            && route.pool.settings.http != upstream::HttpVersion::One;
        Waits {
            body_timeout: tunables.body_timeout,
            // Its messages come when there is something to say.
            rate_min: if is_grpc { 0 } else { tunables.body_rate_min },
            rate_grace: tunables.body_rate_grace,
            body_total: tunables.body_total_timeout,
            read: route.pool.settings.timeouts.read,
            write: route.pool.settings.timeouts.write,
            ends_at: self.ends_at(route, now),
            declared: headers.contains_key(header::CONTENT_LENGTH),
        }
    }

    /// Notes the head of an upstream's response.
    pub(super) fn note_response(&mut self, status: StatusCode) {
        let now = self.shared().services.clock.instant();
        let wait = self.handed_over.map(|handed| now.saturating_duration_since(handed)).unwrap_or_default();
        self.upstream_wait = Some(wait);
        if let Some(server_lease) = &mut self.server_lease {
            server_lease.answered(now);
        }
        if let Some(route) = self.route() {
            route.upstream_waits.observe(wait);
        }
        self.status = status.as_u16();
        if let Some(upload) = &self.upload {
            upload.answering(Instant::from_std(now));
        }
    }

    /// Hands a response back to the client: its head now, its body as it comes.
    pub(super) fn hand_back(
        mut self: Box<Self>,
        response: Response<Incoming>,
        route: &Route,
    ) -> Result<Response<ResponseBody>, Unanswered> {
        let (mut head, incoming) = response.into_parts();
        let incoming = ReceivedBody::new(incoming, head.version);
        let is_without_content = self.is_without_content(head.status);
        let trailers = self.is_http2() && self.lease.as_ref().is_some_and(Lease::is_http2);
        let framing = match client_response::amend(&mut head, &self.asker(), route) {
            Ok(framing) => framing,
            Err(failure) => {
                self.note_failure(failure, false);
                self.lease = None;
                return give_up(self, failure);
            }
        };
        if framing.is_doubtful {
            self.lease = None;
        }
        if let Some(http1) = &self.inbound.http1 {
            let has_end = incoming.is_end_stream() || framing.has_length || is_without_content;
            let ends_with_connection = self.head.version == Version::HTTP_10 && !has_end;
            http1.set_ends_with_connection(ends_with_connection);
            self.keeps_connection &= !ends_with_connection;
        }
        // A response before the end of the request's body is the connection's last.
        self.keeps_connection &= self.upload.as_ref().is_none_or(|upload| upload.is_whole());
        self.conclude(&mut head);
        let relay = Relay { incoming, trailers, waiting: false, handed_on: None, is_cut_off: false, exchange: self };
        let has_too_much = is_without_content && !relay.incoming.is_end_stream();
        let body = if has_too_much { ResponseBody::without_content(relay) } else { ResponseBody::upstream(relay) };
        Ok(Response::from_parts(head, body))
    }

    /// Whether a response has no content, by its status or by what was asked for (RFC 9110 section 6.4.1). Over HTTP/1
    /// hyper reads none; over HTTP/2 a server may send some.
    fn is_without_content(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || self.head.method == Method::HEAD
    }

    /// A new connection to the server was made.
    pub(super) fn connected(&mut self) {
        let now = self.shared().services.clock.instant();
        if let Some(server_lease) = &mut self.server_lease {
            server_lease.connected(now);
        }
    }

    /// A connection that was to `speak` so and could not be made carried nothing: another server may be asked, whatever
    /// the request is.
    pub(super) fn not_connected(&mut self, why: Unconnected, speak: Speak) -> Failed {
        let mut may_lack_http1 = false;
        if let Some(route) = self.route() {
            route.pool.metrics.connection_failed(why.label());
            may_lack_http1 = speak == Speak::Http1 && route.pool.settings.http != HttpVersion::One;
        }
        // With next to nothing left of the exchange's time, no server could have taken it. An error of this machine
        // says nothing about a server either, and nor does one of HTTP/2 that is asked for HTTP/1.1.
        let is_servers = why != Unconnected::Local && !(may_lack_http1 && why == Unconnected::Tls);
        if is_servers && !self.is_over() {
            self.server_failed(upstream::Failure::Unreachable);
        }
        Failed { failure: Failure::Unconnected(why), again: self.may_retry(false) }
    }

    /// Whether a request that was sent, and came to nothing, is sent again. It may be only where that changes nothing:
    /// it is `repeatable`, because its method is idempotent (RFC 9110 section 9.2.2) and all of its body is still
    /// there, and nothing was answered.
    #[cold]
    fn failed_on_the_way(&mut self, failure: Failure, reused: bool, repeatable: bool) -> bool {
        if let Some(overdue) = self.upload.as_ref().and_then(|upload| upload.hear()) {
            self.failure = Some(overdue.reason());
            if overdue == Overdue::Server {
                self.server_failed(upstream::Failure::AfterSending);
            }
            return false;
        }
        // The server closed a kept connection while the request was on its way: that is no failure of it.
        let ended = reused && failure.is_broken() && failure != Failure::Reset;
        let stale = (ended || failure == Failure::Refused) && !self.is_answering;
        self.note_failure(failure, stale);
        let again = repeatable && !self.is_answering && failure.is_broken();
        again && self.may_retry(stale)
    }

    /// Whether a request that may be repeated is, which is counted then. Where no other server is left, it is repeated
    /// only if `same_server` may be asked again.
    fn may_retry(&self, same_server: bool) -> bool {
        let Some((route, server_lease)) = self.route().zip(self.server_lease.as_ref()) else { return false };
        let (pool, now) = (&route.pool, self.shared().services.clock.instant());
        self.tries <= pool.settings.retries
            && !self.is_over()
            && (same_server || pool.has_another(now, &self.tried, server_lease.server()))
            && pool.may_retry(now)
    }
}

/// How long the head of a response is waited for.
struct Waiting {
    read_timeout: Duration,
    ends_at: Instant,
    /// Bytes that had come: more of them let the wait begin anew.
    seen: u64,
}

impl Waiting {
    /// When it is over that begins `now`.
    fn end(&self, now: Instant) -> Instant {
        (now + self.read_timeout).min(self.ends_at)
    }
}

/// Whether a request may reach a server twice: by its own method (RFC 9110 section 9.2.2), and by each that its fields
/// ask the server to take it for.
fn is_idempotent(request: &Parts) -> bool {
    let asked = |value: &HeaderValue| Method::from_bytes(value.as_bytes()).is_ok_and(|method| method.is_idempotent());
    request.method.is_idempotent() && method_overrides(&request.headers).all(asked)
}
