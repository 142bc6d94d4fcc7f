//! What becomes of a request on its way to an upstream and back: which server it goes to, what that
//! receives, and what is answered when it fails.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora::{
    Error, ErrorSource, ErrorType, Result, RetryType,
    http::{RequestHeader, ResponseHeader},
    proxy::{FailToProxy, Session},
    upstreams::peer::HttpPeer,
};
use tokio::time::{Instant, timeout};

use super::{
    exchange::{Exchange, Forward, Verdict},
    local_response,
    pingora_loop::Doorman,
    upload::{Overdue, Waits},
    upstream_request::{self, Terms},
};
use crate::{
    decision::{Denial, Route},
    domain::{Reason, Subject},
    edge::{listen::trusted::TrustedHeaders, respond},
    rules::{limit::ClientKey, rewrite::method_overrides},
    upstream::{Failure, HashBy, Pair, Server, Transport, Turn, hash_of, is_local},
};

/// Interim answers to one request, at most: some servers send one every few seconds while they work.
const INTERIM_ANSWERS_MAX: u32 = 1000;

/// What a wait for an upstream is cut to when the exchange's time is nearly over: not to nothing, which
/// would never end.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// How long a client holds its answer up before a server that breaks it off may have lost patience with that.
const HELD_UP: Duration = Duration::from_secs(1);

impl Doorman {
    /// The server that a request goes to, as soon as the pool has a place for it.
    pub(super) async fn choose_server(&self, session: &Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        if let Err(reason) = self.take_turn(session.req_header(), exchange).await {
            exchange.failure = Some(reason);
            return Error::e_explain(ErrorType::InternalError, "no server to go to");
        }
        match exchange.turn.as_ref().zip(exchange.route()) {
            Some((turn, route)) => {
                let mut peer = turn.peer(self.time_left(exchange, route));
                if exchange.upload.is_some() {
                    // pingora's would run while the client owes its body.
                    peer.options.read_timeout = None;
                }
                Ok(peer)
            }
            None => Error::e_explain(ErrorType::InternalError, "no server to go to"),
        }
    }

    /// How long an exchange may still take, at least [`WAIT_MIN`].
    pub(super) fn time_left(&self, exchange: &Exchange, route: &Route) -> Duration {
        let total = route.pool.settings.timeouts.total;
        total.saturating_sub(self.0.since(exchange.started)).max(WAIT_MIN)
    }

    /// Gives a request that is to be forwarded a turn at a server that it was not tried at, and, the first time, a
    /// place in the pool.
    pub(super) async fn take_turn(&self, head: &RequestHeader, exchange: &mut Exchange) -> Result<(), Reason> {
        let Verdict::Forward(permitted) = &exchange.verdict else { return Err(Reason::Internal) };
        let pool = &permitted.route.pool;
        if exchange.place.is_none() {
            let client = exchange.client.map_or(ClientKey::OPERATOR, ClientKey::of);
            exchange.place = pool.enter(client).await;
        }
        if exchange.place.is_none() {
            return Err(Reason::UpstreamBusy);
        }
        exchange.tries += 1;
        if let Some(turn) = exchange.turn.take() {
            exchange.tried.push(Arc::clone(turn.server()));
        }
        let key = |by: &HashBy| hash_key(by, permitted, head, exchange.client);
        let turn = pool.pick(self.0.means.clock.instant(), &exchange.tried, key);
        let mut turn = turn.ok_or(Reason::UpstreamUnavailable)?;
        turn.set_pair(pair(exchange.client, &permitted.route));
        exchange.turn = Some(turn);
        Ok(())
    }

    /// A connection of our own to a server. An error says whether another may be asked.
    pub(in crate::edge) async fn connect(
        &self,
        server: &Server,
        exchange: &mut Exchange,
        route: &Route,
    ) -> Result<Transport> {
        let connected = timeout(self.time_left(exchange, route), route.pool.connect(server)).await;
        let connected = connected.map_err(io::Error::from).flatten().map_err(|error| {
            let mut error = unconnected(error);
            self.not_connected(exchange, &mut error);
            error
        });
        if connected.is_ok() {
            self.connected(exchange);
        }
        connected
    }

