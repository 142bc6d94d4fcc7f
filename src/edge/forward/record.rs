//! What is left of a request when it has ended: counts, and a line in the access log.

use std::net::SocketAddr;

use http::{HeaderValue, Method, Uri};
use pingora::proxy::Session;

use super::{
    exchange::{Exchange, RequestId, Verdict},
    services::Shared,
    upstream_request,
};
use crate::{
    decision::Target,
    domain::{Reason, Subject},
    observe::access_log::{Entry, Principal, Time, capped, millis},
    rules::route::{CanonicalPath, Host},
    upstream::Server,
};

/// What was read and written of an exchange.
struct Written<'a> {
    method: &'a Method,
    uri: &'a Uri,
    host: Option<&'a HeaderValue>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
}

impl Shared {
    /// Counts and logs a request whose head was not taken.
    pub(in crate::edge) fn head_refused(&self, peer: SocketAddr, reason: Reason) {
        self.unrouted().decided("deny", reason);
        self.unrouted().answered(reason.status(), 0.0);
        if self.tunables().access_log {
            self.means.access_log.write(&Entry {
                timestamp: Time(self.means.clock.now()),
                kind: "access",
                request_id: RequestId::new().as_str(),
                client: Some(upstream_request::canonical(peer.ip())),
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
    pub(in crate::edge) fn record(&self, session: &Session, exchange: &mut Exchange) {
        // Nobody has to do it for it any more.
        exchange.lifeline = None;
        let head = session.req_header();
        let written = Written {
            method: &head.method,
            uri: &head.uri,
            host: head.headers.get(http::header::HOST),
            status: session.response_written().map_or(0, |head| head.status.as_u16()),
            bytes_in: session.body_bytes_read() as u64,
            bytes_out: session.body_bytes_sent() as u64,
        };
        self.write_record(&written, exchange);
    }

    /// Counts and logs an exchange that was forwarded and is served without pingora, or was ended before its time.
    pub(in crate::edge) fn record_left(&self, exchange: &mut Exchange) {
        exchange.lifeline = None;
        let Some(line) = exchange.line.take() else { return };
        let written = Written {
            method: &line.method,
            uri: &line.uri,
            host: line.host.as_ref(),
            status: exchange.status,
            bytes_in: exchange.bytes_in,
            bytes_out: exchange.bytes_out,
        };
        self.write_record(&written, exchange);
    }

    fn write_record(&self, written: &Written<'_>, exchange: &Exchange) {
        let status = written.status;
        let metrics = match &exchange.verdict {
            Verdict::Endpoint(endpoint, _) | Verdict::Preflight(Target::Endpoint(endpoint)) => &endpoint.metrics.route,
            _ => exchange.route().map_or(self.unrouted(), |route| &route.metrics),
        };
        let (decision, reason) = match (exchange.failure, &exchange.verdict) {
            (Some(failure), _) => ("error", failure),
            (None, Verdict::Forward(forward)) if forward.is_shadow() => ("shadow", forward.reason),
            (None, Verdict::Forward(forward)) => ("forward", forward.reason),
            (None, Verdict::Deny(denial)) => ("deny", denial.reason),
            (None, Verdict::Endpoint(..)) => ("endpoint", Reason::Public),
            (None, Verdict::Preflight(_)) => ("preflight", Reason::Preflight),
            (None, Verdict::Pending) => ("error", Reason::Internal),
        };
        let end = self.since(exchange.started);
        let added = exchange.handed_over.map_or(end, |handed| handed.saturating_duration_since(exchange.started));
        metrics.decided(decision, reason);
        metrics.answered(status, added.as_secs_f64());
        if !self.tunables().access_log {
            return;
        }
        let host = written.host.and_then(|host| Host::parse(str::from_utf8(host.as_bytes()).ok()?).ok());
        let host = host.map(|host| host.in_lower_case());
        let canonical;
        let path = if matches!(&exchange.verdict, Verdict::Forward(forward) if forward.path.is_none()) {
            // It is canonical, or it would have been forwarded in another spelling.
            Some(written.uri.path())
        } else {
            canonical = CanonicalPath::parse(written.uri.path().as_bytes());
            canonical.as_ref().ok().map(CanonicalPath::as_str)
        };
        let mut room = [0; Subject::UUID_BYTES];
        self.means.access_log.write(&Entry {
            timestamp: Time(self.means.clock.now()),
            kind: "access",
            request_id: exchange.request_id.as_str(),
            client: exchange.client,
            method: capped(written.method.as_str()),
            host: host.as_deref(),
            path: path.map(capped),
            route: Some(metrics.name()).filter(|&name| name != self.unrouted().name()),
            status,
            decision,
            reason: match (&exchange.verdict, exchange.failure) {
                (Verdict::Endpoint(_, outcome), None) => outcome,
                _ => reason.name(),
            },
            principal: exchange.identity().map(|identity| Principal {
                realm: identity.claims.realm.as_str(),
                subject: identity.claims.subject.spell_identity(&mut room),
            }),
            bytes_in: written.bytes_in,
            bytes_out: written.bytes_out,
            duration_ms: millis(end),
            upstream_ms: exchange.upstream_wait.map(millis),
            upstream: exchange.server().map(Server::address),
        });
    }
}
