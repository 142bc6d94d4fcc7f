//! Accounts are made by an administrator beside a running gateway, and logged into through it.

use std::{collections::HashSet, net::Ipv4Addr, thread};

use portero::state::account::password::PASSWORD_BYTES_MAX;
use serde_json::{Value, json};

use crate::support::{
    Config, Connection, Contract, Database, Folder, Gateway, PATIENCE, Request, Response, own_address, post, wait_until,
};

fn claims(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A secret that is too long to be anybody's. It is refused at once: another one would be hashed, and what a machine
/// that stands still makes of the first hash, all refusals after it take.
fn unhashed() -> String {
    "x".repeat(PASSWORD_BYTES_MAX + 1)
}

fn from(gateway: &Gateway, source: Ipv4Addr, request: &Request) -> Response {
    Connection::open_from(source, gateway.front).send(request)
}

#[test]
fn what_a_command_made_logs_in_within_a_second() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let words = "user add --realm sws --username ana --name Ana --role USER --password-stdin --output json";
    let made = gateway.command(words, "pässword with spaces\n").json();
    assert_eq!((&made["legacy_id"], &made["name"], &made["disabled"]), (&json!(2), &json!("ana"), &json!(false)));
    assert!(made.get("secret").is_none() && !made.to_string().contains("argon2"), "{made}");
    let login = || Contract::Sws.token_of(&gateway.send(&Contract::Sws.login_as("ana", "pässword with spaces")));
    wait_until("ana logs in", PATIENCE, || login().is_some());
    assert_eq!(gateway.status("/sws", &login().unwrap()), 200);

    let client = "client add --realm maxpoint --id 7f9c2ba4-e88f-427d-8cc3-0d2f5ae7a1f0 --output json";
    let secret = gateway.command(client, "").json()["secret"].as_str().unwrap().to_owned();
    let login = |secret: &str| {
        let request = Contract::Maxpoint.login_as("7f9c2ba4-e88f-427d-8cc3-0d2f5ae7a1f0", secret);
        Contract::Maxpoint.token_of(&gateway.send(&request))
    };
    let token = login(&secret).unwrap();
    let rotate = "client rotate-secret --realm maxpoint --id 7f9c2ba4-e88f-427d-8cc3-0d2f5ae7a1f0 --output json";
    let new = gateway.command(rotate, "").json()["secret"].as_str().unwrap().to_owned();
    assert!(login(&secret).is_none() && login(&new).is_some());
    assert_eq!(gateway.status("/maxpoint", &token), 200, "the document lets tokens live on");
    gateway.command(&format!("{rotate} --revoke"), "").succeeded();
    gateway.wait_until_refused("--revoke ends them", "/maxpoint", &token);
}

#[test]
fn two_secrets_of_a_client_overlap_beside_a_running_gateway() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let client = "--realm maxpoint --id 7f9c2ba4-e88f-427d-8cc3-0d2f5ae7a1f0 --output json";
    let secret = |words: &str| {
        gateway.command(&format!("client {words} {client}"), "").json()["secret"].as_str().unwrap().to_owned()
    };
    let login = |secret: &str| {
        let request = Contract::Maxpoint.login_as("7f9c2ba4-e88f-427d-8cc3-0d2f5ae7a1f0", secret);
        Contract::Maxpoint.token_of(&gateway.send(&request))
    };
    let (first, second) = (secret("add"), secret("rotate-secret --overlap 7d"));
    let token = login(&first).unwrap();
    assert!(login(&second).is_some() && login("neither of them").is_none());
    gateway.command(&format!("client rotate-secret --end-overlap {client}"), "").succeeded();
    assert!(login(&first).is_none() && login(&second).is_some());
    assert_eq!(gateway.status("/maxpoint", &token), 200, "tokens live on");

    let named = json!({ "realm": "maxpoint", "name": "7f9c2ba4-e88f-427d-8cc3-0d2f5ae7a1f0" });
    let with = |member: &str, value: Value| {
        let mut members = named.clone();
        members[member] = value;
        members
    };
    let third = gateway.api("/accounts/rotate-secret", &with("overlap_seconds", json!(60)));
    assert!(third["previous_secret_ends_at"].is_i64(), "{third}");
    assert!(login(&second).is_some() && login(third["secret"].as_str().unwrap()).is_some());
    assert_eq!(gateway.api("/accounts/end-overlap", &named)["ended"], true);
    assert!(login(&second).is_none());
}

