//! What the answers of the API mean that a contract was before Portero, where that is asked as an old system.
//!
//! Only positive evidence is a yes: a contract names the member that holds the token. Some APIs answer errors with 200.

use std::{fmt, str::FromStr};

use http::{HeaderName, Method, StatusCode, header};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::rules::rewrite::is_framing_or_hop_by_hop;

/// Members below each other in a path, at most.
const PATH_MEMBERS_MAX: usize = 8;

/// What a contract declares of the API that it was (`[old_system]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldSystem {
    /// Where the token of a yes stands.
    pub token: OldToken,
    /// The status of a yes; default 200.
    pub status: StatusCode,
    /// The media type of a yes, where it is not any of JSON's.
    pub media_type: Option<Box<str>>,
    /// The statuses that are a no; default 401.
    pub refusals: Vec<StatusCode>,
    /// What its errors mean. The first rule that fits counts.
    pub errors: Vec<ErrorRule>,
    /// Where a yes tells about the account, the first place that has it before the others.
    pub account: Vec<FactPlace>,
    /// How it is asked about its tokens.
    pub token_check: Option<OldTokenCheck>,
}

/// Where the token of a yes stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldToken {
    /// In a member.
    Member(MemberPath),
    /// The body is the token, as a JSON string. A sentence could stand there too, so it has to be a JWT.
    Body,
}

/// What an error means that has these members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRule {
    /// The status that it comes with; `None` for that of a yes and those of a no.
    pub status: Option<StatusCode>,
    /// The members that have these values.
    pub when: Vec<(MemberPath, Value)>,
    /// The member that is there, and not null.
    pub has: Option<MemberPath>,
    /// What it means.
    pub means: Meant,
}

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// A no.
    No(Refusal),
    /// Nothing that counts: the API itself fails, say.
    Unclear,
    /// It is not an error.
    NoError,
}

/// Why an old system refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown name or wrong secret.
    Credentials,
    /// The account is locked.
    Locked,
    /// The account is inactive.
    Inactive,
    /// The account's company is missing.
    CompanyMissing,
}

/// A place that tells something about the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactPlace {
    /// What it tells.
    pub fact: AccountFact,
    /// Whether it is a claim of the token. Else it is a member of the answer.
    pub is_claim: bool,
    /// Which one.
    pub path: MemberPath,
}

/// What an answer may tell about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountFact {
    /// Its name.
    Name,
    /// Its business, which is a part of its name.
    Business,
    /// Its identity, a UUID.
    Id,
    /// Its integer id.
    LegacyId,
    /// The name that people read.
    DisplayName,
    /// Its role.
    Role,
    /// Its scopes, a list of texts.
    Scopes,
    /// Its company.
    Company,
}

/// How the API is asked about one of its tokens, and where its answer says what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldTokenCheck {
    /// The method.
    pub method: Method,
    /// Where the token stands.
    pub place: TokenPlace,
    /// The member with the name of the account that the token is for.
    pub name: MemberPath,
    /// The member with its business.
    pub business: Option<MemberPath>,
    /// The member that is `true` while the token holds, and `false` where it does not.
    pub active: Option<MemberPath>,
    /// The member with the token's end: Unix seconds, or RFC 3339.
    pub expires: Option<MemberPath>,
}

/// Where the token stands in a question. Never in the URL: that is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer …`.
    Bearer,
    /// A field of its own, bare.
    Header(HeaderName),
    /// A member of a JSON object.
    Json(String),
    /// A field of a form, as in RFC 7662 section 2.1.
    Form(String),
}

/// A text that is no place for a token.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not {}", TokenPlace::FORMS)]
pub struct InvalidPlace;

/// A member of a JSON object, or one of an object in it: `data.token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(Vec<String>);

/// A text that names no member.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("no path of 1 to {PATH_MEMBERS_MAX} members, such as \"token\" or \"data.token\"")]
pub struct InvalidPath;

impl OldSystem {
    /// What an error means that came with `status` and these members; `None` where no rule speaks of it. `expected`
    /// says whether that is the status of a yes or of a no.
    #[must_use]
    pub fn error(&self, status: StatusCode, expected: bool, body: &Map<String, Value>) -> Option<Meant> {
        let of_status = |rule: &&ErrorRule| rule.status.map_or(expected, |own| own == status);
        self.errors.iter().filter(of_status).find(|rule| rule.fits(body)).map(|rule| rule.means)
    }

    /// Whether an error of this status may say something, beside those of a yes and of a no.
    #[must_use]
    pub fn words_errors_of(&self, status: StatusCode) -> bool {
        self.errors.iter().any(|rule| rule.status == Some(status))
    }
}

impl ErrorRule {
    fn fits(&self, body: &Map<String, Value>) -> bool {
        let is = |(path, value): &(MemberPath, Value)| path.find(body) == Some(value);
        let has = |path: &MemberPath| path.find(body).is_some_and(|value| !value.is_null());
        self.when.iter().all(is) && self.has.as_ref().is_none_or(has)
    }
}

impl TokenPlace {
    /// How places are written.
    pub const FORMS: &'static str = "\"bearer\", or \"header:NAME\", \"json:MEMBER\" or \"form:FIELD\"";

    /// Whether the token stands in the body, which a `GET` does not have.
    #[must_use]
    pub const fn is_in_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Form(_))
    }
}

impl FromStr for TokenPlace {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Fields that say how a message is framed, or for whom it is.
        let is_reserved = |name: &HeaderName| {
            is_framing_or_hop_by_hop(name.as_str())
                || matches!(*name, header::HOST | header::CONTENT_LENGTH | header::CONTENT_TYPE)
        };
        match text.split_once(':') {
            None if text == "bearer" => Ok(Self::Bearer),
            Some(("json", member)) if !member.is_empty() => Ok(Self::Json(member.to_owned())),
            Some(("form", field)) if !field.is_empty() => Ok(Self::Form(field.to_owned())),
            Some(("header", name)) => {
                let name = name.parse().ok().filter(|name| !is_reserved(name));
                name.map(Self::Header).ok_or(InvalidPlace)
            }
            _ => Err(InvalidPlace),
        }
    }
}

impl MemberPath {
    /// The member of `body`.
    #[must_use]
    pub fn find<'v>(&self, body: &'v Map<String, Value>) -> Option<&'v Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(body.get(first)?, |value, member| value.get(member))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_member() {
        for bad in ["", ".", "a.", " ", "a.b.c.d.e.f.g.h.i"] {
            assert_eq!(bad.parse::<MemberPath>(), Err(InvalidPath), "{bad}");
        }
        let body = serde_json::json!({"data": {"token": "x", "list": [1]}});
        let find = |path: &str| path.parse::<MemberPath>().unwrap().find(body.as_object().unwrap()).cloned();
        assert_eq!(find("data.token"), Some("x".into()));
        assert_eq!((find("token"), find("data.token.x"), find("data.list.0")), (None, None, None));
    }
}
