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
    client_response::{self, Asked},
    connections::{self, Lease},
    exchange::{Exchange, Verdict},
    failure::{Failure, Unconnected},
    give_up::{Unanswered, give_up},
    informational::InformationalResponses,
    progress::{Overdue, Progress, Waits},
    request_body::{RequestBody, Upload},
    response_body::{Relay, ResponseBody},
    upstream_request::{self, Terms},
};
use crate::{
    decision::Route,
    edge::listen::trusted::TrustedHeaders,
    rules::rewrite::method_overrides,
    timer::LazyTimeout,
    upstream::{self, Received, Server},
};

/// A request on its way to a server.
pub(super) struct Outbound {
    /// As the client sent it.
    pub(super) head: Parts,
    /// Its body, where it has one, until that is an upload.
    pub(super) body: Option<Incoming>,
    upload: Option<Upload>,
    asked: Asked,
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
    pub(super) fn of(request: Request<Incoming>) -> Self {
        let (head, body) = request.into_parts();
        let body = (!body.is_end_stream()).then_some(body);
        Self { head, body, upload: None, asked: Asked::default(), is_idempotent: false }
    }

    /// Notes what its attempts and its response need to know of it.
    pub(super) fn prepare(&mut self, exchange: &mut Exchange, route: &Route) {
        if !route.pool.settings.preserve_header_case {
            // What hyper's server left there says how names were spelt, and hyper's client would write them so.
            self.head.extensions = http::Extensions::new();
        }
        self.asked = Asked::of(&self.head, route, exchange.asker(&self.head.headers).secure);
        self.is_idempotent = is_idempotent(&self.head);
        if let Some(body) = self.body.take() {
            let progress = Arc::<Progress>::default();
            exchange.upload = Some(Arc::clone(&progress));
            let again = self.is_idempotent && route.pool.settings.retries > 0;
            self.upload = Some(Upload::new(body, again, route.settings.body_bytes_max, &progress));
        }
    }

    /// What its response depends on.
    pub(super) const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Whether it can be sent once more as it was.
    fn is_repeatable(&self) -> bool {
        self.is_idempotent && self.upload.as_ref().is_none_or(Upload::is_repeatable)
    }
}

impl Exchange {
    /// Asks the server that was `acquired` just now. An error says whether another attempt may be made.
    pub(super) async fn attempt(
        &mut self,
        outbound: &mut Outbound,
        route: &Arc<Route>,
        mut acquired: std::time::Instant,
    ) -> Result<Response<Relayed>, Failed> {
        let Some(server) = self.server_lease.as_ref().map(|server_lease| Arc::clone(server_lease.server())) else {
            return Err(Failed { failure: Failure::Internal, again: false });
        };
        loop {
            let kept = self.inbound.worker.connections.take(&server, Instant::from_std(acquired));
            let reused = kept.is_some();
            let (lease, now) = match kept {
                Some(lease) => (lease, acquired),
                // Boxed, as it is seldom needed: see `serve`.
                None => Box::pin(self.connect(&server, route)).await?,
            };
            match self.send(outbound, route, lease, now).await {
                // It was closed while it waited, and nothing was sent: the next one, or a new one.
                Err(Failure::Unsent) if reused => acquired = self.shared().services.clock.instant(),
                Ok(response) => return Ok(response),
                Err(failure) => {
                    let again = self.failed_on_the_way(failure, reused, outbound.is_repeatable());
                    return Err(Failed { failure, again });
                }
            }
        }
    }

    /// A new connection to a server, and when it was made. An error says whether another may be asked.
    async fn connect(&mut self, server: &Server, route: &Route) -> Result<(Lease, std::time::Instant), Failed> {
        let connecting = connections::connect(&route.pool, server);
        let connected = timeout(self.time_left(route), connecting).await.map_err(std::io::Error::from).flatten();
        let lease = connected.map_err(|error| self.not_connected(Unconnected::of(&error)))?;
        let now = self.shared().services.clock.instant();
        if let Some(shared) = lease.share() {
            let idle = route.pool.settings.timeouts.idle;
            self.inbound.worker.connections.put(server, shared, idle, Instant::from_std(now));
        }
        self.connected();
        Ok((lease, now))
    }

