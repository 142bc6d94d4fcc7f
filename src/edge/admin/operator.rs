//! The operator who asks the API, and what they may do.
//!
//! The token of `admin.token_file` is break-glass: it opens everything, and needs no store. Named tokens are known in
//! memory. While the store is not heard of, one of them may have been revoked: they go on reading, and change nothing.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};

use super::{Admin, access::failure, token::bearer};
use crate::{
    decision::AdminService,
    domain::{id::hex, random},
    state::{admin_token::AdminRole, store::Actor},
};

/// The header that names a request, here and in the audit log.
const X_REQUEST_ID: &str = "x-request-id";

/// Bytes of a request's id.
const REQUEST_ID_BYTES: usize = 16;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The id of a request.
#[derive(Clone, Debug)]
struct RequestId(String);

/// An operator, and what they may do.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    actor: Actor,
    role: AdminRole,
    /// Whether it is known without the store.
    is_local: bool,
}

impl Operator {
    /// Whether the token is the one in the file: what it asks for is done without the store, too.
    pub(super) const fn is_local(&self) -> bool {
        self.is_local
    }

    pub(super) const fn actor(&self) -> &Actor {
        &self.actor
    }
}

/// The service for the operator of a request.
pub(super) struct By(pub(super) AdminService);

/// Names the request: our own id, whatever the client sent.
pub(super) async fn name_request(mut request: Request, next: Next) -> Response {
    let id = hex(&random::identifier::<REQUEST_ID_BYTES>());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// Lets in an operator whose token opens. The response is for that operator alone, and may hold a secret: no cache
/// keeps it.
pub(super) async fn require_token(State(admin): State<Arc<Admin>>, mut request: Request, next: Next) -> Response {
    let Some(operator) = admin.operator(&request) else {
        let text = "the admin API asks for the bearer token of admin.token_file, or for one of portero admin token add";
        let mut response = failure(StatusCode::UNAUTHORIZED, text);
        let challenge = HeaderValue::from_static("Bearer realm=\"admin\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    };
    request.extensions_mut().insert(operator);
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Lets through an operator that has the role that an operation asks for.
pub(super) async fn require_role(
    State((admin, least)): State<(Arc<Admin>, AdminRole)>,
    request: Request,
    next: Next,
) -> Response {
    // Without an operator nobody asked for a token: a defect, and nobody gets through.
    let Some(operator) = request.extensions().get::<Operator>() else {
        return failure(StatusCode::UNAUTHORIZED, "the admin API asks for a token");
    };
    if operator.role < least {
        let text =
            format!("this asks for the role {least}, and the token '{}' has {}", operator.actor.name(), operator.role);
        return failure(StatusCode::FORBIDDEN, &text);
    }
    if least > AdminRole::Read && !operator.is_local && admin.is_store_away() {
        let text = "the store is not heard of, so a named token may have been revoked: it only reads now. The token of \
                    admin.token_file goes on";
        return failure(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    next.run(request).await
}

impl Admin {
    fn operator(&self, request: &Request) -> Option<Operator> {
        let token = bearer(request.headers())?;
        let address = request.extensions().get::<Peer>().map_or_else(String::new, |Peer(peer)| peer.ip().to_string());
        let (actor, role, is_local) = if self.token.is(token) {
            (Actor::file(&address), AdminRole::Admin, true)
        } else {
            let text = std::str::from_utf8(token).ok()?;
            let known = self.live_state.admin_tokens().find(text, self.services.now())?;
            (Actor::token(&known.name, &address), known.role, false)
        };
        let actor = match request.extensions().get::<RequestId>() {
            Some(RequestId(id)) => actor.in_request(id),
            None => actor,
        };
        Some(Operator { actor, role, is_local })
    }

    fn is_store_away(&self) -> bool {
        self.services.store_trouble().is_some()
            || self.live_state.freshness().stale_for().is_some()
            || self.live_state.following().is_failing(self.trusted.clock().instant())
    }
}

impl FromRequestParts<Arc<Admin>> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Admin>) -> Result<Self, Response> {
        let operator = parts.extensions.get::<Self>().cloned();
        operator.ok_or_else(|| failure(StatusCode::UNAUTHORIZED, "the admin API asks for a token"))
    }
}

impl FromRequestParts<Arc<Admin>> for By {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Response> {
        let operator = Operator::from_request_parts(parts, admin).await?;
        Ok(Self(admin.services.by(operator.actor)))
    }
}
