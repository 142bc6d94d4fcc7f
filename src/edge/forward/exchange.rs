//! One request and its response, from the head to the log line.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, atomic::AtomicU32},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Version, header, request::Parts};

use super::{
    body::progress::Progress,
    context::{
        connections::Lease,
        in_flight::{RequestGuard, Watch},
        services::{Shared, Tunables},
        worker::WorkerContext,
    },
};
use crate::{
    decision::{Awaiting, AwaitingCheck, Denial, Endpoint, Preflight, Proof, Route, Target},
    domain::{Reason, id::write_hex, random},
    edge::{
        armour::state::{HandedOn, Http1State},
        listen::{
            connection::{Connection, Protocol},
            limits::ClientRequestSlot,
            tls::Validity,
        },
        respond::Asker,
    },
    per_thread::Handle,
    rules::list::elements,
    state::token::Verified,
    timer::LazyTimeout,
    upstream::{Received, Server, ServerLease, Transport, request_slot::RequestSlot},
};

/// What a request comes with: one for each HTTP/1 connection, and for each HTTP/2 stream.
#[derive(Debug)]
pub(in crate::edge) struct Inbound {
    /// The thread that serves it.
    pub(super) worker: Arc<WorkerContext>,
    /// The connection that it came on.
    pub(super) connection: Arc<Connection>,
    /// What ends it before its time.
    pub(super) guard: Arc<RequestGuard>,
    /// What the connection's armour knows and is told; HTTP/1 alone.
    pub(super) http1: Option<Arc<Http1State>>,
    /// How many informational responses came since its request was sent to a server.
    pub(super) informational: AtomicU32,
    /// What the connection goes on as, once a service has agreed to switch.
    pub(in crate::edge) tunnel: Mutex<Option<Tunnel>>,
}

impl Inbound {
    /// What a request on this connection comes with, which `guard` may end.
    pub(in crate::edge) fn new(
        worker: &Arc<WorkerContext>,
        connection: &Arc<Connection>,
        guard: &Arc<RequestGuard>,
        http1: Option<Arc<Http1State>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            worker: Arc::clone(worker),
            connection: Arc::clone(connection),
            guard: Arc::clone(guard),
            http1,
            informational: AtomicU32::new(0),
            tunnel: Mutex::default(),
        })
    }
}

/// A connection that goes on as another protocol.
#[derive(Debug)]
pub(in crate::edge) struct Tunnel {
    /// The exchange that asked for it: it lasts as long.
    pub(super) exchange: Box<Exchange>,
    /// The connection to the server.
    pub(super) upstream: Transport,
    /// What the upstream sent behind its 101.
    pub(super) rest: Bytes,
    /// Whether it is a `WebSocket`.
    pub(super) framed: bool,
}

/// What a wait for an upstream is cut to when the exchange's time is nearly over.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// Bytes of a response for which the system has room at once: those of a smaller one count as gone out when they are
/// handed on, before their client has them.
const SENT_AT_ONCE_BYTES_MAX: u64 = 16 << 10;