#[test]
fn what_an_account_is_changes_through_the_api_and_ends_its_tokens_at_once() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let revise = |body: &Value| {
        let request = Request::new("PATCH", "/api/v1/accounts").header("Content-Type", "application/json");
        let request = request.header("Host", "localhost").bearer(&gateway.admin_token()).body(body.to_string());
        let answer = Connection::open(gateway.admin).send(&request);
        (answer.status, answer.json())
    };
    let (status, named) = revise(&json!({ "realm": "sws", "name": "admin", "display_name": "Another" }));
    assert_eq!((status, &named["display_name"]), (200, &json!("Another")));
    assert_eq!(gateway.status("/sws", &token), 200, "no token carries it");
    let (status, changed) = revise(&json!({ "realm": "sws", "name": "admin", "scopes": ["a"], "role": null }));
    assert_eq!((status, &changed["scopes"], &changed["role"]), (200, &json!(["a"]), &json!(null)));
    assert_eq!(gateway.status("/sws", &token), 401, "on the next request");
    gateway.api("/accounts", &json!({ "realm": "sws", "name": "eva", "legacy_id": 40 }));
    for (change, refused) in [
        (json!({ "legacy_id": 40 }), 409),
        (json!({ "legacy_id": null }), 400),
        (json!({ "company": "acme" }), 400),
        (json!({}), 400),
        (json!({ "epoch": 1 }), 422),
    ] {
        let mut body = json!({ "realm": "sws", "name": "admin" });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(revise(&body).0, refused, "{body}");
    }
    assert_eq!(revise(&json!({ "realm": "sws", "name": "nobody", "role": "R" })).0, 404);
}

#[test]
fn logins_are_written_down_and_lists_know_them() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    for contract in [Contract::Sws, Contract::Apis] {
        gateway.send(&contract.login_with("wrong"));
        gateway.send(&contract.login_as("nobody", "wrong"));
    }
    let sessions = gateway.api_get("/sessions?realm=sws&name=admin");
    assert_eq!(sessions[0]["state"], "live");
    gateway.api("/accounts/set-role", &json!({ "realm": "sws", "name": "admin", "role": "OTHER" }));
    assert_eq!(gateway.api_get("/sessions?realm=sws&name=admin")[0]["state"], "older_epoch");
    assert_eq!(gateway.status("/sws", &token), 401);
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    assert_eq!(process.finish().code, 0);
    let shown = |realm: &str| {
        let shown = folder.command(&format!("user show --realm {realm} --username admin --output json"), "").json();
        (shown["last_login_at"].is_string(), shown["failed_logins"].clone())
    };
    assert_eq!(shown("sws"), (true, json!(1)));
    assert_eq!(shown("apis"), (false, json!(1)));
    let never = folder.command("user list --realm apis --never-logged-in --output json", "").json();
    assert_eq!((never.as_array().unwrap().len(), &never[0]["name"]), (1, &json!("admin")));
    let recent = "user list --realm sws --last-login-before 2020-01-01T00:00:00Z --output json";
    assert_eq!(folder.command(recent, "").json(), json!([]));
    assert_eq!(folder.command("user list --realm apis --output json", "").json().as_array().unwrap().len(), 1);
}

#[test]
fn passwords_of_the_operators_list_are_refused_from_the_next_reload_on() {
    let folder = Folder::new();
    std::fs::write(folder.file("refused.txt"), "Password1\n").unwrap();
    let config = Config::new().route("public", "/public", "auth = \"public\"");
    let config = config.upstream("service", &["127.0.0.1:9".parse().unwrap()]);
    let gateway = Gateway::run(config.text("[passwords]\nrefused_file = \"refused.txt\"").with_accounts_in(folder));
    let set = |secret: &str| {
        let body = json!({ "realm": "sws", "name": "admin", "secret": secret }).to_string();
        let request = post("/api/v1/accounts/set-password", body).header("Host", "localhost");
        Connection::open(gateway.admin).send(&request.bearer(&gateway.admin_token())).status
    };
    assert_eq!([set("pASSWORD1"), set("short"), set("qwertyuiop")], [400, 400, 200]);
    let words = "user set-password --realm sws --username admin --password-stdin";
    let refused = gateway.command(words, "PASSWORD1");
    assert!(refused.code == 1 && refused.stderr.contains("passwords.refused_file"), "{}", refused.stderr);
    std::fs::write(gateway.folder.file("refused.txt"), "QwertyUiop\n").unwrap();
    gateway.asked("reload").succeeded();
    assert_eq!([set("password1"), set("qwertyuiop")], [200, 400]);
    std::fs::write(gateway.folder.file("refused.txt"), b"good\n\xff\n").unwrap();
    let refused = gateway.asked("reload");
    assert!(refused.code != 0 && refused.stderr.contains("refused.txt:2 is no UTF-8"), "{}", refused.stderr);
    assert_eq!(set("qwertyuiop"), 400, "the list that was in force stays");
}