    /// A new connection to the server was made.
    pub(in crate::edge) fn connected(&self, exchange: &mut Exchange) {
        if let Some(turn) = &mut exchange.turn {
            turn.connected(self.0.means.clock.instant());
        }
    }

    /// A connection that could not be made carried nothing: another server may be asked, whatever
    /// the request is.
    pub(super) fn not_connected(&self, exchange: &mut Exchange, error: &mut Error) {
        if let Some(route) = exchange.route() {
            route.pool.metrics.connection_failed(connection_failure(error));
        }
        // With next to nothing left of the exchange's time, no server could have taken it. An error of this machine says
        // nothing about a server either.
        if !self.is_over(exchange) && !is_ours(error) {
            self.turn_failed(exchange, Failure::Unreachable);
        }
        error.set_retry(self.may_retry(exchange, false));
    }

    /// What pingora tells of a request that was sent and came to nothing.
    pub(super) fn broke_off(&self, session: &Session, exchange: &mut Exchange, error: &mut Error, reused: bool) {
        if let Some(overdue) = exchange.upload.as_ref().and_then(|upload| upload.overdue()) {
            // The error is ours: see `upload`.
            self.time_is_over(exchange, overdue);
            error.set_retry(false);
            return;
        }
        let downstream = session.as_ref();
        let repeatable = is_idempotent(downstream.req_header()) && !downstream.retry_buffer_truncated();
        let unanswered = downstream.response_written().is_none();
        if broke_off_within_head(error) {
            exchange.answering = true;
            error.set_retry(false);
        }
        self.failed_on_the_way(exchange, error, reused, repeatable && unanswered);
    }

    /// A request that was sent may be sent again only where that changes nothing: it is `repeatable`, because its method
    /// is idempotent (RFC 9110 section 9.2.2) and all of its body is still there, and nothing was answered.
    pub(super) fn failed_on_the_way(&self, exchange: &mut Exchange, error: &mut Error, reused: bool, repeatable: bool) {
        // The server closed a kept connection while the request was on its way: that is no failure of it.
        let stale = reused && matches!(error.retry, RetryType::ReusedOnly);
        error.retry.decide_reuse(reused);
        let from_upstream = *error.esource() == ErrorSource::Upstream;
        // That an answer took all the time there was need not be the server's doing.
        let had_time = !exchange.answering || !self.is_over(exchange);
        if from_upstream && !stale && had_time && !exchange.is_clients_doing(error) {
            self.turn_failed(exchange, Failure::AfterSending);
        }
        let wanted = error.retry() || from_upstream && is_broken(error);
        let again = repeatable && !exchange.answering && wanted;
        error.set_retry(again && self.may_retry(exchange, stale || error.retry()));
    }

    /// Whether a request that may be repeated is, which is counted then. To the same server it is
    /// only where that is `as_good`.
    pub(super) fn may_retry(&self, exchange: &Exchange, as_good: bool) -> bool {
        let Some((route, turn)) = exchange.route().zip(exchange.turn.as_ref()) else { return false };
        let (pool, now) = (&route.pool, self.0.means.clock.instant());
        exchange.tries <= pool.settings.retries
            && !self.is_over(exchange)
            && (as_good || pool.has_another(now, &exchange.tried, turn.server()))
            && pool.may_retry(now)
    }

    /// Notes that the server failed whose turn it is.
    pub(super) fn turn_failed(&self, exchange: &mut Exchange, failure: Failure) {
        let pool = exchange.route().map(|route| Arc::clone(&route.pool));
        if let Some((pool, turn)) = pool.zip(exchange.turn.as_mut()) {
            pool.failed(turn, failure, self.0.means.clock.instant());
        }
    }

    /// Notes whose time was over in an exchange with a body.
    fn time_is_over(&self, exchange: &mut Exchange, overdue: Overdue) {
        exchange.failure = Some(overdue.reason());
        if overdue == Overdue::Server {
            self.turn_failed(exchange, Failure::AfterSending);
        }
    }