/// What is known about a request so far. When it is dropped, it is counted and logged.
#[derive(Debug)]
pub(in crate::edge) struct Exchange {
    pub(super) inbound: Arc<Inbound>,
    /// What a reload may change, as it was when its head was there.
    pub(super) tunables: Handle<Tunables>,
    /// When its head was there.
    pub(super) started: Instant,
    /// Its id, for the upstream and the log.
    pub(super) request_id: RequestId,
    /// As the client sent it. Its fields are given up once there is a response: see [`Exchange::conclude`].
    pub(super) head: Parts,
    /// The host that it named, once its fields were given up.
    host: Option<HeaderValue>,
    /// Whether the connection can take another request after it.
    pub(super) keeps_connection: bool,
    /// How far it has come, where it has a body.
    pub(super) upload: Option<Arc<Progress>>,
    /// The client behind the connection.
    pub(super) client: Option<IpAddr>,
    /// What was decided.
    pub(super) verdict: Verdict,
    /// When it was handed to the upstream.
    pub(super) handed_over: Option<Instant>,
    /// How long the upstream took to begin its response.
    pub(super) upstream_wait: Option<Duration>,
    /// The right to use the server that it went to last.
    pub(super) server_lease: Option<ServerLease>,
    /// The connection to that server; `None` where it is not used again.
    pub(super) lease: Option<Lease>,
    /// For that server's next bytes.
    pub(super) timeout: LazyTimeout,
    /// The servers that it went to before.
    pub(super) tried: Vec<Handle<Server>>,
    /// Its slot among the requests of its client, where that may have several in flight.
    pub(super) client_slot: Option<ClientRequestSlot>,
    /// Its slot in the pool.
    pub(super) pool_slot: Option<RequestSlot>,
    /// How often it was sent, or was to be.
    pub(super) tries: u32,
    /// Whether any part of a response was received, an informational one too.
    pub(super) is_answering: bool,
    /// What went wrong after the decision.
    pub(super) failure: Option<Reason>,
    /// The status that the client received; 0 for none.
    pub(super) status: u16,
    /// Bytes of the body that came from the client, where it is not counted by `upload`.
    pub(super) bytes_in: u64,
    /// Bytes of the response's body that were handed on.
    pub(super) bytes_out: u64,
    /// How long the client held its response up.
    pub(super) held_up: Duration,
    /// How much of the response was sent.
    pub(super) sent: Sent,
    /// When all of it had come from the server, where it was handed on at once.
    pub(super) ended: Option<Instant>,
}

/// How much of a response was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Sent {
    /// Not all of it.
    Partly,
    /// All of it was handed on to hyper.
    HandedOn,
    /// All of it has gone out, as far as that can be told.
    GoneOut,
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
    /// It asked what the gateway itself can do.
    Options,
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
    /// Nothing yet: an external issuer must be asked first.
    AwaitKey(Awaiting),
    /// Nothing yet: an old system must be asked about the token first.
    AwaitCheck(AwaitingCheck),
    /// Nothing yet: the store must be followed one step further first.
    AwaitStep(Proof),
}

/// The owned form of a permit.
#[derive(Debug)]
pub(in crate::edge) struct Forward {
    pub(in crate::edge) route: Handle<Route>,
    pub(in crate::edge) identity: Option<Arc<Verified>>,
    /// Whom the token speaks for that the route's shadow mode let through; the upstream does not hear of it.
    pub(super) unverified: Option<Arc<Verified>>,
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
    pub(super) fn new(inbound: Arc<Inbound>, head: Parts) -> Box<Self> {
        let shared = &inbound.worker.shared;
        shared.request_begins();
        let started = shared.services.clock.instant();
        Box::new(Self {
            tunables: shared.tunables().handle(),
            started,
            request_id: RequestId::new(),
            keeps_connection: keeps_connection(&head),
            head,
            host: None,
            upload: None,
            client: None,
            verdict: Verdict::Pending,
            handed_over: None,
            upstream_wait: None,
            server_lease: None,
            lease: None,
            timeout: LazyTimeout::default(),
            tried: vec![],
            client_slot: None,
            pool_slot: None,
            tries: 0,
            is_answering: false,
            failure: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            held_up: Duration::ZERO,
            sent: Sent::Partly,
            ended: None,
            inbound,
        })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.inbound.worker.shared
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.inbound.connection
    }

    pub(super) fn is_http2(&self) -> bool {
        self.connection().protocol == Protocol::Http2
    }

    /// Makes it end with its token and its client's certificate, and after `total`.
    pub(super) fn watch(&self, total: Option<Duration>) {
        if let Verdict::Forward(forward) = &self.verdict {
            self.inbound.guard.watch(Watch {
                identity: forward.ends_with().cloned(),
                ends_stale: forward.ends_with().is_some() && self.shared().refuses_stale(&forward.route),
                certified: self.certified(),
                ends_at: total.and_then(|total| Watch::end(self.started, total)),
                upload: self.upload.clone(),
            });
        }
    }

    /// When its client's certificate is good.
    fn certified(&self) -> Validity {
        self.connection().certified
    }

    /// Whom the token spoke for, let through or not.
    pub(super) fn identity(&self) -> Option<&Verified> {
        match &self.verdict {
            Verdict::Forward(forward) => forward.identity.as_ref().or(forward.unverified.as_ref()).map(Arc::as_ref),
            Verdict::Deny(denial) => denial.identity.as_deref(),
            Verdict::Pending | Verdict::Endpoint(..) | Verdict::Preflight(_) | Verdict::Options => None,
        }
    }

