//! One request and its answer, from the head to the log line.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, Uri, header};
use pingora::http::RequestHeader;

use super::{in_flight::Lifeline, upload::Progress};
use crate::{
    decision::{Awaiting, Denial, Endpoint, Preflight, Proof, Route, Target},
    domain::{Reason, id::write_hex, random},
    edge::{
        listen::{connection::Connection, limits::RequestPlace, tls::Validity},
        respond::Asker,
    },
    state::token::Verified,
    upstream::{Server, Turn, place::Place},
};

/// What is known about a request so far.
#[derive(Debug)]
pub(in crate::edge) struct Exchange {
    /// When its head was there.
    pub(in crate::edge) started: Instant,
    /// Its id, for the upstream and the log.
    pub(super) request_id: RequestId,
    /// The connection that it came on.
    pub(in crate::edge) connection: Option<Arc<Connection>>,
    /// Why it is refused whatever it asks for, where that is known before it is decided about.
    pub(in crate::edge) refused: Option<Reason>,
    /// How far it has come, where it has a body and goes through pingora.
    pub(in crate::edge) upload: Option<Arc<Progress>>,
    /// Who is behind that.
    pub(in crate::edge) client: Option<IpAddr>,
    /// What was decided.
    pub(in crate::edge) verdict: Verdict,
    /// When it was handed to the upstream.
    pub(super) handed_over: Option<Instant>,
    /// How long the upstream took to begin its answer.
    pub(super) upstream_wait: Option<Duration>,
    /// Its turn at the server that it went to last.
    pub(in crate::edge) turn: Option<Turn>,
    /// The servers that it went to before.
    pub(in crate::edge) tried: Vec<Arc<Server>>,
    /// Its place among the requests of its client, where that may have several in flight.
    pub(super) request_place: Option<RequestPlace>,
    /// Its place in the pool.
    pub(in crate::edge) place: Option<Place>,
    /// How often it was sent, or was to be.
    pub(super) tries: u32,
    /// Whether any part of an answer was received, an interim one too.
    pub(in crate::edge) answering: bool,
    /// How many interim answers were received.
    pub(super) interim_answers: u32,
    /// What went wrong after the decision.
    pub(in crate::edge) failure: Option<Reason>,
    /// What ends it before its time, until it was counted and logged.
    pub(in crate::edge) lifeline: Option<Arc<Lifeline<Exchange>>>,
    /// What was decided before pingora saw it.
    pub(in crate::edge) decided: Option<Result<Permission, Denial>>,
    /// The request line, once it is forwarded.
    pub(in crate::edge) line: Option<RequestLine>,
    /// The status of the upstream's answer.
    pub(in crate::edge) status: u16,
    /// Bytes of the body that came from the client and were forwarded.
    pub(super) bytes_in: u64,
    /// Bytes of the upstream's answer that were forwarded.
    pub(super) bytes_out: u64,
    /// How long the client held its answer up, where it goes past pingora.
    pub(super) held_up: Duration,
}

/// What the accept loop hands over with a request.
#[derive(Debug)]
pub(in crate::edge) struct Arrival {
    /// What it came on.
    pub(in crate::edge) connection: Arc<Connection>,
    /// What ends it before its time.
    pub(in crate::edge) lifeline: Arc<Lifeline<Exchange>>,
    /// How far it has come, where it has a body.
    pub(in crate::edge) upload: Option<Arc<Progress>>,
    /// Who is behind the connection, where that was looked for already.
    pub(in crate::edge) client: Option<IpAddr>,
    /// What was decided about it already, and when its head was there.
    pub(in crate::edge) decided: Option<(Instant, Result<Permission, Denial>)>,
}

/// What the access log tells of a request's head, for an exchange that outlives it.
#[derive(Debug)]
pub(in crate::edge) struct RequestLine {
    pub(in crate::edge) method: Method,
    pub(in crate::edge) uri: Uri,
    pub(in crate::edge) host: Option<HeaderValue>,
}

impl RequestLine {
    /// Shares the head's bytes.
    pub(in crate::edge) fn of(head: &RequestHeader) -> Self {
        Self { method: head.method.clone(), uri: head.uri.clone(), host: head.headers.get(header::HOST).cloned() }
    }
}

