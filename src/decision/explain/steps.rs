//! The steps of a decision in words.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use super::Keys;
use crate::{
    decision::{
        decide::{Permit, Request},
        site::{Mode, RouteSettings},
        snapshot::{Route, Snapshot},
        trace::{Fact, Trace},
    },
    domain::{Claims, Reason, Timestamp},
    rules::{
        issuer::Issuer,
        policy::{Auth, Policy, Rule, Source, find_credential},
        route::{Candidate, CanonicalPath, Found, Host, LowerCaseHost},
    },
    state::token::{self, Verified},
};

/// Routes that are named beside the one that was found, at most.
const RUNNERS_UP_MAX: usize = 8;

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The request may go on.
    Passed,
    /// It may not.
    Failed,
    /// It makes no difference, but whoever asks may want to know.
    Noted,
}

/// One step of a decision. It never holds a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was looked at: one word.
    #[serde(rename = "step")]
    pub name: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// In a sentence.
    pub text: String,
    /// The reason of a refusal, in the words of the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// Collects the steps while a decision is rehearsed.
pub(super) struct Steps<'a> {
    request: &'a Request<'a>,
    snapshot: &'a Snapshot,
    now: Timestamp,
    keys: Keys,
    route: Option<Arc<Route>>,
    /// The `kid` and `iss` that the token claims, unproven.
    alleged: Option<(String, String)>,
    asked: Option<Step>,
    steps: Vec<Step>,
}

impl Step {
    fn new(name: &'static str, outcome: Outcome, text: impl Into<String>) -> Self {
        Self { name, outcome, text: text.into(), reason: None }
    }

    fn refused(name: &'static str, reason: Reason, text: impl Into<String>) -> Self {
        Self { reason: Some(reason.name()), ..Self::new(name, Outcome::Failed, text) }
    }

    /// What follows from a permit.
    pub(super) fn of_permit(permit: &Permit<'_>) -> Option<Self> {
        permit.is_shadow().then(|| {
            let text = "the route is in shadow mode: the request is let through, counted and logged all the same";
            Self::new("mode", Outcome::Noted, text)
        })
    }
}

impl<'a> Steps<'a> {
    pub(super) fn new(request: &'a Request<'a>, snapshot: &'a Snapshot, now: Timestamp, keys: Keys) -> Self {
        Self { request, snapshot, now, keys, route: None, alleged: None, asked: None, steps: vec![] }
    }

    /// Steps in whose course a foreign issuer would be asked, as `before` found.
    pub(super) fn asking(
        request: &'a Request<'a>,
        snapshot: &'a Snapshot,
        now: Timestamp,
        keys: Keys,
        before: &Steps<'_>,
    ) -> Self {
        Self { asked: before.steps.last().cloned(), ..Self::new(request, snapshot, now, keys) }
    }

    /// All of them. A refusal that no step stands for has one of its own.
    pub(super) fn into_steps(mut self, refused: Option<Reason>) -> Vec<Step> {
        if let Some(reason) = refused
            && !self.steps.iter().any(|step| step.outcome == Outcome::Failed)
        {
            self.steps.push(Step::refused("token", reason, words(reason)));
        }
        self.steps
    }

    fn passed(&mut self, name: &'static str, text: impl Into<String>) {
        self.steps.push(Step::new(name, Outcome::Passed, text));
    }

    fn noted(&mut self, name: &'static str, text: impl Into<String>) {
        self.steps.push(Step::new(name, Outcome::Noted, text));
    }

    fn failed(&mut self, name: &'static str, reason: Reason, text: impl Into<String>) {
        self.steps.push(Step::refused(name, reason, text));
    }

    fn judge(&mut self, name: &'static str, judged: Result<(), Reason>, good: String) {
        match judged {
            Ok(()) => self.passed(name, good),
            Err(reason) => self.failed(name, reason, words(reason)),
        }
    }

    fn found(&mut self, found: &Found<'_, Arc<Route>>) {
        let path = CanonicalPath::parse(self.request.path);
        let (Ok(path), Ok(host)) = (&path, &self.request.host) else { return };
        let candidates = self.snapshot.routes.candidates(host, path);
        match found {
            Found::Nothing => {
                let text = format!("no route has the host {} and the path {}", lower(host).as_str(), path.as_str());
                self.failed("route", Reason::NoRoute, text);
            }
            Found::OtherMethods(allow, _) => {
                let path = candidates.first().map_or("", |candidate| candidate.path);
                let text = format!("the routes of {path} have other methods: {allow}; a shorter path is not tried then");
                self.failed("route", Reason::MethodNotAllowed, text);
            }
            Found::Route(route) => {
                self.passed("route", described(&route.settings));
                self.route = Some(Arc::clone(route));
            }
        }
        for text in runners_up(&candidates, found) {
            self.noted("route", text);
        }
    }

