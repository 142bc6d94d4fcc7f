//! An old system that is asked about one of its own tokens: how the token is put, and what its answer says. Only
//! positive evidence is a yes: the status, JSON by its own word, and the member that names the account.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    evidence::{OldAnswer, Unclear, is_html},
    syntax::Syntax,
};
use crate::{
    domain::{AccountName, Secret, Timestamp, json, secret::SecretBytes},
    rules::contract::{MemberPath, TokenPlace, is_json},
};

/// Octets of a name that an answer tells, at most.
const NAME_BYTES_MAX: usize = 256;

/// How an old system is asked about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenQuestion {
    /// The method.
    pub method: Method,
    /// Where the token stands.
    pub place: TokenPlace,
    /// Which tokens are worth a question.
    pub syntax: Syntax,
    /// The asking client: the `Authorization` of a client of an authorization server (RFC 7662 section 2.1), complete.
    pub authorization: Option<HeaderValue>,
}

/// What counts as a yes and as a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEvidence {
    /// The status of a yes; default 200.
    pub status: StatusCode,
    /// The member with the name of the account that the token is for.
    pub name: MemberPath,
    /// The member with its business.
    pub business: Option<MemberPath>,
    /// The member that is `true` while the token holds, and `false` where it does not.
    pub active: Option<MemberPath>,
    /// The member with the token's end: Unix seconds, or RFC 3339.
    pub expires: Option<MemberPath>,
    /// The statuses that are a no; default 401.
    pub refusals: Vec<StatusCode>,
}

/// What a yes tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// The account that the token is for.
    pub name: AccountName,
    /// When it ends; `None` where the answer does not say.
    pub expires_at: Option<Timestamp>,
}

/// What an answer says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// It holds.
    Yes(TokenFacts),
    /// It holds, and an authorization server says this of it.
    Active(Map<String, Value>),
    /// It does not.
    No,
    /// Nothing that counts.
    Unclear(Unclear),
}

impl TokenQuestion {
    /// The fields and the body that ask about a token; `None` where it cannot stand in its place.
    #[must_use]
    pub fn put(&self, token: &Secret) -> Option<(HeaderMap, SecretBytes)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut insert = |name: HeaderName, text: String| {
            let mut value = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Some(vec![])
        };
        let body = match &self.place {
            TokenPlace::Bearer => insert(header::AUTHORIZATION, format!("Bearer {}", token.expose()))?,
            TokenPlace::Header(name) => insert(name.clone(), token.expose().to_owned())?,
            TokenPlace::Json(member) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                serde_json::to_vec(&json!({ member: token.expose() })).ok()?
            }
            TokenPlace::Form(field) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.append_pair(field, token.expose());
                if self.authorization.is_some() {
                    form.append_pair("token_type_hint", "access_token");
                }
                form.finish().into_bytes()
            }
        };
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        Some((headers, SecretBytes::new(body)))
    }
}

impl TokenEvidence {
    /// What `answer` says of a token at this time.
    #[must_use]
    pub fn judge(&self, answer: &OldAnswer<'_>, now: Timestamp) -> TokenVerdict {
        if answer.status.is_redirection() {
            return TokenVerdict::Unclear(Unclear::Redirect);
        }
        if answer.status != self.status {
            if !self.refusals.contains(&answer.status) {
                return TokenVerdict::Unclear(Unclear::Status);
            }
            // A page for people is a proxy's word.
            let is_page = answer.content_type.is_some_and(is_html);
            return if is_page { TokenVerdict::Unclear(Unclear::MediaType) } else { TokenVerdict::No };
        }
        if answer.encoded || !answer.content_type.is_some_and(is_json) {
            return TokenVerdict::Unclear(Unclear::MediaType);
        }
        match json::parse_object(answer.body) {
            Ok(body) => self.read(&body, now),
            Err(_) => TokenVerdict::Unclear(Unclear::NotJson),
        }
    }

    fn read(&self, body: &Map<String, Value>, now: Timestamp) -> TokenVerdict {
        if let Some(active) = &self.active {
            match active.find(body) {
                Some(Value::Bool(true)) => {}
                Some(Value::Bool(false)) => return TokenVerdict::No,
                _ => return TokenVerdict::Unclear(Unclear::NoToken),
            }
        }
        let word = |path: &MemberPath| {
            let text = path.find(body)?.as_str()?;
            (1..=NAME_BYTES_MAX).contains(&text.len()).then(|| text.to_owned())
        };
        let business = match &self.business {
            Some(path) => word(path),
            None => Some(String::new()),
        };
        let (Some(name), Some(business)) = (word(&self.name), business) else {
            return TokenVerdict::Unclear(Unclear::NoToken);
        };
        let expires_at = match self.expires.as_ref().and_then(|path| path.find(body)) {
            None | Some(Value::Null) => None,
            Some(end) => match read_end(end) {
                Some(end) => Some(end),
                None => return TokenVerdict::Unclear(Unclear::NoToken),
            },
        };
        if expires_at.is_some_and(|end| end <= now) {
            return TokenVerdict::No;
        }
        TokenVerdict::Yes(TokenFacts { name: AccountName { business, name }, expires_at })
    }
}

