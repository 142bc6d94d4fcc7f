//! External issuers, the whole way: their keys come from a real server, and what is signed with them opens what it
//! may, for as long as it may.

use std::fs;

use serde_json::{Map, Value, json};

use crate::support::{
    Config, Document, Folder, Gateway, JwksServer, PATIENCE, Upstream, get,
    pen::{Pen, object, parts, with},
    wait_until,
};

const CORP: &str = "https://login.corp.test";
const PARTNER: &str = "https://login.partner.test";

/// The claims of a good token of an issuer, as RFC 9068 has them.
fn claims(issuer: &str) -> Map<String, Value> {
    object(json!({
        "iss": issuer,
        "aud": ["other", "api"],
        "sub": "eva@corp",
        "exp": 8_000_000_000_i64,
        "iat": 1_768_564_800,
        "jti": "1",
        "client_id": "crm",
        "role": "ADMIN",
        "scope": "read write",
        "org": "acme",
    }))
}

/// `[issuers.NAME]`, and a route `/NAME` that accepts it.
fn issuer(config: Config, name: &str, issuer: &str, url: &str, more: &str) -> Config {
    config
        .text(&format!("[issuers.{name}]\nissuer = \"{issuer}\"\njwks_url = \"{url}\"\ncooldown = \"1s\"\n{more}\n"))
        .route(name, &format!("/{name}"), &format!("accept = [\"{name}\"]"))
}

fn corp(upstream: &Upstream, server: &JwksServer) -> Config {
    issuer(Config::standard(upstream.address), "corp", CORP, &server.url(), "")
}

/// A gateway without accounts, with the issuer's keys.
fn start(config: &Config) -> Gateway {
    let folder = Folder::new();
    config.write_to(&folder);
    Gateway::run(folder)
}

#[test]
fn its_tokens_open_the_routes_that_accept_it() {
    let (key, other) = (Pen::ed25519("k1"), Pen::es256("k2"));
    let (server, upstream) = (JwksServer::start(&[&key, &other]), Upstream::start());
    let config = corp(&upstream, &server)
        .route("both", "/both", "accept = [\"sws\", \"corp\"]")
        .route("readers", "/readers", "accept = [\"corp\"]\nrequire.scopes = [\"read\"]\nrequire.roles = [\"ADMIN\"]")
        .route("roots", "/roots", "accept = [\"corp\"]\nrequire.roles = [\"ROOT\"]");
    let gateway = start(&config);
    // The very first token may come before the first set: it waits for it.
    let token = key.token(&claims(CORP));
    for path in ["/corp", "/both", "/readers"] {
        assert_eq!(gateway.send(&get(path).bearer(&token).header("X-Auth-Kind", "user")).status, 200, "{path}");
        let received = upstream.received();
        assert_eq!(received.header("x-auth-issuer"), Some(CORP));
        assert_eq!(received.header("x-auth-subject"), Some("eva@corp"));
        assert_eq!(received.header("x-auth-name"), Some("crm"));
        assert_eq!(received.header("x-auth-role"), Some("ADMIN"));
        assert_eq!(received.header("x-auth-scopes"), Some("read write"));
        assert_eq!(received.header("x-auth-organization"), Some("acme"));
        assert_eq!(received.header("x-auth-kind"), None, "what it is only its issuer knows");
        assert_eq!(received.header("authorization"), Some(format!("Bearer {token}").as_str()));
    }
    let line = gateway.process.access_line("the token", |line| line["route"] == "corp");
    assert_eq!(line["principal"], json!({ "realm": "corp", "subject": "eva@corp" }));
    assert_eq!(gateway.status("/corp", &other.token(&claims(CORP))), 200, "by the other key");
    upstream.received();

    assert_eq!(gateway.status("/roots", &token), 403);
    assert_eq!(gateway.status("/sws", &token), 401);
    let refused = [
        ("wrong_issuer", with(&claims(CORP), "iss", json!(PARTNER))),
        ("wrong_audience", with(&claims(CORP), "aud", json!(["other"]))),
        ("expired", with(&claims(CORP), "exp", json!(1_000_000_000))),
        ("not_yet_valid", with(&claims(CORP), "nbf", json!(7_000_000_000_i64))),
        ("invalid_claims", with(&claims(CORP), "exp", json!("8000000000"))),
        ("wrong_token_kind", with(&claims(CORP), "token_use", json!("id"))),
    ];
    for (reason, claims) in refused {
        let path = format!("/corp/{reason}");
        assert_eq!(gateway.status(&path, &key.token(&claims)), 401, "{reason}");
        let line = gateway.process.access_line(reason, |line| line["path"] == path.as_str());
        assert_eq!(line["reason"], reason);
    }
    assert_eq!(gateway.status("/corp", &Pen::ed25519("k1").token(&claims(CORP))), 401, "signed by somebody else");
    upstream.received_nothing();
}

