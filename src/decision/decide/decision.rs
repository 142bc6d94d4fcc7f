//! The decision about one request: a synchronous function of what is remembered, the time and the
//! request's head. It touches no store, waits for nothing, and on a hit allocates nothing.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderValue, Method, header};

use super::{
    admit::{Admitted, Refused, admit, refuse_stale},
    authenticate::{Awaiting, AwaitingCheck, Job, Proof},
    live_state::View,
    request::Request,
    snapshot::{Endpoint, Route, Snapshot},
    trace::{Fact, Trace},
};
use crate::{
    domain::{Reason, Timestamp},
    per_thread::{Handle, Spread},
    rules::{
        cors::Cors,
        rewrite::method_overrides,
        route::{CanonicalPath, Found, Host, has_lower_case, is_never_forwarded},
    },
    state::token::Verified,
};

/// What is to be done with a request.
#[derive(Debug)]
pub enum Decision<'h> {
    /// It may pass, on these terms.
    Forward(Permit<'h>),
    /// It is answered here.
    Reply(Denial),
    /// A signature must be checked first: run the job, then decide again with its proof.
    Verify(Job),
    /// An external issuer must be asked for its keys first: do so, run the job, then decide again.
    AwaitKey(Awaiting),
    /// An old system must be asked about the token first: do so, then decide again with what came of it.
    AwaitCheck(AwaitingCheck),
    /// The store must be followed one step further first
    /// ([`Following::next_step`](crate::decision::Following::next_step)): then decide again with this proof, in a view
    /// [`after`](View::after) that.
    AwaitStep(Proof),
    /// A token endpoint answers it.
    Endpoint(Arc<Endpoint>),
    /// A browser asks what a page may do; it is answered here, and nothing is forwarded.
    Preflight(Preflight),
}

impl Decision<'_> {
    /// Whether it follows from what the store has, or leads there: a token was looked at or is to be, or a token
    /// endpoint answers. Everything else follows from the config alone.
    #[must_use]
    pub fn needs_store(&self) -> bool {
        match self {
            Self::Forward(permit) => permit.identity.is_some() || permit.unverified.is_some(),
            Self::Reply(denial) => denial.identity.is_some(),
            Self::Verify(_) | Self::AwaitKey(_) | Self::AwaitCheck(_) | Self::AwaitStep(_) | Self::Endpoint(_) => true,
            Self::Preflight(_) => false,
        }
    }
}

/// A browser's question before a request of a page of another origin (Fetch standard, «CORS-preflight request»).
/// It carries no token, so it is answered before any is looked for.
#[derive(Debug)]
pub struct Preflight {
    /// What the page may do.
    pub cors: Arc<Cors>,
    /// What the request would be for.
    pub target: Target,
}

/// What a request is for.
#[derive(Clone, Debug)]
pub enum Target {
    /// This route.
    Route(Handle<Route>),
    /// This token endpoint.
    Endpoint(Arc<Endpoint>),
}

impl Target {
    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Route(route) => &route.settings.name,
            Self::Endpoint(endpoint) => endpoint.metrics.route.name(),
        }
    }
}

/// The proof that a request may pass, with what follows from it. Only [`decide`] makes one.
#[derive(Debug)]
pub struct Permit<'h> {
    /// Through which route.
    pub route: Handle<Route>,
    /// The path that was authorised; [`Permit::upstream_path`] is what is forwarded of it.
    pub path: CanonicalPath<'h>,
    /// For whom, proven; `None` for anybody, and where shadow mode let a token pass that does not hold.
    pub identity: Option<Arc<Verified>>,
    /// Why. Where it is one that does not allow, the route's shadow mode let the request through in spite of it.
    pub reason: Reason,
    /// Whom the token speaks for that shadow mode let through: for the log, and for nothing else.
    pub unverified: Option<Arc<Verified>>,
    /// Keeps others from making one.
    _decided: Decided,
}

impl Permit<'_> {
    /// Whether the route's policy refuses the request, and only its shadow mode lets it through.
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        !self.reason.allows()
    }
}

/// Made nowhere but here.
#[derive(Debug)]
struct Decided;

impl Permit<'_> {
    /// The path that the upstream receives: the authorised one, with the prefix that the route says.
    ///
    /// # Errors
    /// [`Reason::Internal`] where the route's rewrite does not fit what it matched, a defect.
    pub fn upstream_path(&self) -> Result<Cow<'_, str>, Reason> {
        match self.route.settings.rewrites.as_ref().and_then(|rewrites| rewrites.path.as_ref()) {
            Some(rewrite) => rewrite.apply(&self.path).map(Cow::Owned).ok_or(Reason::Internal),
            None => Ok(Cow::Borrowed(self.path.as_str())),
        }
    }
}

