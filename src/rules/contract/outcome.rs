//! What comes of a token request, whatever the contract, and the bytes that say it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::domain::{Claims, Grant};

/// What came of it.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// A login succeeded.
    Granted(&'a Grant),
    /// A refresh succeeded.
    Refreshed(&'a Grant),
    /// A token was verified.
    Verified(&'a Claims),
    /// It was refused.
    Rejected(&'a Rejection),
}

/// Why a token endpoint refuses, whatever the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The body is no JSON object (or not announced as one, where the contract asks for that).
    NotJson,
    /// These members are missing, empty or no strings.
    Missing(MissingMembers),
    /// The query asks for something that cannot be had; the text is for the client.
    InvalidQuery(String),
    /// Unknown account, wrong secret, or an account that must not be told from these.
    InvalidCredentials,
    /// The refresh token is unknown, has ended, or was revoked.
    InvalidRefreshToken,
    /// An administrator locked the account, and the secret was right.
    Locked,
    /// The account is inactive; only where the contract tells it.
    Inactive,
    /// The account's company is missing; only where the contract tells it.
    CompanyMissing,
    /// Too many failures for this name from this address.
    ThrottledName {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Too many failures from this address.
    ThrottledAddress {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The store or the password hasher is out of reach.
    Unavailable {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The contract has no such method.
    MethodNotAllowed {
        /// The request's.
        method: Method,
    },
    /// The body is over the bound.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
}

/// Members of a body that are missing, in the contract's order; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingMembers(Vec<MissingMember>);

/// A member that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingMember {
    /// Its name.
    pub name: Arc<str>,
    /// What stands in its place.
    pub lack: Lack,
}

/// What stands in the place of a member that a contract requires, a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nothing.
    Absent,
    /// An empty text.
    Blank,
    /// `null`
    Null,
    /// A value of another type.
    Mistyped,
}

impl MissingMembers {
    /// These members, which are absent; `None` where the list is empty.
    #[must_use]
    pub fn of(names: Vec<Arc<str>>) -> Option<Self> {
        let absent = |name| MissingMember { name, lack: Lack::Absent };
        Self::lacking(names.into_iter().map(absent).collect())
    }

    /// These members; `None` where the list is empty.
    #[must_use]
    pub fn lacking(members: Vec<MissingMember>) -> Option<Self> {
        (!members.is_empty()).then_some(Self(members))
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &[MissingMember] {
        &self.0
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|member| &member.name)
    }
}

impl Rejection {
    /// What `Retry-After` should say, where there is something to wait for.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ThrottledName { retry_after }
            | Self::ThrottledAddress { retry_after }
            | Self::Unavailable { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Which one it is, without what it bears.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::NotJson => RejectionKind::NotJson,
            Self::Missing(_) => RejectionKind::Missing,
            Self::InvalidQuery(_) => RejectionKind::InvalidQuery,
            Self::InvalidCredentials => RejectionKind::InvalidCredentials,
            Self::InvalidRefreshToken => RejectionKind::InvalidRefreshToken,
            Self::Locked => RejectionKind::Locked,
            Self::Inactive => RejectionKind::Inactive,
            Self::CompanyMissing => RejectionKind::CompanyMissing,
            Self::ThrottledName { .. } => RejectionKind::ThrottledName,
            Self::ThrottledAddress { .. } => RejectionKind::ThrottledAddress,
            Self::Unavailable { .. } => RejectionKind::Unavailable,
            Self::MethodNotAllowed { .. } => RejectionKind::MethodNotAllowed,
            Self::BodyTooLarge => RejectionKind::BodyTooLarge,
            Self::BodyTimeout => RejectionKind::BodyTimeout,
        }
    }

    /// The word for metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }
}

/// The kinds of [`Rejection`]: each has its own response in a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are those of `Rejection`")]
pub enum RejectionKind {
    NotJson,
    Missing,
    InvalidQuery,
    InvalidCredentials,
    InvalidRefreshToken,
    Locked,
    Inactive,
    CompanyMissing,
    ThrottledName,
    ThrottledAddress,
    Unavailable,
    MethodNotAllowed,
    BodyTooLarge,
    BodyTimeout,
}

impl RejectionKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::NotJson,
        Self::Missing,
        Self::InvalidQuery,
        Self::InvalidCredentials,
        Self::InvalidRefreshToken,
        Self::Locked,
        Self::Inactive,
        Self::CompanyMissing,
        Self::ThrottledName,
        Self::ThrottledAddress,
        Self::Unavailable,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::BodyTimeout,
    ];

    /// The word for metrics and logs, and in a contract's file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::Missing => "missing_field",
            Self::InvalidQuery => "invalid_query",
            Self::InvalidCredentials => "invalid_credentials",
            Self::InvalidRefreshToken => "invalid_refresh_token",
            Self::Locked => "locked",
            Self::Inactive => "inactive",
            Self::CompanyMissing => "company_missing",
            Self::ThrottledName => "throttled_name",
            Self::ThrottledAddress => "throttled_address",
            Self::Unavailable => "unavailable",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
        }
    }

    /// The HTTP status, where the contract says no other.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotJson | Self::Missing | Self::InvalidQuery => StatusCode::BAD_REQUEST,
            Self::InvalidCredentials
            | Self::InvalidRefreshToken
            | Self::Locked
            | Self::Inactive
            | Self::CompanyMissing => StatusCode::UNAUTHORIZED,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ThrottledName | Self::ThrottledAddress => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The bytes of a response. What is common to all dialects (`Cache-Control`, `Retry-After`, `Allow`,
/// `WWW-Authenticate`) is added where answers leave the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractResponse {
    /// The HTTP status.
    pub status: StatusCode,
    /// [`JSON`] or [`PROBLEM_JSON`].
    pub content_type: &'static str,
    /// The body, complete.
    pub body: Bytes,
}

/// The media type of contract responses.
pub const JSON: &str = "application/json; charset=utf-8";

/// The media type of RFC 9457.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The media types that a response may have.
pub(super) const MEDIA_TYPES: [&str; 4] =
    [JSON, "application/json", PROBLEM_JSON, "application/problem+json; charset=utf-8"];
