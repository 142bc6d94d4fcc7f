//! What is revoked is refused: on the next request when it came through the admin API, within a
//! second when a command did it beside the gateway, and after a power failure.

use std::{collections::HashSet, thread};

use serde_json::json;

use crate::support::{Config, Connection, Contract, Gateway, PATIENCE, Tokens, Upstream, get, post, wait_until};

#[test]
fn through_the_admin_api_the_next_request_is_refused() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let (one, other) = (gateway.login(Contract::Sws), gateway.login(Contract::Sws));
    assert_eq!(gateway.status("/sws", &one), 200);
    assert_eq!(gateway.api("/revocations/token", &json!({ "token": one }))["revoked"], "token");
    assert_eq!((gateway.status("/sws", &one), gateway.status("/sws", &other)), (401, 200));

    let sessions = gateway.api_get("/sessions?realm=sws&name=admin");
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    for session in sessions.as_array().unwrap() {
        gateway.api("/revocations/session", &json!({ "id": session["id"] }));
    }
    assert_eq!(gateway.status("/sws", &other), 401);

    let new = gateway.login(Contract::Sws);
    gateway.api("/revocations/principal", &json!({ "realm": "sws", "name": "admin" }));
    assert_eq!(gateway.status("/sws", &new), 401);
    assert_eq!(gateway.status("/sws", &gateway.login(Contract::Sws)), 200);
}

#[test]
fn a_revoked_key_ends_its_tokens_and_is_replaced_at_once() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Maxpoint);
    assert_eq!(gateway.status("/maxpoint", &token), 200);
    let kid = key_id(&token);
    gateway.api("/revocations/key", &json!({ "id": kid }));
    assert_eq!(gateway.status("/maxpoint", &token), 401);
    let new = gateway.login(Contract::Maxpoint);
    assert_ne!(key_id(&new), kid);
    assert_eq!(gateway.status("/maxpoint", &new), 200);
    gateway.command(&format!("revoke key --kid {}", key_id(&new)), "").succeeded();
    gateway.wait_until_refused("the token ends", "/maxpoint", &new);
    let other_realm = gateway.login(Contract::Sws);
    assert_eq!(gateway.status("/sws", &other_realm), 200);
}

fn key_id(token: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[test]
fn beside_the_gateway_it_takes_a_second_at_most() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Become);
    assert_eq!(gateway.status("/become", &token), 200);
    gateway.command("revoke token", &format!("{token}\n")).succeeded();
    gateway.wait_until_refused("the token ends", "/become", &token);

    let token = gateway.login(Contract::Become);
    let id = gateway.command("session list --realm become --name demo_client_123 --output json", "").json();
    gateway.command(&format!("revoke session --id {}", id[0]["id"].as_str().unwrap()), "").succeeded();
    gateway.wait_until_refused("the token ends", "/become", &token);

    let token = gateway.login(Contract::Toc);
    gateway.command("revoke principal --realm toc --name upconta", "").succeeded();
    gateway.wait_until_refused("the token ends", "/toc", &token);
}

#[test]
fn only_what_a_known_key_signed_is_recorded() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    // Both letters leave the unused bits of the last one zero: only the signature is wrong.
    let other = if token.ends_with('A') { 'Q' } else { 'A' };
    let forged = format!("{}{other}", &token[..token.len() - 1]);
    for no_token in ["", "garbage", "a.b.c", &forged, &"x".repeat(100_000)] {
        let ran = gateway.command("revoke token", no_token);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{no_token:.40}");
        assert!(ran.stderr.contains("nothing was recorded"), "{}", ran.stderr);
    }
    for (words, code) in [
        ("revoke session --id b331336a-46f4-4fe4-a850-3208bfc2c398", 1),
        ("revoke principal --realm sws --name nobody", 1),
        ("revoke principal --realm nowhere --name admin", 1),
        ("revoke key --kid 0123456789abcdef", 1),
        ("revoke token --jti x --realm nowhere", 1),
    ] {
        assert_eq!(gateway.command(words, "").code, code, "{words}");
    }
    let metrics = gateway.ask("/metrics").text();
    for kind in ["token", "session", "principal"] {
        assert!(metrics.contains(&format!("portero_revocations{{kind=\"{kind}\"}} 0")), "{metrics}");
    }
    assert_eq!(gateway.status("/sws", &token), 200);
}

