//! The steps of a decision in words.

use serde::Serialize;

use super::{
    keys::Keys,
    words::{asked, described, named, runners_up, shown, span, spelt, words},
};
use crate::{
    decision::decide::{
        decision::Permit,
        freshness::StaleAction,
        request::Request,
        snapshot::{Endpoint, Route, Snapshot},
        trace::{Fact, Trace},
    },
    domain::{Claims, KeyId, RealmName, Reason, Timestamp},
    per_thread::{Handle, Spread},
    rules::{
        issuer::Issuer,
        policy::{Auth, Credential, Policy, Rule, Source, find_credential},
        route::{CanonicalPath, Found, PathError},
    },
    state::{
        keys::KeyState,
        token::{self, ClaimDefect, Verified},
    },
};

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The request may go on.
    Passed,
    /// It may not.
    Failed,
    /// It makes no difference, but the one who asks may want to know.
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
    route: Option<Handle<Route>>,
    /// The `kid` and `iss` that the token claims, unproven.
    unverified: Option<(String, String)>,
    /// The claim for which the token is refused.
    defect: Option<Box<ClaimDefect>>,
    asked: Option<Step>,
    taken: Vec<Step>,
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
        Self { request, snapshot, now, keys, route: None, unverified: None, defect: None, asked: None, taken: vec![] }
    }

    /// Steps in whose course an external issuer would be asked, as `before` found.
    pub(super) fn asking(
        request: &'a Request<'a>,
        snapshot: &'a Snapshot,
        now: Timestamp,
        keys: Keys,
        before: &Steps<'_>,
    ) -> Self {
        Self { asked: before.taken.last().cloned(), ..Self::new(request, snapshot, now, keys) }
    }

    /// All of them. A refusal that no step stands for has one of its own.
    pub(super) fn into_steps(mut self, refused: Option<Reason>) -> Vec<Step> {
        if let Some(reason) = refused
            && !self.taken.iter().any(|step| step.outcome == Outcome::Failed)
        {
            self.taken.push(Step::refused("token", reason, words(reason)));
        }
        self.taken
    }

    fn passed(&mut self, name: &'static str, text: impl Into<String>) {
        self.taken.push(Step::new(name, Outcome::Passed, text));
    }

    fn noted(&mut self, name: &'static str, text: impl Into<String>) {
        self.taken.push(Step::new(name, Outcome::Noted, text));
    }

    fn failed(&mut self, name: &'static str, reason: Reason, text: impl Into<String>) {
        self.taken.push(Step::refused(name, reason, text));
    }

    fn judge(&mut self, name: &'static str, judged: Result<(), Reason>, good: String) {
        match judged {
            Ok(()) => self.passed(name, good),
            Err(reason) => self.failed(name, reason, words(reason)),
        }
    }

    fn path(&mut self, path: Result<&CanonicalPath<'_>, PathError>) {
        let received = String::from_utf8_lossy(self.request.path);
        match path {
            Ok(path) if path.is_as_received() => {
                self.passed("path", format!("{}, canonical as received", path.as_str()));
            }
            Ok(path) => self.passed("path", format!("{} is {}", shown(&received), path.as_str())),
            Err(error) => {
                let text = format!("{} has no single meaning: {error}", shown(&received));
                self.failed("path", Reason::AmbiguousPath, text);
            }
        }
    }

    fn endpoint(&mut self, endpoint: Option<&Endpoint>) {
        let Some(endpoint) = endpoint else { return self.noted("endpoint", "no token endpoint is here") };
        let realms = endpoint.realms.iter().map(|realm| realm.name.as_str()).collect::<Vec<_>>().join(", ");
        let of = if realms.is_empty() { String::new() } else { format!(" of {realms}") };
        self.passed("endpoint", format!("the gateway answers itself: {:?}{of}", endpoint.serves));
    }

    fn found(&mut self, found: &Found<'_, Spread<Route>>) {
        let path = CanonicalPath::parse(self.request.path);
        let (Ok(path), Ok(host)) = (&path, &self.request.host) else { return };
        let candidates = self.snapshot.routes.candidates(host, path);
        match found {
            Found::Nothing => {
                let text =
                    format!("no route has the host {} and the path {}", host.to_lower_case().as_str(), path.as_str());
                self.failed("route", Reason::NoRoute, text);
            }
            Found::OtherMethods(allow, _) => {
                let path = candidates.first().map_or("", |candidate| candidate.path);
                let text =
                    format!("the routes of {path} have other methods: {allow}; a shorter path is not tried then");
                self.failed("route", Reason::MethodNotAllowed, text);
            }
            Found::Route(route) => {
                self.passed("route", described(&route.settings));
                self.route = Some(route.handle());
            }
        }
        for text in runners_up(&candidates, found) {
            self.noted("route", text);
        }
    }

    fn method(&mut self, forwarded: bool) {
        let method = self.request.method;
        if forwarded {
            self.passed("method", method.as_str());
        } else {
            self.failed("method", Reason::MethodNotAllowed, format!("{method} is never forwarded"));
        }
    }

    fn method_override(&mut self, refused: bool) {
        if refused {
            let text = "a field asks for another method; the route takes that with method_override = true, and for a method of its own";
            self.failed("method", Reason::MethodOverride, text);
        } else {
            self.passed("method", "a field asks for another method, which the route has too");
        }
    }

    fn credential(&mut self, found: Result<Option<&Credential<'_>>, Reason>) {
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
                let text = credential.text().ok();
                self.unverified = text.and_then(token::unverified_origin);
                self.defect = text.and_then(|text| token::defect(text, &self.snapshot.keys, &self.snapshot.issuers));
                self.passed("credential", format!("a token of {} bytes in {places}", credential.octets().len()));
            }
        }
    }

    /// What can be said about the key of a token that was not opened.
    fn unverified_key(&self) -> String {
        let Some((id, issuer)) = &self.unverified else { return String::new() };
        let known: Vec<_> = self
            .snapshot
            .keys
            .named(id)
            .iter()
            .map(|key| format!("{} of '{}', {}", key.algorithm, key.realm, key.state.name()))
            .collect();
        let known = if known.is_empty() { "nobody here knows it".to_owned() } else { known.join("; ") };
        format!("; it says, unproven, that it is of {} and signed by key {} ({known})", shown(issuer), shown(id))
    }

    fn key_asked(&mut self, issuer: &RealmName, id: &KeyId) {
        let id = shown(id.as_str());
        let text = format!(
            "nobody knows key {id} yet: issuer '{issuer}' would be asked for it first, which explaining does not do"
        );
        self.noted("issuer", text);
    }

    fn check_asked(&mut self, verifier: &str) {
        let text = format!(
            "the token is not this gateway's: '{verifier}' would be asked about it, which explaining does not do"
        );
        self.noted("verifier", text);
    }

    fn introspection_asked(&mut self, issuer: &str) {
        let text = format!(
            "the token is not this gateway's: issuer '{issuer}' would be asked about it, which explaining does not do"
        );
        self.noted("issuer", text);
    }

    fn opened(&mut self, opened: Result<&Verified, Reason>) {
        match opened {
            Ok(verified) => {
                let whose = match &verified.issuer {
                    Issuer::Realm(realm) => format!("realm '{}' ({})", realm.name, realm.dialect),
                    Issuer::External(issuer) => format!("issuer '{}' ({})", issuer.name, issuer.issuer),
                };
                let (key, claims) = (&verified.key, &verified.claims);
                let kind = claims.kind.name();
                let text = format!("a good signature: {kind} token of {whose}, key {} ({})", key.id, key.algorithm);
                self.passed("signature", text);
            }
            Err(reason) if self.keys == Keys::Unknown && reason == Reason::UnknownKey => {
                let text = "keys are unknown offline, so the token cannot be checked; ask the running gateway";
                self.failed("signature", reason, format!("{text}{}", self.unverified_key()));
            }
            Err(reason) => match self.defect.take().filter(|_| is_about_a_claim(reason)) {
                Some(defect) => self.failed("claims", reason, defect.to_string()),
                None => self.failed("signature", reason, format!("{}{}", words(reason), self.unverified_key())),
            },
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

    fn key_confirmed(&mut self, verified: &Verified, confirmed: bool) {
        // Of our own keys there is nothing to say.
        if confirmed && matches!(verified.issuer, Issuer::Realm(_)) {
            return;
        }
        let judged = confirmed.then_some(()).ok_or(Reason::IssuerUnavailable);
        self.judge("issuer", judged, format!("'{}' confirmed its keys lately", verified.issuer.name()));
    }

    fn issuer(&mut self, verified: &Verified, read_as_before: bool) {
        if !read_as_before {
            let text = format!("the tokens of '{}' are read otherwise now", verified.issuer.name());
            self.failed("issuer", Reason::UnknownKey, text);
        }
    }

    fn key(&mut self, verified: &Verified, state: Option<KeyState>) {
        let id = &verified.key.id;
        let Some(state) = state else { return self.failed("key", Reason::UnknownKey, format!("{id} is gone")) };
        let judged = if state.verifies() { Ok(()) } else { Err(Reason::KeyRevoked) };
        self.judge("key", judged, format!("{id} is {}", state.name()));
    }

    fn revocations(&mut self, verified: &Verified, checked: Result<(), Reason>) {
        let session = verified.claims.session.map_or_else(String::new, |session| format!(" (session {session})"));
        let good = format!("neither the token, its login{session} nor its principal is revoked");
        self.judge("revocations", checked, good);
    }

    fn account(&mut self, checked: Result<(), Reason>) {
        self.judge("account", checked, "the imported key's token speaks for an account that may have it".to_owned());
    }

    fn stale(&mut self, action: StaleAction) {
        let text = "the shared store was not heard of for longer than store.max_staleness".to_owned();
        match action {
            StaleAction::Refuse => self.failed("freshness", Reason::Stale, text),
            StaleAction::Serve => {
                self.noted("freshness", format!("{text}; the request goes on by what was known last"));
            }
        }
    }

    fn policy(&mut self, policy: &Policy, claims: &Claims) {
        let mapping = match self.snapshot.issuers.get(&claims.realm) {
            Some(Issuer::External(issuer)) => Some(&issuer.claims),
            _ => None,
        };
        let mut decided = false;
        for rule in Rule::ALL {
            let (name, text) = asked(rule, policy, claims, mapping);
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

/// Whether a token is refused for this after a known key was found to have signed it.
const fn is_about_a_claim(reason: Reason) -> bool {
    matches!(reason, Reason::InvalidClaims | Reason::WrongIssuer | Reason::WrongAudience | Reason::WrongTokenKind)
}

impl Trace for Steps<'_> {
    const REHEARSAL: bool = true;

    fn note(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Path(path) => self.path(path),
            Fact::Host(Ok(host)) => self.passed("host", host.to_lower_case().as_str()),
            Fact::Host(Err(error)) => self.failed("host", Reason::InvalidHost, error.to_string()),
            Fact::Preflight(true) => self.passed("cors", "a browser's question, which the gateway answers itself"),
            Fact::Preflight(false) => self.noted("cors", "no preflight that anything here answers"),
            Fact::Endpoint(endpoint) => self.endpoint(endpoint),
            Fact::Route(found) => self.found(found),
            Fact::Method(forwarded) => self.method(forwarded),
            Fact::MethodOverride(refused) => self.method_override(refused),
            Fact::Public => self.passed("credential", "the route is public: no token is looked at"),
            Fact::Credential(found) => self.credential(found),
            Fact::KeyAsked { issuer, id } => self.key_asked(issuer, id),
            Fact::CheckAsked { asked, is_issuer: false } => self.check_asked(asked),
            Fact::CheckAsked { asked, is_issuer: true } => self.introspection_asked(asked),
            Fact::Opened(opened) => {
                self.taken.extend(self.asked.take());
                self.opened(opened);
            }
            Fact::Times(verified, held) => self.times(verified, held),
            Fact::KeyConfirmed(verified, confirmed) => self.key_confirmed(verified, confirmed),
            Fact::Issuer(verified, read_as_before) => self.issuer(verified, read_as_before),
            Fact::Key(verified, state) => self.key(verified, state),
            Fact::Revocations(verified, checked) => self.revocations(verified, checked),
            Fact::Account(checked) => self.account(checked),
            Fact::Stale(action) => self.stale(action),
            Fact::Policy(policy, claims) => self.policy(policy, claims),
        }
    }
}