/// A request that is answered here.
#[derive(Debug)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The route it was for, where one was found: its dialect gives the answer its shape.
    pub route: Option<Handle<Route>>,
    /// The methods that the route has instead.
    pub allow: Option<Box<str>>,
    /// Whom the token spoke for, where it was one.
    pub identity: Option<Arc<Verified>>,
}

impl Denial {
    /// A denial before any route was found.
    #[must_use]
    pub const fn of(reason: Reason) -> Self {
        Self { reason, route: None, allow: None, identity: None }
    }

    fn on(route: &Spread<Route>, reason: Reason) -> Self {
        Self { reason, route: Some(route.handle()), allow: None, identity: None }
    }
}

/// What `Allow` says on a route that takes every method but those that no route takes.
const COMMON_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The status where the principal is known and may not.
const FORBIDDEN: u16 = 403;

/// Decides about a request. `proof` is what came of the job of an earlier decision about the same
/// request, if there was one.
#[must_use]
pub fn decide<'h>(view: &View<'_>, now: Timestamp, request: &Request<'h>, proof: Option<&Proof>) -> Decision<'h> {
    decide_traced(view, now, request, proof, &mut ())
}

/// [`decide`], with a trace that is told of each step.
#[inline]
pub(super) fn decide_traced<'h>(
    view: &View<'_>,
    now: Timestamp,
    request: &Request<'h>,
    proof: Option<&Proof>,
    trace: &mut impl Trace,
) -> Decision<'h> {
    steps(view, now, request, proof, trace).unwrap_or_else(Decision::Reply)
}

/// The steps of a decision, one after another; the first that refuses ends it.
#[inline]
fn steps<'h>(
    view: &View<'_>,
    now: Timestamp,
    request: &Request<'h>,
    proof: Option<&Proof>,
    trace: &mut impl Trace,
) -> Result<Decision<'h>, Denial> {
    let path = normalise(request, trace)?;
    let host = check_host(request, trace)?;
    let snapshot = view.snapshot();
    if *request.method == Method::OPTIONS {
        let preflight = preflight(snapshot, request, host, &path);
        trace.note(Fact::Preflight(preflight.is_some()));
        if let Some(preflight) = preflight {
            return Ok(Decision::Preflight(preflight));
        }
    }
    if let Some(endpoint) = match_endpoint(snapshot, request, host, &path, trace) {
        return Ok(Decision::Endpoint(endpoint));
    }
    let route = match_route(snapshot, request, host, &path, trace)?;
    check_method(request, route, trace)?;
    check_method_override(snapshot, request, host, &path, route, trace)?;
    let admitted = admit(view, now, request, route, proof, trace);
    match refuse_stale(view, route, admitted, trace) {
        Ok(Admitted::As(identity, reason)) => Ok(Decision::Forward(permit(route, path, identity, reason))),
        Ok(Admitted::After(job)) => Ok(Decision::Verify(job)),
        Ok(Admitted::Awaiting(awaiting)) => Ok(Decision::AwaitKey(awaiting)),
        Ok(Admitted::AwaitingCheck(awaiting)) => Ok(Decision::AwaitCheck(awaiting)),
        Ok(Admitted::AwaitingStep(proof)) => Ok(Decision::AwaitStep(proof)),
        Err(refused) if !route.enforces() => Ok(Decision::Forward(shadow_permit(route, path, refused))),
        Err(refused) => Err(Denial { identity: refused.identity, ..Denial::on(route, refused.reason) }),
    }
}

#[inline]
fn normalise<'h>(request: &Request<'h>, trace: &mut impl Trace) -> Result<CanonicalPath<'h>, Denial> {
    match CanonicalPath::parse(request.path) {
        Ok(path) => {
            trace.note(Fact::Path(Ok(&path)));
            Ok(path)
        }
        Err(error) => {
            trace.note(Fact::Path(Err(error)));
            Err(Denial::of(Reason::AmbiguousPath))
        }
    }
}

#[inline]
fn check_host<'r, 'h>(request: &'r Request<'h>, trace: &mut impl Trace) -> Result<&'r Host<'h>, Denial> {
    trace.note(Fact::Host(request.host));
    request.host.as_ref().map_err(|_| Denial::of(Reason::InvalidHost))
}

#[inline]
fn match_endpoint(
    snapshot: &Snapshot,
    request: &Request<'_>,
    host: &Host<'_>,
    path: &CanonicalPath<'_>,
    trace: &mut impl Trace,
) -> Option<Arc<Endpoint>> {
    let found = snapshot.endpoints.find(host, path, request.method);
    let endpoint = if let Found::Route(endpoint) = found { Some(endpoint) } else { None };
    trace.note(Fact::Endpoint(endpoint.map(Arc::as_ref)));
    endpoint.cloned()
}

