//! An answer to a success, with holes.

use serde_json::{Map, Value};

use super::{
    observed::Observed,
    purpose::{self, Purposes},
    spelling::{escaped, hints, json},
};
use crate::domain::TokenKind;

/// What stands in answers to logins, refreshes or verifications.
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) media_type: Option<String>,
    /// The body, a JSON template.
    pub(super) body: Value,
    /// The tokens that it carries, in order.
    pub(super) kinds: Vec<TokenKind>,
    /// What a recording cannot say for certain.
    pub(super) guesses: Vec<String>,
    /// Members that no contract has: ids of tokens, which are new at each login.
    pub(super) unexpressed: Vec<String>,
    pub(super) uses: Uses,
    /// The lives of tokens that it says, in seconds.
    pub(super) lives: Vec<(TokenKind, u64)>,
}

/// What else a contract has because an answer shows it.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one part of a contract, there or not")]
pub(super) struct Uses {
    pub(super) timezone: bool,
    pub(super) end_of_day: bool,
    pub(super) legacy_id: bool,
    pub(super) company: bool,
    pub(super) jwt: bool,
}

/// The seconds since 1970 that are dates of our time.
const UNIX_DATES: std::ops::Range<i64> = 1_000_000_000..4_000_000_000;

/// Reads answers that mean the same. `None` where none of them is JSON.
pub(super) fn of(purposes: &Purposes, answers: &[&Observed<'_>], verified: bool) -> Option<Success> {
    let parsed: Vec<(Value, &Observed<'_>)> =
        answers.iter().filter_map(|one| Some((json(&one.recorded.answer)?, *one))).collect();
    // That with the most members: what others lack may be left out.
    let (fullest, first) = parsed.iter().rev().max_by_key(|(value, _)| value.to_string().matches(':').count())?;
    let mut reader = Reader {
        purposes,
        all: parsed.iter().map(|(value, one)| (value, *one)).collect(),
        verified,
        found: Success {
            status: first.recorded.status,
            media_type: first.recorded.answer_type.clone(),
            body: Value::Null,
            kinds: vec![],
            guesses: vec![],
            unexpressed: vec![],
            uses: Uses::default(),
            lives: vec![],
        },
    };
    let body = reader.value(fullest, &mut vec![]);
    Some(Success { body, ..reader.found })
}

struct Reader<'p, 'v> {
    purposes: &'p Purposes,
    all: Vec<(&'v Value, &'v Observed<'v>)>,
    verified: bool,
    found: Success,
}

impl Reader<'_, '_> {
    fn value(&mut self, value: &Value, path: &mut Vec<String>) -> Value {
        match value {
            Value::Object(members) => {
                let mut template = Map::new();
                for (name, member) in members {
                    path.push(name.clone());
                    let may_lack = self.all.iter().any(|(all, _)| at(all, path).is_none());
                    let filled = if self.is_new_each_time(path) { None } else { Some(self.value(member, path)) };
                    if filled.is_none() {
                        self.found.unexpressed.push(path.join("."));
                    }
                    path.pop();
                    let Some(filled) = filled else { continue };
                    template.insert(name.clone(), if may_lack { omitted(filled) } else { filled });
                }
                Value::Object(template)
            }
            Value::Array(elements) if elements.iter().all(Value::is_string) && is_scopes(path) => {
                self.guess(path, "the account's scopes");
                "{account.scopes}".into()
            }
            Value::Array(elements) => elements.iter().map(|element| self.value(element, path)).collect(),
            Value::String(text) => self.text(text, path).into(),
            Value::Number(number) => self.number(number, path),
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str, path: &[String]) -> String {
        let name = path.last().map(String::as_str).unwrap_or_default();
        if !self.verified && purpose::is_token(text, name) && !self.is_sent(text) {
            let kind = kind_at(path);
            self.found.uses.jwt |= kind == TokenKind::Access && text.starts_with("eyJ");
            if !self.found.kinds.contains(&kind) {
                self.found.kinds.push(kind);
            }
            return format!("{{{}.token}}", kind.name());
        }
        if let Some(hole) = self.sent(text, path) {
            return hole.to_owned();
        }
        if let Some(hole) = self.date(text, path) {
            return hole;
        }
        let hole = if purpose::is_uuid(text) {
            Some(("{account.id}", "the account's id"))
        } else if hints(name, &["role", "rol"]) {
            Some(("{account.role}", "the account's role"))
        } else if hints(name, &["company", "empresa", "organization"]) {
            self.found.uses.company = true;
            Some(("{account.company|null}", "the account's company"))
        } else if hints(name, &["nombre", "display", "fullname", "full_name"]) || (name == "name" && path.len() > 1) {
            Some(("{account.display_name}", "the name that people read"))
        } else if !self.is_constant(path) {
            Some(("{account.display_name}", "it differs from login to login, and nothing says what it is"))
        } else {
            None
        };
        if let Some((hole, about)) = hole {
            self.guess(path, about);
            return hole.to_owned();
        }
        escaped(text)
    }

    /// The hole of what the login sent.
    fn sent(&self, text: &str, path: &[String]) -> Option<&'static str> {
        let is = |meaning: &str| {
            let same = |(answer, one): &(&Value, &Observed<'_>)| match at(answer, path) {
                Some(Value::String(said)) if !self.verified => {
                    self.purposes.sent(one.recorded, meaning).as_ref() == Some(said)
                }
                Some(_) | None => true,
            };
            !self.verified && self.all.iter().all(same)
        };
        let name = path.last().map(String::as_str).unwrap_or_default();
        let named = |meaning: &str| {
            self.verified && self.purposes.members.iter().any(|(member, known)| *known == meaning && member == name)
        };
        if text.is_empty() {
            None
        } else if named("business") {
            Some("{claim.business else account.business|default ''}")
        } else if is("name") || named("name") {
            Some("{account.name}")
        } else if is("business") {
            Some("{account.business}")
        } else {
            None
        }
    }

    fn is_sent(&self, text: &str) -> bool {
        let sent = |one: &Observed<'_>| {
            ["name", "business"].iter().any(|m| self.purposes.sent(one.recorded, m).as_deref() == Some(text))
        };
        self.all.iter().any(|(_, one)| sent(one))
    }

    fn date(&mut self, text: &str, path: &[String]) -> Option<String> {
        let digits: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        let format = match &*digits {
            "0000-00-00T00:00:00.000Z" => "iso_ms".to_owned(),
            "0000-00-00 00:00:00" => "local '%Y-%m-%d %H:%M:%S'".to_owned(),
            "0000-00-00T00:00:00Z" => "local '%Y-%m-%dT%H:%M:%SZ'".to_owned(),
            "0000-00-00T00:00:00" => "local '%Y-%m-%dT%H:%M:%S'".to_owned(),
            "00/00/0000 00:00:00" => "local '%d/%m/%Y %H:%M:%S'".to_owned(),
            _ => return None,
        };
        self.found.uses.timezone |= format.starts_with("local");
        self.found.uses.end_of_day |= format.starts_with("local") && text.contains("23:59:59");
        Some(self.instant(path, &format))
    }

    /// The hole of a date: when the token was issued, or when it ends.
    fn instant(&mut self, path: &[String], format: &str) -> String {
        let name = path.last().map(String::as_str).unwrap_or_default();
        if hints(name, &["creat", "creac", "issued", "emi", "since", "start"]) || name == "iat" {
            return format!("{{issued_at|{format}}}");
        }
        self.guess(path, "when the token ends");
        if self.verified {
            format!("{{expires_at|{format}}}")
        } else {
            format!("{{{}.expires_at|{format}}}", kind_at(path).name())
        }
    }

    fn number(&mut self, number: &serde_json::Number, path: &[String]) -> Value {
        let name = path.last().map(String::as_str).unwrap_or_default();
        let Some(integer) = number.as_i64() else { return Value::Number(number.clone()) };
        if UNIX_DATES.contains(&integer) {
            return self.instant(path, "unix").into();
        }
        if !self.verified && integer > 0 && hints(name, &["expire", "ttl", "lifetime", "seconds", "duration"]) {
            let kind = kind_at(path);
            self.found.lives.push((kind, integer.unsigned_abs()));
            return format!("{{{}.lifetime_seconds}}", kind.name()).into();
        }
        let is_id = name.eq_ignore_ascii_case("id") || name.ends_with("_id") || name.ends_with("Id");
        if is_id || !self.is_constant(path) {
            self.found.uses.legacy_id = true;
            self.guess(path, "the account's number");
            return "{account.legacy_id}".into();
        }
        Value::Number(number.clone())
    }

    /// Whether a place has the id of a token: it is called so, or is another UUID for one account that logs in again.
    fn is_new_each_time(&self, path: &[String]) -> bool {
        if path.last().is_some_and(|name| name == "jti") {
            return true;
        }
        let uuids: Vec<_> = self
            .all
            .iter()
            .filter_map(|(answer, one)| {
                let said = at(answer, path)?.as_str().filter(|text| purpose::is_uuid(text))?;
                Some((self.purposes.sent(one.recorded, "name")?, said))
            })
            .collect();
        !self.verified
            && uuids.iter().any(|(name, said)| uuids.iter().any(|(other, uuid)| name == other && said != uuid))
    }

    fn is_constant(&self, path: &[String]) -> bool {
        let mut said = self.all.iter().filter_map(|(answer, _)| at(answer, path));
        let first = said.next();
        said.all(|other| Some(other) == first)
    }

    fn guess(&mut self, path: &[String], about: &str) {
        let place = if path.is_empty() { "the body".to_owned() } else { path.join(".") };
        self.found.guesses.push(format!("{place}: {about}"));
    }
}

fn is_scopes(path: &[String]) -> bool {
    let name = path.last().map(String::as_str).unwrap_or_default();
    hints(name, &["scope", "perm", "group", "roles", "grants"])
}

/// Which token a place is about.
fn kind_at(path: &[String]) -> TokenKind {
    let says = |word: &str| path.iter().any(|name| hints(name, &[word]));
    if says("refresh") {
        TokenKind::Refresh
    } else if says("content") {
        TokenKind::Content
    } else {
        TokenKind::Access
    }
}

/// The value at a path.
fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| if value.is_array() { Some(value) } else { value.get(name) })
}

/// A hole that may be left out. What is always there cannot be.
fn omitted(template: Value) -> Value {
    match template {
        Value::String(hole) if ["{access.", "{expires_at", "{account.company"].iter().any(|s| hole.starts_with(s)) => {
            let hole = hole.trim_end_matches('}').trim_end_matches("|null").to_owned();
            format!("{hole}|omit}}").into()
        }
        other => other,
    }
}