    fn credential(&mut self, found: Result<Option<&crate::rules::policy::Credential<'_>>, Reason>) {
        let Some(route) = self.route.clone() else { return };
        let sources = &route.settings.sources;
        let all = sources.iter().map(named).collect::<Vec<_>>().join(", ");
        match found {
            Err(reason) => self.failed("credential", reason, format!("{} (looked in: {all})", words(reason))),
            Ok(None) if route.settings.policy.auth == Auth::Optional => {
                self.passed("credential", format!("none in {all}; it is optional here"));
            }
            Ok(None) => self.failed("credential", Reason::MissingToken, format!("none in {all}")),
            Ok(Some(credential)) => {
                let (headers, query) = (self.request.headers, self.request.query);
                let holds = |source: &&Source| {
                    matches!(find_credential(std::slice::from_ref(*source), headers, query), Ok(Some(_)))
                };
                let places = sources.iter().filter(holds).map(named).collect::<Vec<_>>().join(" and ");
                self.alleged = credential.text().ok().and_then(token::alleged_origin);
                self.passed("credential", format!("a token of {} bytes in {places}", credential.octets().len()));
            }
        }
    }

    /// What can be said about the key of a token that was not opened.
    fn alleged_key(&self) -> String {
        let Some((id, issuer)) = &self.alleged else { return String::new() };
        let known: Vec<_> = self.snapshot.keys.named(id).iter().map(|key| {
            format!("{} of '{}', {}", key.algorithm, key.realm, key.state.name())
        }).collect();
        let known = if known.is_empty() { "nobody here knows it".to_owned() } else { known.join("; ") };
        format!("; it says, unproven, that it is of {} and signed by key {} ({known})", shown(issuer), shown(id))
    }

    fn opened(&mut self, opened: Result<&Verified, Reason>) {
        match opened {
            Ok(verified) => {
                let whose = match &verified.issuer {
                    Issuer::Realm(realm) => format!("realm '{}' ({})", realm.name, realm.dialect),
                    Issuer::Foreign(issuer) => format!("issuer '{}' ({})", issuer.name, issuer.issuer),
                };
                let (key, claims) = (&verified.key, &verified.claims);
                let kind = claims.kind.name();
                let text = format!("a good signature: {kind} token of {whose}, key {} ({})", key.id, key.algorithm);
                self.passed("signature", text);
            }
            Err(reason) if self.keys == Keys::Unknown && reason == Reason::UnknownKey => {
                let text = "keys are unknown offline, so the token cannot be checked; ask the running gateway";
                self.failed("signature", reason, format!("{text}{}", self.alleged_key()));
            }
            Err(reason) => self.failed("signature", reason, format!("{}{}", words(reason), self.alleged_key())),
        }
    }

    fn times(&mut self, verified: &Verified, held: Result<(), Reason>) {
        let (claims, leeway) = (&verified.claims, verified.issuer.leeway());
        let end = match claims.expires_at {
            None => "never expires".to_owned(),
            Some(end) if end > self.now => format!("expires in {} ({})", span(end.since(self.now)), spelt(end)),
            Some(end) => format!("expired {} ago ({})", span(self.now.since(end)), spelt(end)),
        };
        let text = format!("issued {}, {end}; leeway {}", spelt(claims.issued_at), span(leeway));
        match held {
            Ok(()) => self.passed("times", text),
            Err(Reason::NotYetValid) => {
                let text = format!("not valid before {}; {text}", spelt(claims.not_before));
                self.failed("times", Reason::NotYetValid, text);
            }
            Err(reason) => self.failed("times", reason, text),
        }
    }

    fn policy(&mut self, policy: &Policy, claims: &Claims) {
        let mut decided = false;
        for rule in Rule::ALL {
            let (name, text) = asked(rule, policy, claims);
            let Some(text) = text else { continue };
            match rule.holds(policy, claims) {
                true => self.passed(name, text),
                // One rule decides; what the others say is worth knowing, before the next attempt.
                false if decided => self.noted(name, format!("this would fail too: {text}")),
                false => {
                    decided = true;
                    self.failed(name, rule.reason(), text);
                }
            }
        }
    }
}

