//! `[verifiers.NAME]`: old systems that are asked about logins.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode, Uri, header};

use super::{
    duration,
    issuers::secure_url,
    item::Item,
    reader::{Section, suggestion},
};
use crate::{
    rules::{
        rewrite::is_hop_by_hop,
        verifier::{Alphabet, Evidence, MemberPath, Syntax, TokenEvidence, TokenPlace, TokenQuestion},
    },
    verifier::{Bounds, MAX_AGE_DEFAULT, TokenCheckSettings, VerifierSettings},
};

/// A login waits as long.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30);
const WAIT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const RATE: RangeInclusive<u32> = 1..=10_000;
const CONCURRENCY: RangeInclusive<usize> = 1..=1024;
const QUEUE: RangeInclusive<usize> = 0..=65_536;
const CHARS: RangeInclusive<usize> = 1..=1024;
const MAX_AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// Characters of a prefix, at most.
const PREFIX_CHARS_MAX: usize = 64;

/// Fields that say for whom a message is, or frame it.
const NOT_FOR_ADDRESSES: [HeaderName; 4] =
    [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::AUTHORIZATION];

/// The old systems of the file.
#[derive(Default)]
pub(super) struct Verifiers {
    /// Every name that stands in the file, of good ones and bad ones.
    declared: Vec<String>,
    /// The good ones.
    pub(super) checked: Vec<Arc<VerifierSettings>>,
}

impl Verifiers {
    /// The old system that `item` names; a problem when there is none.
    pub(super) fn resolve(&self, item: &Item<'_>) -> Option<Arc<str>> {
        let name = item.text()?;
        if self.declared.contains(&name) {
            return Some(name.into());
        }
        if self.declared.is_empty() {
            let shown = item.shown();
            return item.wrong(&format!("no verifier is called {shown}; there is none yet: add [verifiers.NAME]"));
        }
        let instead = suggestion(item.raw(), self.declared.iter().map(String::as_str));
        item.wrong(&format!("no verifier is called {}; {instead}", item.shown()))
    }
}

/// Reads every old system.
pub(super) fn read(root: &mut Section<'_>) -> Verifiers {
    let mut verifiers = Verifiers::default();
    for (name, section) in root.named_sections("verifiers") {
        verifiers.declared.push(name.to_owned());
        verifiers.checked.extend(verifier(name, section).map(Arc::new));
    }
    verifiers
}

fn verifier(name: &str, mut section: Section<'_>) -> Option<VerifierSettings> {
    let shaped = name.parse::<crate::domain::RealmName>().is_ok();
    if !shaped {
        section.report_here("the name must be 1 to 64 of a-z, 0-9, '-' and '_', and start with a letter");
    }
    let default = VerifierSettings::new(name, Uri::default());
    let example = "https://old.example.com/api/auth/token";
    let url = section.required("url", &format!("\"{example}\""), |item| url(item, example));
    let ca = section.optional("ca", Item::path);
    if ca.is_some() && url.as_ref().is_some_and(|url| url.scheme_str() == Some("http")) {
        section.report("ca", "url is http: there is no certificate to check");
    }
    let connect_timeout = section.or("connect_timeout", default.connect_timeout, |item| item.duration(&TIMEOUT));
    let timeout = section.or("timeout", default.timeout, |item| item.duration(&TIMEOUT));
    if connect_timeout > timeout {
        let [connect, whole] = [connect_timeout, timeout].map(duration::shown);
        let why = format!("{connect} is more than timeout ({whole}), which ends before");
        section.report("connect_timeout", &why);
    }
    let bounds = bounds(&mut section);
    let client_header = section.optional("client_header", client_header);
    let names = syntax(section.section("names"), default.names);
    let secrets = syntax(section.section("secrets"), default.secrets);
    let evidence = evidence(&mut section);
    let tokens = section.has("tokens").then(|| tokens(section.section("tokens")));
    section.finish();
    Some(VerifierSettings {
        ca,
        connect_timeout,
        timeout,
        bounds,
        client_header,
        names,
        secrets,
        evidence,
        tokens: tokens.flatten(),
        ..VerifierSettings::new(shaped.then_some(name)?, url?)
    })
}

fn bounds(section: &mut Section<'_>) -> Bounds {
    let default = Bounds::default();
    Bounds {
        rate: section.or("rate", default.rate, |item| item.integer(&RATE)),
        concurrency: section.or("concurrency", default.concurrency, |item| item.integer(&CONCURRENCY)),
        queue: section.or("queue", default.queue, |item| item.integer(&QUEUE)),
        wait: section.or("wait", default.wait, |item| item.duration(&WAIT)),
    }
}

