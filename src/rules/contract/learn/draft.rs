//! What was learnt, as a contract's file.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::{
    Learnt, Observed, escaped,
    failure::{self, Envelope, Error, Failure, Place, literal, phrase_of},
    hints, json,
    missing::{self, Said},
    purpose::Purposes,
    stands_in,
    success::{self, Success},
};
use crate::{
    domain::TokenKind,
    rules::contract::{RejectionKind, SecretPlace, body::is_json, file::load, language::House},
};

/// What stands for an answer that no recording has.
const GUESSED_MESSAGE: &str = "Invalid credentials";

/// A draft in the making.
struct Draft<'o, 'r> {
    name: &'o str,
    purposes: &'o Purposes,
    observed: &'o [Observed<'r>],
    login: Success,
    refresh: Option<Success>,
    verify: Option<Success>,
    /// The query parameter with the years of a token's life.
    validity: Option<&'o str>,
    failures: Vec<Failure>,
    envelope: Envelope,
}

/// Writes the file.
///
/// # Errors
/// Where what was learnt is no contract.
pub(super) fn write(name: &str, purposes: &Purposes, observed: &[Observed<'_>]) -> Result<Learnt, String> {
    let login = success::of(purposes, &purposes.granted(observed), false);
    let mut draft = Draft {
        name,
        purposes,
        observed,
        login: login.ok_or("no answer to a login is JSON")?,
        refresh: success::of(purposes, &purposes.refreshed(observed), false),
        verify: success::of(purposes, &purposes.verified(observed), true),
        validity: purposes.parameter.as_deref().filter(|_| asks_for_years(purposes, observed)),
        failures: vec![],
        envelope: Envelope { members: vec![("error".to_owned(), "{message}".into())], ..Envelope::default() },
    };
    // In its first form it says how requests are read; what it answers to them comes then.
    let first = load(name, &draft.text()).map_err(|faults| no_contract(&faults))?;
    let place = |path: &str| {
        if purposes.refreshes.contains(path) {
            Place::Refresh
        } else if purposes.logins.contains(path) {
            Place::Login
        } else {
            Place::Route
        }
    };
    let failures = failure::of(observed, first.contract.in_default(), place, &purposes.tokens(observed));
    draft.envelope = Envelope::of(&failures);
    let all: Vec<_> = failures.iter().map(|failure| failure.at).collect();
    draft.failures = failure::ours(failures, &draft.envelope, |at| observed[at].path.to_owned());
    let is_ours = |at: &usize| draft.failures.iter().any(|failure| failure.at == *at);
    let others = all.into_iter().filter(|at| !is_ours(at)).collect();
    let text = draft.text();
    load(name, &text).map_err(|faults| no_contract(&faults))?;
    Ok(Learnt { text, others })
}

fn no_contract(faults: &[crate::rules::contract::Fault]) -> String {
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    format!("what was learnt is no contract: {first}")
}

/// Whether logins have a query that a number of years would have.
fn asks_for_years(purposes: &Purposes, observed: &[Observed<'_>]) -> bool {
    let granted = purposes.granted(observed);
    let queries = granted.iter().filter_map(|one| one.recorded.query.as_deref());
    let mut values = queries.flat_map(|query| form_urlencoded::parse(query.as_bytes())).map(|(_, value)| value);
    values.any(|value| value.parse::<u8>().is_ok() || value.eq_ignore_ascii_case("true"))
}

impl Draft<'_, '_> {
    fn text(&self) -> String {
        let house = failure::language(&self.failures, &self.envelope);
        let mut out = String::from("# Drafted from recordings. A line with «guessed» says what they could not.\n");
        line(&mut out, "name", &text(self.name));
        line(&mut out, "language", &text(house));
        if self.verify.is_some() {
            out.push_str("verify = true\n");
        }
        self.settings(&mut out);
        self.accounts_and_tokens(&mut out);
        self.requests(&mut out);
        self.responses(&mut out);
        self.errors(&mut out, if house == "es" { House::Spanish } else { House::English });
        out
    }

    fn settings(&self, out: &mut String) {
        let uses = self.login.uses;
        out.push_str("\n[settings]\n");
        if uses.timezone {
            out.push_str(
                "timezone = { required = true }             # guessed: clients read the dates as local time\n",
            );
        }
        if self.validity.is_some() {
            out.push_str("max_years = { default = 100, least = 1, most = 100 }   # guessed\n");
            out.push_str("allow_non_expiring = { default = true }    # guessed\n");
        } else if uses.end_of_day {
            out.push_str("lifetime = \"end-of-day\"                    # guessed: a date ends a day\n");
        }
        for (kind, key) in [
            (TokenKind::Access, "lifetime"),
            (TokenKind::Content, "content_lifetime"),
            (TokenKind::Refresh, "refresh_lifetime"),
        ] {
            let said = self.login.lives.iter().find(|(known, _)| *known == kind);
            let is_taken = kind == TokenKind::Access && (uses.end_of_day || self.validity.is_some());
            if let Some((_, seconds)) = said.filter(|_| !is_taken && self.login.kinds.contains(&kind)) {
                line(out, key, &text(&format!("{seconds}s")));
            }
        }
    }

    fn accounts_and_tokens(&self, out: &mut String) {
        let name = self.purposes.members.iter().find(|(_, meaning)| *meaning == "name");
        let name = name.map(|(name, _)| name.as_str()).unwrap_or_default();
        let kind = match name {
            name if hints(name, &["client", "app"]) => "client",
            name if hints(name, &["project", "proyecto"]) => "project",
            _ => "user",
        };
        let _ = writeln!(out, "\n[account]\nkind = {}{}guessed", text(kind), pad());
        if self.login.uses.legacy_id {
            out.push_str("legacy_id = \"made\"\n");
        }
        if self.login.uses.company || self.has(RejectionKind::CompanyMissing) {
            out.push_str("company = \"required\"\n");
        }
        let algorithm = if self.login.uses.jwt { "HS256" } else { "sealed" };
        let _ = writeln!(out, "\n[tokens]\nalgorithm = {}{}guessed", text(algorithm), pad());
        line(out, "login", &kinds(&self.login.kinds));
        if let Some(refresh) = &self.refresh {
            let given: Vec<_> = refresh.kinds.iter().copied().filter(|kind| *kind != TokenKind::Refresh).collect();
            line(out, "refresh", &kinds(&given));
        }
    }

    fn requests(&self, out: &mut String) {
        out.push_str("\n[login]\n");
        if self.purposes.place == SecretPlace::Basic {
            out.push_str("place = \"basic\"\n");
        } else {
            let granted = self.purposes.granted(self.observed);
            let forms = granted.iter().filter(|one| one.recorded.form().is_some()).count();
            if forms < granted.len() {
                line(out, "content_type", &text(self.announced()));
            }
            if forms > 0 {
                line(out, "form", &text(if forms < granted.len() { "also" } else { "only" }));
            }
        }
        let members: Vec<_> =
            self.purposes.members.iter().map(|(name, meaning)| format!("{} = {}", key(name), text(meaning))).collect();
        line(out, "members", &format!("{{ {} }}", members.join(", ")));
        if let (Some(member), Some(_)) = (&self.purposes.refresh_member, &self.refresh) {
            out.push_str("\n[refresh]\n");
            line(out, "member", &text(member));
        }
        if let Some(parameter) = self.validity {
            self.write_validity(out, parameter);
        }
        let carried = |one: &&Observed<'_>| one.recorded.status < 400;
        let fields: Vec<_> =
            self.observed.iter().filter(carried).filter_map(|one| one.recorded.authorization.as_deref()).collect();
        let is_bare = fields.iter().any(|field| !field.contains(' ') && !field.is_empty());
        let mut schemes = fields.iter().filter_map(|field| field.split_once(' ')).map(|(scheme, _)| scheme);
        let scheme = schemes.find(|scheme| !["bearer", "basic"].contains(&&*scheme.to_lowercase()));
        if is_bare || scheme.is_some() {
            out.push_str("\n[use]\n");
        }
        if is_bare {
            out.push_str("bare_authorization = true\n");
        }
        if let Some(scheme) = scheme {
            line(out, "scheme", &text(scheme));
        }
        let told = self.told();
        if !told.is_empty() {
            out.push_str("\n[tells]\n");
            for (place, errors) in told {
                let errors: Vec<_> = errors.iter().map(|error| text(error)).collect();
                line(out, place, &format!("[{}]", errors.join(", ")));
            }
        }
    }

    /// What the type of a body may be: by what became of the same credentials under others.
    fn announced(&self) -> &'static str {
        let complete = |one: &&Observed<'_>| {
            self.purposes.logins.contains(one.path)
                && one.recorded.form().is_none()
                && one.recorded.method == http::Method::POST
                && self.purposes.members.iter().all(|(_, meaning)| self.purposes.sent(one.recorded, meaning).is_some())
        };
        let granted: Vec<_> = self.purposes.granted(self.observed).iter().map(|one| &one.recorded.answer).collect();
        let fits = |one: &Observed<'_>| {
            let shape = |answer: &[u8]| json(answer).map(|value| keys(&value));
            granted.iter().any(|answer| shape(answer) == shape(&one.recorded.answer))
        };
        let (mut absent_fails, mut other_passes) = (false, false);
        for one in self.observed.iter().filter(complete) {
            match &one.recorded.content_type {
                None => absent_fails |= !fits(one),
                Some(kind) if !is_json(kind) => other_passes |= fits(one),
                Some(_) => {}
            }
        }
        match (absent_fails, other_passes) {
            (_, true) => "any",
            (true, false) => "json-required",
            (false, false) => "json-if-sent",
        }
    }

    fn write_validity(&self, out: &mut String, parameter: &str) {
        let refused: Vec<_> = self.observed.iter().filter(|one| self.purposes.logins.contains(one.path)).collect();
        let message = |is_twice: bool| {
            let of_query = |one: &&&Observed<'_>| {
                let query = one.recorded.query.as_deref().unwrap_or_default();
                let values = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == parameter).count();
                values > 0 && (values > 1) == is_twice && one.recorded.status >= 400
            };
            let found = refused.iter().find(of_query)?;
            let failure = Failure {
                error: Error::of(RejectionKind::InvalidQuery),
                status: found.recorded.status,
                media_type: found.recorded.answer_type.clone(),
                body: json(&found.recorded.answer)?,
                missing: vec![],
                lacks: vec![],
                method: String::new(),
                at: 0,
            };
            let (message, _) = self.envelope.read(&failure)?;
            message?.as_str().map(escaped)
        };
        let unreadable = message(false).unwrap_or_else(|| "The query is not valid".to_owned());
        let repeated = message(true).unwrap_or_else(|| unreadable.clone());
        out.push_str("\n[validity]\n");
        line(out, "parameter", &text(parameter));
        out.push_str("years = 2                                  # guessed: so long where the parameter is absent\n");
        out.push_str("default_words = [\"false\"]                  # guessed\nforever_words = [\"true\"]                   # guessed\n");
        line(out, "repeated", &text(&repeated));
        let _ = writeln!(out, "never_ends = {}{}guessed", text(&unreadable), pad());
        let _ = writeln!(out, "too_long = {}{}guessed", text(&unreadable), pad());
        line(out, "unreadable", &text(&unreadable));
    }

    /// What is told of accounts that may not log in: to a stranger, where any secret was told so.
    fn told(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let mut told = BTreeMap::<_, Vec<_>>::new();
        for kind in [RejectionKind::Inactive, RejectionKind::CompanyMissing, RejectionKind::Locked] {
            let Some(failure) = self.failures.iter().find(|one| one.error == Error::of(kind)) else { continue };
            let same = |one: &&Observed<'_>| json(&one.recorded.answer).as_ref() == Some(&failure.body);
            let mut secrets: Vec<_> = self
                .observed
                .iter()
                .filter(same)
                .filter_map(|one| self.purposes.sent(one.recorded, "secret"))
                .collect();
            secrets.sort_unstable();
            secrets.dedup();
            let is_before = secrets.len() > 1 && kind != RejectionKind::Locked;
            told.entry(if is_before { "before_secret" } else { "after_secret" }).or_default().push(kind.name());
        }
        told.into_iter().collect()
    }

    fn responses(&self, out: &mut String) {
        let all = [("login", Some(&self.login)), ("refresh", self.refresh.as_ref()), ("verify", self.verify.as_ref())];
        for (name, success) in all {
            let Some(success) = success else { continue };
            out.push('\n');
            for guess in &success.guesses {
                let guess: String = guess.chars().filter(|letter| !letter.is_control()).collect();
                let _ = writeln!(out, "# guessed: {guess}");
            }
            for place in &success.unexpressed {
                let place: String = place.chars().filter(|letter| !letter.is_control()).collect();
                let _ =
                    writeln!(out, "# not expressed: {place}: it is new each time, as the id of a token is: left out");
            }
            let _ = writeln!(out, "[responses.{name}]");
            if success.status != 200 {
                line(out, "status", &success.status.to_string());
            }
            media_type(out, success.media_type.as_deref());
            line(out, "body", &text(&success.body.to_string()));
        }
        if self.login.uses.legacy_id {
            out.push_str("\n[responses.incomplete]                     # guessed\nmessage = \"Server error\"\n");
            if self.has_code() {
                out.push_str("code = 500\n");
            }
        }
    }

    fn errors(&self, out: &mut String, house: House) {
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

    fn has(&self, kind: RejectionKind) -> bool {
        self.failures.iter().any(|failure| failure.error == Error::of(kind))
    }

    fn has_code(&self) -> bool {
        self.envelope.members.iter().any(|(_, template)| template == "{code}")
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

/// The names of an answer's members, at any depth.
fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(name, member)| [vec![name.clone()], keys(member)].concat()).collect()
        }
        Value::String(_) => vec!["text".to_owned()],
        _ => vec![],
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

/// Between a value and the comment behind it.
const fn pad() -> &'static str {
    "   # "
}

/// A string of TOML.
fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A key of TOML.
fn key(name: &str) -> String {
    let is_bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { text(name) }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), text)
}

fn kinds(kinds: &[TokenKind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| text(kind.name())).collect();
    format!("[{}]", names.join(", "))
}

fn media_type(out: &mut String, said: Option<&str>) {
    if let Some(known) = known_type(said).filter(|known| *known != crate::rules::contract::JSON) {
        line(out, "media_type", &text(known));
    }
}

/// The media type that a contract may have and that was said.
fn known_type(said: Option<&str>) -> Option<&'static str> {
    let said = said?.replace(' ', "").to_lowercase();
    crate::rules::contract::MEDIA_TYPES.into_iter().find(|known| known.replace(' ', "").to_lowercase() == said)
}
