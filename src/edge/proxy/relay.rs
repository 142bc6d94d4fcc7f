//! What becomes of a request on its way to an upstream and back: which server it goes to, what that
//! receives, and what is answered when it fails.

use std::net::IpAddr;

use pingora::{
    Error, ErrorSource, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    proxy::{FailToProxy, Session},
    upstreams::peer::HttpPeer,
};

use super::{
    doorman::Doorman,
    exchange::{Exchange, Verdict},
    forward::{self, Terms},
    local,
};
use crate::{decision::Denial, domain::Reason, edge::respond, state::upstream::Server};

/// Servers of a pool that a request is offered to, at most, when connections fail.
const TRIES_MAX: usize = 3;

impl Doorman {
    /// The server that a request goes to.
    pub(super) fn choose_server(&self, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        exchange.tries += 1;
        exchange.server = exchange.route().and_then(|route| route.pool.pick(exchange.server));
        match exchange.server() {
            Some(server) => Ok(server.peer()),
            None => Error::e_explain(ErrorType::InternalError, "no server to go to"),
        }
    }

    /// Notes a connection that was made.
    pub(super) fn connected(&self, exchange: &Exchange, reused: bool) {
        if !reused {
            note_reachable(exchange, true);
        }
    }

    /// A connection that could not be made carried nothing: the next server may be asked.
    pub(super) fn not_connected(&self, exchange: &Exchange, mut error: Box<Error>) -> Box<Error> {
        note_reachable(exchange, false);
        let servers = exchange.route().map_or(0, |route| route.pool.servers().len());
        error.set_retry(exchange.tries < servers.min(TRIES_MAX));
        error
    }

    /// Makes the client's head the upstream's.
    pub(super) fn hand_over(&self, request: &mut RequestHeader, exchange: &mut Exchange) -> Result<()> {
        exchange.handed_over = Some(self.0.means.clock.instant());
        let Verdict::Forward(permitted) = &exchange.verdict else {
            return Error::e_explain(ErrorType::InternalError, "forwarding without a permit");
        };
        let trusted_proxies = &self.0.tunables().trusted_proxies;
        let is_trusted = |peer: IpAddr| trusted_proxies.iter().any(|net| net.contains(&forward::canonical(peer)));
        let connection = exchange.connection.as_deref();
        forward::prepare(
            request,
            &Terms {
                route: &permitted.route,
                identity: permitted.identity.as_deref(),
                internal_token: permitted.internal_token.as_ref(),
                path: permitted.path.as_deref(),
                request_id: &exchange.request_id,
                connection,
                trusted: connection.is_some_and(|connection| is_trusted(connection.peer.ip())),
            },
        )
    }

    /// Takes an upstream's head.
    pub(super) fn take_response(&self, response: &ResponseHeader, exchange: &mut Exchange) {
        exchange.status = response.status.as_u16();
        if exchange.upstream_wait.is_none() && !response.status.is_informational() {
            let wait = exchange.handed_over.map(|handed| self.0.since(handed)).unwrap_or_default();
            exchange.upstream_wait = Some(wait);
            if let Some(route) = exchange.route() {
                route.upstream_seconds.observe(wait.as_secs_f64());
            }
        }
    }

    /// Whether the exchange has had all of its time.
    pub(super) fn is_over(&self, exchange: &Exchange) -> bool {
        let total = exchange.route().map(|route| route.pool.settings.timeouts.total);
        total.is_some_and(|total| self.0.since(exchange.started) > total)
    }

    /// Answers a request that could not be proxied, where there is still somebody to answer.
    pub(super) async fn give_up(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
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
