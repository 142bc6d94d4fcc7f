//! What the steps of a decision are about, in words.

use std::time::Duration;

use crate::{
    decision::decide::{
        site::{Mode, RouteSettings},
        snapshot::Route,
    },
    domain::{Claims, RealmName, Reason, Timestamp},
    per_thread::Spread,
    rules::{
        claim::{ClaimPath, Said},
        policy::{Policy, Rule, Source},
        profile::ClaimMapping,
        route::{Candidate, Found},
    },
};

/// Routes that are named beside the one that was found, at most.
const RUNNERS_UP_MAX: usize = 8;

/// Characters of a stranger's text that are shown, at most.
const TEXT_CHARS_MAX: usize = 200;

/// What a rule asks for and what the token has; `None` where it asks for nothing.
///
/// Of an external issuer's token, `mapping` says where the token would have to say it.
pub(super) fn asked(
    rule: Rule,
    policy: &Policy,
    claims: &Claims,
    mapping: Option<&ClaimMapping>,
) -> (&'static str, Option<String>) {
    let list = |items: &[Box<str>]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    match rule {
        Rule::Accept => {
            let accepted = policy.accept.iter().map(RealmName::as_str).collect::<Vec<_>>().join(", ");
            ("accept", Some(format!("asks for a token of {accepted}; it is of {}", claims.realm)))
        }
        Rule::Kind => {
            ("kind", Some(format!("asks for an {} token; it is an {} token", policy.token.name(), claims.kind.name())))
        }
        Rule::Roles => {
            let has = claims.roles.iter().collect::<Vec<_>>().join(", ");
            let has =
                if has.is_empty() { nothing_at(mapping.map(|mapping| &*mapping.role), claims) } else { shown(&has) };
            let text = || format!("asks for one of the roles {}; it has {has}", list(&policy.roles));
            ("roles", (!policy.roles.is_empty()).then(text))
        }
        Rule::Scopes => {
            let has = list(&claims.scopes);
            let none = || nothing_at(mapping.map(|mapping| &*mapping.scopes), claims);
            let has = if claims.scopes.is_empty() { none() } else { shown(&has) };
            let text = || format!("asks for all scopes of {}; it has {has}", list(&policy.scopes));
            ("scopes", (!policy.scopes.is_empty()).then(text))
        }
        Rule::Claims => {
            let one = |(path, value): &(ClaimPath, serde_json::Value)| {
                let mut has = vec![];
                path.any(&claims.extra, &mut |value| {
                    has.push(value.to_string());
                    false
                });
                let has = if has.is_empty() { "nothing".to_owned() } else { has.join(", ") };
                format!("{path} = {value} (it has {})", shown(&has))
            };
            let text = || format!("asks for {}", policy.claims.iter().map(one).collect::<Vec<_>>().join(", "));
            ("claims", (!policy.claims.is_empty()).then(text))
        }
    }
}

/// That a token has none of what is asked for, and where an external issuer's would have it.
fn nothing_at(paths: Option<&[ClaimPath]>, claims: &Claims) -> String {
    let Some(paths) = paths else { return "none".to_owned() };
    let why = match ClaimMapping::said(paths, &claims.extra) {
        _ if paths.is_empty() => return "none: the issuer's profile names no claim for it".to_owned(),
        Said::Nothing => "is missing",
        _ => "is not a text, nor a list of texts",
    };
    format!("none: {} {why}", ClaimMapping::named(paths))
}

pub(super) fn described(route: &RouteSettings) -> String {
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
pub(super) fn runners_up(candidates: &[Candidate<'_, Spread<Route>>], found: &Found<'_, Spread<Route>>) -> Vec<String> {
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

pub(super) fn named(source: &Source) -> String {
    match source {
        Source::Authorization { .. } => "authorization".to_owned(),
        Source::Header(name) => format!("header:{name}"),
        Source::Query(name) => format!("query:{name}"),
        Source::Cookie(name) => format!("cookie:{name}"),
    }
}

/// What an unproven text says, without what could deceive a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).flat_map(char::escape_debug).collect()
}

pub(super) fn spelt(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_secs()).map_or_else(|_| at.as_secs().to_string(), |at| at.to_string())
}

/// A duration in its two largest units.
pub(super) fn span(duration: Duration) -> String {
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
pub(super) const fn words(reason: Reason) -> &'static str {
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
        Reason::InactiveToken => "its authorization server says that it does not hold",
        Reason::TokenRevoked => "the token is revoked",
        Reason::SessionRevoked => "the login that gave it is revoked",
        Reason::PrincipalRevoked => "what its principal had until a later point was revoked",
        Reason::UnknownAccount => "the store has no such account, and the key's profile asks for one",
        Reason::UnknownEpoch => "its account never had the epoch that it carries",
        Reason::TooManyBadTokens => {
            "too many bad tokens came from this client: none of its unknown ones is checked for a while"
        }
        Reason::IssuerUnavailable => "the issuer's keys cannot be had, or are too old to be believed",
        reason => reason.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (3600, "1h"), (3661, "1h 1m"), (90_000, "1d 1h"), (86_401, "1d")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
