//! Tokens of an imported key that Portero did not mint: read as the key's claim profile says.

use jiff::{
    civil::{Time, date},
    fmt::temporal::{Pieces, PiecesOffset},
    tz::Offset,
};
use serde_json::{Map, Value};

use super::{
    external::says_access,
    members::{names_audience, numeric_date},
};
use crate::{
    domain::{Claims, PrincipalId, Reason, RevocationId, Timestamp, TokenKind, TokenSubject, json::parse_object},
    rules::{
        profile::{ClaimProfile, InstantFormat, Optional},
        realm::Realm,
    },
};

/// Reads the claims `payload` of a token of `realm` whose signed part is `signed`. All of them are
/// kept as they are beside what was understood: the realm's contract may show them.
pub(super) fn read(payload: &str, profile: &ClaimProfile, realm: &Realm, signed: &str) -> Result<Claims, Reason> {
    let claims = Legacy { claims: parse_object(payload.as_bytes()).map_err(|_| Reason::MalformedToken)?, profile };
    if !profile.require.iter().all(|(name, value)| claims.claims.get(name) == Some(value)) {
        return Err(Reason::WrongTokenKind);
    }
    if !says_access(&claims.claims) {
        return Err(Reason::WrongTokenKind);
    }
    let issuer = claims.registered("iss", Optional::Iss)?.map(text).transpose()?;
    if issuer.is_some_and(|issuer| issuer != profile.issuer.as_ref().unwrap_or(&realm.issuer)) {
        return Err(Reason::WrongIssuer);
    }
    let audience = profile.audience.as_ref().unwrap_or(&realm.audience);
    let named = claims.registered("aud", Optional::Aud)?.map(|named| names_audience(named, audience)).transpose()?;
    if named == Some(false) {
        return Err(Reason::WrongAudience);
    }
    let expires_at = claims.registered(&profile.expiry, Optional::Exp)?;
    let expires_at = expires_at.map(|end| instant(end, profile.expiry_format)).transpose()?;
    // Whatever a profile calls the expiry: a token that says `exp` ends there too.
    let own_end = claims.claims.get("exp").filter(|_| profile.expiry != "exp");
    let own_end = own_end.map(|end| instant(end, InstantFormat::Seconds)).transpose()?;
    let expires_at = [expires_at, own_end].into_iter().flatten().min();
    // A profile alone cannot give a realm tokens without end.
    if expires_at.is_none() && !realm.allows_non_expiring() {
        return Err(Reason::InvalidClaims);
    }
    let date = |name, optional| claims.registered(name, optional)?.map(numeric_date).transpose();
    let (issued_at, not_before) = (date("iat", Optional::Iat)?, date("nbf", Optional::Nbf)?);
    let id = claims.registered("jti", Optional::Jti)?.map(text).transpose()?;
    let subject = claims.registered("sub", Optional::Sub)?.map(text).transpose()?;
    let name = claims.text(&profile.name)?.ok_or(Reason::InvalidClaims)?;
    let business = profile.business.as_ref().map(|claim| claims.text(claim)?.ok_or(Reason::InvalidClaims));
    let business = business.transpose()?.unwrap_or_default();
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
        role: claims.text(&profile.role)?.map(Box::from),
        scopes: claims.words(&profile.scopes)?,
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
    fn registered(&self, name: &str, optional: Optional) -> Result<Option<&Value>, Reason> {
        match self.claims.get(name) {
            None if !self.profile.lets_absent(optional) => Err(Reason::InvalidClaims),
            found => Ok(found),
        }
    }

    /// A text that is not empty, or nothing at all.
    fn text(&self, name: &str) -> Result<Option<&str>, Reason> {
        self.claims.get(name).map(text).transpose()
    }

    /// Words between spaces, or a list of them.
    fn words(&self, name: &str) -> Result<Vec<Box<str>>, Reason> {
        match self.claims.get(name) {
            None => Ok(vec![]),
            Some(Value::Array(items)) => items.iter().map(|item| text(item).map(Box::from)).collect(),
            Some(words) => Ok(text(words)?.split_whitespace().map(Box::from).collect()),
        }
    }
}

/// Another type, or an empty text, never counts as absent.
fn text(value: &Value) -> Result<&str, Reason> {
    value.as_str().filter(|text| !text.is_empty()).ok_or(Reason::InvalidClaims)
}

fn instant(value: &Value, format: InstantFormat) -> Result<Timestamp, Reason> {
    match format {
        // A whole number, as the `exp` of any other token.
        InstantFormat::Seconds => {
            let seconds = value.as_i64().filter(|seconds| *seconds >= 0);
            seconds.map(Timestamp::from_secs).ok_or(Reason::InvalidClaims)
        }
        InstantFormat::Milliseconds => {
            let millis = value.as_i64().filter(|millis| *millis >= 0);
            millis.map(Timestamp::from_millis).ok_or(Reason::InvalidClaims)
        }
        InstantFormat::Rfc3339 => {
            let text = text(value)?;
            let millis = text.parse().map(|instant: jiff::Timestamp| instant.as_millisecond()).ok();
            millis.or_else(|| last_days(text)).map(Timestamp::from_millis).ok_or(Reason::InvalidClaims)
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