fn read_end(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(seconds) => seconds.as_i64().map(Timestamp::from_secs),
        Value::String(text) => {
            text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp::from_millis(at.as_millisecond()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn evidence() -> TokenEvidence {
        let path = |text: &str| text.parse::<MemberPath>().unwrap();
        TokenEvidence {
            status: StatusCode::OK,
            name: path("user.name"),
            business: None,
            active: Some(path("active")),
            expires: Some(path("exp")),
            refusals: vec![StatusCode::UNAUTHORIZED],
        }
    }

    fn judge(status: u16, content_type: &str, body: &str) -> TokenVerdict {
        let answer = OldAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: Some(content_type.as_bytes()),
            encoded: false,
            body: body.as_bytes(),
        };
        evidence().judge(&answer, NOW)
    }

    fn json(body: &str) -> TokenVerdict {
        judge(200, "application/json", body)
    }

    #[test]
    fn a_yes_names_the_account_and_says_until_when() {
        let yes = |expires_at| {
            TokenVerdict::Yes(TokenFacts {
                name: AccountName { business: String::new(), name: "ana".into() },
                expires_at,
            })
        };
        let end = Some(Timestamp::from_secs(1_000_060));
        for (exp, expires_at) in [("1000060", end), ("\"1970-01-12T13:47:40Z\"", end), ("null", None)] {
            assert_eq!(json(&format!(r#"{{"active":true,"user":{{"name":"ana"}},"exp":{exp}}}"#)), yes(expires_at));
        }
        assert_eq!(json(r#"{"active":true,"user":{"name":"ana"}}"#), yes(None));
    }

    #[test]
    fn nothing_else_is_a_yes() {
        let yes = r#"{"active":true,"user":{"name":"ana"},"exp":1000060}"#;
        for (said, body) in [
            (TokenVerdict::No, r#"{"active":false}"#),
            (TokenVerdict::No, r#"{"active":true,"user":{"name":"ana"},"exp":1000000}"#),
            (TokenVerdict::Unclear(Unclear::NoToken), r#"{"active":"true","user":{"name":"ana"}}"#),
            (TokenVerdict::Unclear(Unclear::NoToken), r#"{"user":{"name":"ana"}}"#),
            (TokenVerdict::Unclear(Unclear::NoToken), r#"{"active":true,"user":{"name":""}}"#),
            (TokenVerdict::Unclear(Unclear::NoToken), r#"{"active":true,"user":{"name":1}}"#),
            (TokenVerdict::Unclear(Unclear::NoToken), r#"{"active":true,"user":{"name":"ana"},"exp":"soon"}"#),
            (TokenVerdict::Unclear(Unclear::NotJson), r#"{"active":true,"active":true,"user":{"name":"ana"}}"#),
            (TokenVerdict::Unclear(Unclear::NotJson), "<html>"),
        ] {
            assert_eq!(json(body), said, "{body}");
        }
        for status in [201, 204, 302, 403, 404, 500] {
            assert!(matches!(judge(status, "application/json", yes), TokenVerdict::Unclear(_)), "{status}");
        }
        assert_eq!(judge(200, "text/html", yes), TokenVerdict::Unclear(Unclear::MediaType));
        assert_eq!(judge(401, "text/html", "<p>"), TokenVerdict::Unclear(Unclear::MediaType));
        assert_eq!(judge(401, "application/json", "{}"), TokenVerdict::No);
        for length in 0..yes.len() {
            assert_eq!(json(&yes[..length]), TokenVerdict::Unclear(Unclear::NotJson), "cut off at {length}");
        }
    }

    #[test]
    fn a_token_stands_where_it_shall_and_nowhere_else() {
        let put = |place| {
            let question =
                TokenQuestion { method: Method::POST, place, syntax: Syntax::default(), authorization: None };
            question.put(&"a&b\"".into()).unwrap()
        };
        let (headers, body) = put(TokenPlace::Bearer);
        assert_eq!((headers[header::AUTHORIZATION].as_bytes(), body.expose()), (&b"Bearer a&b\""[..], &b""[..]));
        assert!(headers[header::AUTHORIZATION].is_sensitive());
        let (headers, _) = put(TokenPlace::Header(HeaderName::from_static("x-token")));
        assert_eq!(headers["x-token"].as_bytes(), b"a&b\"");
        assert_eq!(put(TokenPlace::Json("token".into())).1.expose(), br#"{"token":"a&b\""}"#);
        assert_eq!(put(TokenPlace::Form("token".into())).1.expose(), b"token=a%26b%22");
        let question = TokenQuestion {
            method: Method::GET,
            place: TokenPlace::Bearer,
            syntax: Syntax::default(),
            authorization: None,
        };
        assert!(question.put(&"a\nb".into()).is_none());
    }
}
