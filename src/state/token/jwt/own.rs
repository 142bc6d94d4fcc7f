//! Portero's own JWTs: what a new one says, and reading one back.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::{
    members::{Claim, Members, SECONDS},
    refused::Refused,
};
use crate::{
    domain::{
        Claims, Holder, PrincipalId, Reason, RevocationId, Roles, SessionId, Timestamp, TokenKind, TokenSubject,
        id::TokenId,
    },
    rules::realm::Realm,
    state::token::NewToken,
};

/// The claims of a new token, in the order in which they are written.
pub(in crate::state::token) fn payload(realm: &Realm, token: &NewToken<'_>) -> Map<String, Value> {
    let holder = token.holder;
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", json!(realm.issuer));
    put("aud", json!(realm.audience));
    put("sub", json!(holder.id.to_string()));
    put("jti", json!(TokenId::generate().to_string()));
    put("iat", json!(token.issued_at.as_secs()));
    put("nbf", json!(token.issued_at.as_secs()));
    if let Some(end) = token.expires_at {
        put("exp", json!(end.as_secs()));
    }
    put("sid", json!(token.session.to_string()));
    put("epoch", json!(token.epoch));
    put("token_use", json!(token.kind.name()));
    put("name", json!(holder.name.name));
    if let Some(id) = holder.legacy_id {
        put("legacy_id", json!(id));
    }
    if !holder.role.is_empty() {
        put("role", json!(holder.role));
    }
    if !holder.scopes.is_empty() {
        put("scope", json!(holder.scopes.join(" ")));
    }
    if let Some(organization) = organization(holder) {
        put("org", json!(organization));
    }
    claims.extend(token.extra.clone());
    claims
}

fn organization(holder: &Holder) -> Option<&str> {
    let business = (!holder.name.business.is_empty()).then_some(holder.name.business.as_str());
    holder.company.as_deref().or(business)
}

/// Reads a token of `realm`: every registered claim must be there, as [`payload`] writes it. RFC 7519 lets `aud` be a
/// list and dates have fractions; nobody but us writes these tokens, and we do not.
pub(super) fn read(mut members: Members<'_>, realm: &Realm) -> Result<Claims, Refused> {
    if members.text(Claim::Iss)? != realm.issuer {
        return Err(Refused::other(Reason::WrongIssuer, "iss", realm.issuer.clone()));
    }
    if members.text(Claim::Aud)? != realm.audience {
        return Err(Refused::other(Reason::WrongAudience, "aud", realm.audience.clone()));
    }
    let expires_at = date(&mut members, Claim::Exp)?;
    if expires_at.is_none() && !realm.allows_non_expiring() {
        return Err(Refused::missing("exp", SECONDS));
    }
    let kind = members.text(Claim::TokenUse)?;
    let kinds = [TokenKind::Access, TokenKind::Content, TokenKind::Refresh];
    Ok(Claims {
        realm: realm.name.clone(),
        kind: kinds.into_iter().find(|known| known.name() == kind).ok_or_else(|| unreadable("token_use"))?,
        subject: TokenSubject::Account(parse::<PrincipalId>("sub", &members.text(Claim::Sub)?)?),
        principal: Some(realm.dialect.principal_kind()),
        session: Some(parse::<SessionId>("sid", &members.text(Claim::Sid)?)?),
        revocation_id: RevocationId::of_token_id(&realm.name, &members.text(Claim::Jti)?),
        epoch: u32::try_from(required("epoch", members.optional_integer(Claim::Epoch)?)?)
            .map_err(|_| unreadable("epoch"))?,
        issued_at: required("iat", date(&mut members, Claim::Iat)?)?,
        not_before: required("nbf", date(&mut members, Claim::Nbf)?)?,
        expires_at,
        name: members.text(Claim::Name)?.into(),
        legacy_id: members.optional_integer(Claim::LegacyId)?,
        roles: members.optional_text(Claim::Role)?.map(Roles::one).unwrap_or_default(),
        scopes: members
            .optional_text(Claim::Scope)?
            .map(|scopes| scopes.split(' ').map(Box::from).collect())
            .unwrap_or_default(),
        organization: members.optional_text(Claim::Org)?.map(Into::into),
        extra: members.into_rest(),
    })
}

/// Whole seconds since 1970, or nothing at all.
fn date(members: &mut Members<'_>, claim: Claim) -> Result<Option<Timestamp>, Refused> {
    match members.optional_integer(claim)? {
        Some(..0) => Err(Refused::defect(Reason::InvalidClaims, claim.name(), "negative", SECONDS)),
        seconds => Ok(seconds.map(Timestamp::from_secs)),
    }
}

fn required<T>(name: &'static str, claim: Option<T>) -> Result<T, Refused> {
    claim.ok_or_else(|| Refused::missing(name, "a whole number"))
}

fn parse<T: FromStr>(name: &'static str, text: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| unreadable(name))
}

/// A claim says what we never write there.
fn unreadable(name: &'static str) -> Refused {
    Refused::other(Reason::InvalidClaims, name, "what this gateway writes there")
}
