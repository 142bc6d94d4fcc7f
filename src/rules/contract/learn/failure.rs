//! Which error each refusal was, and what the errors share.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::{Map, Value};

use super::{
    missing::{self, Said},
    observed::Observed,
    spelling::{escaped, hints, json},
    tokens::Tokens,
};
use crate::{
    domain::{Reason, json::parse_object},
    rules::contract::{
        Contract, DialectSettings, FileContract, Lack, MissingMember, Operation, Recorded, RejectionKind, RequestBody,
        engine::BODY_BYTES_MAX, language::House, response::phrase,
    },
};

/// An error that was recorded.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) status: u16,
    pub(super) media_type: Option<String>,
    pub(super) body: Value,
    /// The members that were missing, and what stood in the place of each.
    pub(super) missing: Vec<String>,
    pub(super) lacks: Vec<Lack>,
    /// The method of the request.
    pub(super) method: String,
    /// The place of the exchange.
    pub(super) at: usize,
}

impl Failure {
    /// What it says at a place of its body.
    pub(super) fn said<'v>(&'v self, value: &'v Value) -> Said<'v> {
        Said { value, missing: &self.missing, lacks: &self.lacks }
    }
}

/// Which error it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Error {
    /// A refused token request, by its place in [`RejectionKind::ALL`].
    Rejection(usize),
    /// A denied request without a token.
    MissingToken,
    /// A denied request with a token that tells why it is refused, by its place in [`Reason::ALL`].
    Token(usize),
    /// A denied request, by its status.
    Denial(u16),
}

impl Error {
    pub(super) const fn of(kind: RejectionKind) -> Self {
        Self::Rejection(kind as usize)
    }

    /// Its key in the file.
    pub(super) fn key(self) -> String {
        match self {
            Self::Rejection(at) => RejectionKind::ALL[at].name().to_owned(),
            Self::MissingToken => Reason::MissingToken.name().to_owned(),
            Self::Token(at) => Reason::ALL[at].name().to_owned(),
            Self::Denial(status) => status.to_string(),
        }
    }

    /// The status that it has where the file says none.
    pub(super) fn own_status(self) -> u16 {
        match self {
            Self::Rejection(at) => RejectionKind::ALL[at].status().as_u16(),
            Self::MissingToken | Self::Token(_) => 401,
            Self::Denial(status) => status,
        }
    }
}

/// What errors have in common: a shape, and what its members are.
#[derive(Clone, Debug, Default)]
pub(super) struct Envelope {
    pub(super) media_type: Option<String>,
    /// Each member and its template; one is `{message}`.
    pub(super) members: Vec<(String, Value)>,
}

/// Drops denials in another shape than the errors have where a denial of that status is there in their shape: they are
/// another contract's. Not so at a path that has denials in that shape too: a contract may have several.
pub(super) fn ours(failures: Vec<Failure>, envelope: &Envelope, path: impl Fn(usize) -> String) -> Vec<Failure> {
    let of_routes = |failure: &Failure| !matches!(failure.error, Error::Rejection(_));
    let in_shape: Vec<_> =
        failures.iter().filter(|failure| of_routes(failure) && envelope.read(failure).is_some()).collect();
    let statuses: BTreeSet<_> = in_shape.iter().map(|failure| failure.status).collect();
    let paths: BTreeSet<_> = in_shape.iter().map(|failure| path(failure.at)).collect();
    let is_ours = |failure: &Failure| {
        !of_routes(failure)
            || !statuses.contains(&failure.status)
            || envelope.read(failure).is_some()
            || paths.contains(&path(failure.at))
    };
    let are_ours: Vec<_> = failures.iter().map(is_ours).collect();
    failures.into_iter().zip(are_ours).filter_map(|(failure, is_ours)| is_ours.then_some(failure)).collect()
}

/// The refusals among the exchanges, as the contract in its first draft reads their requests.
pub(super) fn of(
    observed: &[Observed<'_>],
    draft: &FileContract,
    place: impl Fn(&str) -> Place,
    tokens: &Tokens,
) -> Vec<Failure> {
    let mut failures = vec![];
    for (at, Observed { path, recorded }) in observed.iter().enumerate() {
        let Some(body) = json(&recorded.answer) else { continue };
        let Some((error, members)) = error(recorded, draft, place(path), &body, tokens) else { continue };
        failures.push(Failure {
            error,
            status: recorded.status,
            media_type: recorded.answer_type.clone(),
            body,
            missing: members.iter().map(|member| member.name.to_string()).collect(),
            lacks: members.iter().map(|member| member.lack).collect(),
            method: recorded.method.to_string(),
            at,
        });
    }
    failures
}

/// What a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Login,
    Refresh,
    Route,
}

