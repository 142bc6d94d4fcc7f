//! What becomes of a request before anything is forwarded: it is decided about, and answered where
//! the gateway itself answers.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use pingora::{Result, http::RequestHeader, proxy::Session};

use super::{
    exchange::{Arrival, Exchange, Forward, Permission, RequestLine, Verdict},
    local_response,
    pingora_loop::Doorman,
    upstream_request,
};
use crate::{
    decision::{Caller, Decision, Denial, Endpoint, ForwardToken, Permit, Request, Route, View, decide},
    domain::{Reason, Timestamp, secret::SecretBytes},
    edge::{
        listen::connection::{Connection, Protocol},
        respond,
        token_endpoints::{self, BODY_BYTES_MAX, TokenBody, TokenMessage},
    },
    rules::route::Host,
};

impl Doorman {
    /// Decides about a request, and answers it unless it is to be forwarded; true when it was answered.
    pub(in crate::edge) async fn admit(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        if let Some(connection) = exchange.connection.as_ref().filter(|_| exchange.client.is_none()) {
            exchange.client = Some(self.client_of(session.req_header(), connection));
        }
        if let Some(reason) = exchange.refused {
            self.deny(session, exchange, Denial::of(reason)).await?;
            return Ok(true);
        }
        let several = self.may_have_several(exchange.client, exchange.connection.as_deref());
        if let Some(client) = exchange.client.filter(|_| several) {
            exchange.request_place = self.0.enter_request(client);
            if exchange.request_place.is_none() {
                // Without a body: a client that opens no window would hold the stream with it.
                let denial = Denial::of(Reason::TooManyRequests);
                let mut response = respond::denial(&denial, &exchange.asker(session.req_header()));
                *response.body_mut() = Bytes::new();
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
                exchange.verdict = Verdict::Deny(denial);
                local_response::write(session, response).await?;
                return Ok(true);
            }
        }
        let decided = match exchange.decided.take() {
            Some(decided) => decided,
            None => self.decide(session.req_header(), exchange.client, self.0.means.clock.instant()).await,
        };
        // A token endpoint says itself which method it has.
        let decided = match unserved(session.req_header()) {
            Some(reason) if !matches!(decided, Ok(Permission::Endpoint(_))) => Err(Denial::of(reason)),
            _ => decided,
        };
        match decided {
            Ok(Permission::Forward(forward)) => {
                if let Some(denial) = oversized(session, &forward) {
                    self.deny(session, exchange, denial).await?;
                    return Ok(true);
                }
                let total = forward.route.pool.settings.timeouts.total;
                exchange.verdict = Verdict::Forward(forward);
                exchange.line = Some(RequestLine::of(session.req_header()));
                exchange.watch(Some(total));
                upstream_request::drop_nominations(session.req_header_mut())?;
                return Ok(false);
            }
            Ok(Permission::Endpoint(endpoint)) => self.answer_endpoint(session, exchange, endpoint).await?,
            Ok(Permission::Preflight(preflight)) => {
                let response = respond::preflight(&preflight.cors, &exchange.asker(session.req_header()));
                exchange.verdict = Verdict::Preflight(preflight.target);
                local_response::write(session, response).await?;
            }
            // It is asked once: a second time would be a defect of ours.
            Ok(Permission::AwaitKey(_) | Permission::AwaitStep(_)) => {
                self.deny(session, exchange, Denial::of(Reason::Internal)).await?;
            }
            Err(denial) => self.deny(session, exchange, denial).await?,
        }
        Ok(true)
    }

    /// Decides about a request that may be served without pingora: where `serves` says so of the route that it is to be
    /// forwarded on. Whatever else is decided is left for pingora.
    pub(super) async fn admit_past_pingora(
        &self,
        head: &RequestHeader,
        arrival: &mut Arrival,
        serves: impl FnOnce(&Route) -> bool,
    ) -> Option<(Exchange, Arc<Route>)> {
        let started = self.0.means.clock.instant();
        let client = self.client_of(head, &arrival.connection);
        arrival.client = Some(client);
        let mut request_place = None;
        if self.may_have_several(Some(client), Some(&arrival.connection)) {
            request_place = self.0.enter_request(client);
            if request_place.is_none() {
                arrival.decided = Some((started, Err(Denial::of(Reason::TooManyRequests))));
                return None;
            }
        }
        let permitted = match self.decide(head, Some(client), started).await {
            Ok(Permission::Forward(permitted)) if serves(&permitted.route) => permitted,
            decided => {
                arrival.decided = Some((started, decided));
                return None;
            }
        };
        let mut exchange = Exchange::new(started);
        exchange.connection = Some(Arc::clone(&arrival.connection));
        exchange.client = Some(client);
        exchange.request_place = request_place;
        exchange.line = Some(RequestLine::of(head));
        let route = Arc::clone(&permitted.route);
        exchange.verdict = Verdict::Forward(permitted);
        Some((exchange, route))
    }

