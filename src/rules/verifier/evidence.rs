//! What an old system's answer says. Only positive evidence is a yes: the status and the media type of the contract,
//! and the token in the member where the contract has it. Some systems answer errors with 200.

use http::StatusCode;
use serde_json::{Map, Value};

use super::facts::Facts;
use crate::{
    domain::{AccountName, json},
    rules::contract::{Meant, MemberPath, OldSystem, OldToken, Refusal, is_json},
};

/// Octets of a token, at most.
const TOKEN_BYTES_MAX: usize = 8192;

/// An answer as it was read, complete.
#[derive(Clone, Copy, Debug)]
pub struct OldAnswer<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its `Content-Type`; `None` where it has none, or several.
    pub content_type: Option<&'a [u8]>,
    /// Whether it has a `Content-Encoding`: what it says cannot be read then.
    pub encoded: bool,
    /// Its body.
    pub body: &'a [u8],
}

/// What counts as a yes and as a no, where the config says other than the realm's contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The status of a yes.
    pub status: Option<StatusCode>,
    /// Where the token stands.
    pub token: Option<MemberPath>,
    /// The statuses that are a no, beside what the contract's errors say.
    pub refusals: Option<Vec<StatusCode>>,
}

/// What an answer says of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The name has this secret.
    Yes(Box<Facts>),
    /// It has not, or may not log in.
    No(Refusal),
    /// Nothing that counts.
    Unclear(Unclear),
}

/// Why an answer says nothing that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// It leads elsewhere.
    Redirect,
    /// Its status is neither that of a yes nor that of a no.
    Status,
    /// It is no JSON by its own word, or it is encoded.
    MediaType,
    /// It is no JSON, or a member of it is repeated.
    NotJson,
    /// The token is missing, empty or no token.
    NoToken,
    /// It bears a token and an error.
    Contradiction,
}

impl Unclear {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::MediaType => "media_type",
            Self::NotJson => "not_json",
            Self::NoToken => "no_token",
            Self::Contradiction => "contradiction",
        }
    }
}

impl Evidence {
    /// What `answer` says of a login of `asked`, in the words of the contract's old system.
    #[must_use]
    pub fn judge(&self, old: Option<&OldSystem>, asked: &AccountName, answer: &OldAnswer<'_>) -> Verdict {
        if answer.status.is_redirection() {
            return Verdict::Unclear(Unclear::Redirect);
        }
        let announced = answer.content_type.is_some_and(is_json) && !answer.encoded;
        let of_yes = self.status.or(old.map(|old| old.status)).unwrap_or(StatusCode::OK);
        if answer.status == of_yes {
            let media_type = old.and_then(|old| old.media_type.as_deref());
            if !announced || media_type.is_some_and(|media_type| !has_essence(answer.content_type, media_type)) {
                return Verdict::Unclear(Unclear::MediaType);
            }
            return match (&self.token, old.map(|old| &old.token)) {
                (Some(path), _) | (None, Some(OldToken::Member(path))) => read_object(old, path, asked, answer),
                (None, Some(OldToken::Body)) => read_bare(old, asked, answer.body),
                (None, None) => Verdict::Unclear(Unclear::NoToken),
            };
        }
        let worded = old.is_some_and(|old| old.words_errors_of(answer.status));
        let told = (worded && announced).then(|| self.read_error(old, answer)).flatten();
        if let Some(told) = told {
            return told;
        }
        if !self.is_refusal(old, answer.status) {
            return Verdict::Unclear(Unclear::Status);
        }
        // A page for people is a proxy's word, and no system's with such a contract.
        if answer.content_type.is_some_and(is_html) {
            return Verdict::Unclear(Unclear::MediaType);
        }
        self.read_error(old, answer).unwrap_or(Verdict::No(Refusal::Credentials))
    }

    fn is_refusal(&self, old: Option<&OldSystem>, status: StatusCode) -> bool {
        match self.refusals.as_ref().or(old.map(|old| &old.refusals)) {
            Some(refusals) => refusals.contains(&status),
            None => status == StatusCode::UNAUTHORIZED,
        }
    }

