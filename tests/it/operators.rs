//! Admin tokens and their roles.

use serde_json::{Value, json};

use crate::support::{Config, Connection, Gateway, PATIENCE, Response, Upstream, get, post, wait_until};

fn start() -> (Gateway, Upstream) {
    let upstream = Upstream::start();
    (Config::standard(upstream.address).start(), upstream)
}

fn add(gateway: &Gateway, name: &str, role: &str) -> String {
    let ran = gateway.command(&format!("admin token add --name {name} --role {role} --output json"), "");
    let made: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("pto_") && token.len() == 54, "{token}");
    wait_until("the gateway knows the token", PATIENCE, || {
        ask(gateway, "GET", "/api/v1/process", &token).status == 200
    });
    token
}

fn ask(gateway: &Gateway, method: &str, path: &str, token: &str) -> Response {
    // What no operation does: an upgrade would.
    let body = json!({ "timeout_seconds": 0 }).to_string();
    let request = if method == "GET" { get(path) } else { post(path, body) };
    Connection::open(gateway.admin).send(&request.header("Host", "localhost").bearer(token))
}

/// Every operation that asks for a role: method, path, role.
fn operations(gateway: &Gateway) -> Vec<(String, String, String)> {
    let document = ask(gateway, "GET", "/openapi.json", &gateway.admin_token()).json();
    let mut operations = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if let Some(role) = operation["x-portero-role"].as_str() {
                operations.push((method.to_uppercase(), path.clone(), role.to_owned()));
            }
        }
    }
    assert!(operations.len() > 25, "{operations:?}");
    operations
}

#[test]
fn each_operation_takes_its_role_and_no_lower_one() {
    let (gateway, _upstream) = start();
    let roles = ["read", "operate", "admin"];
    let tokens = roles.map(|role| add(&gateway, role, role));
    let rank = |role: &str| roles.iter().position(|known| *known == role).unwrap();
    for (method, path, least) in operations(&gateway) {
        for stranger in ["", "pto_", "wrong"] {
            assert_eq!(ask(&gateway, &method, &path, stranger).status, 401, "{method} {path} for '{stranger}'");
        }
        for (role, token) in roles.iter().zip(&tokens) {
            let answer = ask(&gateway, &method, &path, token);
            assert_eq!(
                answer.status == 403,
                rank(role) < rank(&least),
                "{method} {path} for {role}: {}",
                answer.text()
            );
            assert!(answer.status != 401 && answer.header("X-Request-Id").is_some(), "{method} {path} for {role}");
        }
        assert_ne!(ask(&gateway, &method, &path, &gateway.admin_token()).status, 403, "{method} {path} for the file");
    }
}

#[test]
fn an_operation_takes_its_own_members_alone_and_no_cache_keeps_what_it_answers() {
    let (gateway, _upstream) = start();
    let admin = gateway.admin_token();
    let send = |path: &str, more: &Value| {
        let mut body = json!({ "realm": "sws", "name": "admin" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = post(&format!("/api/v1/accounts/{path}"), body.to_string()).header("Host", "localhost");
        Connection::open(gateway.admin).send(&request.bearer(&admin))
    };
    for (path, more) in [
        // The old password would end at once, and the operator would not know.
        ("set-password", json!({ "secret": "otra-clave-larga", "overlap_seconds": 60 })),
        ("set-role", json!({ "role": null, "revoke": true })),
        ("rotate-secret", json!({ "role": "ADMIN" })),
        ("lock", json!({ "secret": "otra-clave-larga" })),
        ("disable", json!({ "revoke": true })),
    ] {
        let answer = send(path, &more);
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
    }
    assert_eq!(send("disable?wait=all", &json!({})).status, 400, "nobody would wait");
    let made = send("rotate-secret", &json!({}));
    assert!(made.status == 200 && made.json()["secret"].is_string());
    for answer in [made, ask(&gateway, "GET", "/api/v1/process", &admin), ask(&gateway, "GET", "/openapi.json", &admin)]
    {
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    }
}

#[test]
fn a_token_stands_in_the_log_by_its_name_until_it_is_revoked() {
    let (gateway, _upstream) = start();
    let token = add(&gateway, "oncall", "operate");
    let body = json!({ "realm": "sws", "name": "admin" }).to_string();
    let request = post("/api/v1/accounts/lock", body).header("Host", "localhost").bearer(&token);
    assert_eq!(Connection::open(gateway.admin).send(&request).status, 200);
    let told = gateway.command("audit tail --output json", "").stdout;
    let lock = told.lines().find(|line| line.contains("account.lock")).unwrap();
    let lock: Value = serde_json::from_str(lock).unwrap();
    assert_eq!((&lock["actor_kind"], &lock["actor"]), (&json!("token"), &json!("oncall")));
    assert!(!told.contains(&token));

    let listed = gateway.command("admin token list", "").stdout;
    assert!(listed.contains("oncall") && !listed.contains(&token[4..]), "{listed}");
    for (words, said) in [
        ("admin token add --name oncall --role read", "already"),
        ("admin token add --name file --role read", "cannot name"),
        ("admin token revoke --name nobody", "no admin token"),
    ] {
        let ran = gateway.command(words, "");
        assert!(ran.code == 1 && ran.stderr.contains(said), "{ran:?}");
    }
    gateway.command("admin token revoke --name oncall", "").succeeded();
    wait_until("it is refused", PATIENCE, || ask(&gateway, "GET", "/api/v1/process", &token).status == 401);
    // A name is given once: the log tells one token by it.
    assert_eq!(gateway.command("admin token add --name oncall --role read", "").code, 1);
    gateway.command("audit verify", "").succeeded();
}

#[test]
fn while_the_store_is_away_named_tokens_only_read_and_the_file_opens_everything() {
    let (gateway, _upstream) = start();
    let token = add(&gateway, "chief", "admin");
    let file = gateway.folder.file("portero.db");
    std::fs::rename(&file, gateway.folder.file("elsewhere.db")).unwrap();
    let upgrade = |token: &str| ask(&gateway, "POST", "/api/v1/upgrade", token).status;
    wait_until("the store is away", PATIENCE, || upgrade(&token) == 503);
    assert_eq!(ask(&gateway, "GET", "/api/v1/process", &token).status, 200);
    assert_eq!(upgrade(&gateway.admin_token()), 400, "it was let in, and asked for nothing");
    std::fs::rename(gateway.folder.file("elsewhere.db"), &file).unwrap();
    wait_until("the store is back", PATIENCE, || upgrade(&token) == 400);
}
