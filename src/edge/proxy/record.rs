//! What is left of a request when it has ended: counts, and a line in the access log.

use std::net::SocketAddr;

use pingora::proxy::Session;

use super::{
    exchange::{Exchange, Verdict, new_request_id},
    forward,
    shared::Shared,
};
use crate::{
    domain::Reason,
    observe::access_log::{Entry, Principal, Time, capped, millis},
    rules::route::{CanonicalPath, Host, LowerCaseHost},
    state::upstream::Server,
};

impl Shared {
    /// Counts and logs a request whose head was not taken.
    pub(super) fn head_refused(&self, peer: SocketAddr, reason: Reason) {
        self.unrouted().decided("deny", reason);
        self.unrouted().answered(reason.status(), 0.0);
        if self.tunables().access_log {
            self.means.access_log.write(&Entry {
                timestamp: Time(self.means.clock.now()),
                kind: "access",
                request_id: &new_request_id(),
                client: Some(forward::canonical(peer.ip())),
                method: "",
                host: None,
                path: None,
                route: None,
                status: reason.status(),
                decision: "deny",
                reason: reason.name(),
                principal: None,
                bytes_in: 0,
                bytes_out: 0,
                duration_ms: 0.0,
                upstream_ms: None,
                upstream: None,
            });
        }
    }

    /// Counts and logs a request that has ended.
    pub(super) fn record(&self, session: &Session, exchange: &Exchange) {
        let status = session.response_written().map_or(0, |head| head.status.as_u16());
        let metrics = match &exchange.verdict {
            Verdict::Endpoint(endpoint, _) => &endpoint.metrics.route,
            _ => exchange.route().map_or(self.unrouted(), |route| &route.metrics),
        };
        let (decision, reason) = match (exchange.failure, &exchange.verdict) {
            (Some(failure), _) => ("error", failure),
            (None, Verdict::Forward(forward)) if forward.is_shadow() => ("shadow", forward.reason),
            (None, Verdict::Forward(forward)) => ("forward", forward.reason),
            (None, Verdict::Deny(denial)) => ("deny", denial.reason),
            (None, Verdict::Endpoint(..)) => ("endpoint", Reason::Public),
            (None, Verdict::Pending) => ("error", Reason::Internal),
        };
        let end = self.since(exchange.started);
        let added = exchange.handed_over.map_or(end, |handed| handed.saturating_duration_since(exchange.started));
        metrics.decided(decision, reason);
        metrics.answered(status, added.as_secs_f64());
        if !self.tunables().access_log {
            return;
        }
        let head = session.req_header();
        let host = head
            .headers
            .get(http::header::HOST)
            .and_then(|host| Host::parse(host.to_str().ok()?).ok())
            .map(|host| host.to_lower_case());
        let path = CanonicalPath::parse(head.uri.path().as_bytes()).ok();
        self.means.access_log.write(&Entry {
            timestamp: Time(self.means.clock.now()),
            kind: "access",
            request_id: &exchange.request_id,
            client: exchange.client,
            method: capped(head.method.as_str()),
            host: host.as_ref().map(LowerCaseHost::as_str),
            path: path.as_ref().map(|path| capped(path.as_str())),
            route: Some(metrics.name()).filter(|&name| name != self.unrouted().name()),
            status,
            decision,
            reason: match (&exchange.verdict, exchange.failure) {
                (Verdict::Endpoint(_, outcome), None) => outcome,
                _ => reason.name(),
            },
            principal: exchange.identity().map(|identity| Principal {
                realm: identity.claims.realm.as_str(),
                subject: identity.claims.subject.identity(),
            }),
            bytes_in: session.body_bytes_read() as u64,
            bytes_out: session.body_bytes_sent() as u64,
            duration_ms: millis(end),
            upstream_ms: exchange.upstream_wait.map(millis),
            upstream: exchange.server().map(Server::address),
        });
    }
}
