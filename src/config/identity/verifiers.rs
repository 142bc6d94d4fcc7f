//! `[verifiers.NAME]`: old systems that are asked about logins.
//!
//! What their answers mean stands in the contracts of the realms that they stand behind, and here where it is
//! otherwise. Both are laid together once the endpoints are read.

mod token_check;

pub(in crate::config) use token_check::MAX_AGE;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode, Uri, header};

use self::token_check::WrittenCheck;
use super::realms::Realms;
use crate::{
    config::{
        reader::{Context, Item, Section, Spot, suggestion},
        secure_url::secure_url,
    },
    domain::{RealmName, duration},
    rules::{
        contract::{Dialect, Forms, SecretPlace},
        rewrite::is_framing_or_hop_by_hop,
        verifier::{Alphabet, Evidence, MemberPath, Syntax},
    },
    verifier::{Bounds, VerifierSettings},
};

/// A login waits as long.
pub(in crate::config) const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30);
const WAIT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const RATE: RangeInclusive<u32> = 1..=10_000;
const CONCURRENCY: RangeInclusive<usize> = 1..=1024;
const QUEUE: RangeInclusive<usize> = 0..=65_536;
const CHARS: RangeInclusive<usize> = 1..=1024;
/// Characters of a prefix, at most.
const PREFIX_CHARS_MAX: usize = 64;

/// Fields that say for whom a message is, or frame it.
const NOT_FOR_ADDRESSES: [HeaderName; 4] =
    [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::AUTHORIZATION];

/// The old systems of the file.
#[derive(Default)]
pub(in crate::config) struct Verifiers {
    /// Every name that stands in the file, of good ones and bad ones.
    declared: Vec<String>,
    /// The good ones.
    written: Vec<Written>,
}

/// An old system as it stands in the file.
struct Written {
    settings: VerifierSettings,
    spot: Spot,
    check: Option<WrittenCheck>,
}

impl Verifiers {
    /// The old system that `item` names; a problem when there is none.
    pub(in crate::config) fn resolve(&self, item: &Item<'_>) -> Option<Arc<str>> {
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

    /// The good ones, with what the contracts of the realms say that take over from them.
    pub(in crate::config) fn settled(
        self,
        context: &Context<'_>,
        takeovers: &[(RealmName, Arc<str>)],
        realms: &Realms,
    ) -> Vec<Arc<VerifierSettings>> {
        let settle = |written: Written| {
            let behind = behind(&written.settings.name, takeovers, realms);
            written.settled(context, &behind)
        };
        self.written.into_iter().map(settle).map(Arc::new).collect()
    }
}

/// Reads every old system.
pub(in crate::config) fn read(root: &mut Section<'_>) -> Verifiers {
    let mut verifiers = Verifiers::default();
    for (name, section) in root.named_sections("verifiers") {
        verifiers.declared.push(name.to_owned());
        verifiers.written.extend(verifier(name, section));
    }
    verifiers
}

/// The realms that take over from this old system, with their contracts.
fn behind<'r>(
    name: &str,
    takeovers: &'r [(RealmName, Arc<str>)],
    realms: &'r Realms,
) -> Vec<(&'r RealmName, &'r Dialect)> {
    let mut behind: Vec<(&RealmName, &Dialect)> = vec![];
    for (realm, verifier) in takeovers {
        let known = behind.iter().any(|(known, _)| *known == realm);
        if let Some(dialect) = realms.dialect(realm)
            && &**verifier == name
            && !known
        {
            behind.push((realm, dialect));
        }
    }
    behind
}

impl Written {
    fn settled(mut self, context: &Context<'_>, behind: &[(&RealmName, &Dialect)]) -> VerifierSettings {
        let undeclared = behind.iter().find(|(_, dialect)| dialect.facts().old_system.is_none());
        if let Some((realm, dialect)) = undeclared
            && self.settings.evidence.token.is_none()
        {
            let message = format!(
                "the contract '{dialect}' of realm '{realm}' does not say what counts as a yes; add token = \"…\", the \
                 member that holds the token, or [old_system] to the contract's file"
            );
            context.report(&self.spot, &message);
        }
        if let Some((realm, dialect)) = behind.iter().find(|(_, dialect)| dialect.facts().place == SecretPlace::Basic) {
            let message = format!(
                "the contract '{dialect}' of realm '{realm}' reads names and secrets from Authorization: Basic, and an old \
                 system is asked in a JSON body alone; leave verifier out, and bring the accounts by portero import"
            );
            context.report(&self.spot, &message);
        }
        if let Some((realm, dialect)) = behind.iter().find(|(_, dialect)| dialect.facts().forms == Forms::Only) {
            let message = format!(
                "the contract '{dialect}' of realm '{realm}' reads names and secrets from forms alone, and an old system is \
                 asked in a JSON body alone; leave verifier out, and bring the accounts by portero import"
            );
            context.report(&self.spot, &message);
        }
        self.settings.tokens = self.check.and_then(|check| check.settled(context, behind));
        self.settings
    }
}

fn verifier(name: &str, mut section: Section<'_>) -> Option<Written> {
    let spot = section.spot().clone();
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
    let check = section.has("tokens").then(|| token_check::read(section.section("tokens")));
    section.finish();
    let settings = VerifierSettings {
        ca,
        connect_timeout,
        timeout,
        bounds,
        client_header,
        names,
        secrets,
        evidence,
        ..VerifierSettings::new(shaped.then_some(name)?, url?)
    };
    Some(Written { settings, spot, check })
}

/// How much somebody is asked.
pub(in crate::config) fn bounds(section: &mut Section<'_>) -> Bounds {
    let default = Bounds::default();
    Bounds {
        rate: section.or("rate", default.rate, |item| item.integer(&RATE)),
        concurrency: section.or("concurrency", default.concurrency, |item| item.integer(&CONCURRENCY)),
        queue: section.or("queue", default.queue, |item| item.integer(&QUEUE)),
        wait: section.or("wait", default.wait, |item| item.duration(&WAIT)),
    }
}

/// The status of a yes, and those of a no.
fn statuses(section: &mut Section<'_>) -> (Option<StatusCode>, Option<Vec<StatusCode>>) {
    let status = section.optional("status", |item| StatusCode::from_u16(item.integer(&(200..=299))?).ok());
    let refusals = section
        .optional("refusal_status", |item| item.list(|item| StatusCode::from_u16(item.integer(&(400..=499))?).ok()));
    (status, refusals)
}

/// Fields that say how a message is framed, or for whom it is.
fn is_reserved(name: &HeaderName) -> bool {
    is_framing_or_hop_by_hop(name.as_str()) || NOT_FOR_ADDRESSES.contains(name)
}

/// What counts as a yes. One by its status alone would be a yes to every error that is answered with 200.
fn evidence(section: &mut Section<'_>) -> Evidence {
    let token = section.optional("token", |item| {
        item.parse::<MemberPath>("the member that holds the token, such as \"token\" or \"data.token\"")
    });
    if section.has("status") && !section.has("token") {
        section.report(
            "status",
            "a status alone is no yes: some systems answer errors with it too; add token = \"…\", the member that holds the token",
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

/// The form of names, secrets or tokens.
pub(in crate::config) fn syntax(mut section: Section<'_>, default: Syntax) -> Syntax {
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