fn error(
    recorded: &Recorded,
    draft: &FileContract,
    place: Place,
    answer: &Value,
    tokens: &Tokens,
) -> Option<(Error, Vec<MissingMember>)> {
    let plain = |error| Some((error, vec![]));
    if place == Place::Route {
        return (recorded.status >= 400).then(|| (denial(recorded, tokens), vec![]));
    }
    // Whatever was asked, it was granted: no error says a token.
    if recorded.status < 400 && says_token(answer) {
        return None;
    }
    let refresh = place == Place::Refresh;
    let has_method =
        if refresh { recorded.method == http::Method::POST } else { draft.methods().contains(&recorded.method) };
    if !has_method {
        return plain(Error::of(RejectionKind::MethodNotAllowed));
    }
    if recorded.request.len() > BODY_BYTES_MAX {
        return plain(Error::of(RejectionKind::BodyTooLarge));
    }
    let (json, form) = (parse_object(&recorded.request), recorded.form());
    let request = recorded.token_request(RequestBody { json: &json, form: form.as_ref() }, refresh);
    match draft.read(&request, &DialectSettings::default()) {
        Err(crate::rules::contract::Rejection::Missing(members)) => {
            Some((Error::of(RejectionKind::Missing), members.members().to_vec()))
        }
        Err(rejection) => plain(Error::of(rejection.kind())),
        Ok(Operation::Verify) => (recorded.status >= 400).then(|| (denial(recorded, tokens), vec![])),
        Ok(_) if says_token(answer) => None,
        Ok(Operation::Refresh(_)) => plain(Error::of(waiting(recorded).unwrap_or(RejectionKind::InvalidRefreshToken))),
        Ok(Operation::Login(_)) => plain(Error::of(waiting(recorded).unwrap_or_else(|| refused(answer)))),
    }
}

fn says_token(answer: &Value) -> bool {
    match answer {
        Value::String(text) => super::purpose::is_token(text, ""),
        Value::Object(members) => members.iter().any(|(name, value)| match value {
            Value::String(text) => super::purpose::is_token(text, name),
            value => says_token(value),
        }),
        _ => false,
    }
}

/// What was sent says why it was denied, as far as anybody can tell without its key.
fn denial(recorded: &Recorded, tokens: &Tokens) -> Error {
    let field = recorded.authorization.as_deref().unwrap_or_default().trim();
    let is_empty = field.is_empty() || field.eq_ignore_ascii_case("Bearer") || tokens.is_of_others(field);
    match tokens.reason(field) {
        _ if recorded.status != 401 => Error::Denial(recorded.status),
        _ if is_empty => Error::MissingToken,
        Some(reason) => Error::Token(reason as usize),
        None => Error::Denial(recorded.status),
    }
}

const fn waiting(recorded: &Recorded) -> Option<RejectionKind> {
    match recorded.status {
        429 => Some(RejectionKind::ThrottledName),
        503 => Some(RejectionKind::Unavailable),
        _ => None,
    }
}

/// Why a login with everything it needs was refused, by the words of the answer.
fn refused(answer: &Value) -> RejectionKind {
    let said = answer.to_string();
    if hints(&said, &["lock", "bloque", "bloquead"]) {
        RejectionKind::Locked
    } else if hints(&said, &["inactiv", "disabled", "deshabilitad"]) {
        RejectionKind::Inactive
    } else if hints(&said, &["not found", "company", "empresa"]) {
        RejectionKind::CompanyMissing
    } else {
        RejectionKind::InvalidCredentials
    }
}

impl Envelope {
    /// What most of the errors share.
    pub(super) fn of(failures: &[Failure]) -> Self {
        let mut shapes: BTreeMap<(Vec<&String>, Option<&String>), Vec<&Failure>> = BTreeMap::new();
        for failure in failures {
            let Some(members) = failure.body.as_object() else { continue };
            // What is keyed by the missing members has as many shapes as there are of those.
            let said = [failure.said(&failure.body)];
            if missing::keyed(&said).is_none() {
                shapes.entry((members.keys().collect(), failure.media_type.as_ref())).or_default().push(failure);
            }
        }
        let Some(((_, media_type), failures)) =
            shapes.into_iter().max_by_key(|(_, failures)| (errors_of(failures), failures.len()))
        else {
            return Self::default();
        };
        let Some(first) = failures.first().and_then(|failure| failure.body.as_object()) else { return Self::default() };
        let said =
            |name: &str| failures.iter().map(move |failure| (failure.status, &failure.body[name])).collect::<Vec<_>>();
        let mut members: Vec<_> = first.keys().map(|name| (name.clone(), member(&said(name)))).collect();
        one_message(&mut members, |name| usual(&said(name)));
        // The one text that differs is the message; where none does, that which is called so.
        if !members.iter().any(|(_, value)| value == "{message}")
            && let Some(at) = NAMES_OF_MESSAGES.iter().find_map(|hint| {
                members.iter().position(|(name, value)| hints(name, &[hint]) && value.is_string() && value != "{title}")
            })
        {
            members[at].1 = "{message}".into();
        }
        // Without a message it says one thing alone, and is no shape for others.
        if !members.iter().any(|(_, value)| value == "{message}") {
            members.clear();
        }
        Self { media_type: media_type.cloned(), members }
    }

