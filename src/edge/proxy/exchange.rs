//! One request and its answer, from the head to the log line.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;

use super::connection::Connection;
use crate::{
    decision::{Denial, Endpoint, Route},
    domain::{Reason, random},
    state::{token::Verified, upstream::Server},
};

/// What is known about a request so far.
#[derive(Debug)]
pub(super) struct Exchange {
    /// When its head was there.
    pub(super) started: Instant,
    /// Its id, for the upstream and the log.
    pub(super) request_id: String,
    /// The connection that it came on.
    pub(super) connection: Option<Arc<Connection>>,
    /// Who is behind that.
    pub(super) client: Option<IpAddr>,
    /// What was decided.
    pub(super) verdict: Verdict,
    /// When it was handed to the upstream.
    pub(super) handed_over: Option<Instant>,
    /// How long the upstream took to begin its answer.
    pub(super) upstream_wait: Option<Duration>,
    /// The server that it went to: an index into the pool.
    pub(super) server: Option<usize>,
    /// Connections tried.
    pub(super) tries: usize,
    /// What went wrong after the decision.
    pub(super) failure: Option<Reason>,
}

/// What was decided about a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing yet.
    Pending,
    /// Forward it, on these terms.
    Forward(Forward),
    /// Refuse it.
    Deny(Denial),
    /// A token endpoint answers it: for this realm, with this outcome.
    Endpoint(Arc<Endpoint>, &'static str),
}

/// The owned form of a permit.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) route: Arc<Route>,
    pub(super) identity: Option<Arc<Verified>>,
    /// Whom the token speaks for that the route's shadow mode let through; the upstream does not hear of it.
    pub(super) alleged: Option<Arc<Verified>>,
    /// What the upstream receives instead of the client's token.
    pub(super) internal_token: Option<HeaderValue>,
    /// The canonical path, where it is not the one received.
    pub(super) path: Option<Box<str>>,
    pub(super) reason: Reason,
}

impl Forward {
    /// Whether only the route's shadow mode lets the request through.
    pub(super) const fn is_shadow(&self) -> bool {
        !self.reason.allows()
    }
}

impl Exchange {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            request_id: new_request_id(),
            connection: None,
            client: None,
            verdict: Verdict::Pending,
            handed_over: None,
            upstream_wait: None,
            server: None,
            tries: 0,
            failure: None,
        }
    }

    /// Whom the token spoke for, let through or not.
    pub(super) fn identity(&self) -> Option<&Verified> {
        match &self.verdict {
            Verdict::Forward(forward) => forward.identity.as_ref().or(forward.alleged.as_ref()).map(Arc::as_ref),
            Verdict::Deny(denial) => denial.identity.as_deref(),
            Verdict::Pending | Verdict::Endpoint(..) => None,
        }
    }

    /// The server that it went to.
    pub(super) fn server(&self) -> Option<&Server> {
        self.route()?.pool.servers().get(self.server?)
    }

    /// The route, where there is one.
    pub(super) fn route(&self) -> Option<&Arc<Route>> {
        match &self.verdict {
            Verdict::Forward(forward) => Some(&forward.route),
            Verdict::Deny(denial) => denial.route.as_ref(),
            Verdict::Pending | Verdict::Endpoint(..) => None,
        }
    }
}

pub(super) fn new_request_id() -> String {
    format!("{:032x}", u128::from_be_bytes(random::bytes()))
}
