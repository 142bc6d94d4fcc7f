//! What is left of a request when it has ended: counts, and a line in the access log.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::{
    body::progress::Overdue,
    context::services::Shared,
    exchange::{Exchange, RequestId, Sent, Verdict},
    failure::Failure,
    head::upstream_request,
};
use crate::{
    decision::Target,
    domain::{Reason, TokenSubject},
    observe::access_log::{Entry, Principal, Time, capped, millis},
    rules::route::{CanonicalPath, Host},
    upstream::Server,
};

impl Drop for Exchange {
    fn drop(&mut self) {
        let is_whole = self.sent == Sent::GoneOut;
        let now = self.ended.filter(|_| is_whole).unwrap_or_else(|| self.shared().services.clock.instant());
        self.inbound.guard.unwatch();
        if let Some(upload) = &self.upload {
            upload.cancel();
        }
        if let Some(http1) = &self.inbound.http1 {
            http1.response_ends(tokio::time::Instant::from_std(now));
        }
        if !is_whole && self.failure.is_none() && self.was_cut_off_for_its_server() {
            self.broke_off(Failure::ReadTimeout);
        }
        if !is_whole && self.failure.is_none() {
            // A drop before its end was told: the client has gone, or the gateway, or a task panics.
            let left = || if self.shared().is_drain_over() { Reason::GatewayStopped } else { Reason::ClientLeft };
            let ended = || self.inbound.guard.reason().unwrap_or_else(left);
            if matches!(self.verdict, Verdict::Forward(_) | Verdict::Pending) {
                self.failure = Some(if thread::panicking() { Reason::Internal } else { ended() });
            }
        }
        self.record(now);
        self.shared().request_ends();
    }
}

impl Exchange {
    /// What was decided about it, and why, in the words of metrics and the log.
    fn outcome(&self) -> (&'static str, Reason) {
        match (self.failure, &self.verdict) {
            (Some(failure), _) => ("error", failure),
            (None, Verdict::Forward(forward)) if forward.is_shadow() => ("shadow", forward.reason),
            (None, Verdict::Forward(forward)) => ("forward", forward.reason),
            (None, Verdict::Deny(denial)) => ("deny", denial.reason),
            (None, Verdict::Endpoint(..)) => ("endpoint", Reason::Public),
            (None, Verdict::Preflight(_) | Verdict::Options) => ("preflight", Reason::Preflight),
            (None, Verdict::Pending) => ("error", Reason::Internal),
        }
    }

    /// Whether the sweeper ended it because its server was silent: nobody else has said so of the server then.
    fn was_cut_off_for_its_server(&self) -> bool {
        let overdue = self.upload.as_ref().and_then(|upload| upload.overdue());
        overdue == Some(Overdue::Server) && self.inbound.guard.reason() == Some(Reason::UpstreamTimeout)
    }

    /// Counts and logs a request that ended `now`.
    fn record(&self, now: Instant) {
        let shared = self.shared();
        let metrics = match &self.verdict {
            Verdict::Endpoint(endpoint, _) | Verdict::Preflight(Target::Endpoint(endpoint)) => &endpoint.metrics.route,
            _ => self.route().map_or(shared.unrouted(), |route| &route.metrics),
        };
        let (decision, reason) = self.outcome();
        let end = now.saturating_duration_since(self.started);
        let added = self.handed_over.map_or(end, |handed| handed.saturating_duration_since(self.started));
        metrics.decided(decision, reason);
        metrics.answered(self.status, added);
        if self.tunables.access_log {
            let route = Some(metrics.name()).filter(|&name| name != shared.unrouted().name());
            self.log(route, (decision, reason), end);
        }
    }

    /// Writes the line of a request that took so `long`.
    fn log(&self, route: Option<&str>, (decision, reason): (&'static str, Reason), long: Duration) {
        let (shared, head) = (self.shared(), &self.head);
        let host = self.host().and_then(|host| Host::parse(str::from_utf8(host.as_bytes()).ok()?).ok());
        let host = host.map(|host| host.in_lower_case());
        let canonical;
        let path = if matches!(&self.verdict, Verdict::Forward(forward) if forward.path.is_none()) {
            // It is canonical, or it would have been forwarded in another spelling.
            Some(head.uri.path())
        } else {
            canonical = CanonicalPath::parse(head.uri.path().as_bytes());
            canonical.as_ref().ok().map(CanonicalPath::as_str)
        };
        let mut room = [0; TokenSubject::UUID_BYTES];
        shared.services.access_log.write(&Entry {
            timestamp: Time(shared.services.clock.now()),
            kind: "access",
            request_id: self.request_id.as_str(),
            client: self.client,
            method: capped(head.method.as_str()),
            host: host.as_deref(),
            path: path.map(capped),
            route,
            status: self.status,
            decision,
            reason: match (&self.verdict, self.failure) {
                (Verdict::Endpoint(_, outcome), None) => outcome,
                _ => reason.name(),
            },
            principal: self.identity().map(|identity| Principal {
                realm: identity.claims.realm.as_str(),
                subject: identity.claims.subject.spell_identity(&mut room),
            }),
            bytes_in: self.upload.as_ref().map_or(self.bytes_in, |upload| upload.bytes()),
            bytes_out: self.bytes_out,
            duration_ms: millis(long),
            upstream_ms: self.upstream_wait.map(millis),
            upstream: self.server().map(Server::address),
        });
    }
}

/// Counts and logs a request whose head was not taken.
pub(in crate::edge) fn head_refused(shared: &Shared, peer: SocketAddr, reason: Reason) {
    shared.unrouted().decided("deny", reason);
    shared.unrouted().answered(reason.status(), Duration::ZERO);
    if shared.tunables().access_log {
        shared.services.access_log.write(&Entry {
            timestamp: Time(shared.services.clock.now()),
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
