//! What routes and token endpoints match: hosts, paths and methods. There are no patterns but `*.NAME` for hosts:
//! whatever is taken here is matched exactly as it is written.

use http::{HeaderName, Method};

use super::reader::Item;
use crate::rules::route::{CanonicalPath, HostPattern, PathPattern, Pattern, PatternKind, has_lower_case, pattern_in};

/// What a path of the config is for: it says what helps where a pattern stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It and every path below it are matched.
    Prefix,
    /// It alone is matched, because the route says `exact = true`.
    Exact,
    /// It alone is matched, whatever else is said.
    One,
    /// It is sent to servers.
    Sent,
}

/// What a route matches. A prefix's final slash says nothing: it ends at a segment boundary anyway.
pub(super) fn pattern(hosts: Vec<HostPattern>, path: &str, exact: bool, methods: Vec<Method>) -> Option<Pattern> {
    let path = if exact { path } else { path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path) };
    let path = CanonicalPath::parse(path.as_bytes()).ok()?.into_owned();
    Some(Pattern { hosts, path, exact, methods })
}

/// A path in the spelling that requests are brought into before they are matched.
pub(super) fn canonical_path(item: &Item<'_>, purpose: Purpose) -> Option<String> {
    let text = item.text()?;
    no_pattern(item, &text, purpose)?;
    match CanonicalPath::parse(text.as_bytes()) {
        Ok(path) if path.as_str() == text => Some(text),
        Ok(path) => {
            // An escaped pattern is one too in the spelling that is matched.
            no_pattern(item, path.as_str(), purpose)?;
            let canonical = if item.has_variables() {
                "it in its canonical spelling".to_owned()
            } else {
                format!("'{}'", path.as_str())
            };
            item.wrong(&format!("{} is not canonical, so no request would match it; write {canonical}", item.shown()))
        }
        Err(error) => item.wrong(&format!("{} cannot be matched: {error}", item.shown())),
    }
}

/// Refuses a path with a pattern that other proxies have, with the words that help.
pub(super) fn no_pattern(item: &Item<'_>, path: &str, purpose: Purpose) -> Option<()> {
    let Some(PathPattern { kind, literal }) = pattern_in(path) else { return Some(()) };
    // A variable may hold a secret: what it stands for is not shown.
    let literal = literal.filter(|_| !item.has_variables()).map(|literal| format!("\"{literal}\""));
    let stem = literal.unwrap_or_else(|| "what stands before the pattern".to_owned());
    let why = match kind {
        PatternKind::Wildcard => "has a pattern, and paths have none",
        PatternKind::End => "ends with '$', which has no meaning here",
        PatternKind::Query => "has a '?', and queries are not matched",
        PatternKind::Fragment => "has a '#', which clients never send",
    };
    let instead = match (purpose, kind) {
        (Purpose::Prefix, PatternKind::End) => {
            format!("for this one path write {stem} with exact = true")
        }
        (Purpose::Prefix, _) => format!("a path covers everything below it: write {stem}"),
        (Purpose::Exact, PatternKind::Wildcard) => {
            format!("leave exact out, and {stem} covers everything below it")
        }
        (Purpose::One, PatternKind::Wildcard) => "it is one path: write all of it".to_owned(),
        (Purpose::Sent, PatternKind::Wildcard) => "it is sent as it stands: write all of it".to_owned(),
        (Purpose::Exact | Purpose::One | Purpose::Sent, _) => format!("write {stem}"),
    };
    item.wrong(&format!("{} {why}; {instead}", item.shown()))
}

/// Host names, `*.example.com` among them.
pub(super) fn hosts(item: &Item<'_>) -> Option<Vec<HostPattern>> {
    item.some(host)
}

fn host(item: &Item<'_>) -> Option<HostPattern> {
    match item.text()?.as_str() {
        "*" => item.wrong(
            "a wildcard stands before a name, as in \"*.example.com\"; a route without hosts matches every host",
        ),
        name if name.starts_with('.') && !item.has_variables() => {
            item.wrong(&format!("write '*{name}' for every name below it"))
        }
        _ => item.parse("a host name without a port, such as \"crm.example.com\" or \"*.example.com\""),
    }
}

/// A method, in capitals.
pub(super) fn method(item: &Item<'_>) -> Option<Method> {
    let text = item.text()?;
    match Method::from_bytes(text.as_bytes()) {
        Ok(_) if text.contains('*') => {
            item.wrong("there is no pattern for methods: leave methods out for all, or name each one")
        }
        Ok(_) if has_lower_case(text.as_bytes()) => {
            item.wrong(&format!("methods are compared letter by letter: write {} in capitals", item.shown()))
        }
        Ok(method) => Some(method),
        Err(_) => item.no("a method, such as \"GET\""),
    }
}

/// The name of a header field. `X-*` could stand in a message, but who writes it means a pattern.
pub(super) fn field_name(item: &Item<'_>, text: &str) -> Option<HeaderName> {
    if text.contains('*') {
        return item.wrong("there is no pattern for the names of header fields: name each one");
    }
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    name.or_else(|| item.wrong("the name of a header field has letters, digits and hyphens, such as X-Env"))
}
