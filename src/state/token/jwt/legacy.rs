//! Tokens of an imported key that Portero did not mint: read as the key's claim profile says.

use jiff::{
    civil::{Time, date},
    fmt::temporal::{Pieces, PiecesOffset},
    tz::Offset,
};
use serde_json::{Map, Value};

use super::{
    external::says_access,
    members::{SECONDS, TEXT, numeric_date},
    refused::Refused,
};
use crate::{
    domain::{Claims, PrincipalId, Reason, RevocationId, Timestamp, TokenKind, TokenSubject, json::parse_object},
    rules::{
        claim::{ClaimPath, Said},
        profile::{ClaimProfile, InstantFormat, Optional},
        realm::Realm,
    },
};

/// Reads the claims `payload` of a token of `realm` whose signed part is `signed`. All of them are
/// kept as they are beside what was understood: the realm's contract may show them.
pub(super) fn read(payload: &str, profile: &ClaimProfile, realm: &Realm, signed: &str) -> Result<Claims, Refused> {
    let claims = Legacy { claims: parse_object(payload.as_bytes()).map_err(|_| Reason::MalformedToken)?, profile };
    if let Some((name, value)) = profile.require.iter().find(|(name, value)| claims.claims.get(*name) != Some(value)) {
        return Err(Refused::other(Reason::WrongTokenKind, name.clone(), value.to_string()));
    }
    if !says_access(&claims.claims) {
        return Err(Refused::other(Reason::WrongTokenKind, "token_use", TokenKind::Access.name()));
    }
    let issuer = profile.issuer.as_ref().unwrap_or(&realm.issuer);
    if claims.registered_text("iss", Optional::Iss)?.is_some_and(|named| named != issuer) {
        return Err(Refused::other(Reason::WrongIssuer, "iss", issuer.clone()));
    }
    let audience = profile.audience.as_ref().unwrap_or(&realm.audience);
    let named = claims.registered("aud", Optional::Aud)?.map(|named| names_audience(named, audience)).transpose()?;
    if named == Some(false) {
        return Err(Refused::other(Reason::WrongAudience, "aud", audience.clone()));
    }
    let expires_at = claims.registered(&profile.expiry, Optional::Exp)?;
    let expires_at = expires_at.map(|end| instant(&profile.expiry, end, profile.expiry_format)).transpose()?;
    // Whatever a profile calls the expiry: a token that says `exp` ends there too.
    let own_end = claims.claims.get("exp").filter(|_| profile.expiry != "exp");
    let own_end = own_end.map(|end| instant("exp", end, InstantFormat::Seconds)).transpose()?;
    let expires_at = [expires_at, own_end].into_iter().flatten().min();
    // A profile alone cannot give a realm tokens without end.
    if expires_at.is_none() && !realm.allows_non_expiring() {
        return Err(Refused::missing(profile.expiry.clone(), "an end, since the realm gives none without"));
    }
    let date = |name, optional| claims.registered(name, optional)?.map(|value| numeric_date(name, value)).transpose();
    let (issued_at, not_before) = (date("iat", Optional::Iat)?, date("nbf", Optional::Nbf)?);
    let id = claims.registered_text("jti", Optional::Jti)?;
    let subject = claims.registered_text("sub", Optional::Sub)?;
    let name = claims.required(&profile.name)?;
    let business = profile.business.as_ref().map(|claim| claims.required(claim)).transpose()?.unwrap_or_default();
    // A subject that is no account's id is the old API's own number: the name says who it is.
    let named = PrincipalId::of_name(&realm.name, business, name);
    let imported = |id| TokenSubject::Imported { id, named };
    let account = subject.and_then(|subject| subject.parse().ok()).map(imported);
    let organization = claims.text(&profile.organization)?.or(Some(business).filter(|business| !business.is_empty()));
    Ok(Claims {
        realm: realm.name.clone(),
        kind: TokenKind::Access,
        subject: account.unwrap_or(TokenSubject::Named(named)),
        principal: Some(realm.dialect.principal_kind()),
        session: None,
        revocation_id: match id {
            Some(id) => RevocationId::of_token_id(&realm.name, id),
            None => RevocationId::of_signed_part(&realm.name, signed.as_bytes()),
        },
        epoch: 0,
        issued_at: issued_at.or(not_before).unwrap_or(Timestamp::from_secs(0)),
        not_before: not_before.unwrap_or(Timestamp::from_secs(0)),
        expires_at,
        name: name.into(),
        legacy_id: None,
        roles: claims.said(&profile.role)?.all().into_iter().collect(),
        scopes: claims.said(&profile.scopes)?.words().into_iter().map(Box::from).collect(),
        organization: organization.map(Box::from),
        extra: claims.claims,
    })
}

