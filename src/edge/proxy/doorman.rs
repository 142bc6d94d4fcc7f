//! The doorman: pingora's hooks, each of which asks somebody else and does what they say.

use std::{
    any::Any,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use pingora::{
    Error, ErrorSource, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session, http_proxy},
    server::configuration::ServerConf,
    upstreams::peer::HttpPeer,
};

use super::{
    exchange::{Exchange, Forward, Verdict},
    forward::{self, Terms},
    local,
    shared::Shared,
};
use crate::{
    decision::{Awaiting, Decision, Denial, Endpoint, ForwardToken, Permit, Request, View, decide},
    domain::{Reason, Timestamp},
    edge::{
        endpoint::{self, BODY_BYTES_MAX, TokenBody, TokenMessage},
        respond,
    },
    rules::route::Host,
    state::upstream::Server,
};

/// Servers of a pool that a request is offered to, at most, when connections fail.
const TRIES_MAX: usize = 3;

/// How often pingora may offer one request to servers: above [`TRIES_MAX`], so that ours decides.
const PINGORA_TRIES_MAX: usize = 4;

/// Idle upstream connections that are kept, for each thread.
const IDLE_UPSTREAM_CONNECTIONS: usize = 256;

/// pingora's application.
pub(super) struct Doorman(Arc<Shared>);

impl Doorman {
    /// A doorman with these means, as pingora runs him on `threads` threads.
    pub(super) fn in_pingora(shared: Arc<Shared>, threads: usize) -> HttpProxy<Self> {
        let conf = ServerConf {
            threads,
            upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS * threads,
            max_retries: PINGORA_TRIES_MAX,
            ..ServerConf::default()
        };
        http_proxy(&Arc::new(conf), Self(shared))
    }

    /// Decides. A token that was never seen is opened in between, and its foreign issuer asked where that takes a key
    /// that nobody knows yet.
    async fn decide(&self, session: &Session, client: Option<IpAddr>) -> Result<Permission, Denial> {
        let head = session.req_header();
        if !head.raw_path_is_utf8() {
            return Err(Denial::of(Reason::AmbiguousPath));
        }
        let request = Request {
            method: &head.method,
            host: Host::of(&head.headers, head.uri.authority().map(http::uri::Authority::as_str)),
            path: head.uri.path().as_bytes(),
            query: head.uri.query(),
            headers: &head.headers,
        };
        let awaiting = match self.permit(|view, now| match decide(view, now, &request, None) {
            Decision::Verify(job) => decide(view, now, &request, Some(&job.run(view, client, now))),
            decided => decided,
        })? {
            Permission::AwaitKey(awaiting) => awaiting,
            permission => return Ok(permission),
        };
        self.0.means.foreign.ask(&awaiting.key).await;
        self.permit(|view, now| decide(view, now, &request, Some(&awaiting.run(view, client, now))))
    }

