//! What a route changes of its requests and answers: `strip_prefix`, `replace_prefix`, `host`, `request_headers`,
//! `response_headers`, `harden`.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};

use crate::{
    config::{
        matching::{Purpose, canonical_path, field_name},
        reader::{Item, Section, near},
    },
    decision::ForwardToken,
    rules::{
        rewrite::{Change, FieldEdits, HostPolicy, PathRewrite, Rewrites, Side, why_not},
        route::{CanonicalPath, Host},
    },
};

/// What `host` says beside a host.
const HOST_WORDS: [&str; 2] = ["keep", "upstream"];

/// What else the route says, as far as a rewrite depends on it.
pub(super) struct Route<'r> {
    /// Its path; `None` where that is wrong.
    pub(super) path: Option<&'r str>,
    pub(super) exact: bool,
    pub(super) forward_token: ForwardToken,
    /// `harden` where the route does not say it.
    pub(super) harden: bool,
}

/// Reads what the route `section` changes; `None` for nothing.
pub(super) fn read(section: &mut Section<'_>, route: &Route<'_>) -> Option<Arc<Rewrites>> {
    let rewrites = Rewrites {
        path: path(section, route),
        host: section.or("host", HostPolicy::Keep, host),
        request: edits(section.section("request_headers"), Side::Request, route.forward_token),
        response: edits(section.section("response_headers"), Side::Response, route.forward_token),
        harden: section.or("harden", route.harden, Item::boolean),
    };
    (rewrites != Rewrites::default()).then(|| Arc::new(rewrites))
}

fn path(section: &mut Section<'_>, route: &Route<'_>) -> Option<PathRewrite> {
    let strip = section.or("strip_prefix", false, Item::boolean);
    let replacement = section.optional("replace_prefix", |item| canonical_path(item, Purpose::Sent));
    if strip && section.has("replace_prefix") {
        section.report("replace_prefix", "strips the prefix too: leave strip_prefix out");
        return None;
    }
    let from = CanonicalPath::parse(route.path?.as_bytes()).ok()?;
    if strip && route.exact {
        section
            .report("strip_prefix", "would leave nothing of one exact path; write replace_prefix = \"/\" for the root");
        return None;
    }
    if strip && from.as_str() == "/" {
        section.report("strip_prefix", "the route's path is \"/\": there is no prefix to strip");
        return None;
    }
    let to = if strip { "/".to_owned() } else { replacement? };
    let to = CanonicalPath::parse(to.as_bytes()).ok()?;
    Some(if route.exact { PathRewrite::exact(&from, &to) } else { PathRewrite::prefix(&from, &to) })
}

fn host(item: &Item<'_>) -> Option<HostPolicy> {
    match &*item.text()? {
        "keep" => Some(HostPolicy::Keep),
        "upstream" => Some(HostPolicy::Server),
        // A word without a dot may be a host too, unless it is a slip of the two words above.
        host => match (Host::parse(host), HeaderValue::from_str(host)) {
            (Ok(_), Ok(value)) if host.contains(['.', ':']) || near(host, &HOST_WORDS).is_none() => {
                Some(HostPolicy::Named(value))
            }
            _ => item.no("\"keep\", \"upstream\" or a host such as \"a.example.com\" or \"localhost:8080\""),
        },
    }
}

fn edits(mut section: Section<'_>, side: Side, forward_token: ForwardToken) -> FieldEdits {
    let allowed = |item: &Item<'_>, name: &HeaderName, change| {
        let internal =
            forward_token == ForwardToken::Internal && side == Side::Request && *name == header::AUTHORIZATION;
        let why =
            why_not(name, side, change).or(internal.then_some("forward_token = \"internal\" says what stands there"));
        match why {
            Some(why) => item.wrong(&format!("'{name}' is not for a route to change: {why}")),
            None => Some(()),
        }
    };
    let remove = section.or("remove", vec![], |item| {
        item.some(|item| {
            let text = item.text()?;
            let name = field_name(item, &text)?;
            allowed(item, &name, Change::Remove).map(|()| name)
        })
    });
    let mut set: Vec<(HeaderName, HeaderValue)> = vec![];
    for (text, item) in section.section("set").into_entries() {
        let Some(name) = field_name(&item, text) else { continue };
        if allowed(&item, &name, Change::Set).is_none() {
            continue;
        }
        if set.iter().any(|(known, _)| *known == name) {
            item.wrong::<()>(&format!("'{name}' is set twice: names are compared without regard to case"));
        } else if let Some(value) = field_value(&item) {
            set.push((name, value));
        }
    }
    section.finish();
    FieldEdits { remove, set }
}

/// Visible ASCII with spaces inside. A value from the environment may be a secret: it is not shown.
fn field_value(item: &Item<'_>) -> Option<HeaderValue> {
    let text = item.text()?;
    let shaped = !text.is_empty() && text.trim() == text && text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    let Some(mut value) = HeaderValue::from_str(&text).ok().filter(|_| shaped) else {
        return item.no("a value of visible ASCII characters, with spaces only inside");
    };
    value.set_sensitive(item.has_variables());
    Some(value)
}
