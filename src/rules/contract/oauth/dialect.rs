//! OAuth 2.0 as a contract: what it answers, and how it speaks of denials.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    super::{
        AccountFacts, Contract, ContractResponse, DialectSettings, Facts, Forms, JSON, Lifetime, Operation, Outcome,
        Rejection, Schemas, SecretPlace, SettingFacts, Tells, TokenFacts, TokenRequest, Zone, problem,
        response::{denial_status, json_response, phrase},
    },
    error::OAuthError,
};
use crate::domain::{Algorithm, Grant, Holder, PrincipalKind, Reason, Timestamp, TokenKind};

/// How long an access token lives where the realm says nothing.
const LIFETIME_DEFAULT: Duration = Duration::from_hours(1);

/// The contract of RFC 6749.
pub(in crate::rules::contract) struct Oauth;

static FACTS: LazyLock<Facts> = LazyLock::new(|| Facts {
    name: "oauth".into(),
    extends: None,
    accounts: AccountFacts {
        kind: PrincipalKind::Client,
        has_business: false,
        has_legacy_id: false,
        has_company: false,
    },
    tokens: TokenFacts {
        // Many verifiers of OAuth's clients refuse EdDSA.
        algorithm: Algorithm::Es256,
        // RFC 9068's, so that neither these tokens nor the contracts' pass for the other.
        header_type: "at+jwt".into(),
        login: vec![TokenKind::Access],
        refresh: vec![],
    },
    settings: SettingFacts {
        lifetime: Some(Lifetime::Fixed(LIFETIME_DEFAULT)),
        content_lifetime: None,
        refresh_lifetime: None,
        timezone: Zone::Unused,
        error_status: None,
        max_years: None,
        allow_non_expiring: None,
        uniform_errors: None,
    },
    tells: Tells::default(),
    token_header: None,
    bare_authorization: false,
    token_scheme: None,
    forms: Forms::Refused,
    place: SecretPlace::Body,
    old_system: None,
    earlier_tokens: None,
});

/// RFC 6749 section 5.1.
#[derive(Serialize)]
struct TokenResponse<'a> {
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

impl Contract for Oauth {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    /// None: its endpoints take forms, and never share a path with a contract.
    fn identifying_members(&self, _: bool) -> &[Arc<str>] {
        &[]
    }

    /// Nothing can be read here: see [`form`](super::form). The config keeps such realms out of `[[token_endpoints]]`.
    fn read(&self, _: &TokenRequest<'_>, _: &DialectSettings) -> Result<Operation, Rejection> {
        Err(Rejection::NotJson)
    }

    /// RFC 9068 section 2.2.
    fn claims(&self, holder: &Holder, _: Timestamp, _: Option<Timestamp>, _: &DialectSettings) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("client_id".into(), holder.name.name.as_str().into());
        claims
    }

    fn write(&self, outcome: &Outcome<'_>, _: &DialectSettings) -> ContractResponse {
        let written = match outcome {
            Outcome::Granted(grant) | Outcome::Refreshed(grant) => granted(grant),
            Outcome::Rejected(rejection) => Some(OAuthError::from(*rejection).response()),
            Outcome::Verified(_) => None,
        };
        written.unwrap_or_else(|| self.deny(Reason::Internal))
    }

    fn deny(&self, reason: Reason) -> ContractResponse {
        let status = denial_status(reason);
        problem(status, detail(reason, status))
    }

    /// None: its endpoints take forms.
    fn schemas(&self, _: bool) -> Option<&Schemas> {
        None
    }
}

/// `None` for a grant without an access token.
fn granted(grant: &Grant) -> Option<ContractResponse> {
    let access = grant.token(TokenKind::Access)?;
    let body = TokenResponse {
        access_token: access.token.expose(),
        token_type: "Bearer",
        expires_in: access.expires_at.map(|end| end.since(grant.issued_at).as_secs()),
        refresh_token: grant.token(TokenKind::Refresh).map(|token| token.token.expose()),
        scope: grant.holder.scopes.join(" "),
    };
    Some(json_response(StatusCode::OK, JSON, &body))
}

/// What a client may read about a denial.
fn detail(reason: Reason, status: StatusCode) -> &'static str {
    match reason {
        Reason::MissingToken => "A bearer token is required",
        Reason::ConflictingTokens => "The request carries two different tokens",
        Reason::Expired => "The access token has expired",
        Reason::ScopeMissing => "The access token lacks a scope that is required here",
        _ if status == StatusCode::UNAUTHORIZED => "The access token is invalid or revoked",
        _ => phrase(status).unwrap_or("Error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::contract::{
        PROBLEM_JSON,
        fixture::{self, text},
    };

    #[test]
    fn tokens_are_written_as_the_rfc_has_them() {
        let write =
            |kinds: &[TokenKind]| Oauth.write(&Outcome::Granted(&fixture::grant(kinds)), &DialectSettings::default());
        let head = r#"{"access_token":"access","token_type":"Bearer","expires_in":3600"#;
        let plain = format!(r#"{head},"scope":"read write"}}"#);
        assert_eq!(text(&write(&[TokenKind::Access])), (200, JSON, plain.as_str()));
        let refreshed = format!(r#"{head},"refresh_token":"refresh","scope":"read write"}}"#);
        assert_eq!(text(&write(&[TokenKind::Access, TokenKind::Refresh])), (200, JSON, refreshed.as_str()));
        assert_eq!(write(&[]).status.as_u16(), 500);
        let mut bare = fixture::grant(&[TokenKind::Access]);
        bare.holder.scopes.clear();
        let answer = Oauth.write(&Outcome::Granted(&bare), &DialectSettings::default());
        assert_eq!(text(&answer).2, format!("{head}}}"));
    }

    #[test]
    fn denials_are_problems_in_english() {
        let answer = Oauth.deny(Reason::TokenRevoked);
        let expected = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The access token is invalid or revoked"}"#;
        assert_eq!(text(&answer), (401, PROBLEM_JSON, expected));
        assert!(Reason::ALL.into_iter().all(|reason| Oauth.deny(reason).status.as_u16() >= 400));
    }

    #[test]
    fn a_tokens_client_is_its_account() {
        let holder = fixture::grant(&[]).holder;
        let claims = Oauth.claims(&holder, fixture::ISSUED_AT, None, &DialectSettings::default());
        assert_eq!(serde_json::to_string(&claims).unwrap(), r#"{"client_id":"admin"}"#);
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
            let answer = Oauth.write(&Outcome::Rejected(rejection), &DialectSettings::default());
            let (found, media, body) = text(&answer);
            let start = format!(r#"{{"error":"{error}","error_description":""#);
            assert!(found == status && media == JSON && body.starts_with(&start), "{}: {body}", rejection.name());
            assert_eq!(OAuthError::from(rejection).retry_after(), rejection.retry_after());
        }
    }
}