    /// Whether the client of a request may have others in flight: a connection of HTTP/1 has one at a time, and so many
    /// connections as it may. A proxy that names nobody has everybody's.
    fn may_have_several(&self, client: Option<IpAddr>, connection: Option<&Connection>) -> bool {
        let is_http2 = connection.is_some_and(|connection| connection.protocol == Protocol::Http2);
        let peer = connection.map(|connection| upstream_request::canonical(connection.peer.ip()));
        let trusted = |address: IpAddr| self.0.tunables().trusted_proxies.iter().any(|net| net.contains(&address));
        (is_http2 || client != peer) && !client.is_some_and(trusted)
    }

    /// Who is behind a connection, in the words of a proxy that is believed.
    pub(super) fn client_of(&self, head: &RequestHeader, connection: &Connection) -> IpAddr {
        let tunables = self.0.tunables();
        let peer = connection.peer.ip();
        upstream_request::client_address(&head.headers, peer, &tunables.trusted_proxies, tunables.trusted_headers)
    }

    async fn deny(&self, session: &mut Session, exchange: &mut Exchange, denial: Denial) -> Result<()> {
        let response = respond::denial(&denial, &exchange.asker(session.req_header()));
        let too_large = denial.reason == Reason::BodyTooLarge;
        exchange.verdict = Verdict::Deny(denial);
        if too_large {
            local_response::write_early(session, response).await
        } else {
            local_response::write(session, response).await
        }
    }

