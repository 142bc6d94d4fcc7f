//! JWTs (RFC 7519), read strictly as RFC 8725 asks: exactly three parts in strict base64url, no
//! repeated members, one algorithm a key, `typ`, no critical extensions, and every registered claim
//! present with its type. Signing is jsonwebtoken's; reading is ours, because jsonwebtoken counts a
//! missing `aud` or `iss` as fine and does not enforce `crit`.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{NewToken, Realms};
use crate::{
    domain::{
        Algorithm, Claims, KeyId, PrincipalId, Reason, RevocationId, SessionId, Timestamp, TokenKind, id::TokenId,
    },
    rules::{
        dialect::{Dialect, json::parse_object},
        realm::Realm,
    },
    state::keys::{Key, KeyState, Keyring},
};

/// The claims of a new token, in the order in which they are written.
pub(super) fn payload(realm: &Realm, token: &NewToken<'_>) -> Map<String, Value> {
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

fn organization(holder: &crate::rules::dialect::Holder) -> Option<&str> {
    let business = (!holder.name.business.is_empty()).then_some(holder.name.business.as_str());
    holder.company.as_deref().or(business)
}

/// Opens a JWT.
pub(super) fn open(token: &str, keys: &Keyring, realms: &Realms) -> Result<(Claims, KeyId), Reason> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Reason::MalformedToken)?;
    let (header, payload) = signed.split_once('.').ok_or(Reason::MalformedToken)?;
    if payload.contains('.') {
        return Err(Reason::MalformedToken);
    }
    let header = decode_object(header)?;
    let key = select_key(&header, keys)?;
    let realm = realms.get(&key.realm).ok_or(Reason::UnknownKey)?;
    if !is_of_type(&header, realm.dialect) {
        return Err(Reason::UnsupportedHeader);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Reason::MalformedToken)?;
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(Reason::InvalidSignature);
    }
    Ok((read_claims(decode_object(payload)?, realm)?, key.id.clone()))
}

fn decode_object(part: &str) -> Result<Map<String, Value>, Reason> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::MalformedToken)?;
    // `parse_object` skips a byte order mark, as clients put it in front of bodies. RFC 8259 section
    // 8.1 forbids to write one, and other readers of JWTs stumble over it.
    if bytes.starts_with("\u{feff}".as_bytes()) {
        return Err(Reason::MalformedToken);
    }
    parse_object(&bytes).map_err(|_| Reason::MalformedToken)
}

/// The key that the header names, if the header asks for nothing that we do not understand.
/// `jwk`, `jku`, `x5u` and `x5c` are never looked at.
fn select_key<'k>(header: &Map<String, Value>, keys: &'k Keyring) -> Result<&'k Key, Reason> {
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Reason::UnsupportedHeader);
    }
    if !Dialect::ALL.into_iter().any(|dialect| is_of_type(header, dialect)) {
        return Err(Reason::UnsupportedHeader);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Reason::MalformedToken)?;
    let id = header.get("kid").and_then(Value::as_str).ok_or(Reason::UnknownKey)?;
    let key = keys.get(id).ok_or(Reason::UnknownKey)?;
    if Algorithm::from_str(algorithm).ok() != Some(key.algorithm) || !key.algorithm.is_jwt() {
        return Err(Reason::WrongAlgorithm);
    }
    if key.state == KeyState::Revoked {
        return Err(Reason::KeyRevoked);
    }
    Ok(key)
}

/// Whether the header's `typ` is the one of the dialect's tokens (RFC 8725 section 3.11).
fn is_of_type(header: &Map<String, Value>, dialect: Dialect) -> bool {
    header.get("typ").and_then(Value::as_str).is_some_and(|typ| typ.eq_ignore_ascii_case(dialect.token_type()))
}

