//! What an old system's answer says. Only positive evidence is a yes: the status and the media type of the contract, and
//! the token in the member where the contract has it. Some systems answer errors with 200.

use std::{fmt, str::FromStr};

use http::StatusCode;
use serde_json::{Map, Value};
use thiserror::Error;

use super::facts::Facts;
use crate::{
    domain::{AccountName, json},
    rules::contract::{Family, is_json},
};

/// Members below each other in a path, at most.
const PATH_MEMBERS_MAX: usize = 8;

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

/// What counts as a yes and as a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The status of a yes; default 200.
    pub status: StatusCode,
    /// Where the token stands; `None` for where the realm's contract has it.
    pub token: Option<MemberPath>,
    /// The statuses that are a no, beside what the contract says with 200; default 401.
    pub refusals: Vec<StatusCode>,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { status: StatusCode::OK, token: None, refusals: vec![StatusCode::UNAUTHORIZED] }
    }
}

/// A member of a JSON object, or one of an object in it: `data.token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(Vec<String>);

/// A text that names no member.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("no path of 1 to {PATH_MEMBERS_MAX} members, such as \"token\" or \"data.token\"")]
pub struct InvalidPath;

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

/// Why an old system refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown name or wrong secret.
    Credentials,
    /// The account is locked (`sws`).
    Locked,
    /// The account is inactive (`become`).
    Inactive,
    /// The account's company is missing (`become`).
    CompanyMissing,
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

impl FromStr for MemberPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let members: Vec<_> = text.split('.').map(str::to_owned).collect();
        let good = members.len() <= PATH_MEMBERS_MAX && members.iter().all(|member| !member.trim().is_empty());
        if good { Ok(Self(members)) } else { Err(InvalidPath) }
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl MemberPath {
    fn of(members: &[&str]) -> Self {
        Self(members.iter().map(|&member| member.to_owned()).collect())
    }

    pub(super) fn find<'v>(&self, body: &'v Map<String, Value>) -> Option<&'v Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(body.get(first)?, |value, member| value.get(member))
    }

    /// Where the contract has the token; `None` where the whole body is it (`toc`), or there is no such contract.
    fn of_contract(family: Family) -> Option<Self> {
        match family {
            Family::Sws => Some(Self::of(&["tokenValido"])),
            Family::Apis => Some(Self::of(&["accessToken", "token"])),
            Family::Maxpoint => Some(Self::of(&["data", "token"])),
            Family::Become => Some(Self::of(&["access_token"])),
            Family::Toc | Family::Other => None,
        }
    }
}

impl Evidence {
    /// What `answer` says of a login of `asked`, in the words of `family`.
    #[must_use]
    pub fn judge(&self, family: Family, asked: &AccountName, answer: &OldAnswer<'_>) -> Verdict {
        if answer.status.is_redirection() {
            return Verdict::Unclear(Unclear::Redirect);
        }
        let announced = answer.content_type.is_some_and(is_json) && !answer.encoded;
        if answer.status == self.status {
            if !announced {
                return Verdict::Unclear(Unclear::MediaType);
            }
            return match (&self.token, MemberPath::of_contract(family)) {
                (Some(path), _) => read_object(family, path, asked, answer.body),
                (None, Some(path)) => read_object(family, &path, asked, answer.body),
                (None, None) if family == Family::Toc => read_bare(asked, answer.body),
                (None, None) => Verdict::Unclear(Unclear::NoToken),
            };
        }
        if family == Family::Become && answer.status == StatusCode::NOT_FOUND && announced {
            // The contract's own words: another 404 is another path's.
            let body = json::parse_object(answer.body).unwrap_or_default();
            if body.get("error").and_then(Value::as_str) == Some("Not Found") {
                return Verdict::No(Refusal::CompanyMissing);
            }
        }
        if !self.refusals.contains(&answer.status) {
            return Verdict::Unclear(Unclear::Status);
        }
        // A page for people is a proxy's word, and no system's with such a contract.
        if answer.content_type.is_some_and(is_html) {
            return Verdict::Unclear(Unclear::MediaType);
        }
        let told = json::parse_object(answer.body).ok().and_then(|body| refusal_in(family, &body));
        told.unwrap_or(Verdict::No(Refusal::Credentials))
    }
}