#[test]
fn the_admin_api_keeps_accounts_too() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let made = gateway.api("/accounts", &json!({ "realm": "apis", "name": "eva", "role": "USER" }));
    let secret = made["secret"].as_str().unwrap();
    let login = || Contract::Apis.token_of(&gateway.send(&Contract::Apis.login_as("eva", secret)));
    let token = login().unwrap();
    assert_eq!(gateway.status("/apis", &token), 200);
    gateway.api("/accounts/disable", &json!({ "realm": "apis", "name": "eva" }));
    assert_eq!(gateway.status("/apis", &token), 401, "on the next request");
    assert!(login().is_none());
    gateway.api("/accounts/enable", &json!({ "realm": "apis", "name": "eva" }));
    assert!(login().is_some());
    gateway.api("/accounts/delete", &json!({ "realm": "apis", "name": "eva" }));
    assert!(login().is_none());
    assert_eq!(gateway.api_get("/accounts?realm=apis").as_array().unwrap().len(), 1);
}

#[test]
fn an_unknown_a_disabled_and_a_locked_account_answer_like_a_wrong_password() {
    let (gateway, _upstream) = Gateway::with_upstream();
    for contract in [Contract::Apis, Contract::Toc, Contract::Maxpoint] {
        let wrong = gateway.send(&contract.login_with("wrong"));
        let unknown = gateway.send(&contract.login_as("nobody", "wrong"));
        assert_eq!((wrong.status, wrong.text()), (unknown.status, unknown.text()));
        assert_eq!(wrong.status, 401);
        let named = match contract {
            Contract::Toc => "project {} --realm toc --business 5a2ac49cbbbce212f885529c --proyecto upconta".to_owned(),
            Contract::Maxpoint => format!("client {{}} --realm maxpoint --id {}", contract.name()),
            _ => "user {} --realm apis --username admin".to_owned(),
        };
        for verb in ["lock", "disable"] {
            gateway.command(&named.replace("{}", verb), "").succeeded();
            let refused = gateway.send(&contract.login_with(contract.secret()));
            assert_eq!((refused.status, refused.text()), (wrong.status, wrong.text()), "{verb}");
        }
    }
}

#[test]
fn failures_are_throttled_by_name_and_address_and_the_owner_gets_in_from_elsewhere() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let (stranger, owner) = (own_address(), own_address());
    let wrong = Contract::Apis.login_with("wrong");
    for _ in 0..5 {
        assert_eq!(from(&gateway, stranger, &wrong).status, 401);
    }
    let throttled = from(&gateway, stranger, &Contract::Apis.login_with("abcd1234"));
    assert_eq!((throttled.status, throttled.header("Retry-After").is_some()), (429, true));
    assert_eq!(from(&gateway, owner, &Contract::Apis.login_with("abcd1234")).status, 200);

    for name in ["admin", "nobody"] {
        for _ in 0..5 {
            assert_eq!(from(&gateway, owner, &Contract::Sws.login_as(name, "wrong")).json()["error"], 1);
        }
        let blocked = from(&gateway, owner, &Contract::Sws.login_as(name, "demo2024"));
        assert_eq!((blocked.status, blocked.text().as_str()), (200, r#"{"error":2,"message":"Usuario bloqueado"}"#));
        assert!(blocked.header("Retry-After").is_some());
    }
}

#[test]
fn an_address_has_thirty_failures_a_minute_whatever_the_names() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let source = own_address();
    for number in 0..30 {
        let wrong = Contract::Maxpoint.login_as(&format!("client-{number}"), &unhashed());
        assert_eq!(from(&gateway, source, &wrong).status, 401, "{number}");
    }
    for contract in [Contract::Apis, Contract::Toc, Contract::Maxpoint, Contract::Become, Contract::Sws] {
        let throttled = from(&gateway, source, &contract.login_with(contract.secret()));
        assert_eq!((throttled.status, throttled.header("Retry-After").is_some()), (429, true));
    }
    assert_eq!(from(&gateway, own_address(), &Contract::Apis.login_with("abcd1234")).status, 200);
}

