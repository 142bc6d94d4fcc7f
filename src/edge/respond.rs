//! The one place where a reason becomes a status, headers and a body.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{
    decision::Denial,
    domain::{RealmName, Reason},
    rules::{
        dialect::{Answer, Dialect, problem},
        issuer::Issuer,
        policy::Policy,
        realm::Realm,
    },
};

/// The answer to a denied request, in the dialect of its route; problem+json where there is none.
#[must_use]
pub fn denial(denial: &Denial) -> Response<Bytes> {
    let route = denial.route.as_deref();
    let issuer = route.and_then(|route| route.issuer.as_ref());
    let mut response = in_dialect(issuer.map(Issuer::dialect), denial.reason);
    let policy = route.map(|route| &route.settings.policy);
    if let Some(challenge) = issuer.and_then(|issuer| challenge(issuer.name(), policy, denial.reason)) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(allow) = denial.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The answer to a bad token where a realm's own endpoint asks for one (`toc`'s verification).
#[must_use]
pub fn bad_token(realm: &Realm, reason: Reason) -> Response<Bytes> {
    let mut response = in_dialect(Some(realm.dialect), reason);
    if let Some(challenge) = challenge(&realm.name, None, reason) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// An answer of a contract, with what all of them have in common.
#[must_use]
pub fn answer(answer: Answer, retry_after: Option<Duration>) -> Response<Bytes> {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
    if let Some(wait) = retry_after {
        // Rounded up: who comes back on the second must not be early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    response
}

fn in_dialect(dialect: Option<Dialect>, reason: Reason) -> Response<Bytes> {
    let retry_after = matches!(reason.status(), 429 | 503).then_some(Duration::from_secs(1));
    answer(dialect.map_or_else(|| plain(reason), |dialect| dialect.contract().deny(reason)), retry_after)
}

/// A denial that no contract shapes.
#[must_use]
pub fn plain(reason: Reason) -> Answer {
    let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    problem(status, detail(reason))
}

/// RFC 6750 section 3: a challenge without an error code for a request without a token, with one
/// for a request with a bad one.
fn challenge(name: &RealmName, policy: Option<&Policy>, reason: Reason) -> Option<HeaderValue> {
    let text = match (reason, reason.status()) {
        (Reason::MissingToken, _) => format!("Bearer realm=\"{name}\""),
        (Reason::ConflictingTokens, _) => format!("Bearer realm=\"{name}\", error=\"invalid_request\""),
        (Reason::ScopeMissing, _) => {
            let scopes = policy.map(|policy| policy.scopes.join(" ")).unwrap_or_default();
            format!("Bearer realm=\"{name}\", error=\"insufficient_scope\", scope=\"{scopes}\"")
        }
        (_, 403) => format!("Bearer realm=\"{name}\", error=\"insufficient_scope\""),
        (_, 401) => format!("Bearer realm=\"{name}\", error=\"invalid_token\""),
        _ => return None,
    };
    HeaderValue::from_str(&text).ok()
}

/// What a client may read about a denial before any route gives it a contract's words.
const fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::AmbiguousPath => "La ruta de la solicitud es ambigua",
        Reason::InvalidHost => "La cabecera Host falta, se repite o no es válida",
        Reason::MalformedRequest => "La solicitud no es HTTP válido",
        Reason::ConflictingTokens => "La solicitud lleva dos tokens distintos",
        Reason::NoRoute => "No encontrado",
        Reason::MethodNotAllowed => "Método no permitido",
        Reason::RequestTimeout => "La solicitud no llegó a tiempo",
        Reason::BodyTooLarge => "El cuerpo de la solicitud es demasiado grande",
        Reason::HeadTooLarge => "Las cabeceras de la solicitud son demasiado grandes",
        Reason::ExpectationFailed => "La expectativa de la solicitud no se puede cumplir",
        Reason::TooManyRequests | Reason::TooManyBadTokens => "Demasiadas solicitudes",
        Reason::UpstreamFailed => "El servicio no respondió correctamente",
        Reason::UpstreamTimeout => "El servicio no respondió a tiempo",
        Reason::Unavailable | Reason::IssuerUnavailable => "Servicio no disponible",
        Reason::Internal => "Error interno",
        _ => "No autorizado",
    }
}
