//! OAuth 2.0 beside the contracts: RFC 6749, 7009, 7662, 8414 and 9068 as clients meet them. The
//! numbers are those of the checklist in docs/security.md.

use std::{collections::HashSet, thread};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use crate::support::{
    Config, Connection, Contract, Database, Folder, Gateway, PATIENCE, Request, Response, Upstream, get, own_address,
    post, wait_until,
};

const TOKEN: &str = "/oauth/token";
const REVOKE: &str = "/oauth/revoke";
const INTROSPECT: &str = "/oauth/introspect";

/// What the client `one` has, who may do everything but look at others' tokens.
const ONE: (&str, &str) = ("one", "s3cret: one");
const TWO: (&str, &str) = ("two", "s3cret two");
/// The one who may look at others' tokens, and revoke them.
const AUDITOR: (&str, &str) = ("auditor", "s3cret auditor");

/// A gateway with OAuth, its clients, and the account of `apis`. `oauth` are lines of `[oauth]`.
fn config(oauth: &str) -> (Config, Upstream) {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address)
        .route("oauth", "/oauth-api", "accept = [\"oauth\"]\nrequire = { scopes = [\"read\"] }")
        .text("[realms.oauth]\ndialect = \"oauth\"")
        .text(&format!("[oauth]\n{oauth}"));
    (config, upstream)
}

fn start(oauth: &str) -> (Gateway, Upstream) {
    let (config, upstream) = config(oauth);
    (Gateway::run(with_accounts(&config)), upstream)
}

fn with_accounts(config: &Config) -> Folder {
    let folder = Folder::new();
    config.write_to(&folder);
    let add = |words: &str, secret: &str| folder.command(&format!("{words} --password-stdin"), secret).succeeded();
    add("client add --realm oauth --id one --scope read --scope write", ONE.1);
    add("client add --realm oauth --id two --scope read", TWO.1);
    add("client add --realm oauth --id auditor --scope read --scope introspect --scope revoke", AUDITOR.1);
    add("user add --realm apis --username admin --role ADMIN --scope read --scope write", "abcd1234");
    folder
}

fn form(target: &str, body: &str) -> Request {
    Request::new("POST", target).header("Content-Type", "application/x-www-form-urlencoded").body(body)
}

trait AsClient {
    fn client(self, client: (&str, &str)) -> Request;
}

impl AsClient for Request {
    fn client(self, (id, secret): (&str, &str)) -> Request {
        let secret = secret.replace(':', "%3A").replace(' ', "+");
        self.header("Authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
    }
}

/// The answers of one gateway, asked as a client.
impl Gateway {
    fn ask_oauth(&self, target: &str, client: (&str, &str), body: &str) -> Response {
        self.send(&form(target, body).client(client))
    }

    #[track_caller]
    fn client_token(&self, client: (&str, &str)) -> String {
        let answer = self.ask_oauth(TOKEN, client, "grant_type=client_credentials");
        assert_eq!(answer.status, 200, "{}", answer.text());
        text(&answer.json(), "access_token")
    }

    fn exchange(&self, client: (&str, &str), token: &str) -> Response {
        self.ask_oauth(TOKEN, client, &format!("grant_type=refresh_token&refresh_token={token}"))
    }