impl Trace for Steps<'_> {
    const REHEARSAL: bool = true;

    fn note(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Path(Err(error)) => {
                let received = String::from_utf8_lossy(self.request.path);
                self.failed("path", Reason::AmbiguousPath, format!("{} has no single meaning: {error}", shown(&received)));
            }
            Fact::Path(Ok(path)) if path.is_as_received() => {
                self.passed("path", format!("{}, canonical as received", path.as_str()));
            }
            Fact::Path(Ok(path)) => {
                let received = String::from_utf8_lossy(self.request.path);
                self.passed("path", format!("{} is {}", shown(&received), path.as_str()));
            }
            Fact::Host(Ok(host)) => self.passed("host", lower(&host).as_str()),
            Fact::Host(Err(error)) => self.failed("host", Reason::InvalidHost, error.to_string()),
            Fact::Endpoint(None) => self.noted("endpoint", "no token endpoint is here"),
            Fact::Endpoint(Some(endpoint)) => {
                let realms = endpoint.realms.iter().map(|realm| realm.name.as_str()).collect::<Vec<_>>().join(", ");
                let of = if realms.is_empty() { String::new() } else { format!(" of {realms}") };
                self.passed("endpoint", format!("the gateway answers itself: {:?}{of}", endpoint.serves));
            }
            Fact::Route(found) => self.found(found),
            Fact::Method(true) => self.passed("method", self.request.method.as_str()),
            Fact::Method(false) => {
                self.failed("method", Reason::MethodNotAllowed, format!("{} is never forwarded", self.request.method));
            }
            Fact::Public => self.passed("credential", "the route is public: no token is looked at"),
            Fact::Credential(found) => self.credential(found),
            Fact::KeyAsked { issuer, id } => {
                let text = format!("nobody knows key {} yet: issuer '{issuer}' would be asked for it first, which explaining does not do", shown(id.as_str()));
                self.noted("issuer", text);
            }
            Fact::Opened(opened) => {
                self.steps.extend(self.asked.take());
                self.opened(opened);
            }
            Fact::Times(verified, held) => self.times(verified, held),
            // Of our own keys there is nothing to say.
            Fact::KeyConfirmed(verified, true) if matches!(verified.issuer, Issuer::Realm(_)) => {}
            Fact::KeyConfirmed(verified, confirmed) => {
                let judged = confirmed.then_some(()).ok_or(Reason::IssuerUnavailable);
                self.judge("issuer", judged, format!("'{}' confirmed its keys lately", verified.issuer.name()));
            }
            Fact::Issuer(_, true) => {}
            Fact::Issuer(verified, false) => {
                let text = format!("the tokens of '{}' are read otherwise now", verified.issuer.name());
                self.failed("issuer", Reason::UnknownKey, text);
            }
            Fact::Key(verified, None) => {
                self.failed("key", Reason::UnknownKey, format!("{} is gone", verified.key.id));
            }
            Fact::Key(verified, Some(state)) => {
                let judged = if state.verifies() { Ok(()) } else { Err(Reason::KeyRevoked) };
                self.judge("key", judged, format!("{} is {}", verified.key.id, state.name()));
            }
            Fact::Revocations(verified, checked) => {
                let session = verified.claims.session.map_or_else(String::new, |session| format!(" (session {session})"));
                self.judge("revocations", checked, format!("neither the token, its login{session} nor its principal is revoked"));
            }
            Fact::Policy(policy, claims) => self.policy(policy, claims),
        }
    }
}

/// What a rule asks for and what the token has; `None` where it asks for nothing.
fn asked(rule: Rule, policy: &Policy, claims: &Claims) -> (&'static str, Option<String>) {
    let list = |items: &[Box<str>]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    match rule {
        Rule::Accept => {
            let accepted = policy.accept.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            ("accept", Some(format!("asks for a token of {accepted}; it is of {}", claims.realm)))
        }
        Rule::Kind => {
            ("kind", Some(format!("asks for an {} token; it is an {} token", policy.token.name(), claims.kind.name())))
        }
        Rule::Roles => {
            let role = claims.role.as_deref().unwrap_or("none");
            let text = || format!("asks for one of the roles {}; it has {}", list(&policy.roles), shown(role));
            ("roles", (!policy.roles.is_empty()).then(text))
        }
        Rule::Scopes => {
            let text = || format!("asks for all scopes of {}; it has {}", list(&policy.scopes), list(&claims.scopes));
            ("scopes", (!policy.scopes.is_empty()).then(text))
        }
        Rule::Claims => {
            let one = |(name, value): &(Box<str>, serde_json::Value)| {
                let has = claims.extra.get(&**name).map_or_else(|| "nothing".to_owned(), ToString::to_string);
                format!("{name} = {value} (it has {})", shown(&has))
            };
            let text = || format!("asks for {}", policy.claims.iter().map(one).collect::<Vec<_>>().join(", "));
            ("claims", (!policy.claims.is_empty()).then(text))
        }
    }
}

