//! `forward_token = "internal"`: the service gets a token of the gateway's own, and nothing of the client's.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::support::{Config, Contract, Gateway, Received, Request, Upstream, get, pen::parts};

/// A route that exchanges tokens wherever they stand, and one where there may be none.
fn gateway(upstream: &Upstream) -> Gateway {
    let exchanged = "accept = [\"apis\", \"sws\"]\nforward_token = \"internal\"\n\
        sources = [\"authorization\", \"header:X-Token\", \"cookie:sid\", \"query:token\"]";
    Config::standard(upstream.address)
        .text("[oauth]")
        .route("exchanged", "/exchanged", exchanged)
        .route("perhaps", "/perhaps", &format!("auth = \"optional\"\n{exchanged}"))
        .start()
}

/// The internal token that a service received, which is all that it received of a token.
#[track_caller]
fn internal_token<'r>(received: &'r Received, client: &str) -> &'r str {
    let everything = format!("{} {:?}", received.target, received.headers);
    assert!(!everything.contains(client), "the client's token is left in {everything}");
    received.header("authorization").unwrap().strip_prefix("Bearer ").unwrap()
}

#[test]
fn a_service_gets_the_gateways_token_and_nothing_of_the_clients() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let client = gateway.login_apis().access;
    let everywhere = |target: &str| {
        let cookies = format!("a=1; sid={client}; b=2");
        get(target).bearer(&client).header("X-Token", &client).header("Cookie", cookies)
    };
    let requests = [
        get("/exchanged").bearer(&client),
        get("/exchanged").header("authorization", format!("bEARER  {client}")),
        get("/exchanged").header("X-Token", &client),
        get("/exchanged").header("X-Token", &client).header("Authorization", "Basic dXNlcjpwYXNz"),
        get("/exchanged").header("Cookie", format!("sid={client}")),
        get(&format!("/exchanged?x=1&token={client}&y=2")),
        everywhere(&format!("/exchanged?token={client}&token={client}")),
        everywhere(&format!("/perhaps?t%6fken={client}")),
    ];
    // The set is served without any realm of OAuth's, and is what the command exports.
    let set = gateway.send(&get("/.well-known/internal-jwks.json")).json();
    let exported = gateway.command("key export-public --realm portero-internal --format jwk", "").json();
    assert_eq!(set, exported);
    assert_eq!(gateway.send(&get("/oauth/token")).status, 404);
    let key = &set["keys"][0];
    let public = DecodingKey::from_ed_components(key["x"].as_str().unwrap()).unwrap();
    for request in requests {
        assert_eq!(gateway.send(&request).status, 200, "{request:?}");
        let received = upstream.received();
        let token = internal_token(&received, &client);
        let [header, claims] = parts(token);
        assert_eq!((&header["typ"], &header["kid"]), (&"portero-internal+jwt".into(), &key["kid"]));
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&"https://portero.test/portero-internal".into(), &"service".into())
        );
        assert_eq!(claims["original_iss"], "https://portero.test/apis");
        assert_eq!(
            (&claims["name"], &claims["role"], &claims["scope"]),
            (&"admin".into(), &"ADMIN".into(), &"read".into())
        );
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["service"]);
        jsonwebtoken::decode::<Map<String, Value>>(token, &public, &validation).unwrap();
        // The identity headers say the same.
        assert_eq!(received.header("x-auth-subject"), claims["sub"].as_str());
        assert_eq!(received.header("x-auth-name"), Some("admin"));
        assert_eq!(received.header("x-auth-issuer"), Some("https://portero.test/apis"));
        assert_eq!(received.header("x-auth-role"), Some("ADMIN"));
        assert!(received.all("x-token").is_empty());
        let rest: Vec<_> = received.target.split('?').skip(1).collect();
        assert!(rest.is_empty() || rest == ["x=1&y=2"], "{}", received.target);
    }
    // The same token, the same upstream: the same internal token, until half of its life is over.
    gateway.status("/exchanged", &client);
    gateway.status("/exchanged", &client);
    let [first, second] = [upstream.received(), upstream.received()];
    assert_eq!(internal_token(&first, &client), internal_token(&second, &client));
    // Another principal's is another.
    let other = gateway.login(Contract::Sws);
    assert_eq!(gateway.status("/exchanged", &other), 200);
    let [_, claims] = parts(internal_token(&upstream.received(), &other));
    assert_eq!((&claims["original_iss"], &claims["legacy_id"]), (&"https://portero.test/sws".into(), &1.into()));
}

#[test]
fn an_internal_token_opens_nothing_at_the_front() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let client = gateway.login_apis().access;
    assert_eq!(gateway.status("/exchanged", &client), 200);
    let received = upstream.received();
    let token = internal_token(&received, &client);
    for path in ["/exchanged", "/perhaps", "/apis", "/sws", "/toc"] {
        assert_eq!(gateway.status(path, token), 401, "{path}");
        let line = gateway.process.access_line(path, |line| line["path"] == path && line["status"] == 401);
        assert_eq!(line["reason"], "unknown_key", "{path}");
    }
    assert_eq!(gateway.send(&get("/auth").header("Authorization", token)).status, 401);
    upstream.received_nothing();
}

#[test]
fn nobodys_request_carries_no_authorization_at_all() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let nobody = |request: Request| {
        assert_eq!(gateway.send(&request).status, 200, "{request:?}");
        let received = upstream.received();
        assert!(received.all("authorization").is_empty(), "{received:?}");
        assert!(!received.headers.iter().any(|(name, _)| name.starts_with("x-auth-")), "{received:?}");
    };
    nobody(get("/perhaps"));
    nobody(get("/perhaps").header("Authorization", ""));
    nobody(get("/perhaps").header("Authorization", "Bearer"));
    nobody(get("/perhaps").header("Authorization", "Basic dXNlcjpwYXNz"));
    nobody(get("/perhaps").header("aUTHORIZATION", "Basic dXNlcjpwYXNz").header("Authorization", "Basic dXNlcjpwYXNz"));
    nobody(get("/perhaps").header("X-Auth-Subject", "admin").header("X-Token", ""));
    assert_eq!(gateway.status("/perhaps", "garbage"), 401);
    upstream.received_nothing();
}