    /// What follows from a decision that is taken in one view.
    fn permit<'h>(&self, decide: impl FnOnce(&View<'_>, Timestamp) -> Decision<'h>) -> Result<Permission, Denial> {
        let view = self.0.means.gate.view();
        let now = self.0.means.clock.now();
        match decide(&view, now) {
            Decision::Forward(permit) => owned(permit, &view, now).map(Permission::Forward),
            Decision::Endpoint(endpoint) => Ok(Permission::Endpoint(endpoint)),
            Decision::AwaitKey(awaiting) => Ok(Permission::AwaitKey(awaiting)),
            Decision::Reply(denial) => Err(denial),
            // A proof speaks about the token that was just looked for; the same head has no other.
            Decision::Verify(_) => Err(Denial::of(Reason::Internal)),
        }
    }

    /// Whether the exchange has had all of its time.
    fn is_over(&self, exchange: &Exchange) -> bool {
        let total = exchange.route().map(|route| route.pool.settings.timeouts.total);
        total.is_some_and(|total| self.0.since(exchange.started) > total)
    }

    async fn answer_endpoint(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        endpoint: Arc<Endpoint>,
    ) -> Result<()> {
        let body = if session.req_header().method == Method::POST {
            let deadline = self.0.tunables().body_timeout;
            match local::read_body(session, BODY_BYTES_MAX, deadline).await? {
                local::Body::Complete(bytes) => TokenBody::Complete(bytes),
                local::Body::TooLarge => TokenBody::TooLarge,
                local::Body::TimedOut => TokenBody::TimedOut,
                // What came of it is no JSON: the contract says what that answers.
                local::Body::Broken => TokenBody::Complete(Bytes::new()),
            }
        } else {
            TokenBody::Complete(Bytes::new())
        };
        let head = session.req_header();
        let message = TokenMessage {
            method: head.method.clone(),
            query: head.uri.query().map(str::to_owned),
            headers: head.headers.clone(),
            body,
            client: exchange.client,
        };
        let (endpoints, asked) = (Arc::clone(&self.0.means.endpoints), Arc::clone(&endpoint));
        let answered = self.0.means.control.spawn(async move { endpoints.answer(&asked, message).await }).await;
        let (response, outcome) = answered.unwrap_or_else(|error| {
            tracing::error!(request_id = exchange.request_id, %error, "a token endpoint failed");
            endpoint::failed(&endpoint)
        });
        exchange.verdict = Verdict::Endpoint(endpoint, outcome);
        local::write(session, response).await
    }
}

enum Permission {
    Forward(Forward),
    Endpoint(Arc<Endpoint>),
    /// Nothing yet: a foreign issuer must be asked first.
    AwaitKey(Awaiting),
}

fn owned(permit: Permit<'_>, view: &View<'_>, now: Timestamp) -> Result<Forward, Denial> {
    let exchanged = permit.route.settings.forward_token == ForwardToken::Internal;
    let internal_token = match permit.identity.as_ref().filter(|_| exchanged) {
        Some(identity) => Some(view.internal_token(identity, &permit.route.settings.upstream, now)),
        None => None,
    };
    let denial = |reason| Denial {
        route: Some(Arc::clone(&permit.route)),
        identity: permit.identity.clone(),
        ..Denial::of(reason)
    };
    Ok(Forward {
        internal_token: internal_token.transpose().map_err(denial)?,
        path: (!permit.path.is_as_received()).then(|| permit.path.as_str().into()),
        route: permit.route,
        identity: permit.identity,
        reason: permit.reason,
    })
}