#[test]
fn what_a_profile_names_reaches_routes_and_services() {
    let key = Pen::es256("k1");
    let (server, upstream) = (JwksServer::start(&[&key]), Upstream::start());
    let more = "profile = \"keycloak\"\naudience = [\"crm\", \"api\"]\nclaims.organization = \"\\\"https://erp.test/company\\\"\"";
    let config = issuer(Config::standard(upstream.address), "corp", CORP, &server.url(), more)
        .route("admins", "/admins", "accept = [\"corp\"]\nrequire.roles = [\"ADMIN\"]")
        .route("crm", "/crm", "accept = [\"corp\"]\nrequire.claims = { resource_access.crm.roles = \"editor\" }")
        .route("others", "/others", "accept = [\"corp\"]\nrequire.claims = { resource_access.crm.roles = \"x\" }");
    let gateway = start(&config);
    let token = key.token(&object(json!({
        "iss": CORP, "aud": ["crm", "account"], "sub": "8e6b2a4c", "exp": 8_000_000_000_i64, "typ": "Bearer",
        "realm_access": {"roles": ["offline_access", "ADMIN", "a, ROOT"]},
        "resource_access": {"crm": {"roles": ["viewer", "editor"]}},
        "scope": "openid email", "preferred_username": "ana", "https://erp.test/company": "acme",
    })));
    for path in ["/corp", "/admins", "/crm"] {
        assert_eq!(gateway.status(path, &token), 200, "{path}");
        let received = upstream.received();
        assert_eq!(
            received.header("x-auth-role"),
            Some("offline_access, ADMIN"),
            "no role that would be taken for two"
        );
        assert_eq!(received.header("x-auth-name"), Some("ana"));
        assert_eq!(received.header("x-auth-scopes"), Some("openid email"));
        assert_eq!(received.header("x-auth-organization"), Some("acme"));
    }
    assert_eq!(gateway.status("/others", &token), 403);
    upstream.received_nothing();
}

#[test]
fn chosen_claims_reach_services_and_nobody_else_sends_them() {
    let key = Pen::es256("k1");
    let (server, upstream) = (JwksServer::start(&[&key]), Upstream::start());
    let more = "claims_to_headers = { X-Tenant = \"tenant\", X-Teams = \"teams.name\" }";
    let config = issuer(Config::standard(upstream.address), "corp", CORP, &server.url(), more).text("[oauth]").route(
        "inside",
        "/inside",
        "accept = [\"corp\"]\nforward_token = \"internal\"",
    );
    let gateway = start(&config);
    let good = with(&claims(CORP), "tenant", json!("acme"));
    let good = with(&good, "teams", json!([{"name": "a"}, {"name": "b"}]));
    let forged = |path: &str| {
        let request = get(path).header("X-TENANT", "other").header("x_tenant", "other").header("X.Teams", "root");
        request.header("X-Tenant", "third").header("Connection", "x-tenant, x-teams")
    };
    assert_eq!(gateway.send(&forged("/corp").bearer(&key.token(&good))).status, 200);
    let received = upstream.received();
    assert_eq!((received.header("x-tenant"), received.header("x-teams")), (Some("acme"), Some("a, b")));
    assert_eq!((received.header("x_tenant"), received.header("x.teams")), (None, None));

    // A token without the claim, one whose claim would break out of its field, and no token at all.
    for tenant in [json!("a\r\nX-Auth-Role: ROOT"), json!("a\u{0}"), json!({"a": 1}), json!(null)] {
        let token = key.token(&with(&claims(CORP), "tenant", tenant.clone()));
        assert_eq!(gateway.send(&forged("/corp").bearer(&token)).status, 200);
        let received = upstream.received();
        assert_eq!(received.header("x-tenant"), None, "{tenant}");
        assert_eq!(received.header("x-auth-role"), Some("ADMIN"));
    }
    assert_eq!(gateway.send(&forged("/public")).status, 200);
    let received = upstream.received();
    assert_eq!(
        (received.header("x-tenant"), received.header("x-teams"), received.header("x_tenant")),
        (None, None, None)
    );

    assert_eq!(gateway.send(&forged("/inside").bearer(&key.token(&good))).status, 200);
    let received = upstream.received();
    let token = received.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let [_, inside] = parts(&token);
    assert_eq!(inside["claims"], json!({"tenant": "acme", "teams.name": ["a", "b"]}));
    assert_eq!(received.header("x-tenant"), Some("acme"));
}

