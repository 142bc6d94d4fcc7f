//! What is wrong with a config, a store or a port is said once, by name, with exit code 2, and
//! nothing is left half started.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

use crate::support::{Config, Contract, Folder, Gateway, PATIENCE, Upstream, get, portero, wait_until};

fn folder_with(config: &str) -> Folder {
    let folder = Folder::new();
    fs::write(folder.config(), config).unwrap();
    folder
}

#[track_caller]
fn refused(folder: &Folder, words: &str, says: &[&str]) {
    let ran = folder.command(words, "");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    for text in says {
        assert!(ran.stderr.contains(text), "'{text}' in: {}", ran.stderr);
    }
}

#[test]
fn every_error_is_said_in_one_run_with_its_place() {
    let folder = folder_with(
        "[server]\nlisten = [\"nowhere\"]\n[realms.x]\ndialekt = \"sws\"\n[[routes]]\nname = \"r\"\nupstrem = \"u\"\n",
    );
    for command in ["check", "run"] {
        refused(
            &folder,
            command,
            &[
                "gateway.toml:2:",
                "server.listen",
                "gateway.toml:4:1: realms.x.dialekt: unknown key; did you mean 'dialect'?",
                "gateway.toml:7:1: routes[0].upstrem: unknown key; did you mean 'upstream'?",
            ],
        );
    }
    assert_eq!(folder.names(), ["gateway.toml"], "nothing was made");
    let shipped =
        portero(&["check", "--file-only", "--config", concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.toml")], "");
    assert_eq!(shipped.code, 0, "{}", shipped.stderr);
}

#[test]
fn what_is_missing_taken_or_unreadable_is_named() {
    let upstream = Upstream::start();
    let missing = Folder::new();
    refused(&missing, "run", &["gateway.toml", "cannot be read"]);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    Config::standard(upstream.address).server(&format!("listen = [\"{address}\"]")).write_to(&folder);
    refused(&folder, "run", &[&address, "server.listen", "in use"]);
    assert_eq!(folder.names(), ["gateway.toml"], "nothing was made");

    let folder = Folder::new();
    Config::standard(upstream.address).write_to(&folder);
    for (name, text) in [("portero.db", "this is no database, whatever its name says"), ("master.key", &"0".repeat(64))]
    {
        fs::write(folder.file(name), text).unwrap();
        fs::set_permissions(folder.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    refused(&folder, "run", &["portero.db", "no SQLite database"]);

    let folder = Folder::new();
    Config::standard(upstream.address)
        .replace("[tokens]", "[store]\nurl = \"sqlite:away/x.db\"\n[tokens]")
        .write_to(&folder);
    refused(&folder, "run", &["away/x.db"]);
    assert_eq!(folder.names(), ["gateway.toml"], "nothing was made");

    let folder = Folder::new();
    let toml = Config::standard(upstream.address).toml();
    fs::write(folder.config(), toml.replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{address}\""))).unwrap();
    refused(&folder, "run", &[&address, "admin.listen", "in use"]);
    assert_eq!(folder.names(), ["gateway.toml"], "nothing was made");
}

#[test]
fn a_store_opens_only_under_its_own_master_key() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let folder = config.with_accounts();
    let key = fs::read_to_string(folder.file("master.key")).unwrap();
    fs::remove_file(folder.file("master.key")).unwrap();
    refused(&folder, "run", &["master.key", "missing"]);
    refused(&folder, "user list --realm sws", &["master.key", "missing"]);
    fs::write(folder.file("master.key"), "0".repeat(64)).unwrap();
    fs::set_permissions(folder.file("master.key"), fs::Permissions::from_mode(0o600)).unwrap();
    refused(&folder, "run", &["master.key", "fingerprint"]);
    fs::set_permissions(folder.file("master.key"), fs::Permissions::from_mode(0o644)).unwrap();
    refused(&folder, "run", &["master.key", "chmod 600"]);
    fs::write(folder.file("master.key"), key).unwrap();
    fs::set_permissions(folder.file("master.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let gateway = Gateway::run(folder);
    assert_eq!(gateway.status("/sws", &gateway.login(Contract::Sws)), 200);
}

#[test]
fn a_reload_takes_a_good_file_whole_and_keeps_the_old_one_for_a_bad_one() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = config.start();
    let token = gateway.login(Contract::Sws);
    assert_eq!(gateway.send(&get("/new")).status, 404);
    config.clone().route("new", "/new", "auth = \"public\"").write_to(&gateway.folder);
    gateway.process.signal("HUP");
    wait_until("the new route is there", PATIENCE, || gateway.send(&get("/new")).status == 200);
    assert_eq!(gateway.status("/sws", &token), 200);

    config.clone().text("[[routes]]\nname = \"broken\"\n").write_to(&gateway.folder);
    gateway.process.signal("HUP");
    let event = gateway.process.event("the config was not taken over; the present one stays in force");
    assert!(event["problem"].as_str().unwrap().contains("gateway.toml:"), "{event}");
    assert_eq!(gateway.send(&get("/new")).status, 200);
    for outcome in ["success", "failure"] {
        let counted = format!("portero_config_reload_total{{outcome=\"{outcome}\"}} 1");
        wait_until(&counted, PATIENCE, || gateway.ask("/metrics").text().contains(&counted));
    }
}

#[test]
fn a_reload_may_add_a_realm_and_change_how_tokens_are_read() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = config.start();
    let token = gateway.login(Contract::Maxpoint);
    assert_eq!(gateway.status("/maxpoint", &token), 200);
    let with_realm = "[realms.second]\ndialect = \"become\"\n[[routes]]\nname = \"s\"\npath = \"/s\"\nupstream = \"service\"\naccept = [\"second\"]\n";
    let changed = config.text(with_realm).toml().replace("https://portero.test", "https://other.test");
    fs::write(gateway.folder.config(), changed).unwrap();
    gateway.process.signal("HUP");
    gateway.wait_until_refused("the issuer changed", "/maxpoint", &token);
    assert_eq!(gateway.status("/maxpoint", &gateway.login(Contract::Maxpoint)), 200);
    assert_eq!(gateway.send(&get("/s")).json()["msg"], "Missing Authorization Header");
}

#[test]
fn keys_change_with_a_config_that_was_taken_over_and_with_no_other() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = config.start();
    let algorithm = |token: &str| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
    };
    let old = gateway.login(Contract::Become);
    let changed = config.toml().replace("dialect = \"become\"", "dialect = \"become\"\nalgorithm = \"EdDSA\"");
    fs::write(gateway.folder.config(), &changed).unwrap();
    gateway.command("session list --realm become --name demo_client_123", "").succeeded();
    assert!(algorithm(&gateway.login(Contract::Become)).contains("HS256"), "a command makes no keys");

    let unreachable = changed.replace(&format!("\"{}\"", upstream.address), "\"nowhere.invalid:80\"");
    fs::write(gateway.folder.config(), unreachable).unwrap();
    gateway.process.signal("HUP");
    gateway.process.event("the config was not taken over; the present one stays in force");
    assert!(algorithm(&gateway.login(Contract::Become)).contains("HS256"), "a failed reload changes nothing");

    fs::write(gateway.folder.config(), changed).unwrap();
    gateway.process.signal("HUP");
    let published = gateway.process.event("a key of another algorithm is published, and signs later");
    assert_eq!((&published["realm"], &published["algorithm"]), (&"become".into(), &"EdDSA".into()));
    gateway.process.event("the config was taken over");
    assert!(
        algorithm(&gateway.login(Contract::Become)).contains("HS256"),
        "those who have our keys must hear of it first"
    );
    gateway.command("key rotate --realm become --now", "").succeeded();
    wait_until("the new algorithm", PATIENCE, || algorithm(&gateway.login(Contract::Become)).contains("EdDSA"));
    assert_eq!(gateway.status("/become", &old), 200, "the old key verifies on");
    assert_eq!(gateway.status("/become", &gateway.login(Contract::Become)), 200);
}
