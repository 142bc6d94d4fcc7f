//! What becomes of a request before anything is forwarded: it is decided about, and answered where
//! the gateway itself answers.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use tokio::task::JoinSet;

use super::{
    context::services::{Services, Tunables},
    exchange::{Exchange, Forward, Permission, Verdict},
    head::upstream_request,
    local_response::{METHODS_SERVED, declared_length},
};
use crate::{
    aside::aside,
    decision::{AwaitingCheck, Decision, Denial, Endpoint, ForwardToken, Permit, Proof, Request, View, decide},
    domain::{Reason, Timestamp},
    edge::respond,
    rules::route::{Host, InvalidHost, is_never_forwarded},
};

/// What is to be done with a request.
pub(super) enum Admitted {
    /// Forward it: its verdict says on which terms.
    Forward,
    /// Answer it so.
    Respond(Response<Bytes>),
    /// Answer it so at once, without the end of its body.
    RespondEarly(Response<Bytes>),
    /// A token endpoint answers it.
    Endpoint(Arc<Endpoint>),
}

impl Exchange {
    /// Decides about a request; `refused` is why it is refused whatever it asks for.
    pub(super) async fn admit(&mut self, refused: Option<Reason>) -> Admitted {
        let Tunables { trusted_proxies, trusted_headers, .. } = &*self.tunables;
        let peer = self.connection().peer.ip();
        let client = upstream_request::client_address(&self.head.headers, peer, trusted_proxies, *trusted_headers);
        self.client = Some(client);
        if let Some(reason) = refused {
            return self.deny(whatever_the_route(reason));
        }
        if self.may_have_several(client) {
            self.client_slot = self.shared().enter_request(client);
            if self.client_slot.is_none() {
                return self.deny_without_body(Denial::of(Reason::TooManyRequests));
            }
        }
        if self.head.method == Method::OPTIONS && self.head.uri.path() == "*" {
            if host_of(&self.head).is_err() {
                return self.deny(whatever_the_route(Reason::InvalidHost));
            }
            self.verdict = Verdict::Options;
            return Admitted::Respond(options_of_the_gateway());
        }
        let decided = decide_about(&self.shared().services, &self.head, Some(client), self.started).await;
        // A token endpoint says itself which method it has.
        let decided = match unserved(&self.head) {
            Some(reason) if !matches!(decided, Ok(Permission::Endpoint(_))) => Err(whatever_the_route(reason)),
            _ => decided,
        };
        match decided {
            Ok(Permission::Forward(forward)) => {
                if let Some(denial) = oversized(&self.head, &forward) {
                    return self.deny(denial);
                }
                self.verdict = Verdict::Forward(forward);
                Admitted::Forward
            }
            Ok(Permission::Endpoint(endpoint)) => Admitted::Endpoint(endpoint),
            Ok(Permission::Preflight(preflight)) => {
                let response = respond::preflight(&preflight.cors, &self.asker());
                self.verdict = Verdict::Preflight(preflight.target);
                Admitted::Respond(response)
            }
            // It is asked once: a second time would be a defect of ours.
            Ok(Permission::AwaitKey(_) | Permission::AwaitCheck(_) | Permission::AwaitStep(_)) => {
                self.deny(Denial::of(Reason::Internal))
            }
            Err(denial) => self.deny(denial),
        }
    }

    /// Whether the client of a request may have others in flight: a connection of HTTP/1 has one at a time, and so many
    /// connections as it may. A proxy that names nobody has everybody's.
    fn may_have_several(&self, client: IpAddr) -> bool {
        let peer = upstream_request::canonical(self.connection().peer.ip());
        if !self.is_http2() && client == peer {
            return false;
        }
        !upstream_request::is_trusted(client, &self.tunables.trusted_proxies)
    }

    #[cold]
    fn deny(&mut self, denial: Denial) -> Admitted {
        let response = respond::denial(&denial, &self.asker());
        // Neither a body nor a head that is too large is kept while the rest of the body comes.
        let too_large = matches!(denial.reason, Reason::BodyTooLarge | Reason::HeadTooLarge);
        // Where a request may have two meanings, what is behind it may have them too.
        self.keeps_connection &= !matches!(denial.reason, Reason::InvalidHost | Reason::MalformedRequest);
        self.verdict = Verdict::Deny(denial);
        if too_large { Admitted::RespondEarly(response) } else { Admitted::Respond(response) }
    }

    /// A client that opens no window would hold its stream with a body.
    #[cold]
    fn deny_without_body(&mut self, denial: Denial) -> Admitted {
        let mut response = respond::denial(&denial, &self.asker());
        *response.body_mut() = Bytes::new();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        self.verdict = Verdict::Deny(denial);
        Admitted::Respond(response)
    }
}

/// `OPTIONS *` asks about the gateway, not about a service (RFC 9110 section 9.3.7).
#[cold]
fn options_of_the_gateway() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS_SERVED));
    response
}

/// Decides. A token that was never seen is opened in between, and its external issuer asked where that takes a key
/// that nobody knows yet. Where a token counts, what was revoked while the process was stopped is read first; `now`
/// is the present.
async fn decide_about(
    services: &Services,
    head: &Parts,
    client: Option<IpAddr>,
    now: Instant,
) -> Result<Permission, Denial> {
    let request = Request {
        method: &head.method,
        host: host_of(head),
        path: head.uri.path().as_bytes(),
        query: head.uri.query(),
        headers: &head.headers,
    };
    let live_state = &services.live_state;
    let following = live_state.following();
    if following.is_late(now) && decide(&live_state.view(), services.clock.now(), &request, None).needs_store() {
        aside(|| following.catch_up(now)).await;
    }
    let permission = permit(services, &live_state.view(), |view, now| match decide(view, now, &request, None) {
        Decision::Verify(job) => decide(view, now, &request, Some(&job.run(view, client, now))),
        decided => decided,
    })?;
    match permission {
        Permission::Forward(_) | Permission::Endpoint(_) | Permission::Preflight(_) => Ok(permission),
        Permission::AwaitKey(_) | Permission::AwaitCheck(_) | Permission::AwaitStep(_) => {
            aside(|| decide_again(services, permission, &request, client)).await
        }
    }
}

