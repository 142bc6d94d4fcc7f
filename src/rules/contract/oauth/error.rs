//! The errors of OAuth's endpoints.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use crate::rules::contract::{ContractResponse, JSON, Rejection, response::json_response};

/// Why an OAuth endpoint refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// RFC 6749 section 5.2, `invalid_request`; the text is for the client.
    InvalidRequest(&'static str),
    /// `invalid_client`: unknown, wrong, disabled, or not said at all; nobody learns which.
    InvalidClient,
    /// `invalid_grant`: the refresh token is unknown, has ended, was used, or is another client's.
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

impl OAuthError {
    /// The answer, with `error` and `error_description` (RFC 6749 section 5.2). What that section has no
    /// word for borrows the nearest: `temporarily_unavailable` of section 4.1.2.1.
    #[must_use]
    pub fn response(&self) -> ContractResponse {
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
        json_response(status, JSON, &ErrorResponse { error, error_description })
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

impl From<&Rejection> for OAuthError {
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
            Rejection::MethodNotAllowed { .. } => Self::MethodNotAllowed,
            Rejection::BodyTooLarge => Self::BodyTooLarge,
            Rejection::BodyTimeout => Self::BodyTimeout,
        }
    }
}

impl From<Rejection> for OAuthError {
    fn from(rejection: Rejection) -> Self {
        Self::from(&rejection)
    }
}

/// RFC 6749 section 5.2.
#[derive(Serialize)]
struct ErrorResponse {
    error: &'static str,
    error_description: &'static str,
}