fn described(route: &RouteSettings) -> String {
    let pattern = &route.pattern;
    let hosts = pattern.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let hosts = if hosts.is_empty() { "any host".to_owned() } else { hosts };
    let below = if pattern.exact { " exactly" } else { " and below" };
    let methods = pattern.methods.iter().map(http::Method::as_str).collect::<Vec<_>>().join(", ");
    let methods = if methods.is_empty() { "any method".to_owned() } else { methods };
    let mode = if route.mode == Mode::Shadow { "; in shadow mode" } else { "" };
    format!("'{}': {hosts}, {}{below}, {methods}{mode}", route.name, pattern.path.as_str())
}

/// The other routes that match, and why each of them does not have the request.
fn runners_up(candidates: &[Candidate<'_, Arc<Route>>], found: &Found<'_, Arc<Route>>) -> Vec<String> {
    let Some(first) = candidates.first() else { return vec![] };
    let winner = match found {
        Found::Route(route) => Some(&*route.settings.name),
        Found::OtherMethods(..) | Found::Nothing => None,
    };
    let mut texts = vec![];
    for candidate in candidates {
        let why = if std::ptr::eq(candidate, first) {
            "it has other methods".to_owned()
        } else if candidate.host != first.host {
            let name = |host: &Option<_>| host.as_ref().map_or_else(|| "any host".to_owned(), ToString::to_string);
            format!("{} comes before {}", name(&first.host), name(&candidate.host))
        } else if first.exact {
            "an exact path comes before a prefix".to_owned()
        } else {
            format!("{} is longer than {}", first.path, candidate.path)
        };
        let mut names: Vec<&str> = candidate.routes.iter().map(|(_, route)| &*route.settings.name).collect();
        names.dedup();
        texts.extend(names.iter().filter(|name| Some(**name) != winner).map(|name| format!("not '{name}': {why}")));
    }
    let more = texts.len().saturating_sub(RUNNERS_UP_MAX);
    texts.truncate(RUNNERS_UP_MAX);
    if more > 0 {
        texts.push(format!("nor {more} more"));
    }
    texts
}

fn named(source: &Source) -> String {
    match source {
        Source::Authorization { .. } => "authorization".to_owned(),
        Source::Header(name) => format!("header:{name}"),
        Source::Query(name) => format!("query:{name}"),
        Source::Cookie(name) => format!("cookie:{name}"),
    }
}

fn lower(host: &Host<'_>) -> LowerCaseHost {
    host.to_lower_case()
}

/// What an unproven text says, without what could deceive a terminal.
fn shown(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).flat_map(char::escape_debug).collect()
}

/// Characters of a stranger's text that are shown, at most.
const TEXT_CHARS_MAX: usize = 200;

fn spelt(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_secs()).map_or_else(|_| at.as_secs().to_string(), |at| at.to_string())
}

/// A duration in its two largest units.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let parts = units.iter().scan(seconds, |left, (unit, name)| {
        let count = *left / unit;
        *left %= unit;
        Some((count, name))
    });
    let parts: Vec<_> = parts.skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0).collect();
    if parts.is_empty() {
        return "0s".to_owned();
    }
    parts.iter().map(|(count, name)| format!("{count}{name}")).collect::<Vec<_>>().join(" ")
}

/// A reason in a few words.
const fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::ConflictingTokens => "two different tokens",
        Reason::MalformedToken => "this is no token",
        Reason::TokenTooLarge => "larger than any token that is taken",
        Reason::UnknownKey => "no key is known that it names",
        Reason::KeyRevoked => "its key is revoked",
        Reason::WrongAlgorithm => "it names another algorithm than its key has",
        Reason::UnsupportedHeader => "its header asks for what is not understood, or is of another type",
        Reason::InvalidSignature => "the signature does not fit",
        Reason::InvalidClaims => "a registered claim is missing or of the wrong type",
        Reason::WrongIssuer => "iss is not what its issuer's tokens have",
        Reason::WrongAudience => "aud is not what its issuer's tokens have",
        Reason::WrongTokenKind => "it is of a kind that opens nothing here",
        Reason::TokenRevoked => "the token is revoked",
        Reason::SessionRevoked => "the login that gave it is revoked",
        Reason::PrincipalRevoked => "what its principal had until a later point was revoked",
        Reason::TooManyBadTokens => "too many bad tokens came from this client: none of its unknown ones is checked for a while",
        Reason::IssuerUnavailable => "the issuer's keys cannot be had, or are too old to be believed",
        reason => reason.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (3600, "1h"), (3661, "1h 1m"), (90_000, "1d 1h"), (86_401, "1d")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
