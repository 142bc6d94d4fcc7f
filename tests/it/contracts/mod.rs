//! Contracts from files: the variants that ship, a file of one's own, and what a realm changes in one.

mod learnt;
mod replayed;

use std::fs;

use base64::Engine;

use super::golden;
use crate::support::{Config, Folder, Gateway, Ran, Request, Upstream, get, portero, post};

const SHIPPED: [&str; 6] = ["sws", "apis", "toc", "maxpoint", "become", "sws-classic"];

const CLASSIC: &str = r#"
[realms.classic]
dialect = "sws-classic"
timezone = "UTC"
[[token_endpoints]]
path = "/classic/GetToken"
realms = ["classic"]
"#;

const ERP: &str = r#"
[realms.erp]
dialect = "contracts/erp.toml"
extend.rejections.locked.message = "Ask the office"
[[token_endpoints]]
path = "/erp/login"
realms = ["erp"]
"#;

#[test]
fn every_golden_exchange_of_a_variant_is_answered_as_it_is_written() {
    let upstream = Upstream::start();
    let route = "accept = [\"classic\"]";
    let gateway = Config::standard(upstream.address).text(CLASSIC).route("classic", "/classic/clientes", route).start();
    let add = "user add --realm classic --username admin --name Administrador --password-stdin";
    gateway.command(add, "demo2024").succeeded();
    golden::replay(&gateway, "tests/golden_variants", 7);
}

/// The contract of the page that says how to write one.
fn erp() -> String {
    let page = fs::read_to_string("docs/own-contract.md").unwrap();
    let (_, tail) = page.split_once("<!-- contract -->\n```toml\n").unwrap();
    tail.split_once("```").unwrap().0.to_owned()
}

fn with_erp() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.file("contracts")).unwrap();
    fs::write(folder.file("contracts/erp.toml"), erp()).unwrap();
    folder
}

fn login(gateway: &Gateway, pin: &str) -> (u16, serde_json::Value) {
    let body = format!(r#"{{"user":"ana","pin":"{pin}"}}"#);
    let answer = gateway.send(&post("/erp/login", body).header("Content-Type", "application/json"));
    (answer.status, answer.json())
}

#[test]
fn a_contract_of_ones_own_is_spoken_and_read_again() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).text(ERP).route("erp", "/erp", "accept = [\"erp\"]");
    let gateway = Gateway::run(config.with_accounts_in(with_erp()));
    gateway
        .command("user add --realm erp --username ana --scope sales --password-stdin", "1234 is the pin")
        .succeeded();
    let (status, answer) = login(&gateway, "1234 is the pin");
    assert_eq!((status, &answer["ok"], &answer["profile"]["login"]), (200, &true.into(), &"ana".into()), "{answer}");
    assert_eq!(answer["profile"]["groups"], serde_json::json!(["sales"]));
    assert!(answer["profile"].get("company").is_none(), "it is left out");
    assert_eq!(gateway.status("/erp/x", answer["token"].as_str().unwrap()), 200);
    let refused = serde_json::json!({"ok": false, "code": "E01", "reason": "Unknown user or wrong PIN"});
    assert_eq!(login(&gateway, "wrong"), (401, refused));

    let file = gateway.folder.file("contracts/erp.toml");
    fs::write(&file, erp().replace("Unknown user or wrong PIN", "No")).unwrap();
    gateway.asked("reload").succeeded();
    assert_eq!(login(&gateway, "wrong").1["reason"], "No");

    fs::write(&file, erp().replace("{missing|join", "{mising|join")).unwrap();
    let ran = gateway.asked("reload");
    let why = "realms.erp.dialect: contracts/erp.toml:31:54: ";
    assert!(ran.code == 1 && ran.stderr.contains(why) && ran.stderr.contains("did you mean 'missing'?"), "{ran:?}");
    assert_eq!(login(&gateway, "wrong").1["reason"], "No", "the old one stays in force");
}

/// Each realm in a language: the file's, the realm's, and the client's.
const LANGUAGES: &str = r#"
[realms.english]
dialect = "sws"
timezone = "UTC"
language = "en"
[realms.asked]
dialect = "maxpoint"
accept_language = true
[[token_endpoints]]
path = "/english"
realms = ["english"]
[[token_endpoints]]
path = "/asked"
realms = ["asked"]
"#;