/// `[issuers.corp]` whose metadata says where its keys are, at `address`, and a route `/corp`.
fn discovered(upstream: &Upstream, server: &JwksServer, path: &str) -> Config {
    let address = server.address;
    Config::standard(upstream.address)
        .text(&format!(
            "[issuers.corp]\nissuer = \"{CORP}\"\ndiscovery = \"http://{address}{path}\"\ncooldown = \"1s\"\n"
        ))
        .route("corp", "/corp", "accept = [\"corp\"]")
}

#[test]
fn an_issuers_metadata_says_where_its_keys_are() {
    let key = Pen::es256("k1");
    for (path, document) in [
        ("/realms/corp", "/realms/corp/.well-known/openid-configuration"),
        ("/realms/corp/", "/realms/corp/.well-known/openid-configuration"),
        ("/realms/corp", "/.well-known/oauth-authorization-server/realms/corp"),
        ("/of/.well-known/some", "/of/.well-known/some"),
    ] {
        let (server, upstream) = (JwksServer::start(&[&key]), Upstream::start());
        let keys = format!("{}/of/corp", server.url());
        let metadata =
            json!({ "issuer": CORP, "jwks_uri": keys, "introspection_endpoint": "x", "scopes_supported": [] });
        server.document(document, Document::good(&metadata));
        let gateway = start(&discovered(&upstream, &server, path));
        assert_eq!(gateway.status("/corp", &key.token(&claims(CORP))), 200, "{document}");
        assert!(server.fetches() > 0);
    }
}

/// What a server answers.
type Answer<'a> = &'a dyn Fn(&JwksServer) -> Document;

