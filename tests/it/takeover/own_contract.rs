//! Taking over behind a contract of one's own, whose file says what the old answers mean.

use std::fs;

use super::{metric, users};
use crate::support::{Config, Connection, Folder, Gateway, Odd, OldSystem, PATIENCE, Upstream, get, post, wait_until};

/// An API that answers errors with 200, and calls everything as no contract does that ships.
const ERP: &str = r#"name = "erp"
account = { kind = "user" }
tokens = { algorithm = "HS256", login = ["access"] }
login = { content_type = "json-required", members = { username = "name", password = "secret" } }
responses.login.body = '{"session": {"key": "{access.token}"}, "who": {"login": "{account.name}"}}'
errors.body = '{"error": "{message}"}'
rejections.other.message = "{phrase}"
rejections.locked.message = "Ask the office"
denials.other.message = "{phrase}"
tells.after_secret = ["locked"]

[old_system]
token = "session.key"
answer = { name = "who.login", display_name = "who.name", role = ["who.rank", "rank"], scopes = "who.groups" }
errors = [
  { when = { error = 1 }, means = "invalid_credentials" },
  { when = { "error.code" = "LOCKED" }, means = "locked" },
  { has = "error", means = "unclear" },
]

[old_system.token_check]
send = "bearer"
name = "username"
active = "active"
"#;

fn start(old: &OldSystem, upstream: &Upstream, contract: &str) -> Gateway {
    start_with(old, upstream, contract, "")
}

/// With `more` about the old system.
fn start_with(old: &OldSystem, upstream: &Upstream, contract: &str, more: &str) -> Gateway {
    let takeover = format!(
        "[realms.erp]\ndialect = \"erp.toml\"\n[[token_endpoints]]\npath = \"/erp/login\"\nrealms = [\"erp\"]\n\
         verifier = \"old\"\nmode = \"lead\"\n[verifiers.old]\nurl = \"{}\"\nrate = 1000\n\
         [verifiers.old.tokens]\nurl = \"{}\"\nrate = 1000\n{more}",
        old.url(),
        old.check_url()
    );
    let folder = Folder::new();
    fs::write(folder.file("erp.toml"), contract).unwrap();
    let config = Config::standard(upstream.address).text(&takeover).route("erp", "/erp/x", "accept = [\"erp\"]");
    config.write_to(&folder);
    Gateway::run(folder)
}