#[async_trait]
impl ProxyHttp for Doorman {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::new(self.0.means.clock.instant())
    }

    /// Not only on reuse: our accept loop hands the peer's address over with every request.
    fn on_connection_reuse(&self, _: &mut Session, exchange: &mut Exchange, context: Box<dyn Any + Send + Sync>) {
        exchange.peer = context.downcast::<SocketAddr>().ok().map(|peer| *peer);
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        if let Some(peer) = exchange.peer {
            let headers = &session.req_header().headers;
            exchange.client = Some(forward::client_address(headers, peer.ip(), &self.0.tunables().trusted_proxies));
        }
        match self.decide(session, exchange.client).await {
            Ok(Permission::Forward(forward)) => {
                exchange.verdict = Verdict::Forward(forward);
                forward::drop_nominations(session.req_header_mut())?;
                Ok(false)
            }
            Ok(Permission::Endpoint(endpoint)) => {
                self.answer_endpoint(session, exchange, endpoint).await?;
                Ok(true)
            }
            // It is asked once: a second time would be a defect of ours.
            Ok(Permission::AwaitKey(_)) => {
                let denial = Denial::of(Reason::Internal);
                let response = respond::denial(&denial);
                exchange.verdict = Verdict::Deny(denial);
                local::write(session, response).await?;
                Ok(true)
            }
            Err(denial) => {
                let response = respond::denial(&denial);
                exchange.verdict = Verdict::Deny(denial);
                local::write(session, response).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        exchange.tries += 1;
        exchange.server = exchange.route().and_then(|route| route.pool.pick(exchange.server));
        match exchange.server() {
            Some(server) => Ok(server.peer()),
            None => Error::e_explain(ErrorType::InternalError, "no server to go to"),
        }
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&pingora::protocols::Digest>,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if !reused {
            note_reachable(exchange, true);
        }
        Ok(())
    }

    /// A connection that could not be made carried nothing: the next server may be asked.
    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        note_reachable(exchange, false);
        let servers = exchange.route().map_or(0, |route| route.pool.servers().len());
        error.set_retry(exchange.tries < servers.min(TRIES_MAX));
        error
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        exchange.handed_over = Some(self.0.means.clock.instant());
        let Verdict::Forward(permitted) = &exchange.verdict else {
            return Error::e_explain(ErrorType::InternalError, "forwarding without a permit");
        };
        let trusted_proxies = &self.0.tunables().trusted_proxies;
        let is_trusted = |peer: IpAddr| trusted_proxies.iter().any(|net| net.contains(&forward::canonical(peer)));
        forward::prepare(
            request,
            &Terms {
                route: &permitted.route,
                identity: permitted.identity.as_deref(),
                internal_token: permitted.internal_token.as_ref(),
                path: permitted.path.as_deref(),
                request_id: &exchange.request_id,
                peer: exchange.peer,
                trusted: exchange.peer.is_some_and(|peer| is_trusted(peer.ip())),
            },
        )
    }

    async fn upstream_response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if exchange.upstream_wait.is_none() && !response.status.is_informational() {
            let wait = exchange.handed_over.map(|handed| self.0.since(handed)).unwrap_or_default();
            exchange.upstream_wait = Some(wait);
            if let Some(route) = exchange.route() {
                route.upstream_seconds.observe(wait.as_secs_f64());
            }
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        _: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        if self.is_over(exchange) { Err(Error::new_up(ErrorType::ReadTimedout)) } else { Ok(None) }
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        _: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if self.is_over(exchange) { Err(Error::new_down(ErrorType::ReadTimedout)) } else { Ok(()) }
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        let reason = failure(error);
        exchange.failure = Some(reason.unwrap_or(Reason::MalformedRequest));
        // pingora's own text may quote the request: only the kind of the error is logged.
        tracing::warn!(
            request_id = exchange.request_id,
            route = exchange.route().map(|route| &*route.settings.name),
            server = exchange.server().map(Server::address),
            source = error.esource().as_str(),
            error = error.etype().as_str(),
            "a request could not be proxied"
        );
        let Some(reason) = reason else {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        let denial = Denial { reason, route: exchange.route().cloned(), allow: None, identity: None };
        if session.response_written().is_none() {
            session.set_keepalive(None);
            // The client may be gone: then there is nobody to tell.
            let _ = local::write(session, respond::denial(&denial)).await;
        }
        FailToProxy { error_code: reason.status(), can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, exchange: &mut Exchange) {
        self.0.record(session, exchange);
    }

    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Exchange, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    /// pingora's has the path with its query.
    fn request_summary(&self, _: &Session, exchange: &Exchange) -> String {
        exchange.request_id.clone()
    }
}

fn note_reachable(exchange: &Exchange, reachable: bool) {
    if let Some(server) = exchange.server() {
        server.note_reachable(reachable);
    }
}

/// The reason to answer with; `None` when the client is gone.
fn failure(error: &Error) -> Option<Reason> {
    match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout) => {
            Some(Reason::UpstreamTimeout)
        }
        (ErrorSource::Upstream, _) => Some(Reason::UpstreamFailed),
        (
            ErrorSource::Downstream,
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::WriteTimedout,
        ) => None,
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Reason::RequestTimeout),
        (ErrorSource::Downstream, _) => Some(Reason::MalformedRequest),
        _ => Some(Reason::Internal),
    }
}