#[test]
fn a_realm_and_then_a_client_choose_the_language() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).text(LANGUAGES);
    let gateway = config.route("english", "/e", "accept = [\"english\"]").route("asked", "/a", "accept = [\"asked\"]");
    let gateway = gateway.start();
    let said = |path: &str, languages: &str| {
        let asking = post(path, "{}").header("Content-Type", "application/json").header("Accept-Language", languages);
        let answer = gateway.send(&asking);
        let told = |name: &str| answer.header(name).map(str::to_owned);
        (answer.json()["message"].as_str().unwrap().to_owned(), told("content-language"), told("vary"))
    };
    // The realm's, whatever the client reads.
    assert_eq!(said("/english", "es"), ("The field 'username' is required".to_owned(), None, None));
    assert_eq!(gateway.send(&get("/e")).text(), r#"{"error":401,"message":"Unauthorized"}"#);
    for (languages, message, language) in [
        ("en-GB, es;q=0.8", "Validation failed", "en"),
        ("de, fr", "Error en la validación de datos", "es"),
        ("es, en", "Error en la validación de datos", "es"),
    ] {
        let vary = Some("accept-language".to_owned());
        assert_eq!(said("/asked", languages), (message.to_owned(), Some(language.to_owned()), vary), "{languages}");
    }
    let denied = gateway.send(&get("/a").header("Accept-Language", "en"));
    assert_eq!(denied.json()["message"], "Invalid or expired token");
    let fields = denied.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
    let vary: Vec<_> = fields.map(|(_, value)| value.as_str()).collect();
    assert_eq!((denied.header("content-language"), vary), (Some("en"), vec!["accept-language", "authorization"]));
    // What stands before any route is English, and varies with nothing.
    let nowhere = gateway.send(&get("/nowhere").header("Accept-Language", "es"));
    assert_eq!((&nowhere.json()["detail"], nowhere.header("vary")), (&"Not found".into(), None));
}

/// What `obtain_auth_token` of Django REST framework has, and the same by Basic.
const KEYED: &str = r#"
name = "drf"
[account]
kind = "user"
[tokens]
algorithm = "sealed"
login = ["access"]
[login]
content_type = "json-required"
members = { username = "name", password = "secret" }
[use]
scheme = "Token"
[responses.login]
media_type = "application/json"
body = '{"token": "{access.token}"}'
[errors]
media_type = "application/json"
body = '{"detail": "{message}"}'
[rejections]
missing_field = { body = '{"{missing.each}": ["This field is required."]}' }
invalid_credentials = { status = 400, body = '{"non_field_errors": ["Unable to log in with provided credentials."]}' }
other = { message = "{phrase}" }
[denials]
missing_token = { message = "Authentication credentials were not provided." }
401 = { message = "Invalid token." }
other = { message = "{phrase}" }
"#;

const KEYED_REALMS: &str = r#"
[realms.drf]
dialect = "drf.toml"
extend.login.form = "also"
[realms.basic]
dialect = "drf.toml"
extend = { name = "by-basic", login = { place = "basic" } }
[[token_endpoints]]
path = "/api-token-auth/"
realms = ["drf"]
[[token_endpoints]]
path = "/basic"
realms = ["basic"]
"#;

