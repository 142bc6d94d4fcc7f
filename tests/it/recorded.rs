//! Contracts that other projects have: held against what their own servers answered, and spoken by a gateway
//! (`tests/golden_variants`).

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::support::{Config, Upstream, get, portero, post};

const NAMES: [&str; 3] = ["drf-authtoken", "feathers-local", "simplejwt"];

fn folder(name: &str) -> PathBuf {
    fs::canonicalize("tests/golden_variants").unwrap().join(name)
}

/// What `contract test` says of the recordings in a folder of the contract's.
fn held(name: &str, recordings: &str) -> Value {
    let (contract, recordings) = (folder(name).join("contract.toml"), folder(name).join(recordings));
    let files = [contract.to_str().unwrap(), recordings.to_str().unwrap()];
    let ran = portero(&["contract", "test", files[0], files[1], "--output", "json"], "");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn every_folder_with_a_contract_is_looked_at() {
    let folders = fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|folder| folder.join("contract.toml").exists());
    let mut names: Vec<_> = folders.map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, NAMES);
}

#[test]
fn other_servers_answers_are_what_their_contracts_give() {
    for name in NAMES {
        let held = held(name, "");
        assert_eq!(held["differences"], serde_json::json!([]), "{name}");
        assert!(held["same"].as_u64().unwrap() >= 10, "{name}: {held}");
    }
}

/// A recording that is no longer different belongs one folder up.
#[test]
fn what_a_contract_cannot_express_is_different() {
    for name in NAMES {
        let held = held(name, "not-expressed");
        assert_eq!((&held["same"], &held["not_ours"]), (&0.into(), &0.into()), "{name}: {held}");
        assert!(held["different"].as_u64().unwrap() > 0, "{name}: {held}");
    }
}

/// What a client of each sends: the path of its login, the body, the member with the token, and the scheme.
const LOGINS: [(&str, &str, &str, &str); 3] = [
    ("drf-authtoken", r#"{"username":"ana","password":"PASSWORD"}"#, "token", "Token"),
    ("feathers-local", r#"{"strategy":"local","email":"ana","password":"PASSWORD"}"#, "accessToken", "Bearer"),
    ("simplejwt", r#"{"username":"ana","password":"PASSWORD"}"#, "access", "Bearer"),
];

#[test]
fn their_clients_log_in_and_call_a_route() {
    let upstream = Upstream::start();
    let config = NAMES.iter().fold(Config::standard(upstream.address), |config, name| {
        let file = folder(name).join("contract.toml");
        let realm = format!("[realms.{name}]\ndialect = \"{}\"\n", file.display());
        let endpoint = format!("[[token_endpoints]]\npath = \"/{name}/login/\"\nrealms = [\"{name}\"]\n");
        config.text(&(realm + &endpoint)).route(name, &format!("/{name}"), &format!("accept = [\"{name}\"]"))
    });
    let gateway = config.start();
    for (name, body, member, scheme) in LOGINS {
        gateway
            .command(&format!("user add --realm {name} --username ana --password-stdin"), "demo-2024-pw")
            .succeeded();
        let body = body.replace("PASSWORD", "demo-2024-pw");
        let login = post(&format!("/{name}/login/"), body).header("Content-Type", "application/json");
        let answer = gateway.send(&login).json();
        let token = answer[member].as_str().unwrap();
        let call = |value: &str| gateway.send(&get(&format!("/{name}/hello/")).header("Authorization", value)).status;
        assert_eq!(call(&format!("{scheme} {token}")), 200, "{name}: {answer}");
        assert_eq!(call(&format!("{scheme} nonsense")), 401, "{name}");
    }
}