    /// Ends an exchange that was cut off because nobody could be told that its time is over.
    pub(in crate::edge) fn cut_off(&self, exchange: &mut Exchange, overdue: Overdue) {
        self.time_is_over(exchange, overdue);
        self.0.record_left(exchange);
    }

    /// Makes the client's head the upstream's.
    pub(in crate::edge) fn hand_over(&self, request: &mut RequestHeader, exchange: &mut Exchange) -> Result<()> {
        exchange.handed_over = Some(self.0.means.clock.instant());
        let Verdict::Forward(permitted) = &exchange.verdict else {
            return Error::e_explain(ErrorType::InternalError, "forwarding without a permit");
        };
        if let Some(upload) = &exchange.upload {
            let held = exchange.turn.as_ref().and_then(Turn::held);
            upload.begin(Instant::now(), self.waits(request, exchange, &permitted.route), held);
        }
        let tunables = self.0.tunables();
        let connection = exchange.connection.as_deref();
        let proxy = connection.filter(|proxy| upstream_request::is_trusted(proxy.peer.ip(), &tunables.trusted_proxies));
        let dropped = upstream_request::prepare(
            request,
            &Terms {
                route: &permitted.route,
                identity: permitted.identity.as_deref(),
                internal_token: permitted.internal_token.as_ref(),
                path: permitted.path.as_deref(),
                server: exchange.server().map(Server::address),
                request_id: &exchange.request_id,
                connection,
                trusted: proxy.map_or(TrustedHeaders::NONE, |_| tunables.trusted_headers),
                odd_names: tunables.odd_header_names,
            },
        )?;
        // Another attempt drops the same fields once more.
        if exchange.tries <= 1 {
            self.0.fields_dropped(&dropped);
        }
        Ok(())
    }

    /// How long the two sides of an exchange with a body are waited for.
    fn waits(&self, request: &RequestHeader, exchange: &Exchange, route: &Route) -> Waits {
        let tunables = self.0.tunables();
        let connection = exchange.connection.as_deref();
        // A field alone exempts nobody: a gRPC call is HTTP/2 on both sides.
        let is_grpc = request.version == Version::HTTP_2 && upstream_request::is_grpc(&request.headers, connection);
        Waits {
            body_timeout: tunables.body_timeout,
            // Its messages come when there is something to say.
            rate_min: if is_grpc { 0 } else { tunables.body_rate_min },
            rate_grace: tunables.body_rate_grace,
            body_total: tunables.body_total_timeout,
            read: route.pool.settings.timeouts.read,
            ends_at: Instant::now() + self.time_left(exchange, route),
            declared: request.headers.contains_key(header::CONTENT_LENGTH),
        }
    }

    /// Takes an upstream's head.
    pub(super) fn take_response(&self, response: &mut ResponseHeader, exchange: &mut Exchange) {
        // What a gateway answers has its own version, not the upstream's (RFC 9110 section 6.2).
        if response.version == Version::HTTP_10 {
            response.set_version(Version::HTTP_11);
        }
        exchange.answering = true;
        exchange.status = response.status.as_u16();
        if exchange.upstream_wait.is_none() && !response.status.is_informational() {
            let now = self.0.means.clock.instant();
            let wait = exchange.handed_over.map(|handed| now.saturating_duration_since(handed)).unwrap_or_default();
            exchange.upstream_wait = Some(wait);
            if let Some(turn) = &mut exchange.turn {
                turn.answered(now);
            }
            if let Some(route) = exchange.route() {
                route.upstream_seconds.observe(wait.as_secs_f64());
            }
        }
    }

    /// Looks at an answer before the answer. Each of them lets the wait for the next bytes begin anew, so they
    /// are counted.
    pub(super) fn check_interim(&self, status: StatusCode, exchange: &mut Exchange) -> Result<()> {
        exchange.interim_answers += 1;
        // Who asks to switch gets a tunnel of ours: nobody here did, and what follows would be no HTTP.
        if status == StatusCode::SWITCHING_PROTOCOLS || exchange.interim_answers > INTERIM_ANSWERS_MAX {
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        }
        if self.is_over(exchange) { Err(Error::new_up(ErrorType::ReadTimedout)) } else { Ok(()) }
    }

