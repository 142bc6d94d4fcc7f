//! What `[oauth]` may say.

use std::time::Duration;

use serde_json::{Value, json};

use super::read;
use crate::{config::GatewaySettings, decision::Service, domain::Algorithm, state::refresh::GRACE_DEFAULT};

const REALM: &str = "tokens.issuer = \"https://g.example.com\"\nrealms.clients.dialect = \"oauth\"\n";

fn good(text: &str) -> GatewaySettings {
    read(text).map_err(|report| report.to_string()).unwrap()
}

/// What is served where.
fn served(settings: &GatewaySettings) -> Vec<(Service, &str)> {
    let endpoints = settings.site.endpoints.iter();
    endpoints.map(|endpoint| (endpoint.serves, endpoint.pattern.path.as_str())).collect()
}

#[test]
fn without_the_table_nothing_is_served() {
    let settings = good(REALM);
    assert_eq!(settings.site.realms[0].algorithm, Algorithm::Es256);
    assert!(settings.site.realms[0].keeps_algorithm);
    let named = good(&format!("{REALM}realms.clients.algorithm = \"EdDSA\""));
    assert_eq!((named.site.realms[0].algorithm, named.site.realms[0].keeps_algorithm), (Algorithm::EdDsa, false));
    let sws = "realms.s = { dialect = \"sws\", timezone = \"UTC\" }";
    assert!(!good(&format!("tokens.issuer = \"https://g.example.com\"\n{sws}")).site.realms[0].keeps_algorithm);
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
        "response_types_supported": ["none"],
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

/// The rules of authlib 1.9's `AuthorizationServerMetadata.validate()`, as far as our members come into them.
fn passes_authlib(metadata: &serde_json::Map<String, Value>) -> Result<(), String> {
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    let words = |name: &str, default: &[&str]| match metadata.get(name) {
        None => Ok(default.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Some(Value::Array(items)) => Ok(items.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        Some(_) => Err(format!("{name} must be a JSON array")),
    };
    let issuer = text("issuer").ok_or("issuer is required")?;
    if !issuer.starts_with("https://") || issuer.contains(['?', '#']) {
        return Err("issuer must use https and have neither query nor fragment".to_owned());
    }
    let grants = words("grant_types_supported", &["authorization_code", "implicit"])?;
    if text("authorization_endpoint").is_none()
        && grants.iter().any(|grant| ["authorization_code", "implicit"].contains(&&**grant))
    {
        return Err("authorization_endpoint is required".to_owned());
    }
    if text("token_endpoint").is_none() && grants != ["implicit"] {
        return Err("token_endpoint is required".to_owned());
    }
    for url in ["token_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint"] {
        if text(url).is_some_and(|url| !url.starts_with("https://")) {
            return Err(format!("{url} must use https"));
        }
    }
    if words("response_types_supported", &[])?.is_empty() {
        return Err("response_types_supported is required".to_owned());
    }
    for endpoint in ["token", "revocation", "introspection"] {
        let methods = words(&format!("{endpoint}_endpoint_auth_methods_supported"), &["client_secret_basic"])?;
        let signed = methods.iter().any(|method| ["private_key_jwt", "client_secret_jwt"].contains(&&**method));
        if signed && words(&format!("{endpoint}_endpoint_auth_signing_alg_values_supported"), &[])?.is_empty() {
            return Err(format!("the algorithms of {endpoint} are required"));
        }
    }
    Ok(())
}

#[test]
fn metadata_pass_what_stock_clients_ask_of_them() {
    for lines in ["", "introspection = false", "revocation = false\njwks = false", "openid_configuration = \"/c\""] {
        let metadata = good(&format!("{REALM}[oauth]\n{lines}")).site.oauth.unwrap().metadata;
        assert_eq!(passes_authlib(&metadata), Ok(()), "{lines}");
    }
}

#[test]
fn metadata_stand_where_stock_clients_look_when_the_file_says_so() {
    const PATH: &str = "openid_configuration = \"/.well-known/openid-configuration\"";
    let metadata = |text: &str| -> Vec<String> {
        let settings = good(text);
        let served = served(&settings).into_iter().filter(|(service, _)| *service == Service::Metadata);
        served.map(|(_, path)| path.to_owned()).collect()
    };
    let rfc8414 = ["/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/clients"];
    assert_eq!(metadata(&format!("{REALM}[oauth]\nopenid_configuration = false")), rfc8414);
    let both = ["/clients/.well-known/openid-configuration", "/.well-known/openid-configuration"];
    assert_eq!(metadata(&format!("{REALM}[oauth]\n{PATH}")), [rfc8414, both].concat());
    assert_eq!(metadata(&format!("{REALM}[oauth]\nmetadata = false\n{PATH}")), both);
    let root = "realms.clients = { dialect = \"oauth\", issuer = \"https://id.example.com\" }\n";
    assert_eq!(metadata(&format!("{root}[oauth]\nmetadata = false\n{PATH}")), [both[1]]);
    let alone = good(&format!("{REALM}[oauth]\nmetadata = false\n{PATH}")).site.oauth.unwrap().metadata;
    assert_eq!(alone["issuer"], "https://g.example.com/clients");
}
