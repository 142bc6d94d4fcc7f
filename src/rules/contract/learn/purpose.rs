//! What each exchange was for.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Map, Value};

use super::{
    observed::Observed,
    spelling::{hints, json},
    tokens::{Tokens, payload},
};
use crate::{
    domain::json::parse_object,
    rules::contract::{Recorded, SecretPlace, basic::Pair},
};

/// Parts of names of members that are secrets.
const SECRETS: [&str; 9] =
    ["pass", "secret", "pwd", "clave", "contrase", "senha", "pincode", "passphrase", "credential"];

/// Parts of names of members that are a login's name, the best first.
const NAMES: [&str; 12] =
    ["user", "usuario", "login", "client", "email", "mail", "identif", "account", "proyecto", "project", "name", "id"];

/// Parts of names of members that are a business.
const BUSINESSES: [&str; 8] = ["business", "tenant", "company", "empresa", "org", "domain", "shop", "negocio"];

/// Characters of a token, at least, and of one whose name says that it is one.
const TOKEN_CHARS_MIN: usize = 20;
const NAMED_TOKEN_CHARS_MIN: usize = 8;

/// Characters of a hexadecimal token without such a name, at least.
const HEX_TOKEN_CHARS_MIN: usize = 32;

/// Characters of a password that was refused, at least, for it to be looked for in a draft. Shorter ones are common
/// words.
const REFUSED_SECRET_CHARS_MIN: usize = 6;

/// What the exchanges say about how a client logs in.
pub(super) struct Purposes {
    pub(super) place: SecretPlace,
    /// The members that are name, business and secret, in the order of the requests.
    pub(super) members: Vec<(String, &'static str)>,
    /// The paths of logins.
    pub(super) logins: BTreeSet<String>,
    /// The paths of refreshes, and the member with the token.
    pub(super) refreshes: BTreeSet<String>,
    pub(super) refresh_member: Option<String>,
    /// Whether a `GET` on a login's path says what a token says.
    pub(super) verifies: bool,
    /// The query parameter that logins have.
    pub(super) parameter: Option<String>,
}

impl Purposes {
    /// What the exchanges were for.
    ///
    /// # Errors
    /// Where no login succeeds.
    pub(super) fn of(observed: &[Observed<'_>]) -> Result<Self, String> {
        let successes: Vec<_> = observed.iter().filter(|one| is_success(one.recorded)).collect();
        let mut place = SecretPlace::Body;
        let mut names: Vec<String> = successes.iter().filter_map(|one| secret_member(&body(one.recorded))).collect();
        names.sort_unstable();
        // Where logins of several contracts were recorded, the most of them count.
        let secret = names.iter().max_by_key(|name| names.iter().filter(|other| other == name).count()).cloned();
        let members = if let Some(secret) = secret {
            members(&successes, &secret)
        } else if successes.iter().any(|one| basic(one.recorded).is_some()) {
            place = SecretPlace::Basic;
            Ok(vec![("username".to_owned(), "name"), ("password".to_owned(), "secret")])
        } else {
            Err("no login succeeds in the recordings: a POST with a password whose answer carries a token".to_owned())
        }?;
        let secret = members.iter().find(|(_, meaning)| *meaning == "secret").map(|(name, _)| name.clone());
        let is_login = |one: &&&Observed<'_>| match place {
            SecretPlace::Body => secret.as_ref().is_some_and(|secret| body(one.recorded).contains_key(secret)),
            SecretPlace::Basic => basic(one.recorded).is_some(),
        };
        let logins: BTreeSet<_> = successes.iter().filter(is_login).map(|one| one.path.to_owned()).collect();
        let refresh = |one: &&&Observed<'_>| {
            let body = body(one.recorded);
            let member = body.keys().find(|name| hints(name, &["refresh"])).cloned();
            member.map(|member| (one.path.to_owned(), member))
        };
        let refreshes: Vec<_> =
            successes.iter().filter(|one| !logins.contains(one.path)).filter_map(|one| refresh(&one)).collect();
        let verifies = observed.iter().any(|one| {
            one.recorded.method == Method::GET
                && logins.contains(one.path)
                && one.recorded.status == 200
                && one.recorded.authorization.is_some()
        });
        let queries = successes.iter().filter(is_login).filter_map(|one| one.recorded.query.as_deref());
        let parameter = queries.flat_map(|query| form_urlencoded::parse(query.as_bytes())).next();
        Ok(Self {
            place,
            members,
            refresh_member: refreshes.first().map(|(_, member)| member.clone()),
            refreshes: refreshes.into_iter().map(|(path, _)| path).collect(),
            verifies,
            parameter: parameter.map(|(name, _)| name.into_owned()),
            logins,
        })
    }