    /// Whether the exchange has had all of its time.
    pub(super) fn is_over(&self, exchange: &Exchange) -> bool {
        let total = exchange.route().map(|route| route.pool.settings.timeouts.total);
        total.is_some_and(|total| self.0.since(exchange.started) > total)
    }

    /// Answers a request that could not be proxied, where there is still somebody to answer.
    pub(super) async fn give_up(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        let Some(reason) = exchange.came_to_nothing(error) else {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        let denial = Denial { reason, route: exchange.route().cloned(), allow: None, identity: None };
        // An interim answer is followed by a final one, which may be ours.
        let unanswered = session.response_written().is_none_or(|head| is_interim(head.status));
        if unanswered {
            session.set_keepalive(None);
            let response = respond::denial(&denial, &exchange.asker(session.req_header()));
            // The client may be gone: then there is nobody to tell.
            let _ = match reason {
                // What is missing of its body is not waited for again.
                Reason::BodyTooLarge | Reason::RequestTimeout => local_response::write_early(session, response).await,
                _ => local_response::write(session, response).await,
            };
        }
        FailToProxy { error_code: reason.status(), can_reuse_downstream: false }
    }
}

impl Exchange {
    /// Tells who watches over a request with a body of an answer's head.
    pub(super) fn note_answer(&self, request: &RequestHeader, response: &ResponseHeader) {
        let Some(upload) = &self.upload else { return };
        if is_interim(response.status) {
            return upload.received(Instant::now());
        }
        upload.answering(Instant::now());
        let is_empty = response.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
        let has_none = matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if is_empty || has_none || request.method == Method::HEAD {
            upload.answered();
        }
    }

    /// Whether a server's failure may be its client's doing: it broke off, or took no more, while the client kept it waiting.
    fn is_clients_doing(&self, error: &Error) -> bool {
        let broke_off = is_broken(error);
        let owed = self.upload.as_ref().is_some_and(|upload| upload.client_owes());
        let held = self.upload.as_ref().map(|upload| upload.held_up(Instant::now())).unwrap_or_default();
        let held_up = self.answering && held.max(self.held_up) >= HELD_UP;
        // A server that answers before it has all of a body may wait for room for its answer first.
        let answering_first = self.answering && *error.etype() == ErrorType::WriteTimedout;
        broke_off && (owed || held_up) || answering_first
    }

    /// Why a request could not be proxied, which is logged; `None` when the client is gone.
    pub(super) fn came_to_nothing(&mut self, error: &Error) -> Option<Reason> {
        // What was found out before pingora was told stands in the exchange.
        let reason = self.failure.or_else(|| failure(error));
        self.failure = Some(reason.unwrap_or(Reason::MalformedRequest));
        // pingora's own text may quote the request: only the kind of the error is logged.
        tracing::warn!(
            request_id = self.request_id.as_str(),
            route = self.route().map(|route| &*route.settings.name),
            server = self.server().map(Server::address),
            source = error.esource().as_str(),
            error = error.etype().as_str(),
            "a request could not be proxied"
        );
        reason
    }
}

/// Whether a request may reach a server twice: by its own method (RFC 9110 section 9.2.2), and by each that its fields ask
/// the server to take it for.
pub(super) fn is_idempotent(request: &RequestHeader) -> bool {
    let asked = |value: &HeaderValue| Method::from_bytes(value.as_bytes()).is_ok_and(|method| method.is_idempotent());
    request.method.is_idempotent() && method_overrides(&request.headers).all(asked)
}

/// Whether the other side broke off.
fn is_broken(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError | ErrorType::H2Error
    )
}

/// Who asks for what, for telling one client's failures from a server's.
fn pair(client: Option<IpAddr>, route: &Arc<Route>) -> Pair {
    let route = Arc::as_ptr(route).addr() as u64;
    Pair::of(address_hash(client) ^ route.rotate_left(32))
}

