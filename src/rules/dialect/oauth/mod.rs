//! OAuth 2.0 (RFC 6749): the words of its endpoints, and of denials on its routes. Requests are read
//! in [`form`], clients in [`client`], scopes in [`scope`]; who may have what is decided elsewhere.

pub mod client;
pub mod form;
pub mod scope;

use std::{fmt, str::FromStr, time::Duration};

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    Answer, Contract, Grant, Holder, JSON, Operation, Outcome, Rejection, Settings, TokenRequest,
    answer::{answer, denial_status},
    problem,
};
use crate::domain::{Reason, Timestamp, TokenKind};

/// The scope with which a client may introspect tokens of others.
pub const INTROSPECT: &str = "introspect";

/// The scope with which a client may revoke tokens of others.
pub const REVOKE: &str = "revoke";

/// The media type of requests (RFC 6749 section 4.4.2, RFC 7009 section 2.1, RFC 7662 section 2.1).
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The answer to a token that is of no use, whatever the reason (RFC 7662 section 2.2).
const INACTIVE: &str = r#"{"active":false}"#;

/// The contract of RFC 6749.
pub(super) struct Oauth;

/// A grant that the token endpoint serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 6.
    RefreshToken,
}

/// A word that names no grant.
#[derive(Debug, Error)]
#[error("'{0}' is no grant: one of client_credentials, refresh_token")]
pub struct UnknownGrantType(String);

impl GrantType {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ClientCredentials, Self::RefreshToken];

    /// The value of `grant_type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
        }
    }
}

impl FromStr for GrantType {
    type Err = UnknownGrantType;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|grant| grant.name() == word).ok_or_else(|| UnknownGrantType(word.to_owned()))
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an OAuth endpoint refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// RFC 6749 section 5.2, `invalid_request`; the text is for the client.
    InvalidRequest(&'static str),
    /// `invalid_client`: unknown, wrong, disabled, or not said at all; nobody learns which.
    InvalidClient,
    /// `invalid_grant`: the refresh token is none, has ended, was used, or is another client's.
    InvalidGrant,
    /// `unauthorized_client`: this client may not use this grant, or not revoke this token.
    UnauthorizedClient,
    /// `unsupported_grant_type`.
    UnsupportedGrantType,
    /// `invalid_scope`: more than there is to be had.
    InvalidScope,
    /// Too many failures.
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The store or the password hasher is out of reach.
    Unavailable {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Not `POST`.
    MethodNotAllowed,
    /// The body is over the bound.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
}

impl Refusal {
    /// The answer, with `error` and `error_description` (RFC 6749 section 5.2). What that section has no
    /// word for borrows the nearest: `temporarily_unavailable` of section 4.1.2.1.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let (status, error, error_description) = match self {
            Self::InvalidRequest(text) => (StatusCode::BAD_REQUEST, "invalid_request", *text),
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed"),
            Self::InvalidGrant => {
                (StatusCode::BAD_REQUEST, "invalid_grant", "the refresh token is invalid, expired, used or revoked")
            }
            Self::UnauthorizedClient => {
                (StatusCode::BAD_REQUEST, "unauthorized_client", "this client is not allowed to do this")
            }
            Self::UnsupportedGrantType => {
                (StatusCode::BAD_REQUEST, "unsupported_grant_type", "supported: client_credentials, refresh_token")
            }
            Self::InvalidScope => {
                (StatusCode::BAD_REQUEST, "invalid_scope", "the scope is malformed, or more than was granted")
            }
            Self::Throttled { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", "too many failed attempts")
            }
            Self::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again later"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "the method must be POST"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is too large"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "invalid_request", "the body did not arrive in time"),
        };
        answer(status, JSON, &ErrorAnswer { error, error_description })
    }

    /// What `Retry-After` should say, where there is something to wait for.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::Unavailable { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The word for metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
        }
    }
}

