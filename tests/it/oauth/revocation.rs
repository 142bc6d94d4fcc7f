//! Revocation, introspection, and a store that is away.

use serde_json::json;

use super::*;
use crate::support::{Contract, Database, PATIENCE, wait_until};

#[test]
fn revoking_reaches_what_is_the_clients_own() {
    let (gateway, _upstream) = start("");
    let (own, others) = (gateway.client_token(ONE), gateway.client_token(TWO));
    // 37
    for unknown in ["x", "a.b.c", "prt_unknown", &format!("{own}x")] {
        assert_eq!(gateway.revoke(ONE, unknown).status, 200, "{unknown}");
    }
    // 38
    let sws = {
        let words = "user add --realm sws --username admin --role ADMIN --password-stdin";
        gateway.command(words, "demo2024").succeeded();
        gateway.login(Contract::Sws)
    };
    for (token, path) in [(&others, "/oauth-api"), (&sws, "/sws"), (&gateway.login_apis().access, "/apis")] {
        refused(&gateway.revoke(ONE, token), 400, "unauthorized_client");
        assert_eq!(gateway.status(path, token), 200);
        assert_eq!(gateway.revoke(AUDITOR, token).status, 200);
        assert_eq!(gateway.status(path, token), 401);
    }
    let hinted = format!("token={own}&token_type_hint=whatever");
    let answer = gateway.ask_oauth(REVOKE, ONE, &hinted);
    assert_eq!((answer.status, answer.header("Cache-Control")), (200, Some("no-store")));
    assert_eq!(gateway.status("/oauth-api", &own), 401);
    assert_eq!(gateway.revoke(ONE, &own).status, 200, "again");

    // 39: a refresh token with all that its session has, of the line or of the login.
    for by_line in [true, false] {
        let login = gateway.login_apis();
        refused(&gateway.revoke(ONE, &login.refresh), 400, "unauthorized_client");
        let answer = gateway.exchange(ONE, &login.refresh).json();
        let (access, second) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
        refused(&gateway.revoke(TWO, &second), 400, "unauthorized_client");
        refused(&gateway.revoke(TWO, &access), 400, "unauthorized_client");
        assert_eq!(gateway.status("/apis", &access), 200);
        assert_eq!(gateway.revoke(ONE, if by_line { &second } else { &login.refresh }).status, 200);
        for token in [&access, &login.access] {
            assert_eq!(gateway.status("/apis", token), 401);
        }
        refused(&gateway.exchange(ONE, &second), 400, "invalid_grant");
    }
    let gateway = gateway.kill_and_restart();
    assert_eq!((gateway.status("/oauth-api", &own), gateway.status("/sws", &sws)), (401, 401));
}

#[test]
fn introspection_says_what_the_gateway_would() {
    let (gateway, _upstream) = start("");
    let own = gateway.client_token(ONE);
    let answer = gateway.introspect(ONE, &own);
    let (json, claims) = (answer.json(), part(&own, 1));
    let members: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["active", "scope", "client_id", "username", "token_type", "exp", "iat", "nbf", "sub", "aud", "iss"];
    assert_eq!(members, expected);
    for same in ["scope", "client_id", "exp", "iat", "nbf", "sub", "aud", "iss"] {
        assert_eq!(json[same], claims[same], "{same}");
    }
    assert_eq!((&json["active"], &json["token_type"]), (&json!(true), &json!("Bearer")));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));

    let login = gateway.login_apis();
    assert_eq!(gateway.introspect(AUDITOR, &login.access).json()["username"], "admin");
    let refresh = gateway.exchanged(ONE, &login.refresh);
    for (token, kind) in [(&login.access, "Bearer"), (&login.content, "content"), (&refresh, "refresh_token")] {
        for client in [ONE, AUDITOR] {
            let json = gateway.introspect(client, token).json();
            assert_eq!((&json["client_id"], &json["token_type"]), (&json!("one"), &json!(kind)));
            assert_eq!((&json["username"], &json["iss"]), (&json!("admin"), &json!("https://portero.test/apis")));
        }
        // Another's: as if it were dead.
        assert_eq!(gateway.introspect(TWO, token).text(), r#"{"active":false}"#);
    }
    // 41
    gateway.revoke(ONE, &own);
    gateway.revoke(ONE, &refresh);
    for dead in [&own, &refresh, &login.refresh, &login.access, &login.content, "x", "a.b.c", "prt_x"] {
        for client in [ONE, AUDITOR] {
            let answer = gateway.introspect(client, dead);
            assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"active":false}"#), "{dead}");
        }
    }
    let late = gateway.client_token(TWO);
    gateway.command("client disable --realm oauth --id two", "").succeeded();
    wait_until("the client's tokens end", PATIENCE, || !gateway.is_active(&late));
}

#[test]
fn with_the_store_away_nothing_is_acknowledged() {
    let (gateway, _upstream) = start("");
    let (own, login) = (gateway.client_token(ONE), gateway.login_apis());
    let refresh = gateway.exchanged(ONE, &login.refresh);
    let mut store = Database::of(&gateway);
    let unavailable = |answer: &Response| {
        refused(answer, 503, "temporarily_unavailable");
        assert!(answer.header("Retry-After").is_some());
    };
    store.execute("ALTER TABLE revocations RENAME TO away");
    unavailable(&gateway.revoke(ONE, &own));
    unavailable(&gateway.exchange(ONE, &refresh));
    store.execute("ALTER TABLE away RENAME TO revocations");
    store.execute("ALTER TABLE sessions RENAME TO away");
    unavailable(&gateway.ask_oauth(TOKEN, ONE, "grant_type=client_credentials"));
    unavailable(&gateway.revoke(ONE, &refresh));
    unavailable(&gateway.exchange(ONE, &refresh));
    store.execute("ALTER TABLE away RENAME TO sessions");
    store.execute("ALTER TABLE refresh_tokens RENAME TO away");
    unavailable(&gateway.exchange(ONE, &refresh));
    unavailable(&gateway.introspect(ONE, &refresh));
    assert_eq!(gateway.refresh(&login.refresh).status, 503);
    store.execute("ALTER TABLE away RENAME TO refresh_tokens");
    store.execute("ALTER TABLE principals RENAME TO away");
    for path in [TOKEN, REVOKE, INTROSPECT] {
        unavailable(&gateway.ask_oauth(path, ONE, "grant_type=client_credentials&token=x"));
    }
    store.execute("ALTER TABLE away RENAME TO principals");
    assert_eq!(gateway.status("/oauth-api", &own), 200, "what was refused is not in force either");
    gateway.exchanged(ONE, &refresh);
    assert_eq!(gateway.revoke(ONE, &own).status, 200);
    assert_eq!(gateway.status("/oauth-api", &own), 401);
}