/// A yes's object, or a refusal that the contract sends with the same status.
fn read_object(family: Family, path: &MemberPath, asked: &AccountName, body: &[u8]) -> Verdict {
    let Ok(body) = json::parse_object(body) else { return Verdict::Unclear(Unclear::NotJson) };
    let token = path.find(&body).and_then(Value::as_str).filter(|token| is_token(token));
    match (token, refusal_in(family, &body)) {
        (Some(token), None) => Verdict::Yes(Box::new(Facts::of(family, asked, &body, token))),
        (Some(_), Some(_)) => Verdict::Unclear(Unclear::Contradiction),
        (None, Some(refused)) => refused,
        (None, None) => Verdict::Unclear(Unclear::NoToken),
    }
}

/// `toc`'s bare string. A text could stand there too, so it has to be a JWT, as the document shows it.
fn read_bare(asked: &AccountName, body: &[u8]) -> Verdict {
    let Ok(token) = serde_json::from_slice::<String>(body) else { return Verdict::Unclear(Unclear::NotJson) };
    let parts: Vec<_> = token.split('.').collect();
    let of_base64url =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_token(&token) && parts.len() == 3 && parts.iter().all(of_base64url) {
        return Verdict::Yes(Box::new(Facts::of(Family::Toc, asked, &Map::new(), &token)));
    }
    Verdict::Unclear(Unclear::NoToken)
}

/// What a contract's error object says; `None` where it is none.
fn refusal_in(family: Family, body: &Map<String, Value>) -> Option<Verdict> {
    match family {
        Family::Sws => match body.get("error")? {
            Value::Null => None,
            number if number.as_i64() == Some(0) => None,
            number if number.as_i64() == Some(1) => Some(Verdict::No(Refusal::Credentials)),
            number if number.as_i64() == Some(2) => Some(Verdict::No(Refusal::Locked)),
            // 3 is its server's error, and others nobody knows.
            _ => Some(Verdict::Unclear(Unclear::Status)),
        },
        Family::Become => match body.get("msg")?.as_str() {
            Some("credential inactive") => Some(Verdict::No(Refusal::Inactive)),
            Some("Invalid login details") => Some(Verdict::No(Refusal::Credentials)),
            _ => None,
        },
        Family::Maxpoint if body.get("status").and_then(Value::as_str) == Some("error") => {
            let code = body.get("code").and_then(Value::as_i64);
            Some(if code == Some(401) { Verdict::No(Refusal::Credentials) } else { Verdict::Unclear(Unclear::Status) })
        }
        _ => None,
    }
}

/// Whether a text may be a token: visible characters without spaces.
fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

