//! The wire contracts. Each dialect is one file of pure functions: bytes in, a neutral
//! [`Operation`]; a neutral [`Outcome`], bytes out. Where a contract's document is silent, the
//! decisions of `docs/contracts.md` hold; every text that a client may read stands in its dialect's file.

mod answer;
mod apis;
mod become_digital;
mod body;
mod dates;
mod fixture;
mod maxpoint;
mod problem;
mod schema;
mod select;
mod spanish;
mod sws;
mod toc;

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use thiserror::Error;

use portero::domain::{
    AccountName, Algorithm, Claims, Grant, Holder, PrincipalKind, Reason, Secret, Timestamp, TokenKind, json::NotJson,
};

pub use problem::problem;
pub use select::{allow, select};

/// A wire contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `sws-get-token.md`
    Sws,
    /// `apis-token-and-refresh.md`
    Apis,
    /// `toc-auth.md`
    Toc,
    /// `maxpoint-auth-token.md`
    Maxpoint,
    /// `become-auth.md`
    Become,
}

/// A word that names no dialect.
#[derive(Debug, Error)]
#[error("'{0}' is no dialect: one of sws, apis, toc, maxpoint, become, oauth")]
pub struct UnknownDialect(String);

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sws, Self::Apis, Self::Toc, Self::Maxpoint, Self::Become];

    /// The word in `gateway.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sws => "sws",
            Self::Apis => "apis",
            Self::Toc => "toc",
            Self::Maxpoint => "maxpoint",
            Self::Become => "become",
        }
    }

    /// How it speaks.
    #[must_use]
    pub fn contract(self) -> &'static dyn Contract {
        match self {
            Self::Sws => &sws::Sws,
            Self::Apis => &apis::Apis,
            Self::Toc => &toc::Toc,
            Self::Maxpoint => &maxpoint::Maxpoint,
            Self::Become => &become_digital::Become,
        }
    }

    /// What its accounts are.
    #[must_use]
    pub const fn principal_kind(self) -> PrincipalKind {
        match self {
            Self::Sws | Self::Apis => PrincipalKind::User,
            Self::Toc => PrincipalKind::Project,
            Self::Maxpoint | Self::Become => PrincipalKind::Client,
        }
    }

    /// The algorithm of its tokens unless the realm says another.
    #[must_use]
    pub const fn default_algorithm(self) -> Algorithm {
        match self {
            Self::Apis => Algorithm::Sealed,
            _ => Algorithm::Hs256,
        }
    }

    /// `typ` in the header of its JWTs: RFC 9068's for OAuth, so that neither passes for the other.
    #[must_use]
    pub const fn token_type(self) -> &'static str {
        "JWT"
    }

    /// Whether it tells a stranger that an account is inactive or its company missing (`become`).
    #[must_use]
    pub const fn tells_account_status(self) -> bool {
        matches!(self, Self::Become)
    }

    /// Whether it tells who proved himself that his account is locked (`sws`).
    #[must_use]
    pub const fn tells_locked(self) -> bool {
        matches!(self, Self::Sws)
    }

    /// The tokens that one login gives.
    #[must_use]
    pub const fn token_kinds(self) -> &'static [TokenKind] {
        match self {
            Self::Apis => &[TokenKind::Access, TokenKind::Content, TokenKind::Refresh],
            _ => &[TokenKind::Access],
        }
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == word).ok_or_else(|| UnknownDialect(word.to_owned()))
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a realm may change in its dialect's wire format.
#[derive(Clone, Debug)]
pub struct DialectSettings {
    /// The zone of printed local dates and of the end of the day.
    pub timezone: TimeZone,
    /// The HTTP status of `sws`'s errors 1 and 2; default 200.
    pub error_status: StatusCode,
    /// The longest expiry, in calendar years, that a `toc` login may ask for, 1 to 100; default 100.
    pub years_max: u8,
    /// Whether a `toc` login may ask for a token without expiry; default true.
    pub allow_non_expiring: bool,
}

impl Default for DialectSettings {
    fn default() -> Self {
        Self { timezone: TimeZone::UTC, error_status: StatusCode::OK, years_max: 100, allow_non_expiring: true }
    }
}