#[test]
fn metadata_that_is_not_the_issuers_leads_nowhere() {
    let key = Pen::es256("k1");
    let good = |server: &JwksServer| json!({ "issuer": CORP, "jwks_uri": server.url() });
    let too_large = |server: &JwksServer| with(&object(good(server)), "padding", json!("x".repeat(70_000)));
    let bad: [(&str, Answer<'_>); 7] = [
        ("of another issuer", &|server| {
            Document::good(&Value::Object(with(&object(good(server)), "issuer", json!(PARTNER))))
        }),
        ("no 'jwks_uri'", &|_| Document::good(&json!({ "issuer": CORP }))),
        ("'jwks_uri' is no https URL", &|_| {
            Document::good(&json!({ "issuer": CORP, "jwks_uri": "http://keys.test/" }))
        }),
        ("more than 65536 octets", &|server| Document::good(&Value::Object(too_large(server)))),
        ("not one JSON object", &|_| Document::good(&"<!DOCTYPE html><title>Sign in</title>")),
        ("302", &|server| Document {
            status: 302,
            location: Some(format!("http://{}/real", server.address)),
            ..Document::default()
        }),
        ("503", &|_| Document { status: 503, ..Document::default() }),
    ];
    for (why, document) in bad {
        let (server, upstream) = (JwksServer::start(&[&key]), Upstream::start());
        server.document("/.well-known/openid-configuration", document(&server));
        // What a redirect leads to would be good.
        server.document("/real", Document::good(&good(&server)));
        server.document("/.well-known/oauth-authorization-server", Document::good(&good(&server)));
        let gateway = start(&discovered(&upstream, &server, ""));
        assert_eq!(gateway.status_at_once("/corp", &key.token(&claims(CORP))), 503, "{why}");
        upstream.received_nothing();
        assert_eq!(server.fetches(), 0, "{why}");
        let event =
            gateway.process.event("the issuer's keys could not be refreshed; the old ones stand until max_stale");
        assert!(event["error"].as_str().unwrap().contains(why), "{event}");
    }
}

#[test]
fn keys_come_over_tls_from_whom_the_authority_vouches_for() {
    let key = Pen::es256("k1");
    let (server, upstream) = (JwksServer::over_tls(&[&key]), Upstream::start());
    let stranger = JwksServer::over_tls(&[&key]);
    let config = issuer(Config::standard(upstream.address), "corp", CORP, &server.url(), "ca = \"ca.pem\"");
    let config = issuer(config, "partner", PARTNER, &stranger.url(), "ca = \"ca.pem\"");
    let folder = Folder::new();
    config.write_to(&folder);
    fs::write(folder.file("ca.pem"), &server.authority).unwrap();
    let gateway = Gateway::run(folder);
    assert_eq!(gateway.status("/corp", &key.token(&claims(CORP))), 200);
    // A server that nobody vouches for gives no keys: that is not the token's fault, and lets nobody in.
    assert_eq!(gateway.status_at_once("/partner", &key.token(&claims(PARTNER))), 503);
    let line = gateway.process.access_line("the refusal", |line| line["route"] == "partner");
    assert_eq!(line["reason"], "issuer_unavailable");
    assert_eq!((server.fetches(), stranger.fetches()), (1, 0));
    assert_eq!(upstream.received().header("x-auth-issuer"), Some(CORP));
    upstream.received_nothing();
}

#[test]
fn one_kid_of_two_issuers_is_two_keys() {
    let (corp_key, partner_key) = (Pen::ed25519("k1"), Pen::ed25519("k1"));
    let upstream = Upstream::start();
    let (corp_server, partner_server) = (JwksServer::start(&[&corp_key]), JwksServer::start(&[&partner_key]));
    let config = issuer(corp(&upstream, &corp_server), "partner", PARTNER, &partner_server.url(), "");
    let gateway = start(&config.route("both", "/both", "accept = [\"corp\", \"partner\"]"));
    let (of_corp, of_partner) = (corp_key.token(&claims(CORP)), partner_key.token(&claims(PARTNER)));
    wait_until("both sets are there", PATIENCE, || {
        gateway.status("/corp", &of_corp) == 200 && gateway.status("/partner", &of_partner) == 200
    });
    assert_eq!((gateway.status("/both", &of_corp), gateway.status("/both", &of_partner)), (200, 200));
    assert_eq!((gateway.status("/partner", &of_corp), gateway.status("/corp", &of_partner)), (401, 401));
    // A name that the other has long had is new here.
    let (theirs, ours) = (Pen::es256("k2"), Pen::ed25519("k2"));
    corp_server.publish(&[&corp_key, &theirs]);
    wait_until("corp has it", PATIENCE, || gateway.status("/corp", &theirs.token(&claims(CORP))) == 200);
    partner_server.publish(&[&partner_key, &ours]);
    wait_until("partner has it too", PATIENCE, || gateway.status("/partner", &ours.token(&claims(PARTNER))) == 200);
    // Each signs for himself only, though the other's key has the same name.
    for forged in [corp_key.token(&claims(PARTNER)), partner_key.token(&claims(CORP))] {
        assert_eq!(["/corp", "/partner", "/both"].map(|path| gateway.status(path, &forged)), [401; 3]);
    }
}

#[test]
fn a_new_key_is_known_at_once_and_a_removed_one_is_forgotten() {
    let (old, new) = (Pen::ed25519("old"), Pen::es256("new"));
    let (server, upstream) = (JwksServer::start(&[&old]), Upstream::start());
    let gateway = start(&corp(&upstream, &server));
    let hot = old.token(&claims(CORP));
    assert_eq!([gateway.status("/corp", &hot), gateway.status("/corp", &hot)], [200, 200]);
    let before = server.fetches();
    server.publish(&[&new]);
    // No test waits for the cool-down of an earlier question.
    wait_until("the new key is fetched", PATIENCE, || gateway.status("/corp", &new.token(&claims(CORP))) == 200);
    assert!(server.fetches() > before);
    assert_eq!(gateway.status("/corp", &hot), 401, "it was remembered as good, and its key is gone");
    let line = gateway.process.access_line("the refusal", |line| line["reason"] == "unknown_key");
    assert_eq!(line["route"], "corp");
}

#[test]
fn the_first_request_with_a_new_key_passes() {
    let (old, new) = (Pen::ed25519("old"), Pen::es256("new"));
    let (server, upstream) = (JwksServer::start(&[&old]), Upstream::start());
    let gateway = start(&corp(&upstream, &server).replace("cooldown = \"1s\"", "cooldown = \"1h\""));
    wait_until("the first set is there", PATIENCE, || {
        gateway.ask("/metrics").text().contains("portero_jwks_age_seconds{")
    });
    assert_eq!(gateway.status("/corp", &old.token(&claims(CORP))), 200);
    server.publish(&[&old, &new]);
    assert_eq!(gateway.status("/corp", &new.token(&claims(CORP))), 200, "its first token fetched the key");
    assert_eq!(server.fetches(), 2);
    // Those that name a key which nobody has do not make it fetch each time.
    let unknown = Pen::ed25519("unknown").token(&claims(CORP));
    assert_eq!([(); 20].map(|()| gateway.status("/corp", &unknown)), [401; 20]);
    assert!(server.fetches() <= 3, "{} fetches", server.fetches());
}

#[test]
fn keys_outlive_their_issuer_and_a_restart() {
    let key = Pen::ed25519("k1");
    let (server, upstream) = (JwksServer::start(&[&key]), Upstream::start());
    let gateway = start(&corp(&upstream, &server));
    let hot = key.token(&claims(CORP));
    assert_eq!(gateway.status("/corp", &hot), 200);
    let snapshot = gateway.folder.file("issuers").join("corp.json");
    wait_until("the set is on the disk", PATIENCE, || snapshot.exists());
    drop(server);
    let fresh = |id: &str| key.token(&with(&claims(CORP), "jti", json!(id)));
    assert_eq!((gateway.status("/corp", &hot), gateway.status("/corp", &fresh("2"))), (200, 200));
    let unknown = Pen::ed25519("k2").token(&claims(CORP));
    assert_eq!(gateway.status("/corp", &unknown), 401, "it cannot be asked, and its keys are known");

    let gateway = gateway.kill_and_restart();
    assert_eq!((gateway.status("/corp", &hot), gateway.status("/corp", &fresh("3"))), (200, 200));
    assert_eq!(gateway.status("/corp", &unknown), 401);
    fs::remove_file(&snapshot).unwrap();
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status_at_once("/corp", &hot), 503, "without any key nothing can be told");
}

