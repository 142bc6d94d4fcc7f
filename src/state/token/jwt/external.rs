//! Tokens of external issuers: JWTs as RFC 7519 and RFC 9068 have them, with the claims that their
//! issuers are known to write.

use serde_json::{Map, Value};

use super::members::{Claim, Member, Members};
use crate::{
    domain::{Claims, Reason, RevocationId, Timestamp, TokenKind, TokenSubject},
    rules::issuer::ExternalIssuer,
};

/// Characters of a `sub`, at most (section 2 of `OpenID` Connect Core).
const SUBJECT_CHARS_MAX: usize = 255;

/// Where the account's name is looked for, in this order. `name` is what people read, and not unique.
const NAME_CLAIMS: [&str; 4] = ["preferred_username", "username", "client_id", "azp"];

/// Reads a token of `issuer` whose signed part is `signed`.
pub(super) fn read(mut members: Members<'_>, issuer: &ExternalIssuer, signed: &str) -> Result<Claims, Reason> {
    if members.text(Claim::Iss)? != issuer.issuer {
        return Err(Reason::WrongIssuer);
    }
    if !members.takes_audience(&issuer.audience)? {
        return Err(Reason::WrongAudience);
    }
    let expires_at = members.optional_instant(Claim::Exp)?.ok_or(Reason::InvalidClaims)?;
    let issued_at = members.optional_instant(Claim::Iat)?;
    let not_before = members.optional_instant(Claim::Nbf)?;
    // Before `exp` there is no time that such a token did not hold.
    let beginning = not_before.or(issued_at).unwrap_or(Timestamp::from_secs(0));
    let subject = members.text(Claim::Sub)?;
    if subject.chars().count() > SUBJECT_CHARS_MAX {
        return Err(Reason::InvalidClaims);
    }
    let id = members.optional_text(Claim::Jti)?;
    let revocation_id = match &id {
        Some(id) => RevocationId::of_token_id(&issuer.name, id),
        None => RevocationId::of_signed_part(&issuer.name, signed.as_bytes()),
    };
    let role = text_or_put_back(&mut members, Claim::Role);
    let scope = members.take(Claim::Scope).map(Value::from);
    let extra = members.into_rest();
    if !is_access_token(&extra) {
        return Err(Reason::WrongTokenKind);
    }
    let text = |name: &&str| extra.get(*name).and_then(Value::as_str);
    Ok(Claims {
        realm: issuer.name.clone(),
        kind: TokenKind::Access,
        subject: TokenSubject::External(subject.into()),
        principal: None,
        session: None,
        revocation_id,
        epoch: 0,
        issued_at: issued_at.unwrap_or(beginning),
        not_before: not_before.unwrap_or(Timestamp::from_secs(0)),
        expires_at: Some(expires_at),
        name: NAME_CLAIMS.iter().find_map(text).unwrap_or_default().into(),
        legacy_id: None,
        role,
        scopes: scope.as_ref().or_else(|| extra.get("scp")).map(words).unwrap_or_default(),
        organization: extra.get("org").and_then(Value::as_str).map(Box::from),
        extra,
    })
}

/// What other issuers write into the tokens that open nothing: `token_use` (Cognito), and a claim
/// `typ` (Keycloak). Without either, the audience must tell.
fn is_access_token(claims: &Map<String, Value>) -> bool {
    says_access(claims) && says(claims, "typ", "Bearer")
}

/// Whether `token_use`, where it is there, says that this is an access token.
pub(super) fn says_access(claims: &Map<String, Value>) -> bool {
    says(claims, "token_use", TokenKind::Access.name())
}

fn says(claims: &Map<String, Value>, name: &str, word: &str) -> bool {
    claims.get(name).is_none_or(|value| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word)))
}

fn text_or_put_back(members: &mut Members<'_>, claim: Claim) -> Option<Box<str>> {
    match members.take(claim) {
        Some(Member::Text(text)) if !text.is_empty() => Some(text.into()),
        Some(other) => {
            members.put_back(claim, other);
            None
        }
        None => None,
    }
}

/// `scope` as RFC 8693 section 4.2 has it, or the list that others make of it.
fn words(value: &Value) -> Vec<Box<str>> {
    match value {
        Value::String(text) => text.split_whitespace().map(Box::from).collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(Box::from).collect(),
        _ => vec![],
    }
}
