//! What its errors answer: `[errors]`, `[rejections]`, `[denials]`.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::{
    Draft,
    line::{known_type, line, media_type, pad, scalar, text},
};
use crate::rules::contract::{
    RejectionKind,
    language::House,
    learn::{
        failure::{Error, Failure, literal, phrase_of},
        missing::{self, Said},
        secrecy::stands_in,
    },
};

/// What stands for an answer that no recording has.
const GUESSED_MESSAGE: &str = "Invalid credentials";

impl Draft<'_, '_> {
    pub(super) fn errors(&self, out: &mut String, house: House) {
        out.push_str("\n[errors]\n");
        media_type(out, self.envelope.media_type.as_deref());
        let body = self.envelope.body().unwrap_or_else(|| serde_json::json!({ "error": "{message}" }));
        line(out, "body", &text(&body.to_string()));
        out.push_str("\n[rejections]\n");
        let mut found: BTreeMap<Error, Vec<&Failure>> = BTreeMap::new();
        for failure in &self.failures {
            found.entry(failure.error).or_default().push(failure);
        }
        let other = self.other_code(house);
        let mut written = vec![];
        let rejections = found.iter().filter(|(error, _)| matches!(error, Error::Rejection(_)));
        for (error, failures) in rejections {
            if let Some(entry) = self.entry(*error, failures, house, other.as_ref()) {
                line(out, &error.key(), &entry);
                written.push(*error);
            }
        }
        if !written.contains(&Error::of(RejectionKind::InvalidCredentials)) {
            let _ = writeln!(out, "invalid_credentials = {{ message = {} }}{}guessed", text(GUESSED_MESSAGE), pad());
        }
        for kind in [
            RejectionKind::InvalidRefreshToken,
            RejectionKind::Locked,
            RejectionKind::Inactive,
            RejectionKind::CompanyMissing,
        ] {
            if !written.contains(&Error::of(kind)) {
                let _ = writeln!(out, "{} = \"invalid_credentials\"{}guessed", kind.name(), pad());
            }
        }
        let code = other.map(|code| format!("code = {}, ", scalar(&code))).unwrap_or_default();
        let _ = writeln!(out, "other = {{ {code}message = \"{{phrase}}\" }}\n\n[denials]");
        self.denials(out, &found, house);
        out.push_str("other = { message = \"{phrase}\" }\n");
    }

    fn denials(&self, out: &mut String, found: &BTreeMap<Error, Vec<&Failure>>, house: House) {
        let denials = found.iter().filter(|(error, _)| !matches!(error, Error::Rejection(_)));
        let denials: Vec<_> =
            denials.map(|(error, failures)| (*error, self.entry(*error, failures, house, None))).collect();
        let of_401 = denials.iter().filter(|(error, _)| error.own_status() == 401);
        // What stands for all of them: what has no reason of its own, else what the first bad token got.
        let general = of_401.min_by_key(|(error, _)| match error {
            Error::Denial(_) => 0,
            Error::Token(_) => 1,
            _ => 2,
        });
        for denial in &denials {
            let (error, entry) = denial;
            let is_general = general == Some(denial);
            let is_same = !is_general && error.own_status() == 401 && general.is_some_and(|(_, same)| same == entry);
            if let Some(entry) = entry.as_ref().filter(|_| !is_same) {
                line(out, &if is_general { "401".to_owned() } else { error.key() }, entry);
            }
        }
    }

    /// The code of errors that no recording words, where it is not their status.
    fn other_code(&self, house: House) -> Option<Value> {
        let is_plain = |failure: &&Failure| matches!(failure.error, Error::Rejection(_));
        let codes = self.failures.iter().filter(is_plain).filter_map(|failure| {
            let (message, code) = self.envelope.read(failure)?;
            (message? == phrase_of(house, failure.status)).then_some(code?).filter(|code| *code != failure.status)
        });
        codes.into_iter().next()
    }

    /// The response of an error; `None` where `other` says the same.
    fn entry(&self, error: Error, failures: &[&Failure], house: House, other: Option<&Value>) -> Option<String> {
        if error == Error::of(RejectionKind::InvalidQuery) && self.validity.is_some() {
            return Some("{ message = \"{detail}\" }".to_owned());
        }
        let in_shape: Vec<_> =
            failures.iter().filter_map(|failure| Some((*failure, self.envelope.read(failure)?))).collect();
        let mut parts = vec![];
        let status = |parts: &mut Vec<String>, status: u16| {
            if status != error.own_status() {
                parts.push(format!("status = {status}"));
            }
        };
        let said: Vec<_> =
            in_shape.iter().filter_map(|(failure, (message, _))| Some(failure.said(message.as_ref()?))).collect();
        if let (Some((failure, (message, code))), Some(Value::String(template))) =
            (in_shape.first(), common(error, &said).map(|value| with_method(error, value, failures)))
        {
            status(&mut parts, failure.status);
            let code = code.as_ref().filter(|code| **code != failure.status);
            let is_phrase = message.as_ref().is_some_and(|message| *message == phrase_of(house, failure.status));
            if is_phrase && parts.is_empty() && code == other {
                return None;
            }
            parts.extend(code.map(|code| format!("code = {}", scalar(code))));
            parts.push(format!("message = {}", text(&template)));
            return Some(format!("{{ {} }}", parts.join(", ")));
        }
        let first = failures.first()?;
        status(&mut parts, first.status);
        if first.media_type != self.envelope.media_type {
            parts.extend(known_type(first.media_type.as_deref()).map(|known| format!("media_type = {}", text(known))));
        }
        let said: Vec<_> = failures.iter().map(|failure| failure.said(&failure.body)).collect();
        let body = common(error, &said).unwrap_or_else(|| literal(&first.body));
        let body = with_method(error, body, failures);
        let body = match body {
            Value::Object(members) => self.envelope.around(members, first.status),
            other => other,
        };
        parts.push(format!("body = {}", text(&body.to_string())));
        Some(format!("{{ {} }}", parts.join(", ")))
    }
}

/// What these answers say, with holes for the missing members; another error says the first of them.
fn common(error: Error, said: &[Said<'_>]) -> Option<Value> {
    if error == Error::of(RejectionKind::Missing) {
        return missing::template(said);
    }
    said.first().map(|one| literal(one.value))
}

/// The same with a hole for the method of the request, where the first of these answers names it and the others theirs.
fn with_method(error: Error, value: Value, failures: &[&Failure]) -> Value {
    let Some(first) = failures.first().filter(|_| error == Error::of(RejectionKind::MethodNotAllowed)) else {
        return value;
    };
    let names_its_own = |failure: &&Failure| stands_in(&failure.body.to_string(), &failure.method);
    if failures.iter().all(names_its_own) { holed(&value, &first.method) } else { value }
}

fn holed(value: &Value, method: &str) -> Value {
    match value {
        Value::String(text) => text.replace(method, "{request.method}").into(),
        Value::Array(elements) => elements.iter().map(|element| holed(element, method)).collect(),
        Value::Object(members) => members.iter().map(|(name, of)| (name.clone(), holed(of, method))).collect(),
        other => other.clone(),
    }
}