    /// The logins that succeeded.
    pub(super) fn granted<'o, 'r>(&self, observed: &'o [Observed<'r>]) -> Vec<&'o Observed<'r>> {
        let has_members = |one: &&Observed<'_>| {
            let body = body(one.recorded);
            self.place == SecretPlace::Basic || self.members.iter().all(|(name, _)| body.contains_key(name))
        };
        let ours = observed.iter().filter(|one| self.logins.contains(one.path) && is_success(one.recorded));
        ours.filter(has_members).collect()
    }

    /// The refreshes that succeeded.
    pub(super) fn refreshed<'o, 'r>(&self, observed: &'o [Observed<'r>]) -> Vec<&'o Observed<'r>> {
        observed.iter().filter(|one| self.refreshes.contains(one.path) && is_success(one.recorded)).collect()
    }

    /// The verifications that succeeded.
    pub(super) fn verified<'o, 'r>(&self, observed: &'o [Observed<'r>]) -> Vec<&'o Observed<'r>> {
        let is_one = |one: &&Observed<'_>| {
            self.logins.contains(one.path) && one.recorded.method == Method::GET && one.recorded.status == 200
        };
        observed.iter().filter(|_| self.verifies).filter(is_one).collect()
    }

    /// What a login sent as its `meaning`.
    pub(super) fn sent(&self, recorded: &Recorded, meaning: &str) -> Option<String> {
        if self.place == SecretPlace::Basic {
            let pair = basic(recorded)?;
            let (name, secret) = pair.parts();
            return Some(if meaning == "secret" { secret } else { name }.to_owned());
        }
        let (member, _) = self.members.iter().find(|(_, known)| *known == meaning)?;
        body(recorded).get(member)?.as_str().map(str::to_owned)
    }

    /// The tokens that logins gave.
    pub(super) fn tokens(&self, observed: &[Observed<'_>]) -> Tokens {
        let mut found = Tokens::default();
        let served = observed.iter().filter(|one| one.recorded.status < 400);
        let fields = served.filter_map(|one| one.recorded.authorization.as_deref()?.split_once(' '));
        found.schemes = fields.map(|(scheme, _)| scheme.to_lowercase()).collect();
        for one in self.granted(observed) {
            let answer = json(&one.recorded.answer).unwrap_or_default();
            for (name, member) in answer.as_object().into_iter().flatten() {
                for token in tokens(member, name) {
                    let payload = payload(&token).unwrap_or_default();
                    let issue = payload["iat"].as_i64();
                    found.first_issue = [found.first_issue, issue].into_iter().flatten().min();
                    found.audience = found.audience.or_else(|| payload.get("aud").cloned());
                    if hints(name, &["refresh"]) {
                        found.refreshing.insert(token);
                    }
                }
            }
        }
        found
    }

    /// Passwords and tokens of the recordings: none may stand in a draft.
    pub(super) fn secrets(&self, observed: &[Observed<'_>]) -> BTreeSet<String> {
        let mut secrets = BTreeSet::new();
        for Observed { recorded, .. } in observed {
            let found = is_success(recorded);
            let sent = self.sent(recorded, "secret").filter(|secret| found || secret.len() >= REFUSED_SECRET_CHARS_MIN);
            secrets.extend(sent);
            let answer = json(&recorded.answer).unwrap_or_default();
            secrets.extend(tokens(&answer, ""));
            let carried = recorded.authorization.as_deref().and_then(|field| field.split(' ').next_back());
            secrets.extend(carried.filter(|token| is_token(token, "")).map(str::to_owned));
        }
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }
}

/// The members of a request's body: of its form, where it says that it is one, else of its JSON.
pub(super) fn body(recorded: &Recorded) -> Map<String, Value> {
    recorded.form().unwrap_or_else(|| parse_object(&recorded.request)).unwrap_or_default()
}

fn basic(recorded: &Recorded) -> Option<Pair> {
    Pair::of(recorded.authorization.as_deref()?)
}

/// Whether a token came of it.
fn is_success(recorded: &Recorded) -> bool {
    recorded.method == Method::POST
        && (200..300).contains(&recorded.status)
        && json(&recorded.answer).is_some_and(|answer| !tokens(&answer, "").is_empty())
}

fn secret_member(body: &Map<String, Value>) -> Option<String> {
    let is_secret = |name: &str| hints(name, &SECRETS) || name.eq_ignore_ascii_case("pin");
    body.iter().find(|(name, value)| is_secret(name) && value.is_string()).map(|(name, _)| name.clone())
}

/// The members that every login has, and what they are.
fn members(successes: &[&Observed<'_>], secret: &str) -> Result<Vec<(String, &'static str)>, String> {
    let bodies: Vec<_> =
        successes.iter().map(|one| body(one.recorded)).filter(|body| body.contains_key(secret)).collect();
    let Some((first, others)) = bodies.split_first() else { return Ok(vec![]) };
    let in_all = |name: &str| others.iter().all(|body| body.get(name).is_some_and(Value::is_string));
    let rest: Vec<&str> = first
        .iter()
        .filter(|(name, value)| *name != secret && value.is_string() && in_all(name))
        .map(|(name, _)| name.as_str())
        .collect();
    let business = rest.iter().find(|name| rest.len() > 1 && hints(name, &BUSINESSES)).copied();
    let names: Vec<_> = rest.iter().copied().filter(|name| Some(*name) != business).collect();
    let hinted = NAMES.iter().find_map(|hint| names.iter().find(|name| hints(name, &[hint])));
    let Some(name) = hinted.or_else(|| names.first()).copied() else {
        return Err(format!("logins have '{secret}', and no member that could be the account's name"));
    };
    let meaning = |member: &str| match member {
        member if member == secret => Some("secret"),
        member if member == name => Some("name"),
        member if Some(member) == business => Some("business"),
        _ => None,
    };
    Ok(first.keys().filter_map(|member| Some((member.clone(), meaning(member)?))).collect())
}

/// The tokens in an answer.
fn tokens(answer: &Value, name: &str) -> Vec<String> {
    match answer {
        Value::String(text) if is_token(text, name) => vec![text.clone()],
        Value::Array(elements) => elements.iter().flat_map(|element| tokens(element, name)).collect(),
        Value::Object(members) => members.iter().flat_map(|(name, member)| tokens(member, name)).collect(),
        _ => vec![],
    }
}

/// Whether a text is a token: a JWT, or one long word of letters and digits; a shorter one where its name says so.
pub(super) fn is_token(text: &str, name: &str) -> bool {
    let is_word = text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.~+/=".contains(&octet));
    let is_jwt = text.starts_with("eyJ") && text.matches('.').count() == 2;
    let is_named = hints(name, &["token", "jwt", "access", "refresh", "apikey", "api_key", "bearer"]);
    let is_mixed =
        text.bytes().any(|octet| octet.is_ascii_digit()) && text.bytes().any(|octet| octet.is_ascii_alphabetic());
    let chars = text.len();
    is_word
        && (is_jwt
            || (is_named && chars >= NAMED_TOKEN_CHARS_MIN && (is_mixed || chars >= TOKEN_CHARS_MIN))
            || (chars >= TOKEN_CHARS_MIN && is_mixed && !is_uuid(text) && !is_hex(text)))
}

/// Keys of databases are short hexadecimal words; longer ones are random.
fn is_hex(text: &str) -> bool {
    text.len() < HEX_TOKEN_CHARS_MIN && has_hex_alone(text)
}

fn has_hex_alone(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// `8-4-4-4-12` hexadecimal digits.
pub(super) fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && has_hex_alone(&text.replace('-', ""))
}