    /// Sends the request `now` and waits for the head of its response.
    async fn send(
        &mut self,
        outbound: &mut Outbound,
        route: &Route,
        mut lease: Lease,
        now: std::time::Instant,
    ) -> Result<Response<Relayed>, Failure> {
        let informed = InformationalResponses::of(self);
        let read_timeout = route.pool.settings.timeouts.read;
        let received = lease.received();
        let before = received.as_ref().map(Received::bytes);
        let mut waiting = Waiting {
            timeout: lease.take_timeout(),
            read_timeout,
            ends_at: self.ends_at(route, now),
            seen: received.as_ref().map_or(0, Received::bytes),
            received,
        };
        waiting.begin(Instant::from_std(now));
        let sending = {
            let mut request = self.request(outbound, route, lease.is_http2(), now)?;
            informed.listen(&mut request);
            lease.send(request)
        };
        if let Some((upload, received)) = self.upload.as_ref().zip(waiting.received.clone()) {
            upload.follow(received);
        }
        let sent = self.response(pin!(sending), &mut waiting, &informed).await;
        let began = waiting.received.as_ref().map(Received::bytes) != before;
        self.is_answering |= began || informed.any_received();
        if matches!(sent, Err(Failure::ReadTimeout | Failure::Unsent))
            && let Some(server_lease) = &self.server_lease
        {
            // The server may be silent on all of its streams, or take no more of them.
            self.inbound.worker.connections.forget(server_lease.server(), &lease);
        }
        let response = sent?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked to switch here: what follows would be no HTTP.
            return Err(Failure::Invalid);
        }
        let (head, incoming) = response.into_parts();
        self.is_answering = true;
        self.note_response(head.status);
        Ok(Response::from_parts(head, Relayed { incoming, lease: Some(lease), timeout: waiting.timeout, read_timeout }))
    }

    /// Waits for the head of a response, no longer than each side has.
    async fn response(
        &self,
        mut sending: Pin<&mut impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>>,
        waiting: &mut Waiting,
        informed: &InformationalResponses,
    ) -> Result<Response<Incoming>, Failure> {
        poll_fn(|cx| {
            if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
                return Poll::Ready(sent.map_err(|mut error| self.unsent_or_failed(&mut error)));
            }
            if informed.exceeds_limit() {
                return Poll::Ready(Err(Failure::Invalid));
            }
            match &self.upload {
                Some(upload) if upload.overdue().is_some() => Poll::Ready(Err(Failure::ReadTimeout)),
                Some(_) => Poll::Pending,
                None => waiting.poll_over(cx).map(|()| Err(Failure::ReadTimeout)),
            }
        })
        .await
    }

    fn unsent_or_failed(&self, error: &mut TrySendError<Request<RequestBody>>) -> Failure {
        if error.take_message().is_some() {
            return Failure::Unsent;
        }
        match self.upload.as_ref().and_then(|upload| upload.error()) {
            Some(error) => Failure::Body(error),
            None => Failure::of(error.error()),
        }
    }

    /// The request as the server receives it.
    fn request(
        &mut self,
        outbound: &mut Outbound,
        route: &Route,
        http2: bool,
        now: std::time::Instant,
    ) -> Result<Request<RequestBody>, Failure> {
        // What came has room for the fields that are added. A copy of it has not, and stays here.
        let copy = outbound.head.clone();
        let mut head = self.hand_over(std::mem::replace(&mut outbound.head, copy), route, now)?;
        if http2 {
            let encrypted = route.pool.settings.tls.is_some();
            let trailers = self.is_http2() && upstream_request::takes_trailers(&outbound.head.headers);
            upstream_request::for_http2(&mut head, encrypted, trailers).map_err(|_| Failure::Internal)?;
        }
        let body = match &outbound.upload {
            None => RequestBody::default(),
            Some(upload) => {
                if !http2 && !head.headers.contains_key(header::CONTENT_LENGTH) {
                    head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                }
                upload.body()
            }
        };
        Ok(Request::from_parts(head, body))
    }

    /// Makes the client's head the upstream's, which is sent `now`.
    pub(super) fn hand_over(
        &mut self,
        mut head: Parts,
        route: &Route,
        now: std::time::Instant,
    ) -> Result<Parts, Failure> {
        self.handed_over = Some(now);
        if let Some(upload) = &self.upload {
            let trial = self.server_lease.as_ref().and_then(upstream::ServerLease::held);
            upload.begin(Instant::from_std(now), self.waits(&head, route, now), trial);
        }
        let Verdict::Forward(permitted) = &self.verdict else { return Err(Failure::Internal) };
        let tunables = &self.tunables;
        let connection = self.connection();
        let is_trusted = upstream_request::is_trusted(connection.peer.ip(), &tunables.trusted_proxies);
        let dropped = upstream_request::prepare(
            &mut head,
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
        if !head.headers.contains_key(header::HOST)
            && let Some(server) = self.server().and_then(|server| HeaderValue::from_str(server.address()).ok())
        {
            // HTTP/1.0 names no host, and what we speak with servers does.
            head.headers.insert(header::HOST, server);
        }
        // Another attempt drops the same fields once more.
        if self.tries <= 1 {
            self.shared().fields_dropped(&dropped);
        }
        Ok(head)
    }

    /// How long the two sides of an exchange with a body are waited for.
    fn waits(&self, head: &Parts, route: &Route, now: std::time::Instant) -> Waits {
        let tunables = &self.tunables;
        // A field alone exempts nobody: a gRPC call is HTTP/2 on both sides.
        let is_grpc = upstream_request::is_grpc(&head.headers, Some(self.connection()))
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
            declared: head.headers.contains_key(header::CONTENT_LENGTH),
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
        response: Response<Relayed>,
        outbound: &Outbound,
        route: &Arc<Route>,
    ) -> Result<Response<ResponseBody>, Unanswered> {
        let (mut head, Relayed { incoming, lease, timeout, read_timeout }) = response.into_parts();
        // A length beside chunks is perhaps not what it seems (RFC 9112 section 6.3). To a server that says HTTP/1.0 hyper
        // would speak that from then on, which has no chunks.
        let is_doubtful = head.version == Version::HTTP_10
            || head.headers.contains_key(header::TRANSFER_ENCODING)
                && head.headers.contains_key(header::CONTENT_LENGTH);
        let trailers = self.is_http2() && lease.as_ref().is_some_and(Lease::is_http2);
        if let Err(failure) = client_response::amend(&mut head, &outbound.asked, route) {
            self.note_failure(failure, false);
            return give_up(self, &outbound.head, failure, route);
        }
        if let Some(http1) = &self.inbound.http1 {
            let has_end = incoming.is_end_stream() || head.headers.contains_key(header::CONTENT_LENGTH);
            let ends_with_connection = self.version == Version::HTTP_10 && !has_end;
            http1.set_ends_with_connection(ends_with_connection);
            self.keeps_connection &= !ends_with_connection;
        }
        // A response before the end of the request's body is the connection's last.
        self.keeps_connection &= self.upload.as_ref().is_none_or(|upload| upload.is_whole());
        self.conclude(&mut head);
        let relay = Relay {
            incoming,
            lease: lease.filter(|_| !is_doubtful),
            timeout,
            read_timeout,
            trailers,
            waiting: false,
            handed_on: None,
            is_cut_off: false,
            exchange: self,
        };
        Ok(Response::from_parts(head, ResponseBody::upstream(Box::new(relay))))
    }

    /// A new connection to the server was made.
    pub(super) fn connected(&mut self) {
        let now = self.shared().services.clock.instant();
        if let Some(server_lease) = &mut self.server_lease {
            server_lease.connected(now);
        }
    }

    /// A connection that could not be made carried nothing: another server may be asked, whatever the request is.
    pub(super) fn not_connected(&mut self, why: Unconnected) -> Failed {
        if let Some(route) = self.route() {
            route.pool.metrics.connection_failed(why.label());
        }
        // With next to nothing left of the exchange's time, no server could have taken it. An error of this machine says
        // nothing about a server either.
        if !self.is_over() && why != Unconnected::Local {
            self.server_failed(upstream::Failure::Unreachable);
        }
        Failed { failure: Failure::Unconnected(why), again: self.may_retry(false) }
    }

    /// Whether a request that was sent, and came to nothing, is sent again. It may be only where that changes nothing: it
    /// is `repeatable`, because its method is idempotent (RFC 9110 section 9.2.2) and all of its body is still there, and
    /// nothing was answered.
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

    /// Whether a request that may be repeated is, which is counted then. To the same server it is
    /// only where that is `as_good`.
    fn may_retry(&self, as_good: bool) -> bool {
        let Some((route, server_lease)) = self.route().zip(self.server_lease.as_ref()) else { return false };
        let (pool, now) = (&route.pool, self.shared().services.clock.instant());
        self.tries <= pool.settings.retries
            && !self.is_over()
            && (as_good || pool.has_another(now, &self.tried, server_lease.server()))
            && pool.may_retry(now)
    }
}