fn read_claims(mut claims: Map<String, Value>, realm: &Realm) -> Result<Claims, Reason> {
    if take_text(&mut claims, "iss")? != realm.issuer {
        return Err(Reason::WrongIssuer);
    }
    if !takes_audience(claims.remove("aud"), &realm.audience)? {
        return Err(Reason::WrongAudience);
    }
    let expires_at = match claims.remove("exp") {
        Some(end) => Some(instant(&end)?),
        None if realm.dialect == Dialect::Toc && realm.wire.allow_non_expiring => None,
        None => return Err(Reason::InvalidClaims),
    };
    let kind = take_text(&mut claims, "token_use")?;
    let kinds = [TokenKind::Access, TokenKind::Content, TokenKind::Refresh];
    Ok(Claims {
        realm: realm.name.clone(),
        kind: kinds.into_iter().find(|known| known.name() == kind).ok_or(Reason::InvalidClaims)?,
        subject: parse::<PrincipalId>(&take_text(&mut claims, "sub")?)?,
        principal: realm.dialect.principal_kind(),
        session: Some(parse::<SessionId>(&take_text(&mut claims, "sid")?)?),
        revocation_id: RevocationId::of_token_id(&realm.name, &take_text(&mut claims, "jti")?),
        epoch: take_number(&mut claims, "epoch")?.try_into().map_err(|_| Reason::InvalidClaims)?,
        issued_at: instant(&take(&mut claims, "iat")?)?,
        not_before: instant(&take(&mut claims, "nbf")?)?,
        expires_at,
        name: take_text(&mut claims, "name")?.into(),
        legacy_id: claims.contains_key("legacy_id").then(|| take_number(&mut claims, "legacy_id")).transpose()?,
        role: take_optional_text(&mut claims, "role")?,
        scopes: take_optional_text(&mut claims, "scope")?
            .map(|scopes| scopes.split(' ').map(Box::from).collect())
            .unwrap_or_default(),
        organization: take_optional_text(&mut claims, "org")?,
        extra: claims,
    })
}

fn take(claims: &mut Map<String, Value>, name: &str) -> Result<Value, Reason> {
    claims.shift_remove(name).ok_or(Reason::InvalidClaims)
}

fn take_text(claims: &mut Map<String, Value>, name: &str) -> Result<String, Reason> {
    match take(claims, name)? {
        Value::String(text) if !text.is_empty() => Ok(text),
        _ => Err(Reason::InvalidClaims),
    }
}

fn take_optional_text(claims: &mut Map<String, Value>, name: &str) -> Result<Option<Box<str>>, Reason> {
    claims.contains_key(name).then(|| take_text(claims, name).map(Into::into)).transpose()
}

fn take_number(claims: &mut Map<String, Value>, name: &str) -> Result<i64, Reason> {
    take(claims, name)?.as_i64().ok_or(Reason::InvalidClaims)
}

/// A `NumericDate` (RFC 7519 section 2): a number, with or without a fraction. No token is from
/// before 1970, so a negative one is a defect of its issuer's, and no date.
fn instant(value: &Value) -> Result<Timestamp, Reason> {
    /// Seconds, about 285,000 years: beyond it a float no longer stands for one instant.
    const SECONDS_MAX: f64 = 9e12;
    match (value.as_i64(), value.as_f64()) {
        (Some(seconds @ 0..), _) => Ok(Timestamp::from_secs(seconds)),
        #[expect(clippy::cast_possible_truncation, reason = "the bound keeps the value inside i64")]
        (None, Some(seconds)) if (0.0..SECONDS_MAX).contains(&seconds) => {
            Ok(Timestamp::from_millis((seconds * 1000.0).floor() as i64))
        }
        _ => Err(Reason::InvalidClaims),
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, Reason> {
    text.parse().map_err(|_| Reason::InvalidClaims)
}

/// RFC 7519 section 4.1.3: one audience, or a list of them.
fn takes_audience(audience: Option<Value>, own: &str) -> Result<bool, Reason> {
    match audience {
        Some(Value::String(audience)) => Ok(audience == own),
        Some(Value::Array(audiences)) if audiences.iter().all(Value::is_string) => {
            Ok(audiences.iter().any(|audience| audience == own))
        }
        _ => Err(Reason::InvalidClaims),
    }
}