    /// The refresh token that an exchange gives.
    #[track_caller]
    fn exchanged(&self, client: (&str, &str), token: &str) -> String {
        let answer = self.exchange(client, token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        text(&answer.json(), "refresh_token")
    }

    fn revoke(&self, client: (&str, &str), token: &str) -> Response {
        self.ask_oauth(REVOKE, client, &format!("token={token}"))
    }

    fn introspect(&self, client: (&str, &str), token: &str) -> Response {
        self.ask_oauth(INTROSPECT, client, &format!("token={token}"))
    }

    fn is_active(&self, token: &str) -> bool {
        let answer = self.introspect(AUDITOR, token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["active"] == true
    }
}

#[track_caller]
fn text(json: &Value, member: &str) -> String {
    json[member].as_str().unwrap_or_else(|| panic!("no {member} in {json}")).to_owned()
}

#[track_caller]
fn refused(answer: &Response, status: u16, error: &str) {
    assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{}", answer.text());
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

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
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
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
        gateway.command(&words, "x").json()
    };
    assert_eq!(add("machine", "client_credentials")["grants"], json!(["client_credentials"]));
    add("app", "refresh_token");
    let refresh = gateway.login_apis().refresh;
    refused(&gateway.exchange(("machine", "x"), &refresh), 400, "unauthorized_client");
    refused(&gateway.ask_oauth(TOKEN, ("app", "x"), "grant_type=client_credentials"), 400, "unauthorized_client");
    gateway.exchanged(("app", "x"), &refresh);
    gateway.client_token(("machine", "x"));
    let words = "client add --realm become --id c --company x --grant refresh_token --password-stdin";
    assert_eq!(gateway.command(words, "x").code, 1, "only oauth has grants");
}

#[test]
fn a_sessions_refresh_token_is_exchanged_and_rotates() {
    let (gateway, _upstream) = start("");
    let login = gateway.login_apis();
    assert!(gateway.is_active(&login.refresh));
    let answer = gateway.exchange(ONE, &login.refresh).json();
    assert_eq!((&answer["token_type"], &answer["scope"]), (&json!("Bearer"), &json!("read write")));
    let (access, second) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
    assert_eq!((gateway.status("/apis", &access), gateway.status("/apis", &login.access)), (200, 200));
    assert!(second.len() > 40 && second != login.refresh);
    // The contract's own endpoint takes it no more, and never took the others.
    for token in [&login.refresh, &second] {
        let answer = gateway.refresh(token);
        assert_eq!((answer.status, &answer.json()["detail"]), (401, &json!("Token de refresco inválido")));
    }
    assert!(!gateway.is_active(&login.refresh));

    // 31: bound to the client and to the scope; what is refused spends nothing.
    refused(&gateway.exchange(TWO, &second), 400, "invalid_grant");
    refused(&gateway.exchange(TWO, &login.refresh), 400, "invalid_grant");
    let with = |scope: &str| format!("grant_type=refresh_token&refresh_token={second}&scope={scope}");
    refused(&gateway.ask_oauth(TOKEN, ONE, &with("read+admin")), 400, "invalid_scope");
    for none in [&access, &login.content, &gateway.client_token(ONE), "prt_x", "x"] {
        refused(&gateway.exchange(ONE, none), 400, "invalid_grant");
    }
    let narrow = gateway.ask_oauth(TOKEN, ONE, &with("write")).json();
    assert_eq!(narrow["scope"], "write");
    let third = text(&narrow, "refresh_token");
    let gateway = gateway.kill_and_restart();
    // 33: the answer that was lost comes again, the same.
    assert_eq!(gateway.exchanged(ONE, &second), third);
    let whole = gateway.exchange(ONE, &third).json();
    assert_eq!(whole["scope"], "read write", "less for one token is not less for the line");
    let fourth = text(&whole, "refresh_token");
    refused(&gateway.exchange(ONE, &second), 400, "invalid_grant");
    assert!(gateway.is_active(&fourth), "within the grace nothing is killed");

    // 42
    gateway.command("user set-password --realm apis --username admin --password-stdin", "other").succeeded();
    refused(&gateway.exchange(ONE, &fourth), 400, "invalid_grant");
    assert!(!gateway.is_active(&fourth));
}

#[test]
fn sixty_four_at_once_are_one_line_of_descent() {
    let (config, _upstream) = config("refresh_grace = \"5m\"");
    // Each of them costs a hash, and none may be turned away for that here.
    let gateway = Gateway::run(with_accounts(&config.text("[passwords]\nhash_queue = 256")));
    let mut token = gateway.login_apis().refresh;
    for _ in 0..2 {
        let body = format!("grant_type=refresh_token&refresh_token={token}");
        let clients: Vec<_> = (0..64)
            .map(|_| {
                let (mut connection, request) = (Connection::open(gateway.front), form(TOKEN, &body).client(ONE));
                thread::spawn(move || connection.send(&request))
            })
            .collect();
        let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        let granted: Vec<_> = answers.iter().map(Response::json).collect();
        let successors: HashSet<_> = granted.iter().map(|answer| text(answer, "refresh_token")).collect();
        assert_eq!(successors.len(), 1);
        for answer in &granted {
            assert_eq!(gateway.status("/apis", &text(answer, "access_token")), 200);
        }
        token = successors.into_iter().next().unwrap();
    }
    let gateway = gateway.kill_and_restart();
    gateway.exchanged(ONE, &token);
}

#[test]
fn a_copy_that_is_used_late_ends_the_session() {
    let (gateway, _upstream) = start("refresh_grace = \"0s\"");
    let login = gateway.login_apis();
    let answer = gateway.exchange(ONE, &login.refresh).json();
    let (access, second) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
    let third = gateway.exchanged(ONE, &second);
    // Nobody else can end it: a stranger who has the copy is no client of the line.
    refused(&gateway.exchange(TWO, &second), 400, "invalid_grant");
    assert_eq!(gateway.status("/apis", &access), 200);

    refused(&gateway.exchange(ONE, &second), 400, "invalid_grant");
    assert_eq!((gateway.status("/apis", &access), gateway.status("/apis", &login.access)), (401, 401));
    gateway.process.event("a refresh token was used again; its session is revoked");
    assert!(!gateway.process.written().contains(&second), "no token in the log");
    refused(&gateway.exchange(ONE, &third), 400, "invalid_grant");
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status("/apis", &login.access), 401);
    refused(&gateway.exchange(ONE, &third), 400, "invalid_grant");

