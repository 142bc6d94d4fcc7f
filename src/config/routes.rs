//! `[[routes]]`: what is forwarded, and where to. What they ask for stands in [`super::policy`].

use http::Method;

use super::{
    item::Item,
    policy,
    reader::{Section, Spot, suggestion},
    realms::Realms,
    upstreams::{NAME_SHAPE, Upstreams, is_name},
};
use crate::{
    decision::RouteSettings,
    rules::route::{CanonicalPath, HostPattern, Pattern},
};

/// A route and where it stands.
pub(super) struct Route {
    pub(super) settings: RouteSettings,
    pub(super) spot: Spot,
    /// Where its path stands.
    pub(super) path: Spot,
}

/// Reads every route.
pub(super) fn read(root: &mut Section<'_>, realms: &Realms, upstreams: &Upstreams) -> Vec<Route> {
    let mut names: Vec<(String, Spot)> = vec![];
    let mut routes = vec![];
    for mut section in root.sections("routes") {
        let name = section.required("name", "\"clientes\"", name);
        if let Some(name) = &name {
            match names.iter().find(|(taken, _)| taken == name) {
                Some((_, first)) => {
                    let line = section.line(first);
                    section.report(
                        "name",
                        &format!("'{name}' names the route of line {line} already; metrics tell routes by it"),
                    );
                }
                None => names.push((name.clone(), section.spot().clone())),
            }
        }
        routes.extend(route(section, name, realms, upstreams));
    }
    routes
}

fn route(mut section: Section<'_>, name: Option<String>, realms: &Realms, upstreams: &Upstreams) -> Option<Route> {
    let hosts = section.checked("hosts", vec![], hosts);
    let path = section.checked("path", "/".to_owned(), canonical_path);
    let exact = section.checked("exact", false, Item::boolean);
    let methods = section.checked("methods", vec![], |item| item.some(method));
    let upstream = section.required("upstream", "\"crm\"", |item| upstream(item, upstreams));
    let asked = policy::read(&mut section, realms);
    let (spot, path_spot) = (section.spot().clone(), section.spot_of("path"));
    section.finish();
    // A name or an upstream that is wrong does not keep the route from being compared with the others.
    let settings = RouteSettings {
        name: name.unwrap_or_default().into(),
        pattern: pattern(hosts?, &path?, exact?, methods?)?,
        policy: asked.policy,
        sources: asked.sources,
        upstream: upstream.unwrap_or_default().into(),
        forward_token: asked.forward_token,
        mode: asked.mode,
    };
    Some(Route { settings, spot, path: path_spot })
}

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

fn method(item: &Item<'_>) -> Option<Method> {
    let text = item.text()?;
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if text == upper => Some(method),
        Ok(_) => item.wrong(&format!("methods are compared letter by letter: write {} in capitals", item.shown())),
        Err(_) => item.no("a method, such as \"GET\""),
    }
}

fn name(item: &Item<'_>) -> Option<String> {
    let name = item.text()?;
    if is_name(&name) { Some(name) } else { item.no(&format!("a name: {NAME_SHAPE}")) }
}

fn upstream(item: &Item<'_>, upstreams: &Upstreams) -> Option<String> {
    let name = item.text()?;
    if upstreams.names.contains(&name) {
        return Some(name);
    }
    let shown = item.shown();
    if upstreams.names.is_empty() {
        return item.wrong(&format!("no upstream is called {shown}; there is none yet: add [upstreams.NAME]"));
    }
    let instead = suggestion(item.raw(), upstreams.names.iter().map(String::as_str));
    item.wrong(&format!("no upstream is called {shown}; {instead}"))
}