    /// Decides. A token that was never seen is opened in between, and its foreign issuer asked where that takes a key
    /// that nobody knows yet. Where a token counts, what was revoked while the process was stopped is read first; `now` is
    /// the present.
    pub(in crate::edge) async fn decide(
        &self,
        head: &RequestHeader,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<Permission, Denial> {
        if !head.raw_path_is_utf8() {
            return Err(Denial::of(Reason::AmbiguousPath));
        }
        let request = Request {
            method: &head.method,
            host: Host::of(&head.headers, head.uri.authority().map(http::uri::Authority::as_str)),
            path: head.uri.path().as_bytes(),
            query: head.uri.query(),
            headers: &head.headers,
        };
        let gate = &self.0.means.gate;
        let following = gate.following();
        if following.is_late(now) && decide(&gate.view(), self.0.means.clock.now(), &request, None).needs_store() {
            following.catch_up(now).await;
        }
        let mut permission = self.permit(&gate.view(), |view, now| match decide(view, now, &request, None) {
            Decision::Verify(job) => decide(view, now, &request, Some(&job.run(view, client, now))),
            decided => decided,
        })?;
        if let Permission::AwaitKey(awaiting) = permission {
            self.0.means.foreign.ask(&awaiting.key).await;
            let decide = |view: &View<'_>, now| decide(view, now, &request, Some(&awaiting.run(view, client, now)));
            permission = self.permit(&gate.view(), decide)?;
        }
        if let Permission::AwaitStep(proof) = permission {
            let waited = gate.following().next_step().await;
            let decide = |view: &View<'_>, now| decide(view, now, &request, Some(&proof));
            permission = self.permit(&gate.view().after(waited), decide)?;
        }
        Ok(permission)
    }

    /// What follows from a decision that is taken in one view.
    fn permit<'h>(
        &self,
        view: &View<'_>,
        decide: impl FnOnce(&View<'_>, Timestamp) -> Decision<'h>,
    ) -> Result<Permission, Denial> {
        let now = self.0.means.clock.now();
        match decide(view, now) {
            Decision::Forward(permit) => owned(permit, view, now).map(Permission::Forward),
            Decision::Endpoint(endpoint) => Ok(Permission::Endpoint(endpoint)),
            Decision::AwaitKey(awaiting) => Ok(Permission::AwaitKey(awaiting)),
            Decision::AwaitStep(proof) => Ok(Permission::AwaitStep(proof)),
            Decision::Preflight(preflight) => Ok(Permission::Preflight(preflight)),
            Decision::Reply(denial) => Err(denial),
            // A proof speaks about the token that was just looked for; the same head has no other.
            Decision::Verify(_) => Err(Denial::of(Reason::Internal)),
        }
    }

    async fn answer_endpoint(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        endpoint: Arc<Endpoint>,
    ) -> Result<()> {
        let mut broken = false;
        let body = if session.req_header().method == Method::POST {
            let deadline = self.0.tunables().body_timeout;
            match local_response::read_body(session, BODY_BYTES_MAX, deadline).await? {
                local_response::Body::Complete(bytes) => TokenBody::Complete(bytes),
                local_response::Body::TooLarge => TokenBody::TooLarge,
                local_response::Body::TimedOut => TokenBody::TimedOut,
                // What came of it is no JSON: the contract says what that answers.
                local_response::Body::Broken => {
                    broken = true;
                    TokenBody::Complete(SecretBytes::new(vec![]))
                }
            }
        } else {
            TokenBody::Complete(SecretBytes::new(vec![]))
        };
        // What is no whole body costs no hash, and who broke it off may still read why it is refused.
        let whole = session.is_body_done() && !broken;
        let head = session.req_header();
        let (client, presence) = exchange.client.map(Caller::new).unzip();
        let message = TokenMessage {
            method: head.method.clone(),
            query: head.uri.query().map(str::to_owned),
            headers: head.headers.clone(),
            body,
            client,
        };
        let (endpoints, asked) = (Arc::clone(&self.0.means.endpoints), Arc::clone(&endpoint));
        let answering = self.0.means.control.spawn(async move { Box::pin(endpoints.answer(&asked, message)).await });
        let answered = tokio::select! {
            biased;
            answered = answering => answered,
            () = local_response::client_left(session, exchange.connection.as_deref()), if whole => {
                // What still waits on its behalf is not done any more; what began goes on to its end.
                drop(presence);
                exchange.verdict = Verdict::Endpoint(endpoint, token_endpoints::CLIENT_LEFT);
                session.set_keepalive(None);
                return Ok(());
            }
        };
        let (mut response, outcome) = answered.unwrap_or_else(|error| {
            tracing::error!(request_id = exchange.request_id.as_str(), %error, "a token endpoint failed");
            token_endpoints::failed(&endpoint)
        });
        if let Some(cors) = &endpoint.cors {
            respond::share(&mut response, cors, &exchange.asker(session.req_header()));
        }
        exchange.verdict = Verdict::Endpoint(endpoint, outcome);
        local_response::write(session, response).await
    }
}

/// Why a request is never forwarded, wherever it leads: a tunnel through us would be past every
/// check, and TRACE would show what the gateway adds (RFC 9110 sections 9.3.6 and 9.3.8).
fn unserved(head: &RequestHeader) -> Option<Reason> {
    matches!(head.method, Method::CONNECT | Method::TRACE).then_some(Reason::MethodNotAllowed)
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
    let denial = |reason| Denial {
        route: Some(Arc::clone(&permit.route)),
        identity: permit.identity.clone(),
        ..Denial::of(reason)
    };
    Ok(Forward {
        internal_token: internal_token.transpose().map_err(denial)?,
        path: path.map_err(denial)?,
        route: permit.route,
        identity: permit.identity,
        alleged: permit.alleged,
        reason: permit.reason,
    })
}

/// The denial of a request that declares a larger body than its route takes.
fn oversized(session: &Session, forward: &Forward) -> Option<Denial> {
    let most = forward.route.settings.body_bytes_max?;
    let declared = u64::try_from(local_response::declared_length(session)?).unwrap_or(u64::MAX);
    (declared > most).then(|| Denial {
        route: Some(Arc::clone(&forward.route)),
        identity: forward.identity.clone(),
        ..Denial::of(Reason::BodyTooLarge)
    })
}