/// What was decided about a request.
#[derive(Debug)]
pub(in crate::edge) enum Verdict {
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

/// What a request may do.
#[derive(Debug)]
pub(in crate::edge) enum Permission {
    /// Go to its upstream.
    Forward(Forward),
    /// Ask a token endpoint.
    Endpoint(Arc<Endpoint>),
    /// Learn what a page may do.
    Preflight(Preflight),
    /// Nothing yet: a foreign issuer must be asked first.
    AwaitKey(Awaiting),
    /// Nothing yet: the store must be followed one step further first.
    AwaitStep(Proof),
}

/// The owned form of a permit.
#[derive(Debug)]
pub(in crate::edge) struct Forward {
    pub(in crate::edge) route: Arc<Route>,
    pub(in crate::edge) identity: Option<Arc<Verified>>,
    /// Whom the token speaks for that the route's shadow mode let through; the upstream does not hear of it.
    pub(super) alleged: Option<Arc<Verified>>,
    /// What the upstream receives instead of the client's token.
    pub(super) internal_token: Option<HeaderValue>,
    /// The path to forward, where it is not the one received.
    pub(in crate::edge) path: Option<Box<str>>,
    pub(in crate::edge) reason: Reason,
}

impl Forward {
    /// Whether only the route's shadow mode lets the request through.
    pub(in crate::edge) const fn is_shadow(&self) -> bool {
        !self.reason.allows()
    }
}

impl Forward {
    /// The token that it ends with, where its route holds anybody to one.
    pub(in crate::edge) fn ends_with(&self) -> Option<&Arc<Verified>> {
        self.identity.as_ref().filter(|_| self.route.enforces())
    }
}

impl Exchange {
    pub(in crate::edge) fn new(started: Instant) -> Self {
        Self::with_id(started, RequestId::new())
    }

    fn with_id(started: Instant, request_id: RequestId) -> Self {
        Self {
            started,
            request_id,
            connection: None,
            refused: None,
            upload: None,
            client: None,
            verdict: Verdict::Pending,
            handed_over: None,
            upstream_wait: None,
            turn: None,
            tried: vec![],
            request_place: None,
            place: None,
            tries: 0,
            answering: false,
            interim_answers: 0,
            failure: None,
            lifeline: None,
            decided: None,
            line: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            held_up: Duration::ZERO,
        }
    }

    /// Takes what the accept loop handed over.
    pub(in crate::edge) fn arrive(&mut self, arrival: Arrival) {
        self.connection = Some(arrival.connection);
        self.lifeline = Some(arrival.lifeline);
        self.upload = arrival.upload;
        self.client = arrival.client;
        if let Some((started, decided)) = arrival.decided {
            (self.started, self.decided) = (started, Some(decided));
        }
    }

    /// Makes it end with its token and its client's certificate, and after `total`.
    pub(in crate::edge) fn watch(&self, total: Option<Duration>) {
        if let (Some(lifeline), Verdict::Forward(forward)) = (&self.lifeline, &self.verdict) {
            lifeline.watch(forward.ends_with(), self.certified(), self.started, total);
        }
    }

    /// When its client's certificate is good.
    pub(in crate::edge) fn certified(&self) -> Validity {
        self.connection.as_ref().map_or(Validity::ALWAYS, |connection| connection.certified)
    }

    /// Whom the token spoke for, let through or not.
    pub(in crate::edge) fn identity(&self) -> Option<&Verified> {
        match &self.verdict {
            Verdict::Forward(forward) => forward.identity.as_ref().or(forward.alleged.as_ref()).map(Arc::as_ref),
            Verdict::Deny(denial) => denial.identity.as_deref(),
            Verdict::Pending | Verdict::Endpoint(..) | Verdict::Preflight(_) => None,
        }
    }

    /// The server that it went to.
    pub(in crate::edge) fn server(&self) -> Option<&Server> {
        Some(self.turn.as_ref()?.server())
    }

    /// The route, where there is one.
    pub(in crate::edge) fn route(&self) -> Option<&Arc<Route>> {
        match &self.verdict {
            Verdict::Forward(forward) => Some(&forward.route),
            Verdict::Deny(denial) => denial.route.as_ref(),
            Verdict::Preflight(Target::Route(route)) => Some(route),
            Verdict::Pending | Verdict::Endpoint(..) | Verdict::Preflight(Target::Endpoint(_)) => None,
        }
    }

    /// Who is answered.
    pub(in crate::edge) fn asker<'r>(&self, request: &'r RequestHeader) -> Asker<'r> {
        let scheme = self.connection.as_ref().map(|connection| connection.scheme.as_str());
        Asker { headers: &request.headers, secure: scheme == Some("https") }
    }
}

/// One that is dropped before it was counted and logged leaves itself to who will do that.
impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(lifeline) = self.lifeline.take() {
            let left = std::mem::replace(self, Self::with_id(self.started, self.request_id));
            lifeline.leave(Box::new(left));
        }
    }
}

/// What a request is called in the log and by the upstream: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId([u8; 32]);

impl RequestId {
    /// A new one, at random.
    pub(in crate::edge) fn new() -> Self {
        let mut digits = [0; 32];
        write_hex(&random::identifier::<16>(), &mut digits);
        Self(digits)
    }

    pub(in crate::edge) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hexadecimal digits")
    }

    pub(super) fn to_header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("hexadecimal digits")
    }
}
