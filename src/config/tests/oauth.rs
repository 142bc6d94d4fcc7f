//! What `[oauth]` may say.

use std::time::Duration;

use serde_json::{Value, json};

use super::{super::Settings, read};
use crate::{decision::Service, domain::Algorithm, state::refresh::GRACE_DEFAULT};

const REALM: &str = "tokens.issuer = \"https://g.example.com\"\nrealms.clients.dialect = \"oauth\"\n";

fn good(text: &str) -> Settings {
    read(text).map_err(|report| report.to_string()).unwrap()
}

/// What is served where.
fn served(settings: &Settings) -> Vec<(Service, &str)> {
    let endpoints = settings.site.endpoints.iter();
    endpoints.map(|endpoint| (endpoint.serves, endpoint.pattern.path.as_str())).collect()
}

#[test]
fn without_the_table_nothing_is_served() {
    let settings = good(REALM);
    assert_eq!(settings.site.realms[0].algorithm, Algorithm::EdDsa);
    assert!(settings.site.oauth.is_none() && settings.site.endpoints.is_empty());
}

#[test]
fn documents_are_kept_no_longer_than_a_next_key_is_published() {
    for (keys, seconds) in [("", 300), ("keys.publish_ahead = \"20s\"\n", 20), ("keys.publish_ahead = \"1h\"\n", 300)] {
        let oauth = good(&format!("{keys}{REALM}[oauth]")).site.oauth.unwrap();
        assert_eq!(oauth.documents_max_age, Duration::from_secs(seconds), "{keys}");
    }
}

#[test]
fn an_empty_table_serves_the_only_realm_at_the_usual_paths() {
    let settings = good(&format!("{REALM}[oauth]"));
    let expected = [
        (Service::OauthToken, "/oauth/token"),
        (Service::OauthRevocation, "/oauth/revoke"),
        (Service::OauthIntrospection, "/oauth/introspect"),
        (Service::Jwks, "/.well-known/jwks.json"),
        (Service::InternalJwks, "/.well-known/internal-jwks.json"),
        (Service::Metadata, "/.well-known/oauth-authorization-server"),
        (Service::Metadata, "/.well-known/oauth-authorization-server/clients"),
    ];
    assert_eq!(served(&settings), expected);
    let clients = ["clients".parse().unwrap()];
    assert!(settings.site.endpoints.iter().all(|endpoint| endpoint.pattern.exact && endpoint.realms == clients));
    let oauth = settings.site.oauth.unwrap();
    assert_eq!((oauth.refresh_grace, oauth.refresh_lifetime), (GRACE_DEFAULT, None));
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    let metadata = json!({
        "issuer": "https://g.example.com/clients",
        "token_endpoint": "https://g.example.com/oauth/token",
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": "https://g.example.com/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": "https://g.example.com/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": methods,
        "jwks_uri": "https://g.example.com/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials", "refresh_token"],
        "response_types_supported": [],
    });
    assert_eq!(Value::Object(oauth.metadata), metadata);
}

#[test]
fn paths_can_be_moved_bound_and_switched_off() {
    let text = "realms.other = { dialect = \"oauth\", issuer = \"https://id.example.com\" }
[oauth]
realm = \"other\"
hosts = [\"id.example.com\"]
token = \"/t\"
revocation = false
introspection = false
internal_jwks = false
jwks = \"/keys\"
refresh_grace = \"0s\"
refresh_lifetime = \"1h\"";
    let settings = good(&format!("{REALM}{text}"));
    let expected = [
        (Service::OauthToken, "/t"),
        (Service::Jwks, "/keys"),
        (Service::Metadata, "/.well-known/oauth-authorization-server"),
    ];
    assert_eq!(served(&settings), expected, "an issuer without a path has one place for its metadata");
    assert!(settings.site.endpoints.iter().all(|endpoint| endpoint.pattern.hosts.len() == 1));
    let oauth = settings.site.oauth.unwrap();
    assert_eq!((oauth.refresh_grace, oauth.refresh_lifetime), (Duration::ZERO, Some(Duration::from_hours(1))));
    assert_eq!(oauth.metadata["jwks_uri"], "https://id.example.com/keys");
    assert!(!oauth.metadata.contains_key("revocation_endpoint"));
}
