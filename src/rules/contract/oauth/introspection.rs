//! What introspection answers (RFC 7662).

use http::StatusCode;
use serde::Serialize;

use crate::{
    domain::TokenKind,
    rules::contract::{ContractResponse, JSON, response::json_response},
};

/// The response to a token that is of no use, whatever the reason (RFC 7662 section 2.2).
const INACTIVE: &str = r#"{"active":false}"#;

/// What introspection says about a token that holds, in the order of RFC 7662 section 2.2.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Active {
    /// Always true: the other response is [`inactive`].
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
    /// The principal's uuid, or what an external issuer calls it; absent where a token names an account only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The issuer's audience.
    pub aud: String,
    /// The issuer.
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

    /// The response.
    #[must_use]
    pub fn response(&self) -> ContractResponse {
        json_response(StatusCode::OK, JSON, self)
    }
}

/// The response about a token that does not hold, or is not the caller's.
#[must_use]
pub fn inactive() -> ContractResponse {
    ContractResponse { status: StatusCode::OK, content_type: JSON, body: INACTIVE.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::contract::fixture::text;

    #[test]
    fn a_dead_token_is_told_apart_from_no_other() {
        assert_eq!(text(&inactive()), (200, JSON, r#"{"active":false}"#));
    }
}
