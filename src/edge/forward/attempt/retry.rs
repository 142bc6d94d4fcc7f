//! Whether a request that came to nothing is sent again.

use std::sync::Arc;

use http::{HeaderValue, Method, request::Parts};

use crate::{
    decision::Route,
    edge::forward::{
        body::{
            progress::{Overdue, Progress},
            received::ReceivedBody,
            request::Upload,
        },
        exchange::Exchange,
        failure::Failure,
    },
    rules::rewrite::method_overrides,
    upstream,
};

/// A request on its way to a server, beside its head.
pub(in crate::edge::forward) struct Outbound {
    /// Its body, where it has one.
    pub(super) upload: Option<Upload>,
    /// Whether its method may reach a server twice.
    is_idempotent: bool,
}

/// An attempt came to nothing, and is to be followed by another or not.
#[derive(Debug)]
pub(in crate::edge::forward) struct Failed {
    pub(in crate::edge::forward) failure: Failure,
    pub(in crate::edge::forward) again: bool,
}

impl Outbound {
    /// Whether it can be sent once more as it was.
    pub(super) fn is_repeatable(&self) -> bool {
        self.is_idempotent && self.upload.as_ref().is_none_or(Upload::is_repeatable)
    }
}

impl Exchange {
    /// What attempts need to know of its request.
    pub(in crate::edge::forward) fn outbound(&mut self, body: Option<ReceivedBody>, route: &Route) -> Outbound {
        let is_idempotent = is_idempotent(&self.head);
        let upload = body.map(|body| {
            let progress = Arc::<Progress>::default();
            self.upload = Some(Arc::clone(&progress));
            let again = is_idempotent && route.pool.settings.retries > 0;
            Upload::new(body, again, route.settings.body_bytes_max, &progress)
        });
        Outbound { upload, is_idempotent }
    }

    /// Whether a request that was sent, and came to nothing, is sent again. It may be only where that changes nothing:
    /// it is `repeatable`, because its method is idempotent (RFC 9110 section 9.2.2) and all of its body is still
    /// there, and nothing was answered.
    #[cold]
    pub(super) fn failed_on_the_way(&mut self, failure: Failure, reused: bool, repeatable: bool) -> bool {
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
        again && self.spend_retry(stale)
    }

    /// Takes one from the pool's retries for a request that may be repeated, where there is one. Where no other server
    /// is left, it is repeated only if `same_server` may be asked again.
    pub(super) fn spend_retry(&self, same_server: bool) -> bool {
        let Some((route, server_lease)) = self.route().zip(self.server_lease.as_ref()) else { return false };
        let (pool, now) = (&route.pool, self.shared().services.clock.instant());
        self.tries <= pool.settings.retries
            && !self.is_over()
            && (same_server || pool.has_another(now, &self.tried, server_lease.server()))
            && pool.spend_retry(now)
    }
}

/// Whether a request may reach a server twice: by its own method (RFC 9110 section 9.2.2), and by each that its fields
/// ask the server to take it for.
fn is_idempotent(request: &Parts) -> bool {
    let asked = |value: &HeaderValue| Method::from_bytes(value.as_bytes()).is_ok_and(|method| method.is_idempotent());
    request.method.is_idempotent() && method_overrides(&request.headers).all(asked)
}