/// A response whose body is still to come.
pub(super) struct Relayed {
    pub(super) incoming: Incoming,
    /// `None` where the connection is not used again.
    pub(super) lease: Option<Lease>,
    timeout: LazyTimeout,
    read_timeout: Duration,
}

impl Relayed {
    /// A response on a connection that is not used again.
    pub(super) fn last(incoming: Incoming, read_timeout: Duration) -> Self {
        Self { incoming, lease: None, timeout: LazyTimeout::default(), read_timeout }
    }
}

/// How long the head of a response is waited for.
struct Waiting {
    timeout: LazyTimeout,
    read_timeout: Duration,
    ends_at: Instant,
    /// Counts what comes: bytes let the wait begin anew.
    received: Option<Received>,
    seen: u64,
}

impl Waiting {
    fn begin(&mut self, now: Instant) {
        self.timeout.set((now + self.read_timeout).min(self.ends_at));
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timeout.poll_over(cx));
            let bytes = self.received.as_ref().map_or(0, Received::bytes);
            let now = Instant::now();
            if bytes == self.seen || now >= self.ends_at {
                return Poll::Ready(());
            }
            self.seen = bytes;
            self.begin(now);
        }
    }
}

/// Whether a request may reach a server twice: by its own method (RFC 9110 section 9.2.2), and by each that its fields ask
/// the server to take it for.
fn is_idempotent(request: &Parts) -> bool {
    let asked = |value: &HeaderValue| Method::from_bytes(value.as_bytes()).is_ok_and(|method| method.is_idempotent());
    request.method.is_idempotent() && method_overrides(&request.headers).all(asked)
}
