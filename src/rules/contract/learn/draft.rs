//! What was learnt, as a contract's file.

mod errors;
mod line;

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use self::line::{key, kinds, line, media_type, pad, text};
use super::{
    failure::{self, Envelope, Error, Failure, Place},
    observed::{Learnt, Observed},
    purpose::Purposes,
    spelling::{escaped, hints, json},
    success::{self, Success},
};
use crate::{
    domain::TokenKind,
    rules::contract::{RejectionKind, SecretPlace, body::is_json, file::load, language::House},
};

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

    fn has(&self, kind: RejectionKind) -> bool {
        self.failures.iter().any(|failure| failure.error == Error::of(kind))
    }

    fn has_code(&self) -> bool {
        self.envelope.members.iter().any(|(_, template)| template == "{code}")
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
