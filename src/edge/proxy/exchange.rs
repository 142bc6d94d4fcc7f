//! One request and its answer, from the head to the log line.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;
use pingora::http::RequestHeader;

use super::connection::{Connection, StreamContext};
use crate::{
    decision::{Denial, Endpoint, Route, Target},
    domain::{Reason, random},
    edge::respond::Asker,
    state::{
        token::Verified,
        upstream::{Place, Server, Turn},
    },
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
    /// The stream of that, on HTTP/2.
    pub(super) stream: Option<StreamContext>,
    /// Who is behind that.
    pub(super) client: Option<IpAddr>,
    /// What was decided.
    pub(super) verdict: Verdict,
    /// When it was handed to the upstream.
    pub(super) handed_over: Option<Instant>,
    /// How long the upstream took to begin its answer.
    pub(super) upstream_wait: Option<Duration>,
    /// Its turn at the server that it went to last.
    pub(super) turn: Option<Turn>,
    /// The servers that it went to before.
    pub(super) tried: Vec<Arc<Server>>,
    /// Its place in the pool.
    pub(super) place: Option<Place>,
    /// How often it was sent, or was to be.
    pub(super) tries: u32,
    /// Whether any part of an answer was received, an interim one too.
    pub(super) answering: bool,
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
    /// A browser was told what a page may do with this.
    Preflight(Target),
}

/// The owned form of a permit.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) route: Arc<Route>,
    pub(super) identity: Option<Arc<Verified>>,
    /// What the upstream receives instead of the client's token.
    pub(super) internal_token: Option<HeaderValue>,
    /// The path to forward, where it is not the one received.
    pub(super) path: Option<Box<str>>,
    pub(super) reason: Reason,
}

impl Exchange {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            request_id: new_request_id(),
            connection: None,
            stream: None,
            client: None,
            verdict: Verdict::Pending,
            handed_over: None,
            upstream_wait: None,
            turn: None,
            tried: vec![],
            place: None,
            tries: 0,
            answering: false,
            failure: None,
        }
    }

    /// Whom the token spoke for, let through or not.
    pub(super) fn identity(&self) -> Option<&Verified> {
        match &self.verdict {
            Verdict::Forward(forward) => forward.identity.as_deref(),
            Verdict::Deny(denial) => denial.identity.as_deref(),
            Verdict::Pending | Verdict::Endpoint(..) | Verdict::Preflight(_) => None,
        }
    }

    /// The server that it went to.
    pub(super) fn server(&self) -> Option<&Server> {
        Some(self.turn.as_ref()?.server())
    }

    /// The route, where there is one.
    pub(super) fn route(&self) -> Option<&Arc<Route>> {
        match &self.verdict {
            Verdict::Forward(forward) => Some(&forward.route),
            Verdict::Deny(denial) => denial.route.as_ref(),
            Verdict::Preflight(Target::Route(route)) => Some(route),
            Verdict::Pending | Verdict::Endpoint(..) | Verdict::Preflight(Target::Endpoint(_)) => None,
        }
    }

    /// Who is answered.
    pub(super) fn asker<'r>(&self, request: &'r RequestHeader) -> Asker<'r> {
        let scheme = self.connection.as_ref().map(|connection| connection.scheme.as_str());
        Asker { headers: &request.headers, secure: scheme == Some("https") }
    }
}

pub(super) fn new_request_id() -> String {
    format!("{:032x}", u128::from_be_bytes(random::bytes()))
}
