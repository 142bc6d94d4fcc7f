//! What routes and token endpoints match: hosts, paths and methods.

use http::Method;

use super::item::Item;
use crate::rules::route::{CanonicalPath, HostPattern, Pattern};

/// What a route matches. A prefix's final slash says nothing: it ends at a segment boundary anyway.
pub(super) fn pattern(hosts: Vec<HostPattern>, path: &str, exact: bool, methods: Vec<Method>) -> Option<Pattern> {
    let path = if exact { path } else { path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path) };
    let path = CanonicalPath::parse(path.as_bytes()).ok()?.into_owned();
    Some(Pattern { hosts, path, exact, methods })
}

/// A path in the spelling that requests are brought into before they are matched.
pub(super) fn canonical_path(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    match CanonicalPath::parse(text.as_bytes()) {
        Ok(path) if path.is_as_received() => Some(text),
        Ok(path) => {
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

/// Host names, `*.example.com` among them.
pub(super) fn hosts(item: &Item<'_>) -> Option<Vec<HostPattern>> {
    item.some(|item| item.parse("a host name without a port, such as \"crm.example.com\" or \"*.example.com\""))
}

/// A method, in capitals.
pub(super) fn method(item: &Item<'_>) -> Option<Method> {
    let text = item.text()?;
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if text == upper => Some(method),
        Ok(_) => item.wrong(&format!("methods are compared letter by letter: write {} in capitals", item.shown())),
        Err(_) => item.no("a method, such as \"GET\""),
    }
}
