//! Where the store is, and how a server is reached.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::read;
use crate::{
    config::{GatewaySettings, Origin, Report, parse_part, reader::Scope},
    decision::{StaleAction, StalenessSettings},
    domain::Secret,
    state::store::{Address, Encryption, PostgresSettings, StoreSettings},
};

/// Reads `text` in `directory`, with a password in the environment.
fn read_in(directory: &Path, text: &str, password: &str) -> Result<GatewaySettings, Report> {
    let env = |name: &str| (name == "PORTERO_STORE_PASSWORD").then(|| password.to_owned());
    parse_part(text, &Origin { file: "t", directory }, &env, Scope::Host)
}

/// What `[store]` says of a server.
fn server(settings: GatewaySettings) -> PostgresSettings {
    match settings.store {
        StoreSettings::Postgres(server) => *server,
        StoreSettings::Sqlite(file) => panic!("it is a file: {}", file.display()),
    }
}

/// A server with `more` beside its url.
fn on(url: &str, more: &str) -> PostgresSettings {
    server(read(&format!("[store]\nurl = \"{url}\"\n{more}")).map_err(|report| report.to_string()).unwrap())
}

fn address(host: &str, port: u16) -> Address {
    Address { host: host.into(), port, user: "portero".into(), database: "gateway".into() }
}

#[test]
fn a_url_names_a_server() {
    for (url, expected) in [
        ("postgres://portero@db.internal/gateway", address("db.internal", 5432)),
        ("postgresql://portero@db.internal:6432/gateway", address("db.internal", 6432)),
        ("postgres://portero@10.0.0.7:5433/gateway", address("10.0.0.7", 5433)),
        ("postgres://portero@[::1]:5433/gateway", address("::1", 5433)),
        ("postgres://portero@/gateway?host=/run/postgresql", address("/run/postgresql", 5432)),
    ] {
        let settings = on(url, "");
        assert_eq!((&settings.address, &settings.direct), (&expected, &expected), "{url}");
        assert_eq!((settings.password, settings.ca), (None, None), "{url}");
        assert_eq!((settings.connections_max, settings.migrates), (8, false), "{url}");
    }
    let direct = on("postgres://portero@pooler:6432/gateway", "direct_url = \"postgres://portero@db/gateway\"");
    assert_eq!((direct.address, direct.direct), (address("pooler", 6432), address("db", 5432)));
    let more = on("postgres://portero@db/gateway", "connections = 20\nmigrate = \"auto\"");
    assert_eq!((more.connections_max, more.migrates), (20, true));
}

#[test]
fn a_file_beside_the_config_is_the_store_unless_the_url_says_otherwise() {
    for (text, file) in [
        ("", "/etc/portero/portero.db"),
        ("store.url = \"sqlite:other.db\"", "/etc/portero/other.db"),
        ("store.url = \"sqlite://other.db\"", "/etc/portero/other.db"),
        ("store.url = \"sqlite:/var/lib/portero.db\"", "/var/lib/portero.db"),
    ] {
        let settings = read(text).unwrap();
        assert_eq!(settings.store, StoreSettings::Sqlite(file.into()), "{text}");
        assert_eq!(settings.staleness.max, None, "a file never ages");
    }
}

