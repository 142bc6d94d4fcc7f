//! `[[routes]]`: what is forwarded, and where to. What they ask for stands in [`super::policy`].

use std::sync::Arc;

use http::{HeaderName, header};

use super::{cors, policy, resources::Resources, rewrite};
use crate::{
    config::{
        identity::realms::Realms,
        matching::{Purpose, canonical_path, hosts, method, pattern},
        process::{BODY_BYTES, Defaults, STALE},
        reader::{Item, Section, Spot, suggestion},
        upstreams::{NAME_SHAPE, Upstreams, is_name},
    },
    decision::RouteSettings,
    rules::{
        policy::{Auth, Source},
        upgrade::is_never_asked_for,
    },
};

/// A route and where it stands.
pub(in crate::config) struct Route {
    pub(in crate::config) settings: RouteSettings,
    pub(in crate::config) spot: Spot,
    /// Where its path stands.
    pub(in crate::config) path: Spot,
    /// Where `exact` stands, or the route.
    pub(in crate::config) exact: Spot,
}

/// What a route can name.
#[derive(Clone, Copy)]
pub(in crate::config) struct Named<'n> {
    pub(in crate::config) realms: &'n Realms,
    pub(in crate::config) upstreams: &'n Upstreams,
    pub(in crate::config) resources: &'n Resources,
}

/// Reads every route.
pub(in crate::config) fn read(root: &mut Section<'_>, defined: Named<'_>, defaults: Defaults) -> Vec<Route> {
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
        routes.extend(route(section, name, defined, defaults));
    }
    routes
}

fn route(mut section: Section<'_>, name: Option<String>, defined: Named<'_>, defaults: Defaults) -> Option<Route> {
    let hosts = section.checked("hosts", vec![], hosts);
    let exact = section.checked("exact", false, Item::boolean);
    let purpose = if exact == Some(true) { Purpose::Exact } else { Purpose::Prefix };
    let path = section.checked("path", "/".to_owned(), |item| canonical_path(item, purpose));
    let methods = section.checked("methods", vec![], |item| item.some(method));
    let upstream = section.required("upstream", "\"crm\"", |item| upstream(item, defined.upstreams));
    let asked = policy::read(&mut section, defined.realms);
    let resource = resource(&mut section, &asked, defined.resources);
    let what = rewrite::Route {
        path: path.as_deref(),
        exact: exact == Some(true),
        forward_token: asked.forward_token,
        harden: defaults.harden,
    };
    let rewrites = rewrite::read(&mut section, &what);
    for (key, example) in [("roles", "[\"ADMIN\"]"), ("scopes", "[\"read\"]"), ("claims", "{ tenant = \"x\" }")] {
        section.refuse(key, &format!("stands in require: write require = {{ {key} = {example} }}"));
    }
    let cors = cors::read(&mut section, methods.as_deref().unwrap_or_default(), &fields_read(&asked.sources));
    let method_override = section.or("method_override", false, Item::boolean);
    let upgrades = section.or("upgrades", vec![], |item| item.some(protocol));
    let body_bytes_max = section.optional("body_bytes_max", |item| item.size(&BODY_BYTES)).or(defaults.body_bytes_max);
    let stale = section.optional("stale", |item| item.one_of(&STALE));
    let (spot, path_spot, exact_spot) = (section.spot().clone(), section.spot_of("path"), section.spot_of("exact"));
    section.finish();
    // A name or an upstream that is wrong does not keep the route from being compared with the others.
    let settings = RouteSettings {
        name: name.unwrap_or_default().into(),
        pattern: pattern(hosts?, &path?, exact?, methods?)?,
        policy: asked.policy,
        sources: asked.sources,
        upstream: upstream.unwrap_or_default().into(),
        forward_token: asked.forward_token,
        rewrites,
        cors,
        body_bytes_max,
        method_override,
        upgrades,
        mode: asked.mode,
        stale,
        resource,
    };
    Some(Route { settings, spot, path: path_spot, exact: exact_spot })
}

/// Where the metadata are of the resource that the route is a part of.
fn resource(section: &mut Section<'_>, asked: &policy::Asked, resources: &Resources) -> Option<Arc<str>> {
    if asked.policy.auth == Auth::Public {
        section.refuse("resource", policy::NO_TOKENS);
        return None;
    }
    let reads_authorization = asked.sources.iter().any(|source| matches!(source, Source::Authorization { .. }));
    section.optional("resource", |item| {
        // What is wrong with the sources themselves is reported where they stand.
        if !reads_authorization && !asked.sources.is_empty() {
            return item
                .wrong("clients of a resource send the token in Authorization (RFC 6750), which sources leaves out");
        }
        resources.resolve(item)
    })
}

/// The fields that pages must be able to send: those in which a token is looked for, and the body's type.
fn fields_read(sources: &[Source]) -> Vec<HeaderName> {
    let of_sources = sources.iter().filter_map(|source| match source {
        Source::Authorization { .. } => Some(header::AUTHORIZATION),
        Source::Header(name) => Some(name.clone()),
        Source::Query(_) | Source::Cookie(_) => None,
    });
    of_sources.chain([header::CONTENT_TYPE]).collect()
}

/// A protocol to switch to (RFC 9110 section 7.8), in lower case.
fn protocol(item: &Item<'_>) -> Option<Box<str>> {
    let text = item.text()?.to_ascii_lowercase();
    let is_token = |part: &str| HeaderName::from_bytes(part.as_bytes()).is_ok();
    if !text.splitn(2, '/').all(is_token) {
        return item.no("a protocol, such as \"websocket\" or \"foo/1\"");
    }
    if is_never_asked_for(&text) {
        return item.wrong(&format!(
            "{} is never asked of a server: what follows would be requests that nobody checks, or TLS that nobody reads",
            item.shown()
        ));
    }
    Some(text.into())
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