#[test]
fn guesses_side_by_side_gain_nothing() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let source = own_address();
    let clients: Vec<_> = (0..24)
        .map(|number| {
            let mut connection = Connection::open_from(source, gateway.front);
            let guess = Contract::Apis.login_with(&format!("guess {number}"));
            thread::spawn(move || connection.send(&guess).status)
        })
        .collect();
    let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let told = answers.iter().filter(|&&status| status == 401).count();
    // A look-up that takes too long is no answer either way.
    assert!(answers.iter().all(|status| [401, 429, 503].contains(status)), "{answers:?}");
    // One more for each thread that hashes may end at the same instant.
    assert!(told <= 5 + 2, "{answers:?}");
}

#[test]
fn many_at_once_each_get_tokens_of_their_own() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let mut connection = Connection::open(gateway.front);
            let login = Contract::Sws.login_with("demo2024");
            thread::spawn(move || {
                let mut answer = connection.send(&login);
                // Its look-up waits for the others' for two seconds.
                wait_until("it is looked up in time", PATIENCE, || {
                    if answer.status == 503 {
                        answer = connection.send(&login);
                    }
                    answer.status != 503
                });
                Contract::Sws.token_of(&answer).unwrap()
            })
        })
        .collect();
    let tokens: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    for claim in ["jti", "sid"] {
        let distinct: HashSet<_> = tokens.iter().map(|token| claims(token)[claim].to_string()).collect();
        assert_eq!(distinct.len(), 64, "{claim}");
    }
}

#[test]
fn with_the_store_away_token_endpoints_say_so_and_proxying_goes_on() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let refresh = gateway.login_apis().refresh;
    assert_eq!(gateway.status("/sws", &token), 200);
    let mut store = Database::of(&gateway);
    // Tables are missing, as in a backup that is half restored.
    for (lose, restore) in [
        ("ALTER TABLE sessions RENAME TO away", "ALTER TABLE away RENAME TO sessions"),
        ("ALTER TABLE principals RENAME TO away", "ALTER TABLE away RENAME TO principals"),
    ] {
        store.execute(lose);
        for contract in Contract::ALL {
            let answer = gateway.send(&contract.login_with(contract.secret()));
            assert_eq!((answer.status, answer.header("Retry-After").is_some()), (503, true), "{}", answer.text());
            assert!(contract.token_of(&answer).is_none());
        }
        assert_eq!(gateway.refresh(&refresh).status, 503, "{lose}");
        assert_eq!(gateway.status("/sws", &token), 200);
        store.execute(restore);
        assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).status, 200);
    }
}

#[test]
fn what_could_not_be_written_is_not_acknowledged() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let mut other = Database::of(&gateway);
    other.execute("BEGIN IMMEDIATE");
    let revoke = post("/api/v1/revocations/token", json!({ "token": token }).to_string());
    let revoke = revoke.header("Host", "localhost").bearer(&gateway.admin_token());
    let (login, front, admin) = (Contract::Sws.login_with("demo2024"), gateway.front, gateway.admin);
    // Both wait for the other writer until their patience is over.
    let login = thread::spawn(move || Connection::open(front).send(&login));
    let revoked = Connection::open(admin).send(&revoke);
    assert_eq!(revoked.status, 503, "{}", revoked.text());
    let answer = login.join().unwrap();
    assert_eq!((answer.status, answer.json()["error"].as_u64()), (503, Some(3)));
    assert_eq!(gateway.status("/sws", &token), 200, "what was refused is not in force either");
    other.execute("ROLLBACK");
    wait_until("it is written", PATIENCE, || Connection::open(admin).send(&revoke).status == 200);
    assert_eq!(gateway.status("/sws", &token), 401);
}

#[test]
fn a_body_is_credentials_and_a_query_is_not() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let asked = gateway.send(&post("/api/Session/GetToken?username=admin&password=demo2024", "{}"));
    assert_eq!(asked.json()["error"], 1);
}