    /// What an error's members say; `None` where they say nothing.
    fn read_error(&self, old: Option<&OldSystem>, answer: &OldAnswer<'_>) -> Option<Verdict> {
        let body = json::parse_object(answer.body).ok()?;
        meant(old?.error(answer.status, self.is_refusal(old, answer.status), &body)?)
    }
}

/// A yes's object, or a refusal that the contract sends with the same status.
fn read_object(old: Option<&OldSystem>, path: &MemberPath, asked: &AccountName, answer: &OldAnswer<'_>) -> Verdict {
    let Ok(body) = json::parse_object(answer.body) else { return Verdict::Unclear(Unclear::NotJson) };
    let token = path.find(&body).and_then(Value::as_str).filter(|token| is_token(token));
    let refused = old.and_then(|old| old.error(answer.status, true, &body)).and_then(meant);
    match (token, refused) {
        (Some(token), None) => Verdict::Yes(Box::new(Facts::of(old, asked, &body, token))),
        (Some(_), Some(_)) => Verdict::Unclear(Unclear::Contradiction),
        (None, Some(refused)) => refused,
        (None, None) => Verdict::Unclear(Unclear::NoToken),
    }
}

/// A body that is the token, as a JSON string. A text could stand there too, so it has to be a JWT.
fn read_bare(old: Option<&OldSystem>, asked: &AccountName, body: &[u8]) -> Verdict {
    let Ok(token) = serde_json::from_slice::<String>(body) else { return Verdict::Unclear(Unclear::NotJson) };
    let parts: Vec<_> = token.split('.').collect();
    let of_base64url =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_token(&token) && parts.len() == 3 && parts.iter().all(of_base64url) {
        return Verdict::Yes(Box::new(Facts::of(old, asked, &Map::new(), &token)));
    }
    Verdict::Unclear(Unclear::NoToken)
}

const fn meant(means: Meant) -> Option<Verdict> {
    match means {
        Meant::No(refusal) => Some(Verdict::No(refusal)),
        Meant::Unclear => Some(Verdict::Unclear(Unclear::Status)),
        Meant::NoError => None,
    }
}

/// Whether a text may be a token: visible characters without spaces.
fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

pub(super) fn is_html(content_type: &[u8]) -> bool {
    has_essence(Some(content_type), "text/html") || has_essence(Some(content_type), "application/xhtml+xml")
}

