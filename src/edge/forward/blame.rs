//! Whose failure it is that a request comes to nothing: the server's, which counts against it, or the client's. What is
//! logged of it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{body::error::BodyError, exchange::Exchange, failure::Failure};
use crate::{
    domain::Reason,
    upstream::{self, Server},
};

/// How long a client holds its response up before a server that breaks it off may have lost patience with that.
const HELD_UP: Duration = Duration::from_secs(1);

impl Exchange {
    /// Notes what a failure says about the server that was asked.
    pub(super) fn note_failure(&mut self, failure: Failure, stale: bool) {
        // That a response took all the time there was need not be the server's doing.
        let had_time = !self.is_answering || !self.is_over();
        if failure.is_upstreams() && !stale && had_time && !self.is_clients_doing(failure) {
            self.server_failed(upstream::Failure::AfterSending);
        }
    }

    /// A response that was being handed on broke off.
    pub(super) fn broke_off(&mut self, failure: Failure) {
        let body = self.upload.as_ref().and_then(|upload| upload.error());
        let failure = body.map_or(failure, Failure::Body);
        self.note_failure(failure, false);
        self.came_to_nothing(failure);
    }

    /// Why a request could not be proxied, which is logged; `None` when the client is gone.
    pub(super) fn came_to_nothing(&mut self, failure: Failure) -> Option<Reason> {
        // What was found out before stands in the exchange.
        let reason = self.failure.or_else(|| failure.reason());
        if failure == Failure::Body(BodyError::Cancelled) {
            return None;
        }
        self.failure = Some(reason.unwrap_or(Reason::ClientLeft));
        tracing::warn!(
            request_id = self.request_id.as_str(),
            route = self.route().map(|route| &*route.settings.name),
            server = self.server().map(Server::address),
            source = failure.source(),
            error = failure.as_str(),
            "a request could not be proxied"
        );
        reason
    }

    /// Notes that the server that was asked failed.
    pub(super) fn server_failed(&mut self, failure: upstream::Failure) {
        let pool = self.route().map(|route| Arc::clone(&route.pool));
        let now = self.shared().services.clock.instant();
        if let Some((pool, server_lease)) = pool.zip(self.server_lease.as_mut()) {
            pool.failed(server_lease, failure, now);
        }
    }

    /// Whether a server's failure may be its client's doing: it broke off, or took no more, while the client kept it
    /// waiting.
    fn is_clients_doing(&self, failure: Failure) -> bool {
        let owed = self.upload.as_ref().is_some_and(|upload| upload.client_owes());
        let held = self.upload.as_ref().map(|upload| upload.held_up(Instant::now())).unwrap_or_default();
        let held_up = self.is_answering && held.max(self.held_up) >= HELD_UP;
        // A server that responds before it has all of a body may wait for room for its response first.
        let answering_first = self.is_answering && failure == Failure::WriteTimeout;
        failure.is_broken() && (owed || held_up) || answering_first
    }
}