impl From<&Rejection> for Refusal {
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::NotJson | Rejection::Missing(_) | Rejection::InvalidQuery(_) => {
                Self::InvalidRequest("the request cannot be read")
            }
            Rejection::InvalidCredentials | Rejection::Locked | Rejection::Inactive | Rejection::CompanyMissing => {
                Self::InvalidClient
            }
            Rejection::InvalidRefreshToken => Self::InvalidGrant,
            Rejection::ThrottledName { retry_after } | Rejection::ThrottledAddress { retry_after } => {
                Self::Throttled { retry_after: *retry_after }
            }
            Rejection::Unavailable { retry_after } => Self::Unavailable { retry_after: *retry_after },
            Rejection::MethodNotAllowed => Self::MethodNotAllowed,
            Rejection::BodyTooLarge => Self::BodyTooLarge,
            Rejection::BodyTimeout => Self::BodyTimeout,
        }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::from(&rejection)
    }
}

/// RFC 6749 section 5.2.
#[derive(Serialize)]
struct ErrorAnswer {
    error: &'static str,
    error_description: &'static str,
}

/// RFC 6749 section 5.1.
#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// Left out where there is none: the grammar has no empty scope.
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
}

/// What introspection says about a token that holds, in the order of RFC 7662 section 2.2.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Active {
    /// Always true: the other answer is [`inactive`].
    pub active: bool,
    /// Its scopes, separated by spaces.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The client that it was issued to, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The account's name.
    pub username: String,
    /// `Bearer` for an access token; `content` and `refresh_token` open no API, and are not said to.
    pub token_type: &'static str,
    /// When it ends, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// When it was issued.
    pub iat: i64,
    /// From when on it holds.
    pub nbf: i64,
    /// The principal's uuid.
    pub sub: String,
    /// The realm's audience.
    pub aud: String,
    /// The realm's issuer.
    pub iss: String,
}

impl Active {
    /// `token_type` of a token of `kind`.
    #[must_use]
    pub const fn token_type(kind: TokenKind) -> &'static str {
        match kind {
            TokenKind::Access => "Bearer",
            TokenKind::Content => "content",
            TokenKind::Refresh => "refresh_token",
        }
    }

    /// The answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        answer(StatusCode::OK, JSON, self)
    }
}

/// The answer about a token that does not hold, or is none of the caller's business.
#[must_use]
pub fn inactive() -> Answer {
    Answer { status: StatusCode::OK, content_type: JSON, body: INACTIVE.into() }
}

/// A document of JSON: keys, or metadata.
#[must_use]
pub fn document(body: &Map<String, Value>) -> Answer {
    answer(StatusCode::OK, JSON, body)
}

impl Contract for Oauth {
    /// None: its endpoints take forms, and never share a path with a contract.
    fn identifying_members(&self) -> &'static [&'static str] {
        &[]
    }

    /// Nothing can be read here: see [`form`]. The config keeps such realms out of `[[token_endpoints]]`.
    fn read(&self, _: &TokenRequest<'_>, _: &Settings) -> Result<Operation, Rejection> {
        Err(Rejection::NotJson)
    }

    /// RFC 9068 section 2.2.
    fn claims(&self, holder: &Holder, _: Timestamp, _: Option<Timestamp>) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("client_id".into(), holder.name.name.as_str().into());
        claims
    }

    fn write(&self, outcome: &Outcome<'_>, _: &Settings) -> Answer {
        let written = match outcome {
            Outcome::Granted(grant) | Outcome::Refreshed(grant) => granted(grant),
            Outcome::Rejected(rejection) => Some(Refusal::from(*rejection).answer()),
            Outcome::Verified(_) => None,
        };
        written.unwrap_or_else(|| self.deny(Reason::Internal))
    }

    fn deny(&self, reason: Reason) -> Answer {
        let status = denial_status(reason);
        problem(status, detail(reason, status))
    }
}