struct Legacy<'p> {
    claims: Map<String, Value>,
    profile: &'p ClaimProfile,
}

impl Legacy<'_> {
    /// A claim that only the profile may let be absent.
    fn registered(&self, name: &str, optional: Optional) -> Result<Option<&Value>, Refused> {
        match self.claims.get(name) {
            None if !self.profile.lets_absent(optional) => Err(Refused::missing(name.to_owned(), "a value")),
            found => Ok(found),
        }
    }

    /// Such a claim that is a text.
    fn registered_text(&self, name: &'static str, optional: Optional) -> Result<Option<&str>, Refused> {
        self.registered(name, optional)?.map(|value| text(name, value)).transpose()
    }

    /// What is said at a path. Another type, or an empty text, never counts as absent.
    fn said(&self, path: &ClaimPath) -> Result<Said<'_>, Refused> {
        match path.said(&self.claims) {
            Said::Other => {
                Err(Refused::defect(Reason::InvalidClaims, path.to_string(), "no text, nor a list of texts", TEXT))
            }
            said => Ok(said),
        }
    }

    /// A text that is not empty, or nothing at all.
    fn text(&self, path: &ClaimPath) -> Result<Option<&str>, Refused> {
        match self.said(path)? {
            Said::List(_) => Err(Refused::defect(Reason::InvalidClaims, path.to_string(), "a list", TEXT)),
            said => Ok(said.one()),
        }
    }

    /// A text that is not empty.
    fn required(&self, path: &ClaimPath) -> Result<&str, Refused> {
        self.text(path)?.ok_or_else(|| Refused::missing(path.to_string(), TEXT))
    }
}

/// Another type, or an empty text, never counts as absent.
fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str, Refused> {
    value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| Refused::wrong(name.to_owned(), value, TEXT))
}

/// Whether an `aud` (RFC 7519 section 4.1.3: one audience, or a list of them) names `own`.
fn names_audience(audience: &Value, own: &str) -> Result<bool, Refused> {
    match audience {
        Value::String(audience) => Ok(audience == own),
        Value::Array(audiences) if audiences.iter().all(Value::is_string) => {
            Ok(audiences.iter().any(|audience| audience == own))
        }
        other => Err(Refused::wrong("aud", other, "a text, or a list of texts")),
    }
}

fn instant(name: &str, value: &Value, format: InstantFormat) -> Result<Timestamp, Refused> {
    let whole = || value.as_i64().filter(|number| *number >= 0);
    let wrong = |expected| Refused::wrong(name.to_owned(), value, expected);
    match format {
        // A whole number, as the `exp` of any other token.
        InstantFormat::Seconds => whole().map(Timestamp::from_secs).ok_or_else(|| wrong(SECONDS)),
        InstantFormat::Milliseconds => {
            whole().map(Timestamp::from_millis).ok_or_else(|| wrong("a number of milliseconds since 1970"))
        }
        InstantFormat::Rfc3339 => {
            let text = text(name, value)?;
            let millis = text.parse().map(|instant: jiff::Timestamp| instant.as_millisecond()).ok();
            let millis = millis.or_else(|| last_days(text));
            millis.map(Timestamp::from_millis).ok_or_else(|| wrong("an instant as RFC 3339 has it"))
        }
    }
}

/// The last hours of the year 9999, which mean «never» to many programs and are past what jiff calls a timestamp.
fn last_days(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.time_zone_annotation().is_none())?;
    let offset = match pieces.offset()? {
        PiecesOffset::Zulu => Offset::UTC,
        PiecesOffset::Numeric(offset) => offset.offset(),
        _ => return None,
    };
    let civil = pieces.date().to_datetime(pieces.time()?);
    let seconds = civil.duration_since(date(1970, 1, 1).to_datetime(Time::midnight()));
    let millis = seconds.as_millis() - i128::from(offset.seconds()) * 1000;
    i64::try_from(millis).ok()
}
