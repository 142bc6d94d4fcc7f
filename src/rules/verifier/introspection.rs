//! What an authorization server's answer to an introspection request says (RFC 7662). Only positive evidence is a yes:
//! JSON by its own word, `active` that is `true`, and every claim of an access token that is there as it must be.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};

use super::{
    evidence::{OldAnswer, Unclear},
    token::{TokenEvidence, TokenVerdict},
};
use crate::{
    domain::{Claims, RevocationId, Timestamp, TokenKind, TokenSubject, json::parse_object},
    rules::{
        claim::{ClaimPath, Said},
        contract::is_json,
        issuer::ExternalIssuer,
        profile::ClaimMapping,
    },
};

/// How an answer about a token is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRules {
    /// It names an account of ours.
    Account(TokenEvidence),
    /// It is an authorization server's, about a token of its own.
    Introspection(Box<Introspection>),
}

impl TokenRules {
    /// What `answer` says of a token at this time.
    #[must_use]
    pub fn judge(&self, answer: &OldAnswer<'_>, now: Timestamp) -> TokenVerdict {
        match self {
            Self::Account(evidence) => evidence.judge(answer, now),
            Self::Introspection(introspection) => introspection.judge(answer, now),
        }
    }
}

/// How an issuer's answers are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    /// Whose tokens they are about.
    pub issuer: ExternalIssuer,
    /// Whether an answer without an audience is refused: the config names one.
    pub asks_for_audience: bool,
}

impl Introspection {
    /// What `answer` says of a token at this time.
    #[must_use]
    pub fn judge(&self, answer: &OldAnswer<'_>, now: Timestamp) -> TokenVerdict {
        if answer.status.is_redirection() {
            return TokenVerdict::Unclear(Unclear::Redirect);
        }
        // A refusal of ours, such as 401, is about our own secret, and says nothing of the token.
        if answer.status != StatusCode::OK {
            return TokenVerdict::Unclear(Unclear::Status);
        }
        if answer.encoded || !answer.content_type.is_some_and(is_json) {
            return TokenVerdict::Unclear(Unclear::MediaType);
        }
        let Ok(said) = parse_object(answer.body) else { return TokenVerdict::Unclear(Unclear::NotJson) };
        match said.get("active") {
            Some(Value::Bool(true)) if self.holds(&said, now) => TokenVerdict::Active(said),
            Some(Value::Bool(_)) => TokenVerdict::No,
            _ => TokenVerdict::Unclear(Unclear::NoToken),
        }
    }

    /// Whether an active token is an access token of this issuer's, for us and for now.
    fn holds(&self, said: &Map<String, Value>, now: Timestamp) -> bool {
        let is = |member: &str, words: &[&str]| {
            said.get(member).is_none_or(|value| {
                value.as_str().is_some_and(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)))
            })
        };
        // A token that is bound to a key (RFC 7800) is no bearer token, and opens nothing without its proof.
        let is_bearer = is("token_type", &["Bearer"]) && !said.contains_key("cnf");
        let is_access = is("token_use", &["access", "access_token"]) && is("typ", &["Bearer", "at+jwt", "JWT"]);
        let leeway = self.issuer.leeway;
        let audience = match ClaimMapping::said(&self.issuer.claims.audience, said) {
            Said::Nothing => !self.asks_for_audience,
            audience => audience.all().iter().any(|named| self.issuer.audiences.iter().any(|own| own == named)),
        };
        is_bearer
            && is_access
            && audience
            && said.get("iss").is_none_or(|issuer| issuer.as_str() == Some(&*self.issuer.issuer))
            && instant(said, "exp").is_some_and(|end| end.is_none_or(|end| now < end.plus(leeway)))
            && instant(said, "nbf").is_some_and(|start| start.is_none_or(|start| start <= now.plus(leeway)))
            && instant(said, "iat").is_some()
            && self.issuer.claims.subject(said).is_ok()
    }

    /// The claims of an active token, whose text is `token`.
    #[must_use]
    pub fn claims(&self, said: Map<String, Value>, token: &str) -> Option<Claims> {
        let (mapping, name) = (&self.issuer.claims, &self.issuer.name);
        let texts = |paths: &[ClaimPath]| ClaimMapping::said(paths, &said);
        let id = said.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty());
        let not_before = instant(&said, "nbf")?;
        Some(Claims {
            realm: name.clone(),
            kind: TokenKind::Access,
            subject: TokenSubject::External(mapping.subject(&said).ok()?.into()),
            principal: None,
            session: None,
            revocation_id: match id {
                Some(id) => RevocationId::of_token_id(name, id),
                None => RevocationId::of_signed_part(name, token.as_bytes()),
            },
            epoch: 0,
            issued_at: instant(&said, "iat")?.or(not_before).unwrap_or(Timestamp::from_secs(0)),
            not_before: not_before.unwrap_or(Timestamp::from_secs(0)),
            expires_at: instant(&said, "exp")?,
            name: texts(&mapping.name).one().unwrap_or_default().into(),
            legacy_id: None,
            roles: texts(&mapping.role).all().into_iter().collect(),
            scopes: texts(&mapping.scopes).words().into_iter().map(Box::from).collect(),
            organization: texts(&mapping.organization).one().map(Box::from),
            extra: said,
        })
    }
}

