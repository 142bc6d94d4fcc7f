//! `[oauth]`: the endpoints of OAuth 2.0 and its documents. Without the table nothing of it is served.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use http::Uri;
use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::{
    cors,
    endpoints::{CORS_FIELDS, CORS_METHODS, Endpoint},
};
use crate::{
    config::{
        identity::realms::Realms,
        matching::{Purpose, canonical_path, hosts, pattern},
        reader::{Item, Section, Spot},
    },
    decision::{EndpointSettings, OauthSettings, Service},
    domain::{GrantType, RealmName},
    rules::{
        cors::Cors,
        realm::Realm,
        route::{CanonicalPath, HostPattern},
    },
    state::refresh::GRACE_DEFAULT,
};

/// A longer grace would hide a theft for as long as it lasts.
const GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(5);
const LIFETIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 3650);

/// How long the documents may be kept, where a next key is published for longer than that before it signs.
const DOCUMENTS_MAX_AGE: Duration = Duration::from_mins(5);

/// The keys of paths, what is served there, and where unless the file says otherwise.
const PATHS: [(&str, Service, &str); 6] = [
    ("token", Service::OauthToken, "/oauth/token"),
    ("revocation", Service::OauthRevocation, "/oauth/revoke"),
    ("introspection", Service::OauthIntrospection, "/oauth/introspect"),
    ("jwks", Service::Jwks, "/.well-known/jwks.json"),
    ("internal_jwks", Service::InternalJwks, "/.well-known/internal-jwks.json"),
    ("metadata", Service::Metadata, "/.well-known/oauth-authorization-server"),
];

/// Where the metadata stand once more, for stock clients; nowhere unless the file says so.
const OPENID_CONFIGURATION: &str = "openid_configuration";

/// How clients may authenticate (RFC 8414 section 2).
const AUTHENTICATION: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// What `[oauth]` says, and the endpoints that follow from it.
#[derive(Default)]
pub(in crate::config) struct Oauth {
    pub(in crate::config) settings: Option<OauthSettings>,
    pub(in crate::config) endpoints: Vec<Endpoint>,
}

/// A path that is switched on.
struct Served {
    service: Service,
    path: String,
    spot: Spot,
}

/// What all of the endpoints have.
struct Place<'p> {
    hosts: &'p [HostPattern],
    cors: Option<Arc<Cors>>,
    spot: Spot,
}

/// Reads `[oauth]`, where it is there. A next key is published for `publish_ahead` before it signs.
pub(in crate::config) fn read(root: &mut Section<'_>, realms: &Realms, publish_ahead: Duration) -> Oauth {
    let present = root.has("oauth");
    let mut section = root.section("oauth");
    if !present {
        return Oauth::default();
    }
    // Keys are for everybody who checks tokens; the rest is for clients of a realm.
    let documents_only = !section.has("realm")
        && realms.of_oauth().is_empty()
        && !PATHS.iter().any(|(key, service, _)| !is_key_set(*service) && section.has(key))
        && !section.has(OPENID_CONFIGURATION);
    let realm = if documents_only { None } else { realm(&mut section, realms) };
    let bound = section.checked("hosts", vec![], hosts);
    let served: Vec<_> = PATHS.into_iter().filter_map(|path| served(&mut section, path)).collect();
    let configuration = openid_configuration(&mut section);
    let refresh_grace = section.or("refresh_grace", GRACE_DEFAULT, |item| item.duration(&GRACE));
    let refresh_lifetime = section.optional("refresh_lifetime", |item| item.duration(&LIFETIME));
    let cors = cors::read(&mut section, &CORS_METHODS, &CORS_FIELDS);
    let at = Place { hosts: bound.as_deref().unwrap_or_default(), cors, spot: section.spot().clone() };
    let checked = realm.and_then(|name| realms.checked.iter().find(|realm| realm.name == name).cloned());
    let oauth = match (checked, &bound) {
        (None, Some(_)) if documents_only => {
            section.optional("realm", Item::text);
            let sets = served.into_iter().filter(|served| is_key_set(served.service));
            let endpoints = sets.filter_map(|served| endpoint(served, None, &at)).collect();
            Oauth { settings: None, endpoints }
        }
        (Some(realm), Some(_)) => {
            let (metadata, further) = metadata(&section, &realm, &served, configuration);
            let endpoints = served.into_iter().chain(further);
            let endpoints = endpoints.filter_map(|served| endpoint(served, Some(&realm.name), &at)).collect();
            let documents_max_age = DOCUMENTS_MAX_AGE.min(publish_ahead);
            let settings = OauthSettings { refresh_grace, refresh_lifetime, documents_max_age, metadata };
            Oauth { settings: Some(settings), endpoints }
        }
        _ => Oauth::default(),
    };
    section.finish();
    oauth
}

/// Whether a set of public keys is served there, and nothing that is a realm's.
const fn is_key_set(service: Service) -> bool {
    matches!(service, Service::Jwks | Service::InternalJwks)
}

/// The realm whose clients are served: the one that is named, or the only one there is.
fn realm(section: &mut Section<'_>, realms: &Realms) -> Option<RealmName> {
    if section.has("realm") {
        return section.optional("realm", |item| speaking(item, realms));
    }
    section.optional("realm", Item::text);
    match &realms.of_oauth()[..] {
        [only] => Some(only.clone()),
        [] => {
            section.report_here("there is no realm of dialect 'oauth'; add one, for example [realms.oauth]");
            None
        }
        _ => {
            section.report("realm", "missing; several realms are of dialect 'oauth', say which one is served");
            None
        }
    }
}