#[test]
fn what_is_missing_is_named_and_basic_is_asked_for() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    fs::write(folder.file("drf.toml"), KEYED).unwrap();
    let config = Config::standard(upstream.address).text(KEYED_REALMS).route("drf", "/drf", "accept = [\"drf\"]");
    let gateway = Gateway::run(config.with_accounts_in(folder));
    for realm in ["drf", "basic"] {
        let add = format!("user add --realm {realm} --username ana --password-stdin");
        gateway.command(&add, "correct horse").succeeded();
    }
    let login = |body: &str| {
        let answer =
            gateway.send(&post("/api-token-auth/", body.to_owned()).header("Content-Type", "application/json"));
        (answer.status, answer.text())
    };
    let required = r#"{"username":["This field is required."],"password":["This field is required."]}"#;
    assert_eq!(login("{}"), (400, required.to_owned()));
    assert_eq!(login(r#"{"username":"ana"}"#), (400, r#"{"password":["This field is required."]}"#.to_owned()));
    let wrong = r#"{"non_field_errors":["Unable to log in with provided credentials."]}"#;
    assert_eq!(login(r#"{"username":"ana","password":"x"}"#), (400, wrong.to_owned()));
    let (status, granted) = login(r#"{"username":"ana","password":"correct horse"}"#);
    let granted: serde_json::Value = serde_json::from_str(&granted).unwrap();
    let token = granted["token"].as_str().unwrap();
    let with = |authorization: &str| gateway.send(&get("/drf/x").header("Authorization", authorization)).status;
    assert_eq!((status, with(&format!("Token {token}")), with(&format!("Bearer {token}"))), (200, 200, 200));
    assert_eq!((with("Token x"), with("Other x")), (401, 401));

    let by_form = |body: &'static str| {
        let form = "application/x-www-form-urlencoded; charset=UTF-8";
        gateway.send(&Request::new("POST", "/api-token-auth/").header("Content-Type", form).body(body))
    };
    let answer = by_form("username=ana&password=correct+horse&csrf=x");
    assert!(answer.status == 200 && answer.json()["token"].is_string(), "{}", answer.text());
    assert!(by_form("username=%61na&password=correct%20horse").json()["token"].is_string());
    assert_eq!(by_form("username=ana&password=correct%2520horse").text(), wrong, "it is decoded once");
    assert_eq!((by_form("username=ana").status, by_form("").text()), (400, required.to_owned()));
    for unread in ["username=ana&username=ana&password=correct+horse", "username=ana&password=%ff"] {
        assert_eq!(by_form(unread).text(), r#"{"detail":"Bad Request"}"#, "{unread}");
    }
    assert_eq!(by_form(r#"{"username":"ana","password":"correct horse"}"#).text(), required, "it is no form of JSON");

    let basic = |pair: &str| {
        let field = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        gateway.send(&post("/basic", "").header("Authorization", field))
    };
    assert!(basic("ana:correct horse").json()["token"].is_string());
    let asked = gateway.send(&post("/basic", ""));
    let challenge = Some("Basic realm=\"basic\", charset=\"UTF-8\"");
    assert_eq!((asked.status, asked.header("www-authenticate"), asked.text()), (401, challenge, required.to_owned()));
    let refused = basic("ana:wrong");
    assert_eq!((refused.status, refused.header("www-authenticate")), (400, None), "the contract says 400");
    let in_body = post("/basic", r#"{"username":"ana","password":"correct horse"}"#);
    assert_eq!(gateway.send(&in_body.header("Content-Type", "application/json")).status, 401, "the body is not read");
    let log = gateway.stop().stdout;
    assert!(!log.contains("correct horse") && !log.contains("YW5hOmNvcnJlY3Q"), "a secret is logged");
}

fn contract(arguments: &[&str]) -> Ran {
    portero(&[&["contract"], arguments].concat(), "")
}

#[test]
fn a_contract_is_printed_and_checked() {
    let folder = with_erp();
    let file = folder.file("contracts/erp.toml");
    let check = || contract(&["check", file.to_str().unwrap()]);
    let ran = check();
    assert!(
        ran.code == 0 && ran.stdout.contains("\nrejections answered by `other`: not_json, throttled_name"),
        "{ran:?}"
    );
    fs::write(&file, erp().replace("lifetime", "lifetme")).unwrap();
    let ran = check();
    let why = "erp.toml:4:1: unknown key 'lifetme'; did you mean 'lifetime'?";
    assert!(ran.code == 1 && ran.stderr.contains(why), "{ran:?}");
    for name in SHIPPED {
        let ran = contract(&["show", name]);
        assert!(ran.code == 0 && ran.stdout.contains(&format!("name = \"{name}\"")), "{ran:?}");
        contract(&["check", name]).succeeded();
    }
    assert_eq!(contract(&["show", "swss"]).code, 1);
}

#[test]
fn a_realm_counts_where_its_contracts_file_is_another_machines() {
    let folder = Folder::new();
    let rest = "[server]\nlisten = [\"127.0.0.1:8080\"]\n[admin]\nlisten = \"127.0.0.1:9901\"\n[tokens]\nissuer = \"http://a\"\n";
    fs::write(folder.file("gateway.toml"), format!("{rest}{ERP}")).unwrap();
    let ran = folder.command("check --file-only", "");
    assert!(ran.code == 0 && ran.stdout.contains(" 1 realms, 1 token endpoints"), "{ran:?}");
}

#[test]
fn every_word_of_a_hole_stands_in_the_page() {
    let page = fs::read_to_string("docs/own-contract.md").unwrap();
    let words = contract(&["words", "--output", "json"]).json();
    for word in words.as_array().unwrap() {
        let word = word["word"].as_str().unwrap().trim_start_matches('|');
        let word = word.split(' ').next().unwrap();
        assert!(page.contains(&format!("`{word}`")), "docs/own-contract.md lacks `{word}`");
    }
}

/// Contracts of other projects, and how many exchanges with their own servers each answers alike, at least.
const RECORDED: [(&str, usize); 3] = [("drf-authtoken", 21), ("simplejwt", 30), ("feathers-local", 13)];

#[test]
fn contracts_of_other_projects_answer_as_their_servers_do() {
    let test = |folder: &str, recordings: &str| {
        let ran = contract(&["test", &format!("{folder}/contract.toml"), recordings, "--output", "json"]);
        let outcome: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let count = |name: &str| usize::try_from(outcome[name].as_u64().unwrap()).unwrap();
        (count("same"), count("different"), ran.stdout)
    };
    for (name, at_least) in RECORDED {
        let folder = format!("tests/golden_variants/{name}");
        let (same, different, printed) = test(&folder, &folder);
        assert!(same >= at_least && different == 0, "{name}: {printed}");
        let (same, different, printed) = test(&folder, &format!("{folder}/not-expressed"));
        assert!(same == 0 && different > 0, "{name}: what is expressed now belongs one folder up: {printed}");
    }
}

#[test]
fn recordings_are_held_against_a_contract() {
    for name in SHIPPED {
        let golden = if name == "sws-classic" { "golden_variants" } else { "golden" };
        let ran = contract(&["test", name, &format!("tests/{golden}/{name}"), "--output", "json"]);
        let ran: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        // Those of one file are denials on other contracts' routes.
        let differences = ran["differences"].as_array().unwrap();
        let elsewhere =
            differences.iter().filter(|one| one["place"].as_str().unwrap().contains("route-of-another-realm"));
        assert_eq!(differences.len(), elsewhere.count(), "{name}: {differences:#?}");
        assert!(ran["same"].as_u64().unwrap() >= 6, "{name}");
    }
    let ran = contract(&["test", "sws-classic", "tests/golden/sws/02-wrong-password.http"]);
    let (theirs, ours) = ("- byte 2: error\":1,", "+ byte 2: tokenValido\":");
    assert!(ran.code == 1 && ran.stdout.contains(theirs) && ran.stdout.contains(ours), "{}", ran.stdout);
    let folder = Folder::new();
    let har = folder.file("login.har");
    let entry = |answer: &str| {
        let request = serde_json::json!({
            "method": "POST", "url": "https://erp.example.com/api/Session/GetToken",
            "headers": [{ "name": "Content-Type", "value": "application/json" }],
            "postData": { "text": r#"{"username":"a","password":"b"}"# },
        });
        let response = serde_json::json!({ "status": 200, "headers": [], "content": { "text": answer } });
        serde_json::json!({ "request": request, "response": response })
    };
    let good = entry(r#"{"error":1,"message":"Credenciales inválidas"}"#);
    let spaced = entry(r#"{"error": 1,"message":"Credenciales inválidas"}"#);
    fs::write(&har, serde_json::json!({ "log": { "entries": [good, spaced] } }).to_string()).unwrap();
    let ran = contract(&["test", "sws", har.to_str().unwrap()]);
    let hint = "nearest is the answer for invalid_credentials; the recording has white space here";
    assert!(
        ran.code == 1 && ran.stdout.contains("1 the same, 1 different") && ran.stdout.contains(hint),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("login.har:entry 2"), "{}", ran.stdout);
}
