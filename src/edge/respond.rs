//! The one place where a reason becomes a status, headers and a body.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    decision::{Denial, Route, RouteSettings},
    domain::{RealmName, Reason},
    rules::{
        contract::{ContractResponse, Voice, problem},
        cors::Cors,
        grpc,
        rewrite::hardening,
    },
};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The client that is answered, as far as a response depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'r> {
    /// The request's header fields.
    pub headers: &'r HeaderMap,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

/// The response to a denied request: to a gRPC call as gRPC has it, otherwise in the dialect of its route, or as
/// problem+json where the route has no dialect. Where the route has `cors`, the page that asked can read it.
#[must_use]
pub fn denial(denial: &Denial, asker: &Asker<'_>) -> Response<Bytes> {
    let route = denial.route.as_deref();
    let issuer = route.and_then(|route| route.issuer.as_ref());
    let mut response = match grpc::content_type(asker.headers) {
        Some(content_type) => in_grpc(content_type, denial.reason),
        None => match issuer {
            Some(issuer) => in_voice(&issuer.dialect().for_client(asker.headers), denial.reason),
            None => into_response(plain(denial.reason), retry_after(denial.reason)),
        },
    };
    if let Some(route) = route {
        as_the_route_says(route, asker, response.headers_mut());
    }
    let settings = route.map(|route| &route.settings);
    if let Some(challenge) = issuer.and_then(|issuer| challenge(issuer.name(), settings, denial.reason)) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(allow) = denial.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The response to a bad token where a realm's own endpoint asks for one (`toc`'s verification).
#[must_use]
pub fn bad_token(realm: &RealmName, voice: &Voice<'_>, reason: Reason) -> Response<Bytes> {
    let mut response = in_voice(voice, reason);
    if let Some(challenge) = challenge(realm, None, reason) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// A response of a contract in the language of a client. It says so where the client's header chose.
#[must_use]
pub fn spoken(voice: &Voice<'_>, response: ContractResponse, retry_after: Option<Duration>) -> Response<Bytes> {
    let mut response = into_response(response, retry_after);
    if let Some(language) = &voice.chosen {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LANGUAGE, language.clone());
        headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
    }
    response
}

/// A response of a contract, with what all of them have in common.
#[must_use]
pub fn into_response(response: ContractResponse, retry_after: Option<Duration>) -> Response<Bytes> {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(response.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(response.body.len()));
    if let Some(wait) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait).max(1)));
    }
    let mut whole = Response::new(response.body);
    *whole.status_mut() = response.status;
    *whole.headers_mut() = headers;
    whole
}

/// Seconds, rounded up: a client that comes again after them does not come too early.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// The response to a browser that asks what a page may do.
#[must_use]
pub fn preflight(cors: &Cors, asker: &Asker<'_>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().extend(cors.preflight(asker.headers));
    if cors.varies() {
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// Lets the page that asked read a response of ours.
pub fn apply_cors(response: &mut Response<Bytes>, cors: &Cors, asker: &Asker<'_>) {
    let headers = response.headers_mut();
    headers.extend(cors.response_fields(asker.headers));
    if cors.varies() {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// What the denials of a route have whatever the reason is.
fn as_the_route_says(route: &Route, asker: &Asker<'_>, headers: &mut HeaderMap) {
    if let Some(vary) = &route.vary {
        headers.append(header::VARY, vary.clone());
    }
    if let Some(cors) = &route.settings.cors {
        headers.extend(cors.response_fields(asker.headers));
    }
    if route.settings.rewrites.as_ref().is_some_and(|rewrites| rewrites.harden) {
        headers.extend(hardening(asker.secure));
    }
}

/// A call that failed before it began: trailers alone, which stand in the head.
fn in_grpc(content_type: &'static str, reason: Reason) -> Response<Bytes> {
    let status = HeaderValue::from(u16::from(grpc::status(reason.status())));
    let body = ContractResponse { status: StatusCode::OK, content_type, body: Bytes::new() };
    let mut response = into_response(body, retry_after(reason));
    let headers = response.headers_mut();
    headers.insert(GRPC_STATUS, status);
    if let Ok(message) = HeaderValue::try_from(grpc::message(detail(reason))) {
        headers.insert(GRPC_MESSAGE, message);
    }
    response
}

fn retry_after(reason: Reason) -> Option<Duration> {
    matches!(reason.status(), 429 | 503).then_some(Duration::from_secs(1))
}

fn in_voice(voice: &Voice<'_>, reason: Reason) -> Response<Bytes> {
    spoken(voice, voice.contract.deny(reason), retry_after(reason))
}

/// A denial that no contract shapes.
#[must_use]
pub fn plain(reason: Reason) -> ContractResponse {
    let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    problem(status, detail(reason))
}

/// RFC 6750 section 3: a challenge without an error code for a request without a token, with one
/// for a request with a bad one. A route of a resource says where its metadata are (RFC 9728 section 5.1).
fn challenge(name: &RealmName, route: Option<&RouteSettings>, reason: Reason) -> Option<HeaderValue> {
    let mut text = match (reason, reason.status()) {
        (Reason::MissingToken, _) => format!("Bearer realm=\"{name}\""),
        (Reason::ConflictingTokens, _) => format!("Bearer realm=\"{name}\", error=\"invalid_request\""),
        (Reason::ScopeMissing, _) => {
            let scopes = route.map(|route| route.policy.scopes.join(" ")).unwrap_or_default();
            format!("Bearer realm=\"{name}\", error=\"insufficient_scope\", scope=\"{scopes}\"")
        }
        (_, 403) => format!("Bearer realm=\"{name}\", error=\"insufficient_scope\""),
        (_, 401) => format!("Bearer realm=\"{name}\", error=\"invalid_token\""),
        _ => return None,
    };
    if let Some(url) = route.and_then(|route| route.resource.as_deref()) {
        text.extend([", resource_metadata=\"", url, "\""]);
    }
    HeaderValue::from_str(&text).ok()
}

/// Asks for a name and a secret in `Authorization: Basic` (RFC 7617 section 2.1), as a 401 must (RFC 9110 section
/// 15.5.2).
pub fn ask_basic(realm: &RealmName, headers: &mut HeaderMap) {
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
}

/// What a client may read about a denial that no contract gives its words.
const fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::AmbiguousPath => "The path of the request is ambiguous",
        Reason::InvalidHost => "The Host field is missing, repeated or not valid",
        Reason::MalformedRequest => "The request is not valid HTTP",
        Reason::MethodOverride => "The request asks for another method than it has",
        Reason::ConflictingTokens => "The request carries two different tokens",
        Reason::NoRoute => "Not found",
        Reason::MethodNotAllowed => "Method not allowed",
        Reason::RequestTimeout => "The request did not arrive in time",
        Reason::BodyTooLarge => "The body of the request is too large",
        Reason::HeadTooLarge => "The header of the request is too large",
        Reason::ExpectationFailed => "The expectation of the request cannot be met",
        Reason::ClientLeft => "The client did not wait for the answer",
        Reason::GatewayStopped => "The gateway stopped",
        Reason::TooManyRequests | Reason::TooManyBadTokens => "Too many requests",
        Reason::UpstreamFailed => "The service did not answer as it should",
        Reason::UpstreamTimeout => "The service did not answer in time",
        Reason::UpstreamUnavailable
        | Reason::UpstreamBusy
        | Reason::Unavailable
        | Reason::Stale
        | Reason::IssuerUnavailable => "Service unavailable",
        Reason::Internal => "Internal error",
        _ => "Not authorized",
    }
}