/// What stands for the client in a hash. A subject of one issuer is not that of another.
fn hash_key(by: &HashBy, permitted: &Forward, head: &RequestHeader, client: Option<IpAddr>) -> u64 {
    let subject = || {
        let claims = &permitted.identity.as_deref()?.claims;
        let id = match &claims.subject {
            Subject::Account(id) | Subject::Named(id) | Subject::Imported { named: id, .. } => id.uuid(),
            Subject::Foreign(name) => return Some(hash_of(&[claims.realm.as_str().as_bytes(), name.as_bytes()])),
        };
        Some(hash_of(&[claims.realm.as_str().as_bytes(), id.as_bytes()]))
    };
    let key = match by {
        HashBy::Subject => subject(),
        HashBy::Address => None,
        HashBy::Header(name) => head.headers.get(name).map(|value| hash_of(&[value.as_bytes()])),
    };
    key.unwrap_or_else(|| address_hash(client))
}

fn address_hash(client: Option<IpAddr>) -> u64 {
    match client {
        Some(IpAddr::V4(address)) => hash_of(&[&address.octets()]),
        Some(IpAddr::V6(address)) => hash_of(&[&address.octets()]),
        None => 0,
    }
}

/// Whether another answer follows one with this status (RFC 9110 section 15.2).
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Why there is no connection, as pingora says it.
#[expect(clippy::unnecessary_box_returns, reason = "pingora takes its errors in boxes")]
fn unconnected(error: io::Error) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
        // See `Pool::connect`.
        io::ErrorKind::InvalidData => ErrorType::TLSHandshakeFailure,
        _ => ErrorType::ConnectError,
    };
    Error::because(kind, "", error).into_up()
}

/// Whether it is this machine that could not make a connection.
fn is_ours(error: &Error) -> bool {
    is_local(error.root_cause())
}

/// Whether some of an answer's head was there when the server broke off. Only pingora's text tells; a test holds it to that.
fn broke_off_within_head(error: &Error) -> bool {
    const BYTES_READ: &str = "bytes already read: ";
    let mut next = Some(error);
    while let Some(error) = next {
        let read = error.context.as_ref().and_then(|context| context.as_str().rsplit_once(BYTES_READ));
        if let Some((_, read)) = read {
            return read != "0";
        }
        next = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<Box<Error>>()).map(AsRef::as_ref);
    }
    false
}

/// How a connection failed, as metrics call it.
fn connection_failure(error: &Error) -> &'static str {
    match error.etype() {
        ErrorType::ConnectRefused => "refused",
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => "timeout",
        ErrorType::ConnectNoRoute => "unreachable",
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => "tls",
        _ => "other",
    }
}

fn is_no_body(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

/// The reason to answer with; `None` when the client is gone.
pub(in crate::edge) fn failure(error: &Error) -> Option<Reason> {
    match (error.esource(), error.etype()) {
        (_, ErrorType::ConnectError | ErrorType::BindError | ErrorType::SocketError | ErrorType::InternalError)
            if is_ours(error) =>
        {
            Some(Reason::UpstreamUnavailable)
        }
        (
            ErrorSource::Upstream,
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout,
        ) => Some(Reason::UpstreamTimeout),
        (ErrorSource::Upstream, _) => Some(Reason::UpstreamFailed),
        // The client is there, and its body is none: see `chunks`.
        (ErrorSource::Downstream, ErrorType::ReadError) if is_no_body(error) => Some(Reason::MalformedRequest),
        (
            ErrorSource::Downstream,
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::WriteTimedout,
        ) => None,
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Reason::RequestTimeout),
        // Nobody but `Doorman::take_body` says this one.
        (ErrorSource::Downstream, ErrorType::HTTPStatus(413)) => Some(Reason::BodyTooLarge),
        (ErrorSource::Downstream, _) => Some(Reason::MalformedRequest),
        _ => Some(Reason::Internal),
    }
}