#[test]
fn a_reload_without_the_issuer_ends_its_tokens() {
    let key = Pen::ed25519("k1");
    let (server, upstream) = (JwksServer::start(&[&key]), Upstream::start());
    let with_corp = corp(&upstream, &server).route("both", "/both", "accept = [\"sws\", \"corp\"]");
    let gateway = start(&with_corp);
    let token = key.token(&claims(CORP));
    assert_eq!((gateway.status("/both", &token), gateway.status("/corp", &token)), (200, 200));
    Config::standard(upstream.address).route("both", "/both", "accept = [\"sws\"]").write_to(&gateway.folder);
    gateway.process.signal("HUP");
    wait_until("the reload is in force", PATIENCE, || gateway.status("/corp", &token) == 404);
    assert_eq!(gateway.status("/both", &token), 401);
    let line = gateway.process.access_line("the refusal", |line| line["route"] == "both" && line["status"] == 401);
    assert_eq!(line["reason"], "unknown_key");
    // It may come back.
    with_corp.write_to(&gateway.folder);
    gateway.process.signal("HUP");
    wait_until("the reload is in force", PATIENCE, || gateway.status("/corp", &token) == 200);
    // Its keys are kept by somebody else from now on, and are the same.
    wait_until("the set is on the disk", PATIENCE, || gateway.folder.file("issuers").join("corp.json").exists());
    with_corp.replace("cooldown = \"1s\"", "cooldown = \"2s\"").write_to(&gateway.folder);
    gateway.process.signal("HUP");
    let taken_over = || gateway.process.written().matches("the config was taken over").count();
    wait_until("the reload is in force", PATIENCE, || taken_over() == 3);
    assert_eq!(gateway.status("/corp", &token), 200);
}