fn speaking(item: &Item<'_>, realms: &Realms) -> Option<RealmName> {
    let name = realms.resolve(item)?;
    match realms.dialect(&name) {
        Some(dialect) if !dialect.is_oauth() => {
            item.wrong(&format!("realm '{name}' is of dialect '{dialect}', and not 'oauth'"))
        }
        _ => Some(name),
    }
}

/// A path; `false` switches it off.
fn served(section: &mut Section<'_>, (key, service, default): (&'static str, Service, &str)) -> Option<Served> {
    let path = section.checked(key, Some(default.to_owned()), |item| match item.value() {
        DeValue::Boolean(false) => Some(None),
        DeValue::Boolean(true) => item.wrong("true is no path; leave the key out for the usual one"),
        _ => canonical_path(item, Purpose::One).map(Some),
    });
    Some(Served { service, path: path??, spot: section.spot_of(key) })
}

/// The path of [`OPENID_CONFIGURATION`], where it is switched on.
fn openid_configuration(section: &mut Section<'_>) -> Option<Served> {
    let path = section.checked(OPENID_CONFIGURATION, None, |item| match item.value() {
        DeValue::Boolean(false) => Some(None),
        DeValue::Boolean(true) => {
            item.wrong("true is no path; say where, for example \"/.well-known/openid-configuration\"")
        }
        _ => canonical_path(item, Purpose::One).map(Some),
    });
    Some(Served { service: Service::Metadata, path: path??, spot: section.spot_of(OPENID_CONFIGURATION) })
}

fn endpoint(served: Served, realm: Option<&RealmName>, at: &Place<'_>) -> Option<Endpoint> {
    let settings = EndpointSettings {
        pattern: pattern(at.hosts.to_vec(), &served.path, true, vec![])?,
        realms: realm.into_iter().cloned().collect(),
        serves: served.service,
        cors: at.cors.clone(),
        takeover: None,
        document: None,
    };
    Some(Endpoint { settings, spot: at.spot.clone(), path: served.spot })
}

/// The metadata, and where they stand besides. For an issuer with a path, RFC 8414 section 3.1 puts that path behind
/// the well-known one, and `OpenID` Connect Discovery section 4 puts it before.
fn metadata(
    section: &Section<'_>,
    realm: &Realm,
    served: &[Served],
    configuration: Option<Served>,
) -> (Map<String, Value>, Vec<Served>) {
    let own = served.iter().find(|served| served.service == Service::Metadata);
    if own.is_none() && configuration.is_none() {
        return (Map::new(), vec![]);
    }
    let key = if own.is_some() { "metadata" } else { OPENID_CONFIGURATION };
    let uri = realm.issuer.parse::<Uri>().ok();
    let url = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?, uri.path())));
    let Some((scheme @ ("http" | "https"), authority, path)) = url else {
        let message = format!(
            "the issuer of realm '{}' is no URL, so it has no metadata; give the realm another issuer, or say {key} = false",
            realm.name
        );
        section.report(key, &message);
        return (Map::new(), vec![]);
    };
    let document = document(realm, &format!("{scheme}://{authority}"), served);
    let path = path.trim_end_matches('/');
    if !path.is_empty() && !CanonicalPath::parse(path.as_bytes()).is_ok_and(|canonical| canonical.as_str() == path) {
        let message =
            format!("the path of realm '{}''s issuer is not canonical, so no request would match it", realm.name);
        section.report(key, &message);
        return (document, vec![]);
    }
    let copy = |path: String, spot: &Spot| Served { service: Service::Metadata, path, spot: spot.clone() };
    let mut further = vec![];
    if !path.is_empty() {
        further.extend(own.map(|own| copy(format!("{}{path}", own.path), &own.spot)));
        further.extend(configuration.as_ref().map(|named| copy(format!("{path}{}", named.path), &named.spot)));
    }
    further.extend(configuration.map(|named| copy(named.path, &named.spot)));
    (document, further)
}

/// RFC 8414 section 2. The URLs are on the issuer's host, which is where clients look for them.
fn document(realm: &Realm, origin: &str, served: &[Served]) -> Map<String, Value> {
    let url = |service| {
        let served = served.iter().find(|served| served.service == service)?;
        Some(Value::from(format!("{origin}{}", served.path)))
    };
    let mut members = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.to_owned(), value);
        }
    };
    let (token, revocation, introspection) =
        (url(Service::OauthToken), url(Service::OauthRevocation), url(Service::OauthIntrospection));
    let methods = |endpoint: &Option<Value>| endpoint.as_ref().map(|_| json!(AUTHENTICATION));
    put("issuer", Some(realm.issuer.as_str().into()));
    put("token_endpoint_auth_methods_supported", methods(&token));
    put("token_endpoint", token);
    put("revocation_endpoint_auth_methods_supported", methods(&revocation));
    put("revocation_endpoint", revocation);
    put("introspection_endpoint_auth_methods_supported", methods(&introspection));
    put("introspection_endpoint", introspection);
    put("jwks_uri", url(Service::Jwks));
    put("grant_types_supported", Some(json!(GrantType::ALL.map(GrantType::name))));
    // Required, and nothing here answers an authorization request: `none` is the registered type that gives nothing
    // (OAuth 2.0 Multiple Response Type Encoding Practices, section 4). Stock clients refuse an empty list.
    put("response_types_supported", Some(json!(["none"])));
    members
}