/// Decides once more, after each thing that the decision waits for.
async fn decide_again(
    services: &Services,
    mut permission: Permission,
    request: &Request<'_>,
    client: Option<IpAddr>,
) -> Result<Permission, Denial> {
    let live_state = &services.live_state;
    if let Permission::AwaitKey(awaiting) = permission {
        services.external.ask(&awaiting.key).await;
        let decide = |view: &View<'_>, now| decide(view, now, request, Some(&awaiting.run(view, client, now)));
        permission = permit(services, &live_state.view(), decide)?;
    }
    if let Permission::AwaitCheck(awaiting) = permission {
        let proof = ask_about(services, awaiting, client).await?;
        let decide = |view: &View<'_>, now| decide(view, now, request, Some(&proof));
        permission = permit(services, &live_state.view(), decide)?;
    }
    if let Permission::AwaitStep(proof) = permission {
        let waited = live_state.following().next_step().await;
        let decide = |view: &View<'_>, now| decide(view, now, request, Some(&proof));
        permission = permit(services, &live_state.view().after(waited), decide)?;
    }
    Ok(permission)
}

/// Asks an old system about a token, beside the threads that serve. A client that leaves takes its question along.
async fn ask_about(services: &Services, awaiting: AwaitingCheck, client: Option<IpAddr>) -> Result<Proof, Denial> {
    let asker = Arc::clone(&services.token_asker);
    let mut asking = JoinSet::new();
    asking.spawn_on(async move { asker.ask(awaiting, client).await }, &services.control);
    match asking.join_next().await {
        Some(Ok(proof)) => Ok(proof),
        _ => Err(Denial::of(Reason::Internal)),
    }
}

/// What follows from a decision that is taken in one view.
fn permit<'h>(
    services: &Services,
    view: &View<'_>,
    decide: impl FnOnce(&View<'_>, Timestamp) -> Decision<'h>,
) -> Result<Permission, Denial> {
    let now = services.clock.now();
    match decide(view, now) {
        Decision::Forward(permit) => owned(permit, view, now).map(Permission::Forward),
        Decision::Endpoint(endpoint) => Ok(Permission::Endpoint(endpoint)),
        Decision::AwaitKey(awaiting) => Ok(Permission::AwaitKey(awaiting)),
        Decision::AwaitCheck(awaiting) => Ok(Permission::AwaitCheck(awaiting)),
        Decision::AwaitStep(proof) => Ok(Permission::AwaitStep(proof)),
        Decision::Preflight(preflight) => Ok(Permission::Preflight(preflight)),
        Decision::Reply(denial) => Err(denial),
        // A proof speaks about the token that was just looked for; the same head has no other.
        Decision::Verify(_) => Err(Denial::of(Reason::Internal)),
    }
}

/// The host that a request is for. HTTP/1.0 knows of none (RFC 9112 section 3.2): where neither `Host` nor the target
/// names one, only a route for all hosts fits.
fn host_of(head: &Parts) -> Result<Host<'_>, InvalidHost> {
    if head.version == Version::HTTP_10 && !head.headers.contains_key(header::HOST) {
        return Ok(Host::NONE);
    }
    Host::of(&head.headers, head.uri.authority().map(http::uri::Authority::as_str))
}

/// The denial of a request that no route would have.
#[cold]
fn whatever_the_route(reason: Reason) -> Denial {
    let allow = (reason == Reason::MethodNotAllowed).then(|| METHODS_SERVED.into());
    Denial { allow, ..Denial::of(reason) }
}

/// Why a request is refused before its route is looked for.
fn unserved(head: &Parts) -> Option<Reason> {
    is_never_forwarded(&head.method).then_some(Reason::MethodNotAllowed)
}

fn owned(permit: Permit<'_>, view: &View<'_>, now: Timestamp) -> Result<Forward, Denial> {
    let exchanged = permit.route.settings.forward_token == ForwardToken::Internal;
    let internal_token = match permit.identity.as_ref().filter(|_| exchanged) {
        Some(identity) => Some(view.internal_token(identity, &permit.route.settings.upstream, now)),
        None => None,
    };
    // A token's end keeps nobody from a route in shadow mode: the request goes on without one.
    let internal_token = internal_token.filter(|token| permit.route.enforces() || *token != Err(Reason::Expired));
    let path = permit.upstream_path().map(|path| match path {
        Cow::Borrowed(_) if permit.path.is_as_received() => None,
        path => Some(path.into_owned().into_boxed_str()),
    });
    let denial =
        |reason| Denial { route: Some(permit.route.clone()), identity: permit.identity.clone(), ..Denial::of(reason) };
    Ok(Forward {
        internal_token: internal_token.transpose().map_err(denial)?,
        path: path.map_err(denial)?,
        route: permit.route,
        identity: permit.identity,
        unverified: permit.unverified,
        reason: permit.reason,
    })
}

/// The denial of a request that declares a larger body than its route takes.
fn oversized(head: &Parts, forward: &Forward) -> Option<Denial> {
    let most = forward.route.settings.body_bytes_max?;
    (declared_length(head)? > most).then(|| Denial {
        route: Some(forward.route.clone()),
        identity: forward.identity.clone(),
        ..Denial::of(Reason::BodyTooLarge)
    })
}