#[test]
fn an_expired_token_is_one_of_ours_and_another_gateways_is_not() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address)
        .replace("[tokens]", "[tokens]\nleeway = \"0s\"")
        .replace("[realms.become]", "[realms.become]\nlifetime = \"1s\"")
        .start();
    let token = gateway.login(Contract::Become);
    let expired = || gateway.send(&get("/become").bearer(&token)).text() == r#"{"msg":"Token has expired"}"#;
    wait_until("it expires", PATIENCE, expired);
    gateway.command("revoke token", &token).succeeded();

    let (other, _upstream) = Gateway::with_upstream();
    for contract in Contract::ALL {
        let external = other.login(contract);
        assert_eq!(gateway.status(&format!("/{}", contract.realm()), &external), 401);
        assert_eq!(gateway.command("revoke token", &external).code, 1, "{contract:?}");
    }
}

#[test]
fn a_token_may_be_named_by_its_id() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let jti = claims["jti"].as_str().unwrap();
    // The same id in another realm is another token.
    gateway.command(&format!("revoke token --jti {jti} --realm maxpoint"), "").succeeded();
    gateway.command(&format!("revoke token --jti {jti} --realm sws --expires 2099-01-01T00:00:00Z"), "").succeeded();
    gateway.wait_until_refused("the token ends", "/sws", &token);
}

#[test]
fn what_was_acknowledged_survives_a_power_failure() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let (revoked, kept) = (gateway.login(Contract::Toc), gateway.login(Contract::Toc));
    gateway.api("/revocations/token", &json!({ "token": revoked }));
    let gateway = gateway.kill_and_restart();
    assert_eq!((gateway.status("/toc", &revoked), gateway.status("/toc", &kept)), (401, 200));
    let sessions = gateway.command("session list --realm toc --name upconta --output json", "").json();
    assert_eq!(sessions.as_array().unwrap().len(), 2, "both logins were answered");
    gateway.command("revoke principal --realm toc --name upconta", "").succeeded();
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status("/toc", &kept), 401);
}

#[test]
fn a_refresh_token_goes_with_its_whole_session() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = config.route("files", "/files", "accept = [\"apis\"]\ntoken = \"content\"").start();
    let session = gateway.login_apis();
    let refreshed = Tokens::of(&gateway.refresh(&session.refresh));
    assert_eq!((gateway.status("/apis", &refreshed.access), gateway.status("/files", &refreshed.content)), (200, 200));
    let said = gateway.api("/revocations/token", &json!({ "token": session.refresh }));
    assert_eq!(said["revoked"], "session");
    for tokens in [&session, &refreshed] {
        assert_eq!((gateway.status("/apis", &tokens.access), gateway.status("/files", &tokens.content)), (401, 401));
    }
    assert_eq!(gateway.refresh(&session.refresh).status, 401);

    let session = gateway.login_apis();
    gateway.api("/revocations/token", &json!({ "token": session.access }));
    assert_eq!(gateway.status("/apis", &session.access), 401);
    let refreshed = Tokens::of(&gateway.refresh(&session.refresh));
    assert_eq!(gateway.status("/apis", &refreshed.access), 200, "an access token ends alone");
}