    // The contract's own endpoint is a door as well.
    let login = gateway.login_apis();
    let second = gateway.exchanged(ONE, &login.refresh);
    assert_eq!(gateway.status("/apis", &login.access), 200);
    assert_eq!(gateway.refresh(&login.refresh).status, 401);
    assert_eq!(gateway.status("/apis", &login.access), 401);
    refused(&gateway.exchange(ONE, &second), 400, "invalid_grant");
}

#[test]
fn a_line_ends_with_its_first_token() {
    let (config, _upstream) = config("");
    let config = config
        .replace("[tokens]", "[tokens]\nleeway = \"0s\"")
        .replace("[realms.apis]", "[realms.apis]\nrefresh_lifetime = \"4s\"");
    let gateway = Gateway::run(with_accounts(&config));
    let login = gateway.login_apis();
    let second = gateway.exchanged(ONE, &login.refresh);
    let ends = |token: &str| gateway.introspect(AUDITOR, token).json()["exp"].clone();
    let end = ends(&second);
    let third = gateway.exchanged(ONE, &second);
    assert_eq!((ends(&third), end.is_i64()), (end, true), "34");
    wait_until("the line ends", PATIENCE, || !gateway.is_active(&third));
    refused(&gateway.exchange(ONE, &third), 400, "invalid_grant");
}

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

    // Whoever has the keys checks a token without asking.
    let keys: JwkSet = serde_json::from_value(gateway.send(&get("/.well-known/jwks.json")).json()).unwrap();
    assert_eq!(keys.keys.len(), 2, "no secret keys among them");
    let token = gateway.client_token(ONE);
    let key = keys.find(part(&token, 0)["kid"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["api"]);
    validation.set_issuer(&["https://portero.test/oauth"]);
    jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap();

    let internal = gateway.send(&get("/.well-known/internal-jwks.json"));
    assert_eq!(internal.json(), json!({ "keys": [] }));
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
    assert_eq!((&keys["keys"][0]["crv"], &keys["keys"][0]["kid"]), (&json!("Ed25519"), &part(&token, 0)["kid"]));
    assert_eq!(gateway.introspect(CLIENT, &gateway.login(Contract::Toc)).json()["username"], "upconta");
    let second = gateway.exchanged(CLIENT, &gateway.login_apis().refresh);
    assert_eq!(gateway.revoke(CLIENT, &second).status, 200);
}