/// Whether a media type is this one, whatever its parameters are.
fn has_essence(content_type: Option<&[u8]>, media_type: &str) -> bool {
    let essence = content_type.and_then(|content_type| content_type.split(|&byte| byte == b';').next());
    essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::contract::Dialect;

    /// The contracts that were somebody's API.
    const NAMES: [&str; 5] = ["sws", "apis", "maxpoint", "become", "toc"];

    fn old(name: &str) -> Option<OldSystem> {
        name.parse::<Dialect>().unwrap().facts().old_system.clone()
    }

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJidXNpbmVzcyI6IjVhMmFjNCIsInByb3llY3RvIjoidXBjb250YSJ9.c2ln";

    fn asked() -> AccountName {
        AccountName { business: String::new(), name: "admin".into() }
    }

    fn judge(name: &str, status: u16, content_type: &str, body: &str) -> Verdict {
        let answer = OldAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: (!content_type.is_empty()).then_some(content_type.as_bytes()),
            encoded: false,
            body: body.as_bytes(),
        };
        Evidence::default().judge(old(name).as_ref(), &asked(), &answer)
    }

    fn json(name: &str, status: u16, body: &str) -> Verdict {
        judge(name, status, "application/json; charset=utf-8", body)
    }

    fn is_yes(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Yes(_))
    }

    /// The documents' own successes.
    fn successes() -> [(&'static str, String); 5] {
        [
            ("sws", r#"{"tokenValido":"687f8b1325da9d0d54c3f046","vencimiento":"2026-01-16 23:59:59","usuario":{"id":1,"username":"admin","nombre":"Administrador"}}"#.into()),
            ("apis", r#"{"id":"b331336a-46f4-4fe4-a850-3208bfc2c398","username":"admin","role":"ADMIN","accessToken":{"token":"3L3D","expiresIn":3600}}"#.into()),
            ("maxpoint", r#"{"code":200,"status":"success","message":"Token generado exitosamente","data":{"token":"eyJ","expire_in":"2025-09-19 23:59:59"}}"#.into()),
            ("become", r#"{"access_token":"eyJ","exp":1703123456,"iat":1703119856}"#.into()),
            ("toc", format!("\"{JWT}\"")),
        ]
    }

    #[test]
    fn the_documents_successes_are_a_yes_and_only_as_they_stand() {
        for (name, body) in successes() {
            assert!(is_yes(&json(name, 200, &body)), "{name}");
            for status in [201, 204, 206, 302, 307, 400, 403, 404, 500, 503] {
                assert!(matches!(json(name, status, &body), Verdict::Unclear(_)), "{name} {status}");
            }
            for content_type in ["", "text/html", "text/plain", "application/octet-stream", "application/jsonp"] {
                let verdict = judge(name, 200, content_type, &body);
                assert_eq!(verdict, Verdict::Unclear(Unclear::MediaType), "{name} {content_type}");
            }
            for length in 0..body.len() {
                let cut = body.get(..length).unwrap_or_default();
                assert_eq!(json(name, 200, cut), Verdict::Unclear(Unclear::NotJson), "{name}: {cut}");
            }
            let answer = OldAnswer {
                status: StatusCode::OK,
                content_type: Some(b"application/json"),
                encoded: true,
                body: body.as_bytes(),
            };
            assert!(!is_yes(&Evidence::default().judge(old(name).as_ref(), &asked(), &answer)), "{name}: encoded");
        }
    }

    #[test]
    fn errors_with_200_are_no_yes() {
        let no = |refusal| Verdict::No(refusal);
        for (name, body, expected) in [
            ("sws", r#"{"error":1,"message":"Credenciales inválidas"}"#, no(Refusal::Credentials)),
            ("sws", r#"{"error":2,"message":"Usuario bloqueado"}"#, no(Refusal::Locked)),
            ("sws", r#"{"error":3,"message":"Error del servidor"}"#, Verdict::Unclear(Unclear::Status)),
            ("sws", r#"{"tokenValido":null,"vencimiento":null,"error":1,"message":"x"}"#, no(Refusal::Credentials)),
            ("sws", r#"{"tokenValido":"x","error":1}"#, Verdict::Unclear(Unclear::Contradiction)),
            ("sws", r#"{"tokenValido":"x","error":"1"}"#, Verdict::Unclear(Unclear::Contradiction)),
            ("sws", r#"{"tokenValido":"","error":0}"#, Verdict::Unclear(Unclear::NoToken)),
            ("sws", r#"{"tokenValido":1}"#, Verdict::Unclear(Unclear::NoToken)),
            ("sws", r#"{"tokenValido":"a b"}"#, Verdict::Unclear(Unclear::NoToken)),
            ("sws", r#"{"tokenValido":"x","tokenValido":"y"}"#, Verdict::Unclear(Unclear::NotJson)),
            ("become", r#"{"msg":"credential inactive"}"#, no(Refusal::Inactive)),
            ("become", r#"{"msg":"credential inactive","access_token":"x"}"#, Verdict::Unclear(Unclear::Contradiction)),
            ("become", r#"{"access_token":null}"#, Verdict::Unclear(Unclear::NoToken)),
            ("maxpoint", r#"{"code":401,"status":"error","message":"x"}"#, no(Refusal::Credentials)),
            (
                "maxpoint",
                r#"{"code":500,"status":"error","data":{"token":"x"}}"#,
                Verdict::Unclear(Unclear::Contradiction),
            ),
            ("maxpoint", r#"{"code":200,"status":"success","data":"x"}"#, Verdict::Unclear(Unclear::NoToken)),
            ("apis", r#"{"accessToken":{"token":null}}"#, Verdict::Unclear(Unclear::NoToken)),
            ("apis", r#"{"token":"x"}"#, Verdict::Unclear(Unclear::NoToken)),
            ("toc", r#""Credenciales inválidas""#, Verdict::Unclear(Unclear::NoToken)),
            ("toc", r#""a.b""#, Verdict::Unclear(Unclear::NoToken)),
            ("toc", r#"{"token":"a.b.c"}"#, Verdict::Unclear(Unclear::NotJson)),
        ] {
            assert_eq!(json(name, 200, body), expected, "{name}: {body}");
        }
    }

    #[test]
    fn a_no_is_the_systems_own() {
        for name in NAMES {
            assert_eq!(judge(name, 401, "", ""), Verdict::No(Refusal::Credentials), "{name}");
            let page = judge(name, 401, "text/html; charset=utf-8", "<html>log in to the network</html>");
            assert_eq!(page, Verdict::Unclear(Unclear::MediaType), "{name}");
        }
        assert_eq!(json("sws", 401, r#"{"error":2}"#), Verdict::No(Refusal::Locked));
        assert_eq!(json("sws", 401, r#"{"error":3}"#), Verdict::Unclear(Unclear::Status));
        assert_eq!(json("become", 404, r#"{"error":"Not Found"}"#), Verdict::No(Refusal::CompanyMissing));
        assert_eq!(json("become", 404, "{}"), Verdict::Unclear(Unclear::Status));
        assert_eq!(json("apis", 404, r#"{"error":"Not Found"}"#), Verdict::Unclear(Unclear::Status));
    }

    #[test]
    fn another_member_may_hold_the_token() {
        let evidence = Evidence {
            status: Some(StatusCode::CREATED),
            token: Some("result.jwt".parse().unwrap()),
            refusals: Some(vec![StatusCode::UNPROCESSABLE_ENTITY]),
        };
        let judge = |status: StatusCode, body: &str| {
            let answer =
                OldAnswer { status, content_type: Some(b"application/json"), encoded: false, body: body.as_bytes() };
            evidence.judge(old("toc").as_ref(), &asked(), &answer)
        };
        assert!(is_yes(&judge(StatusCode::CREATED, r#"{"result":{"jwt":"x"}}"#)));
        assert!(!is_yes(&judge(StatusCode::OK, r#"{"result":{"jwt":"x"}}"#)));
        assert!(!is_yes(&judge(StatusCode::CREATED, &format!("\"{JWT}\""))));
        assert_eq!(judge(StatusCode::UNPROCESSABLE_ENTITY, "{}"), Verdict::No(Refusal::Credentials));
    }

    proptest! {
        /// Whatever comes: a yes has the status, the media type, and a token where the contract has it.
        #[test]
        fn a_yes_needs_all_of_its_evidence(
            which in 0..NAMES.len(),
            status in prop_oneof![Just(200u16), 200u16..600],
            content_type in prop_oneof![Just("application/json"), Just("text/html"), Just("")],
            body in prop_oneof!["\\PC{0,64}", r#"\{"(tokenValido|access_token|data|accessToken)":("x"|null|\{"token":("y"|""|1)\})(,"error":[0-9])?\}"#],
        ) {
            let name = NAMES[which];
            let verdict = judge(name, status, content_type, &body);
            if is_yes(&verdict) {
                prop_assert_eq!((status, content_type), (200, "application/json"));
                let value: Value = serde_json::from_str(&body).unwrap();
                let token = match name {
                    "sws" => value["tokenValido"].as_str(),
                    "apis" => value["accessToken"]["token"].as_str(),
                    "maxpoint" => value["data"]["token"].as_str(),
                    "become" => value["access_token"].as_str(),
                    "toc" => value.as_str(),
                    _ => None,
                };
                prop_assert!(token.is_some_and(|token| !token.is_empty()), "{body}");
            }
        }
    }
}