#[test]
fn a_refresh_token_used_by_many_at_once_gives_each_the_same_session() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let session = gateway.login_apis();
    let body = format!(r#"{{"refreshToken":"{}"}}"#, session.refresh);
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (mut connection, body) = (Connection::open(gateway.front), body.clone());
            let request = post("/api/auth/refreshtoken", body);
            thread::spawn(move || Tokens::of(&connection.send_until_available(&request)).access)
        })
        .collect();
    let tokens: HashSet<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!(tokens.len(), 64);
    gateway.api("/revocations/token", &json!({ "token": session.refresh }));
    let gateway = gateway.kill_and_restart();
    assert!(tokens.iter().all(|token| gateway.status("/apis", token) == 401));
}

#[test]
fn a_changed_account_ends_what_it_had() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let named = "--realm sws --username admin";
    for (words, stdin) in [
        (format!("user disable {named}"), ""),
        (format!("user set-role {named} --role USER"), ""),
        (format!("user set-password {named} --password-stdin"), "demo2024"),
    ] {
        let token = gateway.login(Contract::Sws);
        assert_eq!(gateway.status("/sws", &token), 200, "{words}");
        gateway.command(&words, stdin).succeeded();
        gateway.wait_until_refused("the token ends", "/sws", &token);
        gateway.command(&format!("user enable {named}"), "").succeeded();
        assert_eq!(gateway.status("/sws", &token), 401, "enabling revives nothing");
    }
    let token = gateway.login(Contract::Sws);
    gateway.command(&format!("user lock {named}"), "").succeeded();
    let answer = gateway.send(&Contract::Sws.login_with("demo2024"));
    assert_eq!(answer.text(), r#"{"error":2,"message":"Usuario bloqueado"}"#);
    assert_eq!(gateway.status("/sws", &token), 200, "a lock stops logins, not tokens");
    gateway.command(&format!("user delete {named}"), "").succeeded();
    gateway.wait_until_refused("the token ends", "/sws", &token);
}

#[test]
fn the_admin_api_asks_for_its_token_and_its_host() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let ask = |request| Connection::open(gateway.admin).send(&request).status;
    let right = gateway.admin_token();
    for path in ["/revocations/token", "/revocations/key", "/accounts", "/accounts/delete", "/companies", "/nothing"] {
        let path = format!("/api/v1{path}");
        for wrong in ["", "x", &right[1..], &format!("{right}x")] {
            assert_eq!(ask(post(&path, "{}").header("Host", "localhost").bearer(wrong)), 401, "{path} {wrong}");
        }
    }
    // Nobody without the token learns which paths there are, nor which methods they have.
    for (request, status) in [
        (post("/api/v1/sessions", "{}"), 405),
        (post("/api/v1/process", "{}"), 405),
        (get("/api/v1/revocations/token"), 405),
        (get("/api/v1/reload"), 405),
        (get("/api/v1/nothing"), 404),
        (get("/api/v1"), 404),
    ] {
        let request = request.header("Host", "localhost");
        assert_eq!(ask(request.clone()), 401, "{request:?}");
        assert_eq!(ask(request.clone().bearer(&right)), status, "{request:?}");
    }
    assert_eq!(ask(post("/metrics", "").header("Host", "localhost")), 405);
    assert_eq!(ask(get("/api/v1/sessions?realm=sws&name=admin").header("Host", "evil.example").bearer(&right)), 421);
    assert_eq!(ask(get("/metrics").header("Host", "evil.example")), 421);
    for (path, body) in [
        ("revocations/token", "{"),
        ("revocations/principal", r#"{"realm":"sws","name":"admin","businness":"x"}"#),
        ("accounts/set-role", r#"{"realm":"sws","name":"admin"}"#),
        ("accounts/rotate-secret", r#"{"realm":"sws","name":"admin","revoked":true}"#),
    ] {
        let request = post(&format!("/api/v1/{path}"), body).header("Host", "localhost").bearer(&right);
        assert!([400, 422].contains(&ask(request)), "{path} {body}");
    }
    assert_eq!(ask(get("/health/alive").header("Host", "localhost")), 200);
}