/// A request to a token endpoint, as far as a dialect looks at it. Without `Debug`: its body holds a secret.
pub struct TokenRequest<'a> {
    /// `POST`, or a method that the dialect has besides.
    pub method: &'a Method,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// The `Content-Type` header, when there is one.
    pub content_type: Option<&'a [u8]>,
    /// The body as a JSON object, read once for all realms of the endpoint.
    pub body: &'a Result<Map<String, Value>, NotJson>,
    /// Whether the endpoint is a refresh endpoint (`grant = "refresh"`).
    pub refresh: bool,
}

/// What a client asks of a token endpoint, whatever the contract.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation {
    /// Prove who you are, get tokens.
    Login(Login),
    /// Exchange a refresh token (`apis`).
    Refresh(Secret),
    /// Ask what a token says (`toc`'s `GET`).
    Verify,
}

/// The neutral form of a login.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    /// The account's name.
    pub name: AccountName,
    /// The password or client secret.
    pub secret: Secret,
    /// How long the tokens should live.
    pub validity: Validity,
}

impl Login {
    /// A login of an account that one word names, for as long as the realm says.
    #[must_use]
    pub fn new(name: &str, secret: &str) -> Self {
        let name = AccountName { business: String::new(), name: name.to_owned() };
        Self { name, secret: Secret::from(secret), validity: Validity::Realm }
    }
}

/// The life that a login asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// What the realm says.
    Realm,
    /// Calendar years (`toc`).
    Years(u8),
    /// No expiry (`toc`).
    Forever,
}

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
    /// These members are missing, empty or no strings, in the contract's order.
    Missing(Vec<&'static str>),
    /// The query asks for something that cannot be had; the text is for the client.
    InvalidQuery(String),
    /// Unknown account, wrong secret, or an account that must not be told from these.
    InvalidCredentials,
    /// The refresh token is unknown, has ended, or was revoked.
    InvalidRefreshToken,
    /// An administrator locked the account, and the secret was right.
    Locked,
    /// The account is inactive; only where the contract tells (`become`).
    Inactive,
    /// The account's company is missing; only where the contract tells (`become`).
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
    MethodNotAllowed,
    /// The body is over the bound.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
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

    /// The word for metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::Missing(_) => "missing_field",
            Self::InvalidQuery(_) => "invalid_query",
            Self::InvalidCredentials => "invalid_credentials",
            Self::InvalidRefreshToken => "invalid_refresh_token",
            Self::Locked => "locked",
            Self::Inactive => "inactive",
            Self::CompanyMissing => "company_missing",
            Self::ThrottledName { .. } => "throttled_name",
            Self::ThrottledAddress { .. } => "throttled_address",
            Self::Unavailable { .. } => "unavailable",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
        }
    }
}

/// The bytes of an answer. What is common to all dialects (`Cache-Control`, `Retry-After`, `Allow`,
/// `WWW-Authenticate`) is added where answers leave the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// [`JSON`] or [`PROBLEM_JSON`].
    pub content_type: &'static str,
    /// The body, complete.
    pub body: Bytes,
}

/// The media type of contract answers.
pub const JSON: &str = "application/json; charset=utf-8";

/// The media type of RFC 9457.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A wire contract: how it reads requests and writes answers.
pub trait Contract: Sync {
    /// The members of a JSON body that say it is meant for this contract, where two share a path.
    fn identifying_members(&self) -> &'static [&'static str];

    /// The methods of its token endpoint, in the order of `Allow`.
    fn methods(&self) -> &'static [Method] {
        &[Method::POST]
    }

    /// Reads a request whose method is one of [`Contract::methods`].
    ///
    /// # Errors
    /// The rejection that the contract prescribes for a request it cannot read.
    fn read(&self, request: &TokenRequest<'_>, settings: &DialectSettings) -> Result<Operation, Rejection>;

    /// The claims that the contract's tokens carry beside the common ones.
    fn claims(&self, _holder: &Holder, _issued_at: Timestamp, _expires_at: Option<Timestamp>) -> Map<String, Value> {
        Map::new()
    }

    /// Writes what came of a token request.
    fn write(&self, outcome: &Outcome<'_>, settings: &DialectSettings) -> Answer;

    /// Writes a denial on one of the contract's routes.
    fn deny(&self, reason: Reason) -> Answer;

    /// Whether a bare `Authorization: <token>`, without a scheme, carries a token.
    fn bare_authorization(&self) -> bool {
        false
    }

    /// A header of the contract's own that carries the token, beside `Authorization`.
    fn token_header(&self) -> Option<&'static str> {
        None
    }
}