    /// The message and the code of a body of this shape; `None` where it has another one.
    pub(super) fn read(&self, failure: &Failure) -> Option<(Option<Value>, Option<Value>)> {
        let members = failure.body.as_object()?;
        if members.len() != self.members.len() || failure.media_type != self.media_type || members.is_empty() {
            return None;
        }
        let (mut message, mut code) = (None, None);
        for ((name, value), (known, template)) in members.iter().zip(&self.members) {
            let fits = name == known
                && match template.as_str() {
                    Some("{message}") => {
                        message = Some(value.clone());
                        value.is_string()
                    }
                    Some("{code}") => {
                        code = Some(value.clone());
                        value.is_i64() || value.is_string()
                    }
                    _ => filled(template, failure.status).as_ref() == Some(value),
                };
            if !fits {
                return None;
            }
        }
        Some((message, code))
    }

    /// The template of a body.
    pub(super) fn body(&self) -> Option<Value> {
        (!self.members.is_empty()).then(|| Value::Object(self.members.iter().cloned().collect()))
    }

    /// A body of another shape, with what both have.
    pub(super) fn around(&self, body: Map<String, Value>, status: u16) -> Value {
        let with = |(name, value): (String, Value)| {
            let known = self.members.iter().find(|(known, _)| *known == name).map(|(_, template)| template);
            match known.filter(|template| filled(template, status).as_ref() == Some(&value)) {
                Some(template) => (name, template.clone()),
                None => (name, value),
            }
        };
        Value::Object(body.into_iter().map(with).collect())
    }
}

/// Of several members that differ, the one whose name says so is the message; what most have stands for the others.
fn one_message(members: &mut [(String, Value)], usual: impl Fn(&str) -> Value) {
    let differing: Vec<_> = (0..members.len()).filter(|&at| members[at].1 == "{message}").collect();
    let named = |hint: &&str| differing.iter().copied().find(|&at| hints(&members[at].0, &[*hint]));
    let Some(message) = NAMES_OF_MESSAGES.iter().find_map(named).or(differing.first().copied()) else { return };
    for at in differing.into_iter().filter(|&at| at != message) {
        members[at].1 = literal(&usual(&members[at].0));
    }
}

/// What is said most often.
fn usual(said: &[(u16, &Value)]) -> Value {
    let count = |value: &Value| said.iter().filter(|(_, other)| *other == value).count();
    said.iter().map(|(_, value)| *value).max_by_key(|value| count(value)).cloned().unwrap_or_default()
}

/// How many errors are among these.
fn errors_of(failures: &[&Failure]) -> usize {
    failures.iter().map(|failure| failure.error).collect::<BTreeSet<_>>().len()
}

/// Names of members that say what went wrong, the best first.
const NAMES_OF_MESSAGES: [&str; 9] =
    ["message", "msg", "detail", "description", "mensaje", "reason", "error", "title", "errors"];

/// What a template without message and code writes.
fn filled(template: &Value, status: u16) -> Option<Value> {
    match template.as_str() {
        Some("{status}") => Some(status.into()),
        Some("{title}") => Some(phrase(StatusCode::from_u16(status).ok()?)?.into()),
        Some(text) => Some(text.replace("{{", "{").replace("}}", "}").into()),
        None => Some(template.clone()),
    }
}

/// What a member of all these errors is.
fn member(said: &[(u16, &Value)]) -> Value {
    let first = said.first().map(|(_, value)| (*value).clone()).unwrap_or_default();
    let is =
        |template: &str| said.iter().all(|(status, value)| filled(&template.into(), *status).as_ref() == Some(value));
    if is("{status}") {
        "{status}".into()
    } else if is("{title}") {
        "{title}".into()
    } else if said.iter().all(|(_, value)| **value == first) {
        literal(&first)
    } else if said.iter().all(|(_, value)| value.is_string()) {
        "{message}".into()
    } else if said.iter().all(|(_, value)| value.is_i64()) {
        "{code}".into()
    } else {
        first
    }
}

/// A value without holes.
pub(super) fn literal(value: &Value) -> Value {
    match value {
        Value::String(text) => escaped(text).into(),
        Value::Array(elements) => elements.iter().map(literal).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), literal(value))).collect(),
        other => other.clone(),
    }
}

/// The language whose phrases the messages are, where they are.
pub(super) fn language(failures: &[Failure], envelope: &Envelope) -> &'static str {
    let count = |house: House| {
        let is_phrase = |failure: &&Failure| {
            let message = envelope.read(failure).and_then(|(message, _)| message);
            message.is_some_and(|message| message == phrase_of(house, failure.status))
        };
        failures.iter().filter(is_phrase).count()
    };
    let is_spanish = |failure: &&Failure| failure.body.to_string().contains(['á', 'é', 'í', 'ó', 'ú', 'ñ', '¿', '¡']);
    let spanish = failures.iter().filter(is_spanish).count();
    match (count(House::Spanish), count(House::English)) {
        (spanish, english) if spanish > english => "es",
        // Where no phrase is known, letters tell.
        (0, 0) if spanish * 2 > failures.len() => "es",
        _ => "en",
    }
}

/// The phrase that ships for a status.
pub(super) fn phrase_of(house: House, status: u16) -> &'static str {
    StatusCode::from_u16(status).map(|status| house.phrase(status)).unwrap_or_default()
}