/// How it is asked about its tokens.
fn tokens(mut section: Section<'_>) -> Option<TokenCheckSettings> {
    let example = "https://old.example.com/api/auth/check";
    let url = section.required("url", &format!("\"{example}\""), |item| url(item, example));
    let place = section.required("send", "\"bearer\"", place);
    let in_body = matches!(place, Some(TokenPlace::Json(_) | TokenPlace::Form(_)));
    let posts = section.or("method", in_body, |item| item.one_of(&[("GET", false), ("POST", true)]));
    if in_body && !posts {
        section.report("method", "a GET has no body: send the token in a field, or ask by POST");
    }
    let path = |item: &Item<'_>| item.parse::<MemberPath>("the member, such as \"username\" or \"user.name\"");
    let name = section.required("name", "\"username\"", path);
    let [business, active, expires] = ["business", "active", "expires"].map(|key| section.optional(key, path));
    let (status, refusals) = statuses(&mut section);
    let max_age = section.or("max_age", MAX_AGE_DEFAULT, |item| item.duration(&MAX_AGE));
    let bounds = bounds(&mut section);
    let syntax = syntax(section, Syntax { chars: 1..=1024, ..Syntax::default() });
    let method = if posts { Method::POST } else { Method::GET };
    Some(TokenCheckSettings {
        url: url?,
        question: TokenQuestion { method, place: place?, syntax },
        evidence: TokenEvidence { status, name: name?, business, active, expires, refusals },
        max_age,
        bounds,
    })
}

/// The status of a yes, and those of a no.
fn statuses(section: &mut Section<'_>) -> (StatusCode, Vec<StatusCode>) {
    let default = Evidence::default();
    let status = section.or("status", default.status, |item| StatusCode::from_u16(item.integer(&(200..=299))?).ok());
    let refusals = section.or("refusal_status", default.refusals, |item| {
        item.list(|item| StatusCode::from_u16(item.integer(&(400..=499))?).ok())
    });
    (status, refusals)
}

/// Where a token stands in the question.
fn place(item: &Item<'_>) -> Option<TokenPlace> {
    const FORMS: &str = "\"bearer\", or \"header:NAME\", \"json:MEMBER\" or \"form:FIELD\"";
    let text = item.word()?;
    match text.split_once(':') {
        None if text == "bearer" => Some(TokenPlace::Bearer),
        Some(("json", member)) if !member.is_empty() => Some(TokenPlace::Json(member.to_owned())),
        Some(("form", field)) if !field.is_empty() => Some(TokenPlace::Form(field.to_owned())),
        Some(("header", name)) => match name.parse::<HeaderName>() {
            Ok(name) if name == header::AUTHORIZATION || !is_reserved(&name) => Some(TokenPlace::Header(name)),
            _ => item.no(FORMS),
        },
        _ => item.no(FORMS),
    }
}

/// Fields that say how a message is framed, or for whom it is.
fn is_reserved(name: &HeaderName) -> bool {
    is_hop_by_hop(name.as_str().as_bytes()) || NOT_FOR_ADDRESSES.contains(name)
}

/// What counts as a yes. One by its status alone would be a yes to every error that is answered with 200.
fn evidence(section: &mut Section<'_>) -> Evidence {
    let token = section.optional("token", |item| {
        item.parse::<MemberPath>("the member that holds the token, such as \"token\" or \"data.token\"")
    });
    if section.has("status") && !section.has("token") {
        section.report(
            "status",
            "a yes by its status alone is none: some systems answer errors with it too; add token = \"…\", the member that holds the token",
        );
    }
    let (status, refusals) = statuses(section);
    Evidence { status, token, refusals }
}

/// The address of a login endpoint. A query would be lost where the client's own is passed on.
fn url(item: &Item<'_>, example: &str) -> Option<Uri> {
    let url = secure_url(item, example, "passwords would cross the network as they are")?;
    if url.query().is_some() {
        return item.wrong("must have no query: that of each client is passed on");
    }
    Some(url)
}

fn client_header(item: &Item<'_>) -> Option<HeaderName> {
    let name: HeaderName = item.parse("a header's name, such as \"X-Forwarded-For\"")?;
    if is_reserved(&name) {
        return item.wrong(&format!("{} has another meaning; name one for the client's address", item.shown()));
    }
    Some(name)
}

fn syntax(mut section: Section<'_>, default: Syntax) -> Syntax {
    let least = section.or("min_length", *default.chars.start(), |item| item.integer(&CHARS));
    let most = section.or("max_length", *default.chars.end(), |item| item.integer(&CHARS));
    if least > most {
        section.report("min_length", &format!("{least} is more than max_length ({most}): nothing would be asked"));
    }
    let alphabet = section.optional("alphabet", |item| {
        let text = item.text()?;
        text.parse::<Alphabet>()
            .map_err(|error| item.wrong::<()>(&format!("{error}; write a list such as \"a-z0-9._-\"")))
            .ok()
    });
    let prefix = section.or("prefix", default.prefix, |item| {
        let prefix = item.text()?;
        let count = prefix.chars().count();
        if count > PREFIX_CHARS_MAX || prefix.contains(char::is_control) {
            return item.no(&format!("a text of at most {PREFIX_CHARS_MAX} characters"));
        }
        Some(prefix)
    });
    if prefix.chars().count() >= most {
        section.report("prefix", &format!("it leaves nothing of max_length ({most})"));
    }
    section.finish();
    Syntax { chars: least..=most.max(least), alphabet, prefix }
}