/// How long an answer counts: from the question on, and never past the token's own end.
#[must_use]
pub fn believed_until(asked_at: Timestamp, max_age: Duration, end: Option<Timestamp>) -> Timestamp {
    let until = asked_at.plus(max_age);
    end.map_or(until, |end| end.min(until))
}

/// A number of whole seconds since 1970, or nothing at all; `None` for anything else.
#[expect(clippy::option_option, reason = "absent and wrong are two things")]
fn instant(said: &Map<String, Value>, member: &str) -> Option<Option<Timestamp>> {
    match said.get(member) {
        None => Some(None),
        Some(value) => value.as_i64().filter(|seconds| *seconds >= 0).map(Timestamp::from_secs).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_768_564_800);

    fn introspection() -> Introspection {
        let issuer = ExternalIssuer {
            name: "corp".parse().unwrap(),
            issuer: "https://i".into(),
            audiences: vec!["api".into()],
            leeway: Duration::ZERO,
            claims: ClaimMapping::default(),
            is_asked: true,
        };
        Introspection { issuer, asks_for_audience: false }
    }

    fn judge(body: &str, media_type: Option<&str>, status: u16) -> TokenVerdict {
        let answer = OldAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: media_type.map(str::as_bytes),
            encoded: false,
            body: body.as_bytes(),
        };
        introspection().judge(&answer, NOW)
    }

    fn said(more: Value) -> TokenVerdict {
        let mut body = json!({"active": true, "sub": "u1", "scope": "read write", "exp": NOW.as_secs() + 60});
        let Value::Object(more) = more else { unreachable!() };
        body.as_object_mut().unwrap().extend(more);
        judge(&body.to_string(), Some("application/json"), 200)
    }

    #[test]
    fn active_that_is_true_is_a_yes_and_nothing_else() {
        let TokenVerdict::Active(body) = said(json!({})) else { panic!("it is active") };
        let claims = introspection().claims(body, "token").unwrap();
        assert_eq!(claims.subject, TokenSubject::External("u1".into()));
        assert_eq!(claims.scopes, ["read".into(), "write".into()]);
        assert_eq!(claims.expires_at, Some(NOW.plus(Duration::from_secs(60))));
        assert_eq!(said(json!({"active": false})), TokenVerdict::No);
        for active in [json!("true"), json!(1), json!(null), json!([true]), json!({})] {
            assert_eq!(said(json!({"active": active})), TokenVerdict::Unclear(Unclear::NoToken), "{active}");
        }
        let good = r#"{"active":true,"sub":"u1"}"#;
        let json = Some("application/json");
        assert!(matches!(judge(good, json, 200), TokenVerdict::Active(_)));
        for (body, media_type, status, why) in [
            (good, json, 302, Unclear::Redirect),
            (good, json, 401, Unclear::Status),
            (good, json, 201, Unclear::Status),
            (good, json, 500, Unclear::Status),
            (good, None, 200, Unclear::MediaType),
            (good, Some("text/html"), 200, Unclear::MediaType),
            ("<html>", json, 200, Unclear::NotJson),
            (r#"{"active":false,"active":true,"sub":"u1"}"#, json, 200, Unclear::NotJson),
            (r#"{"sub":"u1"}"#, json, 200, Unclear::NoToken),
        ] {
            assert_eq!(judge(body, media_type, status), TokenVerdict::Unclear(why), "{body} {media_type:?} {status}");
        }
    }

    #[test]
    fn an_active_token_for_somebody_else_is_none() {
        for more in [
            json!({"iss": "https://j"}),
            json!({"iss": null}),
            json!({"aud": "other"}),
            json!({"aud": ["other"]}),
            json!({"aud": 7}),
            json!({"exp": NOW.as_secs()}),
            json!({"exp": "soon"}),
            json!({"exp": null}),
            json!({"nbf": NOW.as_secs() + 1}),
            json!({"nbf": 1.5}),
            json!({"sub": ""}),
            json!({"sub": ["u1"]}),
            json!({"sub": "u1 "}),
            json!({"token_type": "DPoP"}),
            json!({"cnf": {"jkt": "x"}}),
            json!({"token_use": "refresh_token"}),
            json!({"typ": "Refresh"}),
        ] {
            assert_eq!(said(more.clone()), TokenVerdict::No, "{more}");
        }
        for more in [
            json!({"iss": "https://i"}),
            json!({"aud": ["other", "api"]}),
            json!({"token_type": "bearer"}),
            json!({"token_use": "access_token"}),
            json!({"nbf": NOW.as_secs()}),
        ] {
            assert!(matches!(said(more.clone()), TokenVerdict::Active(_)), "{more}");
        }
        let strict = Introspection { asks_for_audience: true, ..introspection() };
        let Value::Object(body) = json!({"sub": "u1"}) else { unreachable!() };
        assert!(!strict.holds(&body, NOW) && introspection().holds(&body, NOW));
    }

    #[test]
    fn an_answer_counts_no_longer_than_its_token() {
        let age = Duration::from_secs(30);
        assert_eq!(believed_until(NOW, age, None), NOW.plus(age));
        assert_eq!(believed_until(NOW, age, Some(NOW.plus(Duration::from_secs(5)))), NOW.plus(Duration::from_secs(5)));
        assert_eq!(believed_until(NOW, age, Some(NOW.plus(2 * age))), NOW.plus(age));
    }
}