    /// The server that it went to.
    pub(super) fn server(&self) -> Option<&Server> {
        Some(self.server_lease.as_ref()?.server())
    }

    /// Counts what comes on the connection to the server; HTTP/1 alone.
    pub(super) fn received(&self) -> Option<&Received> {
        self.lease.as_ref()?.received()
    }

    /// The route, where there is one.
    pub(super) fn route(&self) -> Option<&Handle<Route>> {
        match &self.verdict {
            Verdict::Forward(forward) => Some(&forward.route),
            Verdict::Deny(denial) => denial.route.as_ref(),
            Verdict::Preflight(Target::Route(route)) => Some(route),
            Verdict::Pending | Verdict::Endpoint(..) | Verdict::Preflight(Target::Endpoint(_)) | Verdict::Options => {
                None
            }
        }
    }

    /// The client that is answered.
    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { headers: &self.head.headers, secure: self.connection().scheme.as_str() == "https" }
    }

    /// The host that it named.
    pub(super) fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref().or_else(|| self.head.headers.get(header::HOST))
    }

    /// Gives up its fields, but for the host, where the log tells it: a response may take long.
    pub(super) fn give_up_fields(&mut self) {
        let headers = std::mem::take(&mut self.head.headers);
        if self.tunables.access_log && self.host.is_none() {
            self.host = headers.get(header::HOST).cloned();
        }
        self.head.extensions = http::Extensions::new();
    }

    /// Gives it up: its response was handed on, or broke off. Over HTTP/1 one that is not small ends when the response
    /// has gone out: until then its token counts, and its client may not take all of it.
    pub(super) fn leave(mut self: Box<Self>) {
        if self.sent != Sent::HandedOn {
            return;
        }
        match &self.inbound.http1 {
            Some(http1) if self.bytes_out > SENT_AT_ONCE_BYTES_MAX => Arc::clone(http1).hand_on(self),
            // What ended its stream took the piece away that hyper held.
            None if self.inbound.guard.reason().is_some() => {}
            _ => self.sent = Sent::GoneOut,
        }
    }

    /// All of the server's response is here: its client may take it as slowly as it likes.
    pub(super) fn server_is_done(&mut self) {
        if let Some(server_lease) = &mut self.server_lease {
            server_lease.settle();
        }
        self.pool_slot = None;
    }

    /// How long it may still take; not nothing, which would never end.
    pub(super) fn time_left(&self, route: &Route) -> Duration {
        let total = route.pool.settings.timeouts.total;
        total.saturating_sub(self.shared().since(self.started)).max(WAIT_MIN)
    }

    /// When it has had all of its time; not `now`, or what is sent now would have none.
    pub(super) fn ends_at(&self, route: &Route, now: Instant) -> tokio::time::Instant {
        let end = self.started + route.pool.settings.timeouts.total;
        tokio::time::Instant::from_std(end.max(now + WAIT_MIN))
    }

    /// Whether it has had all of its time.
    pub(super) fn is_over(&self) -> bool {
        let total = self.route().map(|route| route.pool.settings.timeouts.total);
        total.is_some_and(|total| self.shared().since(self.started) > total)
    }
}

impl HandedOn for Exchange {
    fn has_gone_out(mut self: Box<Self>, waited: bool) {
        self.sent = Sent::GoneOut;
        if waited {
            self.ended = None;
        }
    }
}

/// Whether a connection can take another request after this one (RFC 9112 section 9.3).
fn keeps_connection(head: &Parts) -> bool {
    let says = |said: &str| elements(&head.headers, &header::CONNECTION).any(|word| word.eq_ignore_ascii_case(said));
    match head.version {
        Version::HTTP_10 => says("keep-alive") && !says("close"),
        _ => !head.headers.contains_key(header::CONNECTION) || !says("close"),
    }
}

/// What a request is called in the log and by the upstream: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId([u8; 32]);

impl RequestId {
    /// A new one, at random.
    pub(super) fn new() -> Self {
        let mut digits = [0; 32];
        write_hex(&random::identifier::<16>(), &mut digits);
        Self(digits)
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hexadecimal digits")
    }

    pub(super) fn to_header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("hexadecimal digits")
    }
}
