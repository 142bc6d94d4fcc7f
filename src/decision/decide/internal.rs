//! Internal tokens: what an upstream receives instead of the client's token, where its route says
//! `forward_token = "internal"`. A short-lived JWT that the upstream checks against the gateway's set of
//! internal keys, and that opens nothing at the front: those keys are not known there.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use serde_json::{Map, Value, json};

use super::live_state::View;
use crate::{
    domain::{Claims, RealmName, Reason, Timestamp, id::TokenId},
    rules::issuer::Issuer,
    state::token::{InternalToken, Verified},
};

/// `typ` of internal tokens: none of the types that the front takes.
pub const INTERNAL_TYPE: &str = "portero-internal+jwt";

/// How long an internal token lives, at most; never longer than the token it stands for.
pub const INTERNAL_LIFETIME: Duration = Duration::from_secs(60);

/// How long one is handed out again, at least: also when the client's token is about to end.
const REUSED_MIN: Duration = Duration::from_secs(1);

impl View<'_> {
    /// The `Authorization` for `upstream`, on behalf of whom `verified` speaks for: the last one that was
    /// minted, or a new one. An Ed25519 signature costs about as much as checking one.
    ///
    /// # Errors
    /// [`Reason::Unavailable`] when there is no key to sign with: nothing is forwarded then. [`Reason::Expired`] when
    /// the client's token has ended and only the leeway lets it pass: what would be minted for it has ended too.
    pub fn internal_token(
        &self,
        verified: &Verified,
        upstream: &Arc<str>,
        now: Timestamp,
    ) -> Result<HeaderValue, Reason> {
        let snapshot = self.snapshot();
        let issuer = snapshot.internal_issuer.as_deref().ok_or(Reason::Unavailable)?;
        let key = snapshot.keys.active(&RealmName::internal()).ok_or(Reason::Unavailable)?;
        if let Some(token) = verified.internal_token(upstream)
            && token.key.is(key)
            && now < token.renew_at
        {
            return Ok(token.authorization.clone());
        }
        let claims = &verified.claims;
        let end = now.plus(INTERNAL_LIFETIME);
        let end = claims.expires_at.map_or(end, |original| end.min(original));
        // As `exp` has it: whole seconds.
        let end = Timestamp::from_secs(end.as_secs());
        if end <= now {
            return Err(Reason::Expired);
        }
        let mut payload = payload(issuer, upstream, claims, verified.issuer.issuer(), now, end);
        if let Issuer::External(external) = &verified.issuer {
            let chosen = external.claims.headers.claims(&claims.extra);
            if !chosen.is_empty() {
                payload.insert("claims".to_owned(), Value::Object(chosen));
            }
        }
        let token = key.sign(INTERNAL_TYPE, &payload).map_err(|error| {
            tracing::error!(%error, "an internal token could not be minted");
            Reason::Unavailable
        })?;
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| Reason::Internal)?;
        authorization.set_sensitive(true);
        verified.remember_internal_token(InternalToken {
            upstream: Arc::clone(upstream),
            key: Arc::clone(key),
            // In its first half, so that what the upstream receives lives for a while.
            renew_at: now.plus((end.since(now) / 2).max(REUSED_MIN)).min(end),
            authorization: authorization.clone(),
        });
        Ok(authorization)
    }
}

/// The claims of an internal token: RFC 7519's, and who the client's token spoke for.
fn payload(
    issuer: &str,
    upstream: &str,
    claims: &Claims,
    original_issuer: &str,
    now: Timestamp,
    end: Timestamp,
) -> Map<String, Value> {
    let mut payload = Map::new();
    let mut put = |name: &str, value: Value| payload.insert(name.to_owned(), value);
    put("iss", json!(issuer));
    put("aud", json!(upstream));
    if let Some(subject) = claims.subject.identity() {
        put("sub", json!(subject));
    }
    put("jti", json!(TokenId::generate().to_string()));
    put("iat", json!(now.as_secs()));
    put("nbf", json!(now.as_secs()));
    put("exp", json!(end.as_secs()));
    put("original_iss", json!(original_issuer));
    if let Some(session) = claims.session {
        put("sid", json!(session.to_string()));
    }
    if let Some(kind) = claims.principal {
        put("kind", json!(kind.name()));
    }
    if !claims.name.is_empty() {
        put("name", json!(claims.name));
    }
    if let Some(id) = claims.legacy_id {
        put("legacy_id", json!(id));
    }
    if let Some(role) = claims.roles.only() {
        put("role", json!(role));
    } else if !claims.roles.is_empty() {
        put("roles", json!(claims.roles.iter().collect::<Vec<_>>()));
    }
    if let Some(scopes) = claims.scope_text() {
        put("scope", json!(scopes));
    }
    if let Some(organization) = &claims.organization {
        put("org", json!(organization));
    }
    payload
}