/// `None` for a grant without an access token.
fn granted(grant: &Grant) -> Option<Answer> {
    let access = grant.token(TokenKind::Access)?;
    let body = TokenAnswer {
        access_token: access.token.expose(),
        token_type: "Bearer",
        expires_in: access.expires_at.map(|end| end.since(grant.issued_at).as_secs()),
        refresh_token: grant.token(TokenKind::Refresh).map(|token| token.token.expose()),
        scope: grant.holder.scopes.join(" "),
    };
    Some(answer(StatusCode::OK, JSON, &body))
}

/// What a client may read about a denial.
fn detail(reason: Reason, status: StatusCode) -> &'static str {
    match reason {
        Reason::MissingToken => "A bearer token is required",
        Reason::ConflictingTokens => "The request carries two different tokens",
        Reason::Expired => "The access token has expired",
        Reason::ScopeMissing => "The access token lacks a scope that is required here",
        _ if status == StatusCode::UNAUTHORIZED => "The access token is invalid or revoked",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::dialect::{
        PROBLEM_JSON,
        fixture::{self, text},
    };

    #[test]
    fn tokens_are_written_as_the_rfc_has_them() {
        let write = |kinds: &[TokenKind]| Oauth.write(&Outcome::Granted(&fixture::grant(kinds)), &Settings::default());
        let head = r#"{"access_token":"access","token_type":"Bearer","expires_in":3600"#;
        let plain = format!(r#"{head},"scope":"read write"}}"#);
        assert_eq!(text(&write(&[TokenKind::Access])), (200, JSON, plain.as_str()));
        let refreshed = format!(r#"{head},"refresh_token":"refresh","scope":"read write"}}"#);
        assert_eq!(text(&write(&[TokenKind::Access, TokenKind::Refresh])), (200, JSON, refreshed.as_str()));
        assert_eq!(write(&[]).status.as_u16(), 500);
        let mut bare = fixture::grant(&[TokenKind::Access]);
        bare.holder.scopes.clear();
        let answer = Oauth.write(&Outcome::Granted(&bare), &Settings::default());
        assert_eq!(text(&answer).2, format!("{head}}}"));
    }

    #[test]
    fn each_rejection_has_its_error() {
        let expected = [
            (400, "invalid_request"),
            (400, "invalid_request"),
            (400, "invalid_request"),
            (401, "invalid_client"),
            (400, "invalid_grant"),
            (401, "invalid_client"),
            (401, "invalid_client"),
            (401, "invalid_client"),
            (429, "temporarily_unavailable"),
            (429, "temporarily_unavailable"),
            (503, "temporarily_unavailable"),
            (405, "invalid_request"),
            (413, "invalid_request"),
            (408, "invalid_request"),
        ];
        for (rejection, (status, error)) in fixture::rejections().iter().zip(expected) {
            let answer = Oauth.write(&Outcome::Rejected(rejection), &Settings::default());
            let (found, media, body) = text(&answer);
            let start = format!(r#"{{"error":"{error}","error_description":""#);
            assert!(found == status && media == JSON && body.starts_with(&start), "{}: {body}", rejection.name());
            assert_eq!(Refusal::from(rejection).retry_after(), rejection.retry_after());
        }
    }

    #[test]
    fn denials_are_problems_in_english() {
        let answer = Oauth.deny(Reason::TokenRevoked);
        let expected = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The access token is invalid or revoked"}"#;
        assert_eq!(text(&answer), (401, PROBLEM_JSON, expected));
        assert!(Reason::ALL.into_iter().all(|reason| Oauth.deny(reason).status.as_u16() >= 400));
    }

    #[test]
    fn a_dead_token_is_told_apart_from_no_other() {
        assert_eq!(text(&inactive()), (200, JSON, r#"{"active":false}"#));
    }

    #[test]
    fn a_tokens_client_is_its_account() {
        let claims = Oauth.claims(&fixture::grant(&[]).holder, fixture::ISSUED_AT, None);
        assert_eq!(serde_json::to_string(&claims).unwrap(), r#"{"client_id":"admin"}"#);
    }
}
