//! Tokens of external issuers: JWTs as RFC 7519 and RFC 9068 have them, read as the issuer's claim mapping says.

use serde_json::{Map, Value};

use super::{
    members::{Claim, Members, SECONDS, TEXT},
    refused::Refused,
};
use crate::{
    domain::{Claims, Reason, RevocationId, Timestamp, TokenKind, TokenSubject},
    rules::{
        claim::{ClaimPath, Said},
        issuer::ExternalIssuer,
        profile::ClaimMapping,
    },
};

/// Reads a token of `issuer` whose signed part is `signed`.
pub(super) fn read(mut members: Members<'_>, issuer: &ExternalIssuer, signed: &str) -> Result<Claims, Refused> {
    if members.text(Claim::Iss)? != issuer.issuer {
        return Err(Refused::other(Reason::WrongIssuer, "iss", issuer.issuer.clone()));
    }
    let expires_at = members.optional_instant(Claim::Exp)?.ok_or_else(|| Refused::missing("exp", SECONDS))?;
    let issued_at = members.optional_instant(Claim::Iat)?;
    let not_before = members.optional_instant(Claim::Nbf)?;
    let revocation_id = match members.optional_text(Claim::Jti)? {
        Some(id) => RevocationId::of_token_id(&issuer.name, &id),
        None => RevocationId::of_signed_part(&issuer.name, signed.as_bytes()),
    };
    // Before `exp` there is no time that such a token did not hold.
    let beginning = not_before.or(issued_at).unwrap_or(Timestamp::from_secs(0));
    let extra = members.into_rest();
    check_audience(&extra, issuer)?;
    check_kind(&extra)?;
    let mapping = &issuer.claims;
    let texts = |paths: &[ClaimPath]| ClaimMapping::said(paths, &extra);
    let no_subject = |found| Refused::defect(Reason::InvalidClaims, ClaimMapping::named(&mapping.subject), found, TEXT);
    Ok(Claims {
        realm: issuer.name.clone(),
        kind: TokenKind::Access,
        subject: TokenSubject::External(mapping.subject(&extra).map_err(no_subject)?.into()),
        principal: None,
        session: None,
        revocation_id,
        epoch: 0,
        issued_at: issued_at.unwrap_or(beginning),
        not_before: not_before.unwrap_or(Timestamp::from_secs(0)),
        expires_at: Some(expires_at),
        name: texts(&mapping.name).one().unwrap_or_default().into(),
        legacy_id: None,
        roles: texts(&mapping.role).all().into_iter().collect(),
        scopes: texts(&mapping.scopes).words().into_iter().map(Box::from).collect(),
        organization: texts(&mapping.organization).one().map(Box::from),
        extra,
    })
}

/// Whether the token is for us (RFC 7519 section 4.1.3: one audience, or a list of them).
fn check_audience(claims: &Map<String, Value>, issuer: &ExternalIssuer) -> Result<(), Refused> {
    let paths = &issuer.claims.audience;
    let expected = || format!("one of {}", issuer.audiences.join(", "));
    let said = ClaimMapping::said(paths, claims);
    match said {
        Said::Nothing => Err(Refused::missing(ClaimMapping::named(paths), expected())),
        Said::Other => Err(Refused::defect(Reason::InvalidClaims, ClaimMapping::named(paths), NO_TEXTS, expected())),
        said => {
            let named = said.all().iter().any(|audience| issuer.audiences.iter().any(|own| own == audience));
            let other = || Refused::other(Reason::WrongAudience, ClaimMapping::named(paths), expected());
            if named { Ok(()) } else { Err(other()) }
        }
    }
}

/// What stands where texts are asked for.
const NO_TEXTS: &str = "not a text, nor a list of texts";

/// What other issuers write into the tokens that open nothing: `token_use` (Cognito), and a claim
/// `typ` (Keycloak). Without either, the audience must tell.
fn check_kind(claims: &Map<String, Value>) -> Result<(), Refused> {
    if !says_access(claims) {
        return Err(Refused::other(Reason::WrongTokenKind, "token_use", TokenKind::Access.name()));
    }
    if !says(claims, "typ", BEARER) {
        return Err(Refused::other(Reason::WrongTokenKind, "typ", BEARER));
    }
    Ok(())
}

/// A `typ` claim of an access token.
const BEARER: &str = "Bearer";

/// Whether `token_use`, where it is there, says that this is an access token.
pub(super) fn says_access(claims: &Map<String, Value>) -> bool {
    says(claims, "token_use", TokenKind::Access.name())
}

fn says(claims: &Map<String, Value>, name: &str, word: &str) -> bool {
    claims.get(name).is_none_or(|value| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word)))
}