pub(super) fn is_html(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"text/html") || essence.eq_ignore_ascii_case(b"application/xhtml+xml")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJidXNpbmVzcyI6IjVhMmFjNCIsInByb3llY3RvIjoidXBjb250YSJ9.c2ln";

    fn asked() -> AccountName {
        AccountName { business: String::new(), name: "admin".into() }
    }

    fn judge(family: Family, status: u16, content_type: &str, body: &str) -> Verdict {
        let answer = OldAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: (!content_type.is_empty()).then_some(content_type.as_bytes()),
            encoded: false,
            body: body.as_bytes(),
        };
        Evidence::default().judge(family, &asked(), &answer)
    }

    fn json(family: Family, status: u16, body: &str) -> Verdict {
        judge(family, status, "application/json; charset=utf-8", body)
    }

    fn is_yes(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Yes(_))
    }

    /// The documents' own successes.
    fn successes() -> [(Family, String); 5] {
        [
            (Family::Sws, r#"{"tokenValido":"687f8b1325da9d0d54c3f046","vencimiento":"2026-01-16 23:59:59","usuario":{"id":1,"username":"admin","nombre":"Administrador"}}"#.into()),
            (Family::Apis, r#"{"id":"b331336a-46f4-4fe4-a850-3208bfc2c398","username":"admin","role":"ADMIN","accessToken":{"token":"3L3D","expiresIn":3600}}"#.into()),
            (Family::Maxpoint, r#"{"code":200,"status":"success","message":"Token generado exitosamente","data":{"token":"eyJ","expire_in":"2025-09-19 23:59:59"}}"#.into()),
            (Family::Become, r#"{"access_token":"eyJ","exp":1703123456,"iat":1703119856}"#.into()),
            (Family::Toc, format!("\"{JWT}\"")),
        ]
    }

    #[test]
    fn the_documents_successes_are_a_yes_and_only_as_they_stand() {
        for (family, body) in successes() {
            assert!(is_yes(&json(family, 200, &body)), "{family:?}");
            for status in [201, 204, 206, 302, 307, 400, 403, 404, 500, 503] {
                assert!(matches!(json(family, status, &body), Verdict::Unclear(_)), "{family:?} {status}");
            }
            for content_type in ["", "text/html", "text/plain", "application/octet-stream", "application/jsonp"] {
                let verdict = judge(family, 200, content_type, &body);
                assert_eq!(verdict, Verdict::Unclear(Unclear::MediaType), "{family:?} {content_type}");
            }
            for length in 0..body.len() {
                let cut = body.get(..length).unwrap_or_default();
                assert_eq!(json(family, 200, cut), Verdict::Unclear(Unclear::NotJson), "{family:?}: {cut}");
            }
            let answer = OldAnswer {
                status: StatusCode::OK,
                content_type: Some(b"application/json"),
                encoded: true,
                body: body.as_bytes(),
            };
            assert!(!is_yes(&Evidence::default().judge(family, &asked(), &answer)), "{family:?}: encoded");
        }
    }

    #[test]
    fn errors_with_200_are_no_yes() {
        let no = |refusal| Verdict::No(refusal);
        for (family, body, expected) in [
            (Family::Sws, r#"{"error":1,"message":"Credenciales inválidas"}"#, no(Refusal::Credentials)),
            (Family::Sws, r#"{"error":2,"message":"Usuario bloqueado"}"#, no(Refusal::Locked)),
            (Family::Sws, r#"{"error":3,"message":"Error del servidor"}"#, Verdict::Unclear(Unclear::Status)),
            (
                Family::Sws,
                r#"{"tokenValido":null,"vencimiento":null,"error":1,"message":"x"}"#,
                no(Refusal::Credentials),
            ),
            (Family::Sws, r#"{"tokenValido":"x","error":1}"#, Verdict::Unclear(Unclear::Contradiction)),
            (Family::Sws, r#"{"tokenValido":"x","error":"1"}"#, Verdict::Unclear(Unclear::Contradiction)),
            (Family::Sws, r#"{"tokenValido":"","error":0}"#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Sws, r#"{"tokenValido":1}"#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Sws, r#"{"tokenValido":"a b"}"#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Sws, r#"{"tokenValido":"x","tokenValido":"y"}"#, Verdict::Unclear(Unclear::NotJson)),
            (Family::Become, r#"{"msg":"credential inactive"}"#, no(Refusal::Inactive)),
            (
                Family::Become,
                r#"{"msg":"credential inactive","access_token":"x"}"#,
                Verdict::Unclear(Unclear::Contradiction),
            ),
            (Family::Become, r#"{"access_token":null}"#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Maxpoint, r#"{"code":401,"status":"error","message":"x"}"#, no(Refusal::Credentials)),
            (
                Family::Maxpoint,
                r#"{"code":500,"status":"error","data":{"token":"x"}}"#,
                Verdict::Unclear(Unclear::Contradiction),
            ),
            (Family::Maxpoint, r#"{"code":200,"status":"success","data":"x"}"#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Apis, r#"{"accessToken":{"token":null}}"#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Apis, r#"{"token":"x"}"#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Toc, r#""Credenciales inválidas""#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Toc, r#""a.b""#, Verdict::Unclear(Unclear::NoToken)),
            (Family::Toc, r#"{"token":"a.b.c"}"#, Verdict::Unclear(Unclear::NotJson)),
        ] {
            assert_eq!(json(family, 200, body), expected, "{family:?}: {body}");
        }
    }

    #[test]
    fn a_no_is_the_systems_own() {
        for family in Family::KNOWN {
            assert_eq!(judge(family, 401, "", ""), Verdict::No(Refusal::Credentials), "{family:?}");
            let page = judge(family, 401, "text/html; charset=utf-8", "<html>log in to the network</html>");
            assert_eq!(page, Verdict::Unclear(Unclear::MediaType), "{family:?}");
        }
        assert_eq!(json(Family::Sws, 401, r#"{"error":2}"#), Verdict::No(Refusal::Locked));
        assert_eq!(json(Family::Sws, 401, r#"{"error":3}"#), Verdict::Unclear(Unclear::Status));
        assert_eq!(json(Family::Become, 404, r#"{"error":"Not Found"}"#), Verdict::No(Refusal::CompanyMissing));
        assert_eq!(json(Family::Become, 404, "{}"), Verdict::Unclear(Unclear::Status));
        assert_eq!(json(Family::Apis, 404, r#"{"error":"Not Found"}"#), Verdict::Unclear(Unclear::Status));
    }

    #[test]
    fn another_member_may_hold_the_token() {
        let evidence = Evidence {
            status: StatusCode::CREATED,
            token: Some("result.jwt".parse().unwrap()),
            refusals: vec![StatusCode::UNPROCESSABLE_ENTITY],
        };
        let judge = |status: StatusCode, body: &str| {
            let answer =
                OldAnswer { status, content_type: Some(b"application/json"), encoded: false, body: body.as_bytes() };
            evidence.judge(Family::Toc, &asked(), &answer)
        };
        assert!(is_yes(&judge(StatusCode::CREATED, r#"{"result":{"jwt":"x"}}"#)));
        assert!(!is_yes(&judge(StatusCode::OK, r#"{"result":{"jwt":"x"}}"#)));
        assert!(!is_yes(&judge(StatusCode::CREATED, &format!("\"{JWT}\""))));
        assert_eq!(judge(StatusCode::UNPROCESSABLE_ENTITY, "{}"), Verdict::No(Refusal::Credentials));
        for bad in ["", ".", "a.", " ", "a.b.c.d.e.f.g.h.i"] {
            assert_eq!(bad.parse::<MemberPath>(), Err(InvalidPath), "{bad}");
        }
    }

    proptest! {
        /// Whatever comes: a yes has the status, the media type, and a token where the contract has it.
        #[test]
        fn a_yes_needs_all_of_its_evidence(
            which in 0..Family::KNOWN.len(),
            status in prop_oneof![Just(200u16), 200u16..600],
            content_type in prop_oneof![Just("application/json"), Just("text/html"), Just("")],
            body in prop_oneof!["\\PC{0,64}", r#"\{"(tokenValido|access_token|data|accessToken)":("x"|null|\{"token":("y"|""|1)\})(,"error":[0-9])?\}"#],
        ) {
            let family = Family::KNOWN[which];
            let verdict = judge(family, status, content_type, &body);
            if is_yes(&verdict) {
                prop_assert_eq!((status, content_type), (200, "application/json"));
                let value: Value = serde_json::from_str(&body).unwrap();
                let token = match family {
                    Family::Sws => value["tokenValido"].as_str(),
                    Family::Apis => value["accessToken"]["token"].as_str(),
                    Family::Maxpoint => value["data"]["token"].as_str(),
                    Family::Become => value["access_token"].as_str(),
                    Family::Toc => value.as_str(),
                    Family::Other => None,
                };
                prop_assert!(token.is_some_and(|token| !token.is_empty()), "{body}");
            }
        }
    }
}