#[test]
fn what_leaves_the_machine_is_encrypted_unless_somebody_says_otherwise() {
    let encryption = |host: &str, more: &str| on(&format!("postgres://u@{host}/db"), more).encryption;
    for host in ["localhost", "127.0.0.1", "127.9.9.9:5433", "[::1]"] {
        assert_eq!(encryption(host, ""), Encryption::Off, "{host}");
        assert_eq!(encryption(host, "tls = \"verify-full\""), Encryption::VerifyFull, "{host}");
        let direct = "direct_url = \"postgres://u@db.internal/db\"";
        assert_eq!(encryption(host, direct), Encryption::VerifyFull, "{host}, but not both");
    }
    assert_eq!(on("postgres://u@/db?host=/run/postgresql", "").encryption, Encryption::Off);
    for host in ["db.internal", "10.0.0.7", "localhost.example.com", "[2001:db8::1]"] {
        assert_eq!(encryption(host, ""), Encryption::VerifyFull, "{host}");
        assert_eq!(encryption(host, "tls = \"off\""), Encryption::Off, "{host}");
    }
    let warnings = |host: &str, more: &str| {
        let warnings = read(&format!("[store]\nurl = \"postgres://u@{host}/db\"\n{more}")).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let off = "store.tls: is off: passwords' hashes and sealed keys cross the network in the clear";
    let said = warnings("db.internal", "tls = \"off\"");
    assert!(said.contains(off), "{said}");
    for quiet in [("localhost", "tls = \"off\""), ("localhost", ""), ("db.internal", "")] {
        let said = warnings(quiet.0, quiet.1);
        assert!(!said.contains("store.tls"), "{said}");
    }
}

#[test]
fn a_password_comes_from_a_file_or_else_from_the_environment() {
    let folder = crate::memory::new_folder();
    let file = folder.path().join("password");
    fs::write(&file, "of the file \r\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let password = |text: &str, env: &str| server(read_in(folder.path(), text, env).unwrap()).password;
    let url = "store.url = \"postgres://u@localhost/db\"\n";
    let with_file = format!("{url}store.password_file = \"password\"");
    assert_eq!(password(url, "of the environment"), Some(Secret::new("of the environment".into())));
    assert_eq!(password(url, ""), None);
    for env in ["", "of the environment"] {
        assert_eq!(password(&with_file, env), Some(Secret::new("of the file ".into())), "its line's end is cut off");
    }
    fs::write(&file, [0xff]).unwrap();
    let refused = read_in(folder.path(), &with_file, "").unwrap_err().to_string();
    assert_eq!(refused.trim_end(), "t:2:23: store.password_file: must be text");
    // A file has no use for it.
    let sqlite = read_in(folder.path(), "", "of the environment").unwrap();
    assert_eq!(sqlite.store, StoreSettings::Sqlite(folder.path().join("portero.db")));
}

#[test]
fn a_password_is_never_shown() {
    let folder = crate::memory::new_folder();
    let settings = read_in(folder.path(), "store.url = \"postgres://u@db:6432/name\"", "hunter2").unwrap();
    assert_eq!(settings.store.place(), "postgres://u@db:6432/name");
    let shown = format!("{:?}", settings.store);
    assert!(shown.contains("postgres://u@db:6432/name") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_shared_store_ages_and_a_file_does_not() {
    let staleness = |more: &str| {
        let settings = read(&format!("[store]\nurl = \"postgres://u@h/db\"\n{more}")).unwrap();
        (settings.staleness.max, settings.staleness.action)
    };
    assert_eq!(staleness(""), (Some(StalenessSettings::MAX), StaleAction::Refuse));
    let hour = std::time::Duration::from_hours(1);
    assert_eq!(staleness("max_staleness = \"1h\"\nstale = \"serve\""), (Some(hour), StaleAction::Serve));
}

#[test]
fn a_snapshot_is_of_a_shared_store_alone() {
    let snapshot =
        |store: &str| read(&format!("store.url = \"{store}\"\nstore.snapshot = \"kept\"")).map(|read| read.snapshot);
    assert_eq!(snapshot("postgres://u@h/db").unwrap(), Some("/etc/portero/kept".into()));
    let refused = snapshot("sqlite:portero.db").unwrap_err().to_string();
    assert!(refused.contains("store.snapshot: is for a PostgreSQL store"), "{refused}");
    assert_eq!(read("store.url = \"postgres://u@h/db\"").unwrap().snapshot, None);
}

#[test]
fn another_server_needs_a_restart_and_another_leeway_does_not() {
    let base = "tokens.issuer = \"https://g\"\nstore = { url = \"postgres://u@h/db\" }\n";
    let old = read(base).unwrap();
    let changed = |text: &str| old.restart_only_changes(&read(text).unwrap());
    assert_eq!(changed(&base.replace("@h", "@i")), ["store.url"]);
    assert_eq!(changed(&base.replace(" }", ", max_staleness = \"1h\" }")), ["store.max_staleness"]);
    assert_eq!(changed(&base.replace(" }", ", snapshot = \"s\" }")), ["store.snapshot"]);
    assert_eq!(changed(&format!("{base}tokens.leeway = \"7s\"\nrealms.apis.dialect = \"apis\"")), Vec::<&str>::new());
}

#[test]
fn gateways_on_a_server_may_share_their_throttles() {
    let store = "[store]\nurl = \"postgres://portero@127.0.0.1/gateway\"";
    let shared = |throttle: &str| read(&format!("{store}\n[throttle]\n{throttle}")).unwrap().throttle;
    assert!(!shared("").shared);
    assert!(shared("shared = true").shared && shared("name_tries = 4").name_tries == 4);
}
