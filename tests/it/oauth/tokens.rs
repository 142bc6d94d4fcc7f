//! Tokens for clients: requests, authentication, grants.

use serde_json::json;

use super::*;
use crate::support::{Connection, get, own_address, post};

#[test]
fn a_client_gets_a_token_of_rfc_9068_by_either_way() {
    let (gateway, upstream) = start("");
    let by_basic = gateway.ask_oauth(TOKEN, ONE, "grant_type=client_credentials");
    let body = "grant_type=client_credentials&client_id=one&client_secret=s3cret%3A+one&scope=read";
    let by_body = gateway.send(&form(TOKEN, body));
    for (answer, scope) in [(&by_basic, "read write"), (&by_body, "read")] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!((answer.header("Cache-Control"), answer.header("Pragma")), (Some("no-store"), Some("no-cache")));
        let json = answer.json();
        let members: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(members, ["access_token", "token_type", "expires_in", "scope"], "no refresh token");
        assert_eq!(
            (&json["token_type"], &json["expires_in"], &json["scope"]),
            (&json!("Bearer"), &json!(3600), &json!(scope))
        );
        let token = text(&json, "access_token");
        let (header, claims) = (part(&token, 0), part(&token, 1));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://portero.test/oauth"), &json!("api")));
        assert_eq!((&claims["client_id"], &claims["scope"]), (&json!("one"), &json!(scope)));
        for claim in ["sub", "jti", "iat", "exp"] {
            assert!(!claims[claim].is_null(), "{claim}");
        }
        assert_eq!(gateway.status("/oauth-api", &token), 200);
        let received = upstream.received();
        assert_eq!(received.header("x-auth-name"), Some("one"));
        assert_eq!(received.header("x-auth-scopes"), Some(scope));
        assert_eq!(gateway.status("/sws", &token), 401, "another realm's route");
    }
    // 18, 19, 20
    let challenge = |request: Request| {
        let answer = gateway.send(&request);
        assert_eq!(answer.header("Content-Type"), Some("application/problem+json"));
        (answer.status, answer.header("WWW-Authenticate").unwrap_or_default().to_owned())
    };
    let write = gateway.ask_oauth(TOKEN, ONE, "grant_type=client_credentials&scope=write").json();
    assert_eq!(challenge(get("/oauth-api")), (401, "Bearer realm=\"oauth\"".into()));
    assert_eq!(
        challenge(get("/oauth-api").bearer("x")),
        (401, "Bearer realm=\"oauth\", error=\"invalid_token\"".into())
    );
    let insufficient = "Bearer realm=\"oauth\", error=\"insufficient_scope\", scope=\"read\"".to_owned();
    assert_eq!(challenge(get("/oauth-api").bearer(&text(&write, "access_token"))), (403, insufficient));
}

#[test]
fn what_is_no_request_is_said_in_the_rfcs_words() {
    let (gateway, _upstream) = start("");
    for path in [TOKEN, REVOKE, INTROSPECT] {
        // 25
        for method in ["GET", "HEAD", "PUT", "OPTIONS", "TRACE"] {
            let answer = gateway.send(&Request::new(method, &format!("{path}?grant_type=client_credentials&token=x")));
            assert_eq!((answer.status, answer.header("Allow")), (405, Some("POST")), "{method} {path}");
        }
        let good = "grant_type=client_credentials&token=x";
        let json = post(path, r#"{"grant_type":"client_credentials","token":"x"}"#).client(ONE);
        refused(&gateway.send(&json), 400, "invalid_request");
        // 26
        for body in [format!("{good}&token=x"), format!("{good}&x=1&x=2"), "token=&grant_type=".into(), String::new()] {
            refused(&gateway.ask_oauth(path, ONE, &body), 400, "invalid_request");
        }
        refused(&gateway.ask_oauth(path, ONE, &format!("{good}&client_secret=x")), 400, "invalid_request");
        refused(&gateway.ask_oauth(path, ONE, &format!("{good}&client_id=two")), 400, "invalid_request");
        refused(&gateway.ask_oauth(path, ONE, &format!("{good}&y={}", "x".repeat(17 << 10))), 413, "invalid_request");
        // 36
        let nobody = gateway.send(&form(path, good));
        refused(&nobody, 401, "invalid_client");
        assert_eq!(nobody.header("WWW-Authenticate"), Some("Basic realm=\"oauth\""));
        let in_the_query = form(&format!("{path}?client_id=two&client_secret=s3cret+two"), good);
        refused(&gateway.send(&in_the_query), 401, "invalid_client");
    }
    refused(&gateway.ask_oauth(TOKEN, ONE, "grant_type=password&username=a&password=b"), 400, "unsupported_grant_type");
    for scope in ["admin", "read+admin", "introspect", "READ", "%22"] {
        let body = format!("grant_type=client_credentials&scope={scope}");
        refused(&gateway.ask_oauth(TOKEN, ONE, &body), 400, "invalid_scope");
    }
    let answer = gateway.ask_oauth(TOKEN, AUDITOR, "grant_type=client_credentials");
    assert_eq!(answer.json()["scope"], "read", "permissions are not put in by default");
}

#[test]
fn an_unknown_client_is_a_wrong_one_and_guessing_is_slow() {
    let (gateway, _upstream) = start("");
    gateway.command("client disable --realm oauth --id two", "").succeeded();
    let from = |client| {
        let request = form(TOKEN, "grant_type=client_credentials").client(client);
        Connection::open_from(own_address(), gateway.front).send(&request)
    };
    let answers = [("nobody", "x"), ("one", "x"), TWO].map(from);
    for answer in &answers {
        refused(answer, 401, "invalid_client");
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(answer.headers.len(), answers[0].headers.len());
        assert_eq!(answer.header("WWW-Authenticate"), Some("Basic realm=\"oauth\""));
    }
    let address = own_address();
    let guess = |secret| {
        let request = form(TOKEN, "grant_type=client_credentials").client(("one", secret));
        Connection::open_from(address, gateway.front).send(&request)
    };
    for _ in 0..5 {
        refused(&guess("x"), 401, "invalid_client");
    }
    let throttled = guess(ONE.1);
    refused(&throttled, 429, "temporarily_unavailable");
    assert!(throttled.header("Retry-After").is_some());
    assert_eq!(from(ONE).status, 200, "its owner is elsewhere");
}

#[test]
fn a_client_uses_the_grants_that_it_has() {
    let (gateway, _upstream) = start("");
    let add = |id: &str, grant: &str| {
        let words = format!("client add --realm oauth --id {id} --grant {grant} --password-stdin --output json");
        gateway.command(&words, "a secret").json()
    };
    assert_eq!(add("machine", "client_credentials")["grants"], json!(["client_credentials"]));
    add("app", "refresh_token");
    let refresh = gateway.login_apis().refresh;
    refused(&gateway.exchange(("machine", "a secret"), &refresh), 400, "unauthorized_client");
    refused(
        &gateway.ask_oauth(TOKEN, ("app", "a secret"), "grant_type=client_credentials"),
        400,
        "unauthorized_client",
    );
    gateway.exchanged(("app", "a secret"), &refresh);
    gateway.client_token(("machine", "a secret"));
    let words = "client add --realm become --id c --company x --grant refresh_token --password-stdin";
    assert_eq!(gateway.command(words, "a secret").code, 1, "only oauth has grants");
}