#[inline]
fn match_route<'s>(
    snapshot: &'s Snapshot,
    request: &Request<'_>,
    host: &Host<'_>,
    path: &CanonicalPath<'_>,
    trace: &mut impl Trace,
) -> Result<&'s Spread<Route>, Denial> {
    let found = snapshot.routes.find(host, path, request.method);
    trace.note(Fact::Route(&found));
    match found {
        Found::Route(route) => Ok(route),
        Found::OtherMethods(allow, route) => {
            Err(Denial { allow: Some(allow.into()), ..Denial::on(route, Reason::MethodNotAllowed) })
        }
        Found::Nothing => Err(Denial::of(Reason::NoRoute)),
    }
}

#[inline]
fn check_method(request: &Request<'_>, route: &Spread<Route>, trace: &mut impl Trace) -> Result<(), Denial> {
    let forwarded = !is_never_forwarded(request.method);
    trace.note(Fact::Method(forwarded));
    if forwarded {
        return Ok(());
    }
    Err(Denial { allow: Some(COMMON_METHODS.into()), ..Denial::on(route, Reason::MethodNotAllowed) })
}

#[inline]
fn check_method_override(
    snapshot: &Snapshot,
    request: &Request<'_>,
    host: &Host<'_>,
    path: &CanonicalPath<'_>,
    route: &Spread<Route>,
    trace: &mut impl Trace,
) -> Result<(), Denial> {
    let Some(refused) = overridden(snapshot, request, host, path, route) else { return Ok(()) };
    trace.note(Fact::MethodOverride(refused));
    if refused { Err(Denial::on(route, Reason::MethodOverride)) } else { Ok(()) }
}

/// The preflight that a request is, where the request it asks about would have a route with `cors`. Every other
/// `OPTIONS` is an ordinary request.
fn preflight(
    snapshot: &Snapshot,
    request: &Request<'_>,
    host: &Host<'_>,
    path: &CanonicalPath<'_>,
) -> Option<Preflight> {
    let method = request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    request.headers.get(header::ORIGIN)?;
    // A request with such a method is refused: there is no route that it would have.
    let method =
        Method::from_bytes(method.as_bytes()).ok().filter(|method| !has_lower_case(method.as_str().as_bytes()))?;
    if let Found::Route(endpoint) = snapshot.endpoints.find(host, path, &method) {
        let cors = Arc::clone(endpoint.cors.as_ref()?);
        return Some(Preflight { cors, target: Target::Endpoint(Arc::clone(endpoint)) });
    }
    let Found::Route(route) = snapshot.routes.find(host, path, &method) else { return None };
    let cors = Arc::clone(route.settings.cors.as_ref()?);
    Some(Preflight { cors, target: Target::Route(route.handle()) })
}

/// Whether a field asks for another method, and is refused; `None` where none does. A server may obey it, so where the
/// route takes such fields, the method that they name must lead to the same route.
#[inline]
fn overridden(
    snapshot: &Snapshot,
    request: &Request<'_>,
    host: &Host<'_>,
    path: &CanonicalPath<'_>,
    route: &Spread<Route>,
) -> Option<bool> {
    let stands = |value: &HeaderValue| {
        // Servers compare methods in capitals: the routes must be asked about the same one.
        let method = Method::from_bytes(value.as_bytes()).ok();
        let method = method.filter(|method| !has_lower_case(method.as_str().as_bytes()));
        method.is_some_and(|method| {
            let same = matches!(snapshot.routes.find(host, path, &method), Found::Route(found) if found.is_same(route));
            same && !is_never_forwarded(&method)
        })
    };
    let mut overrides = method_overrides(request.headers).peekable();
    overrides.peek()?;
    Some(!route.settings.method_override || !overrides.all(stands))
}

fn permit<'h>(
    route: &Spread<Route>,
    path: CanonicalPath<'h>,
    identity: Option<Arc<Verified>>,
    reason: Reason,
) -> Permit<'h> {
    Permit { route: route.handle(), path, identity, reason, unverified: None, _decided: Decided }
}

/// The permit of a request that only the route's shadow mode lets through.
fn shadow_permit<'h>(route: &Spread<Route>, path: CanonicalPath<'h>, refused: Refused) -> Permit<'h> {
    // A caller without the permission has proven an identity. A caller without a valid token has proven nothing.
    let proven = refused.identity.clone().filter(|_| refused.reason.status() == FORBIDDEN);
    Permit { unverified: refused.identity, ..permit(route, path, proven, refused.reason) }
}
