//! Keys, metadata, and where all of it is served.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::json;

use super::*;
use crate::support::{Contract, get};

#[test]
fn keys_and_metadata_are_for_everybody() {
    let (config, _upstream) = config("");
    let config = config.replace("[realms.become]", "[realms.become]\nalgorithm = \"ES256\"");
    let gateway = Gateway::run(with_accounts(&config));
    let metadata = gateway.send(&get("/.well-known/oauth-authorization-server"));
    assert_eq!(metadata.header("Cache-Control"), Some("public, max-age=300"));
    assert_eq!(metadata.header("Content-Type"), Some("application/json; charset=utf-8"));
    let json = metadata.json();
    assert_eq!(
        (&json["issuer"], &json["token_endpoint"]),
        (&json!("https://portero.test/oauth"), &json!("https://portero.test/oauth/token"))
    );
    assert_eq!(gateway.send(&get("/.well-known/oauth-authorization-server/oauth")).body, metadata.body);

    // A holder of the keys checks a token without asking.
    let keys: JwkSet = serde_json::from_value(gateway.send(&get("/.well-known/jwks.json")).json()).unwrap();
    assert_eq!(keys.keys.len(), 2, "no secret keys among them");
    let token = gateway.client_token(ONE);
    let key = keys.find(part(&token, 0)["kid"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["api"]);
    validation.set_issuer(&["https://portero.test/oauth"]);
    jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap();

    let internal = gateway.send(&get("/.well-known/internal-jwks.json"));
    let internal: JwkSet = serde_json::from_value(internal.json()).unwrap();
    let ids = |set: &JwkSet| set.keys.iter().filter_map(|key| key.common.key_id.clone()).collect::<Vec<_>>();
    assert_eq!(internal.keys.len(), 1);
    assert!(!ids(&keys).contains(&ids(&internal)[0]), "who checks clients' tokens must not take upstreams'");
    for path in ["/.well-known/jwks.json", "/.well-known/internal-jwks.json", "/.well-known/oauth-authorization-server"]
    {
        let head = gateway.send(&Request::new("HEAD", path));
        let whole = gateway.send(&get(path));
        assert_eq!((head.status, head.header("Content-Length")), (200, whole.header("Content-Length")));
        for method in ["POST", "DELETE", "OPTIONS"] {
            let answer = gateway.send(&Request::new(method, path));
            assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
}

#[test]
fn paths_move_are_bound_to_hosts_and_can_be_switched_off() {
    let lines = "hosts = [\"id.test\"]\ntoken = \"/t\"\nintrospection = false\njwks = false";
    let (gateway, _upstream) = start(lines);
    let ask = |path: &str, host: &str| {
        let request = form(path, "grant_type=client_credentials&token=x").client(ONE).header("Host", host);
        gateway.send(&request).status
    };
    assert_eq!((ask("/t", "id.test"), ask("/t", "other.test"), ask(TOKEN, "id.test")), (200, 404, 404));
    assert_eq!((ask(REVOKE, "id.test"), ask(INTROSPECT, "id.test")), (200, 404));
    assert_eq!(gateway.send(&get("/.well-known/jwks.json").header("Host", "id.test")).status, 404);
    // A request owns its path in every spelling.
    assert_eq!(ask("/x/../t", "id.test"), 200);
}

#[test]
fn the_demo_serves_it_and_says_how_to_try() {
    const CLIENT: (&str, &str) = ("demo_oauth_client", "demo_secret_789_ABCDEFGH");
    let gateway = Gateway::demo();
    let line = format!(
        "curl -s http://{}{TOKEN} -u {}:{} -d grant_type=client_credentials",
        gateway.front, CLIENT.0, CLIENT.1
    );
    assert!(gateway.process.written().contains(&line), "{}", gateway.process.written());
    let token = gateway.client_token(CLIENT);
    assert_eq!(gateway.status("/oauth-api/x", &token), 200);
    let keys = gateway.send(&get("/.well-known/jwks.json")).json();
    assert_eq!((&keys["keys"][0]["crv"], &keys["keys"][0]["kid"]), (&json!("P-256"), &part(&token, 0)["kid"]));
    let metadata = gateway.send(&get("/.well-known/oauth-authorization-server")).body;
    assert_eq!(gateway.send(&get("/.well-known/openid-configuration")).body, metadata);
    assert_eq!(gateway.introspect(CLIENT, &gateway.login(Contract::Toc)).json()["username"], "upconta");
    let second = gateway.exchanged(CLIENT, &gateway.login_apis().refresh);
    assert_eq!(gateway.revoke(CLIENT, &second).status, 200);
}

#[test]
fn check_advises_to_write_the_algorithm_down() {
    let (unnamed, _upstream) = config("");
    let named = unnamed.clone().replace("[realms.oauth]", "[realms.oauth]\nalgorithm = \"EdDSA\"");
    let advice = |config: &Config| {
        let folder = Folder::new();
        config.write_to(&folder);
        let ran = folder.command("check", "");
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.contains("realms.oauth: it names no algorithm") && ran.stdout.contains("portero key list")
    };
    assert_eq!((advice(&unnamed), advice(&named)), (true, false));
}