fn login(gateway: &Gateway, name: &str) -> (u16, serde_json::Value) {
    let body = format!(r#"{{"username":"{name}","password":"a password"}}"#);
    let answer = gateway.send(&post("/erp/login", body).header("Content-Type", "application/json"));
    (answer.status, answer.json())
}

#[test]
fn what_the_old_answers_mean_stands_in_the_contracts_file() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    let says = |name: &str, body: &str| {
        old.set_odd(name, Odd::Answers(200, "application/json", body.to_owned()));
    };
    says(
        "ANA",
        r#"{"session":{"key":"k-1"},"who":{"login":"ana","name":"Ana","rank":7,"groups":["sales"]},"rank":"CHIEF"}"#,
    );
    says("locked", r#"{"error":{"code":"LOCKED"}}"#);
    says("broken", r#"{"error":{"code":"DB"}}"#);
    says("both", r#"{"session":{"key":"k-2"},"error":1}"#);
    says("elsewhere", r#"{"tokenValido":"k-3"}"#);
    let gateway = start(&old, &upstream, ERP);

    let (status, answer) = login(&gateway, "ANA");
    assert_eq!((status, &answer["who"]["login"]), (200, &"ana".into()), "{answer}");
    let account = gateway.command("user show --realm erp --username ana --output json", "").json();
    assert_eq!(
        (&account["display_name"], &account["role"], &account["scopes"]),
        (&"Ana".into(), &"CHIEF".into(), &serde_json::json!(["sales"])),
        "the first place of the right type counts"
    );
    assert_eq!(login(&gateway, "nobody").0, 401);
    assert_eq!(login(&gateway, "locked"), (401, serde_json::json!({"error": "Ask the office"})));
    for unclear in ["broken", "both", "elsewhere"] {
        assert_eq!(login(&gateway, unclear).0, 503, "{unclear}: that says nothing");
    }
    assert!(metric(&gateway, "portero_verifier_believed{verifier=\"old\"} ") > 0.5);

    // Its check of tokens is declared there too.
    let token = old.token_of("ana");
    wait_until("its token opens", PATIENCE, || gateway.status("/erp/x", &token) == 200);
    assert_eq!(gateway.send(&get("/erp/x").header("Authorization", "Bearer k-9")).status, 401);
}

#[test]
fn a_get_says_what_a_token_of_the_old_system_says() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    let verifying = "[responses.verify]\nbody = '{\"who\": \"{account.name}\"}'\n\n[old_system]";
    let contract =
        ERP.replacen("name = \"erp\"", "name = \"erp\"\nverify = true", 1).replacen("[old_system]", verifying, 1);
    let gateway = start_with(&old, &upstream, &contract, "max_age = \"1s\"\n");
    let add = "user add --realm erp --username ana --password-stdin";
    gateway.command(add, "a password").succeeded();
    let asked = |token: &str| {
        let request = get("/erp/login").bearer(token);
        let answer = Connection::open(gateway.front).send_until_available(&request);
        (answer.status, answer.json()["who"].clone())
    };
    let token = old.token_of("ana");
    assert_eq!(asked(&token), (200, "ana".into()));
    assert_eq!(asked(&old.token_of("nobody-here")).0, 401, "an account that Portero lacks");
    assert_eq!(asked("687f8b1325da9d0dffffffff").0, 401);
    old.revoke(&token);
    wait_until("its word has ended", PATIENCE, || asked(&token).0 == 401);
    // Of a contract whose secrets stand in another place than those that an old system is asked with, nobody is asked.
    let (head, _) = ERP.split_once("[old_system]").unwrap();
    for (line, place) in [("place = \"basic\"", "Authorization: Basic"), ("form = \"only\"", "forms alone")] {
        let contract = head.replace("content_type = \"json-required\"", line);
        fs::write(gateway.folder.file("erp.toml"), contract).unwrap();
        let refused = gateway.command("check", "");
        let why = format!("reads names and secrets from {place}, and an old system is asked in a JSON body alone");
        assert!(refused.code != 0 && refused.stderr.contains(&why), "{refused:?}");
    }
}

#[test]
fn a_contract_that_means_something_else_now_is_proved_anew() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    // The first question is about a name of 24 characters that nobody has.
    let nobody = format!("user{}", "x".repeat(20));
    for name in [&*nobody, "userxx"] {
        old.set_odd(name, Odd::Answers(200, "application/json", r#"{"error":1,"trace":"t-1"}"#.into()));
    }
    old.set_odd("userx", Odd::Answers(200, "application/json", r#"{"session":{"key":"k-1"},"trace":"t-2"}"#.into()));
    let gateway = start_with(&old, &upstream, ERP, "[verifiers.old.names]\nprefix = \"user\"\nalphabet = \"x\"\n");
    assert_eq!((login(&gateway, "userx").0, login(&gateway, "userxx").0), (200, 401));

    // A member that stands in every answer, and nothing that says what an error is.
    let (head, old_system) = ERP.split_once("[old_system]").unwrap();
    let (_, token_check) = old_system.split_once("[old_system.token_check]").unwrap();
    let careless = format!("{head}[old_system]\ntoken = \"trace\"\n[old_system.token_check]{token_check}");
    fs::write(gateway.folder.file("erp.toml"), careless).unwrap();
    gateway.asked("reload").succeeded();
    assert_eq!(login(&gateway, "userxx").0, 503, "it says yes to nobody, so its yes counts for nothing");
    assert!(metric(&gateway, "portero_verifier_believed{verifier=\"old\"} ") < 0.5);

    fs::write(gateway.folder.file("erp.toml"), ERP).unwrap();
    gateway.asked("reload").succeeded();
    assert_eq!((login(&gateway, "userx").0, login(&gateway, "userxx").0), (200, 401));
    assert!(metric(&gateway, "portero_verifier_believed{verifier=\"old\"} ") > 0.5);
}
