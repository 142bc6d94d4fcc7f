//! `[resources.NAME]`: what OAuth clients read about a protected resource, and where (RFC 9728).

use std::sync::Arc;

use http::Uri;
use serde_json::{Map, Value, json};

use super::{
    cors,
    endpoints::{CORS_FIELDS, CORS_METHODS, Endpoint},
};
use crate::{
    config::{
        matching::{Purpose, no_pattern, pattern},
        reader::{Item, Section, suggestion},
        secure_url::secure_url,
        upstreams::{NAME_SHAPE, is_name},
    },
    decision::{EndpointSettings, Service},
    rules::route::{CanonicalPath, HostPattern},
};

/// What stands between the host and the path of a resource where its metadata are (RFC 9728 section 3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The resources of the file, and the endpoints that follow from them.
#[derive(Default)]
pub(in crate::config) struct Resources {
    /// Each name, with the URL of its metadata. That of a resource that is wrong is empty: its name is known all the
    /// same.
    named: Vec<(String, Arc<str>)>,
    pub(in crate::config) endpoints: Vec<Endpoint>,
}

/// A resource's address, and where its metadata are.
struct Address {
    /// As the file spells it: clients compare it letter by letter.
    resource: String,
    metadata_url: String,
    host: HostPattern,
    metadata_path: String,
}

/// Reads every resource.
pub(in crate::config) fn read(root: &mut Section<'_>) -> Resources {
    let mut resources = Resources::default();
    for (name, section) in root.named_sections("resources") {
        if !is_name(name) {
            section.report_here(&format!("the name must be {NAME_SHAPE}"));
        }
        let read = resource(section);
        let url = read.as_ref().map_or_else(Arc::default, |(url, _)| Arc::clone(url));
        resources.named.push((name.to_owned(), url));
        resources.endpoints.extend(read.map(|(_, endpoint)| endpoint));
    }
    resources
}

impl Resources {
    /// The URL of the metadata of the resource that `item` names.
    pub(in crate::config) fn resolve(&self, item: &Item<'_>) -> Option<Arc<str>> {
        let name = item.text()?;
        if let Some((_, url)) = self.named.iter().find(|(known, _)| *known == name) {
            return Some(Arc::clone(url));
        }
        let shown = item.shown();
        if self.named.is_empty() {
            return item.wrong(&format!("no resource is called {shown}; there is none yet: add [resources.NAME]"));
        }
        let instead = suggestion(item.raw(), self.named.iter().map(|(name, _)| name.as_str()));
        item.wrong(&format!("no resource is called {shown}; {instead}"))
    }
}

/// Reads one resource: where its metadata are, and what answers there.
fn resource(mut section: Section<'_>) -> Option<(Arc<str>, Endpoint)> {
    let address = section.required("resource", "\"https://api.example.com/mcp\"", address);
    let servers = section
        .required("authorization_servers", "[\"https://login.example.com\"]", |item| item.some(authorization_server));
    let scopes = section.optional("scopes_supported", |item| item.some(scope));
    let described = [
        ("resource_name", section.optional("resource_name", Item::word)),
        ("resource_documentation", section.optional("resource_documentation", page)),
        ("resource_policy_uri", section.optional("resource_policy_uri", page)),
        ("resource_tos_uri", section.optional("resource_tos_uri", page)),
    ];
    let cors = cors::read(&mut section, &CORS_METHODS[..1], &CORS_FIELDS);
    let (spot, path) = (section.spot().clone(), section.spot_of("resource"));
    section.finish();
    let address = address?;
    let mut document = Map::new();
    document.insert("resource".to_owned(), address.resource.into());
    document.insert("authorization_servers".to_owned(), json!(servers?));
    // A route of a resource reads `Authorization`, and no other place that RFC 6750 has is asked for.
    document.insert("bearer_methods_supported".to_owned(), json!(["header"]));
    document.extend(scopes.map(|scopes| ("scopes_supported".to_owned(), json!(scopes))));
    let described = described.into_iter().filter_map(|(name, said)| Some((name.to_owned(), Value::from(said?))));
    document.extend(described);
    let settings = EndpointSettings {
        pattern: pattern(vec![address.host], &address.metadata_path, true, vec![])?,
        realms: vec![],
        serves: Service::ResourceMetadata,
        cors,
        takeover: None,
        document: Some(Arc::new(document)),
    };
    Some((address.metadata_url.into(), Endpoint { settings, spot, path }))
}

/// A resource's identifier, whose path gets the well-known one before it (RFC 9728 section 3.1).
fn address(item: &Item<'_>) -> Option<Address> {
    let danger = "clients would send their tokens to anyone on the network path";
    let url = without_query(item, secure_url(item, "https://api.example.com/mcp", danger)?)?;
    no_pattern(item, url.path(), Purpose::One)?;
    if !CanonicalPath::parse(url.path().as_bytes()).is_ok_and(|canonical| canonical.as_str() == url.path()) {
        return item.wrong("its path is not canonical, so no request would match it");
    }
    let host = url.host().and_then(|host| host.parse::<HostPattern>().ok());
    let (Some(host @ HostPattern::Exact(_)), Some(authority)) = (host, url.authority()) else {
        return item.wrong("no request could name its host");
    };
    let path = if url.path() == "/" { "" } else { url.path() };
    let metadata_path = format!("{WELL_KNOWN}{path}");
    let scheme = url.scheme_str().unwrap_or("https");
    let metadata_url = format!("{scheme}://{authority}{metadata_path}");
    Some(Address { resource: item.text()?, metadata_url, host, metadata_path })
}

/// An issuer (RFC 8414 section 2).
fn authorization_server(item: &Item<'_>) -> Option<String> {
    let danger = "clients would log in with anyone on the network path";
    without_query(item, secure_url(item, "https://login.example.com", danger)?)?;
    item.text()
}

fn without_query(item: &Item<'_>, url: Uri) -> Option<Uri> {
    if url.query().is_some() { item.wrong("must have no query: it names one thing") } else { Some(url) }
}

/// A page for people.
fn page(item: &Item<'_>) -> Option<String> {
    secure_url(item, "https://api.example.com/docs", "people would read what anyone on the network path writes")?;
    item.text()
}

/// RFC 6749 section 3.3.
fn scope(item: &Item<'_>) -> Option<String> {
    let text = item.word()?;
    let shaped = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\');
    if text.bytes().all(shaped) { Some(text) } else { item.no("one scope, such as \"read\"") }
}
