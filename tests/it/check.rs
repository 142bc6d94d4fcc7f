//! `portero check` says what `portero run` would refuse, and nothing is taken over that is empty or half written.

use std::{
    fs::{self, File},
    io::Write,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use crate::support::{Config, Database, Folder, Gateway, PATIENCE, Process, Upstream, command, get, wait_until};

fn written(config: &Config) -> Folder {
    let folder = Folder::new();
    config.write_to(&folder);
    folder
}

fn mode(folder: &Folder, name: &str, mode: u32) {
    fs::set_permissions(folder.file(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// Asserts that a start and `check` refuse the config for the same reasons, that nothing was made, and that the file by
/// itself is good.
#[track_caller]
fn refused_alike(folder: &Folder, says: &[&str]) {
    let names = folder.names();
    let [run, check] = ["run", "check"].map(|words| folder.command(words, ""));
    for ran in [&run, &check] {
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        for text in says {
            assert!(ran.stderr.contains(text), "'{text}' in: {}", ran.stderr);
        }
    }
    assert_eq!(run.stderr, check.stderr, "the same words");
    assert_eq!(folder.names(), names, "nothing was made");
    folder.command("check --file-only", "").succeeded();
}

#[test]
fn what_a_start_lacks_is_said_at_once() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).text(
        "[store]\nurl = \"sqlite:away/portero.db\"\n[issuers.corp]\nissuer = \"https://corp.test\"\n\
         keys = [{ file = \"corp.pem\", algorithm = \"RS256\", id = \"1\" }, { file = \"secret\", algorithm = \"HS256\", id = \"2\" }]\n\
         [issuers.web]\nissuer = \"https://web.test\"\njwks_url = \"https://web.test/jwks.json\"\nca = \"none.pem\"\n",
    );
    let folder = written(&config);
    fs::write(folder.file("secret"), "0".repeat(32)).unwrap();
    mode(&folder, "secret", 0o644);
    fs::write(folder.file("admin.token"), "").unwrap();
    mode(&folder, "admin.token", 0o600);
    fs::write(folder.file("master.key"), "no key").unwrap();
    mode(&folder, "master.key", 0o640);
    refused_alike(
        &folder,
        &[
            "store.url: the store",
            "its folder does not exist: make it first",
            "issuers.corp.keys[0].file: ",
            "corp.pem: No such file",
            "issuers.corp.keys[1].file: ",
            "can be read by others (mode 644)",
            "issuers.web.ca: ",
            "store.master_key_file: master key file ",
            "can be read by others (mode 640)",
            "admin.token_file: admin token file ",
            "is empty",
        ],
    );
    let first = folder.command("check", "").stderr;
    assert!(first.starts_with(&folder.config()), "a place at the beginning of the first line too: {first}");
}

#[test]
fn a_store_that_others_can_read_ends_the_start() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    folder.command("check", "").succeeded();
    mode(&folder, "portero.db", 0o644);
    refused_alike(&folder, &["portero.db", "can be read or written by others (mode 644); run: chmod 600"]);
    mode(&folder, "portero.db", 0o600);
    fs::remove_file(folder.file("master.key")).unwrap();
    refused_alike(&folder, &["master.key is missing, but the store was made with one"]);
}

#[test]
fn a_journal_that_others_can_read_is_refused_each_time() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    fs::write(folder.file("portero.db-wal"), "").unwrap();
    mode(&folder, "portero.db-wal", 0o644);
    for _ in 0..2 {
        refused_alike(&folder, &["portero.db-wal", "can be read or written by others (mode 644)"]);
    }
    // Neither one that nobody uses is changed.
    mode(&folder, "portero.db-wal", 0o600);
    let names = folder.names();
    folder.command("check", "").succeeded();
    assert_eq!(folder.names(), names);
}

#[test]
fn a_pipe_is_no_file() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    let pipe = |name: &str| {
        let _ = fs::remove_file(folder.file(name));
        assert!(Command::new("mkfifo").args(["-m", "600"]).arg(folder.file(name)).status().unwrap().success());
    };
    for name in ["admin.token", "master.key", "portero.db-wal"] {
        let before = fs::read(folder.file(name)).ok();
        pipe(name);
        refused_alike(&folder, &[name, "it is no regular file"]);
        fs::remove_file(folder.file(name)).unwrap();
        if let Some(before) = before {
            fs::write(folder.file(name), before).unwrap();
            mode(&folder, name, 0o600);
        }
    }
    pipe("gateway.toml");
    for words in ["check", "check --file-only", "run", "key list"] {
        let ran = folder.command(words, "");
        assert!(ran.code == 2 && ran.stderr.contains("it is no regular file"), "{words}: {ran:?}");
    }
}

/// Changes a store that nobody has open.
fn change(folder: &Folder, statement: &'static str) {
    let mut database = Database::in_folder(folder);
    database.execute(statement);
    database.close();
}

#[test]
fn a_store_that_a_start_cannot_use_is_no_good_one_to_check() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    let before = folder.names();
    folder.command("check", "").succeeded();
    assert_eq!(folder.names(), before, "no journal is left");
    // The master key of another environment.
    let key = fs::read(folder.file("master.key")).unwrap();
    fs::write(folder.file("master.key"), "0".repeat(64)).unwrap();
    refused_alike(&folder, &["store.master_key_file: ", "master.key"]);
    fs::write(folder.file("master.key"), key).unwrap();
    folder.command("check", "").succeeded();
    // A schema of tomorrow.
    let later = "INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 0)";
    change(&folder, later);
    refused_alike(&folder, &["store.url: ", "schema version 9999, newer than this portero knows"]);
    // No SQLite, and a database that is somebody else's.
    fs::write(folder.file("portero.db"), "Lorem ipsum dolor sit amet. ".repeat(100)).unwrap();
    refused_alike(&folder, &["store.url: ", "it is no SQLite database"]);
    fs::remove_file(folder.file("portero.db")).unwrap();
    File::create(folder.file("portero.db")).unwrap();
    mode(&folder, "portero.db", 0o600);
    change(&folder, "CREATE TABLE theirs (a)");
    refused_alike(&folder, &["store.url: ", "it holds no store of Portero"]);
}

#[test]
fn what_of_a_store_only_its_opening_shows_is_seen_by_check_too() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start();
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    process.finish();
    folder.command("check", "").succeeded();
    let last = "WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    let damaged = "UPDATE keys SET sealed = randomblob(64) WHERE realm = 'sws'";
    for (statement, undo, says) in [
        (
            format!("UPDATE _sqlx_migrations SET success = 0 {last}"),
            format!("UPDATE _sqlx_migrations SET success = 1 {last}"),
            "store.url: ",
        ),
        (damaged.to_owned(), String::new(), "does not open under the master key"),
        (
            format!("UPDATE _sqlx_migrations SET checksum = x'00' {last}"),
            String::new(),
            "is not the one that this portero was built with",
        ),
    ] {
        let change = |statement: &str| {
            let mut database = Database::in_folder(&folder);
            database.execute(String::leak(statement.to_owned()));
            database.close();
        };
        change(&statement);
        refused_alike(&folder, &[says]);
        if !undo.is_empty() {
            change(&undo);
            folder.command("check", "").succeeded();
        }
    }
    // A link to a store that is away, on a disk that is not mounted, say.
    for name in ["portero.db", "master.key"] {
        fs::remove_file(folder.file(name)).unwrap();
    }
    std::os::unix::fs::symlink("/nowhere/portero.db", folder.file("portero.db")).unwrap();
    refused_alike(&folder, &["store.url: ", "is a link that leads to no file"]);
}

#[test]
fn a_store_is_looked_at_beside_a_gateway_and_after_a_crash() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start();
    let profile = gateway.folder.file("old.toml");
    fs::write(&profile, "unknown_accounts = true\noptional = [\"iss\", \"aud\"]\n").unwrap();
    let import = format!("key import --realm sws --algorithm HS256 --kid field --profile {}", profile.display());
    gateway.command(&import, "0123456789abcdef0123456789abcdef").succeeded();
    let ran = gateway.command("check", "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("takes tokens of unknown accounts"), "{ran:?}");
    let Gateway { process, folder, .. } = gateway;
    process.signal("KILL");
    process.finish();
    let names = folder.names();
    let ran = folder.command("check", "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("takes tokens of unknown accounts"), "what is in the journal counts: {ran:?}");
    assert_eq!(folder.names(), names, "the journal is as it was");
    assert!(!folder.command("check --file-only", "").stdout.contains("unknown accounts"));
}

#[test]
fn warnings_are_said_beside_problems() {
    let upstream = Upstream::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = written(&Config::standard(upstream.address).server(&format!("listen = [\"{address}\"]")));
    fs::write(folder.file("master.key"), "no key").unwrap();
    mode(&folder, "master.key", 0o600);
    let ran = folder.command("check", "");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    let (problem, warning) = (ran.stderr.find("master.key").unwrap(), ran.stderr.find("\nwarning: ").unwrap());
    assert!(problem < warning && ran.stderr[warning..].contains("is in use"), "{}", ran.stderr);
}

#[test]
fn a_gateway_does_not_forward_to_itself() {
    // The address by which this machine would go to a network for documentation (RFC 5737), where it has one.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    let own = own.map_or_else(|_| "127.0.0.1".to_owned(), |address| address.ip().to_string());
    let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let config = Config::new()
        .server(&format!("listen = [\"0.0.0.0:{port}\"]"))
        .text(&format!("[upstreams.service]\nservers = [\"{own}:{port}\"]"))
        .route("loop", "/loop", "auth = \"public\"");
    let folder = written(&config);
    let is_own = format!("upstreams.service.servers[0]: '{own}:{port}' is where this gateway listens");
    for words in ["check", "run"] {
        let ran = folder.command(words, "");
        assert!(ran.code == 2 && ran.stderr.contains(&is_own), "{ran:?}");
    }
    assert_eq!(folder.names(), ["gateway.toml"]);
}

#[test]
fn a_reload_does_not_lead_to_a_listener_that_the_file_no_longer_names() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = config.start_bare();
    // Port 0 in the file: only the process knows where it listens.
    let looping =
        config.upstream("itself", &[gateway.front]).route("loop", "/loop", "upstream = \"itself\"\nauth = \"public\"");
    looping.write_to(&gateway.folder);
    let ran = gateway.asked("reload");
    assert!(ran.code == 1 && ran.stderr.contains("is where this gateway listens"), "{ran:?}");
    assert_eq!(gateway.send(&get("/loop")).status, 404);
}

#[test]
fn a_port_in_use_is_a_warning_since_a_gateway_may_run() {
    let upstream = Upstream::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = written(&Config::standard(upstream.address).server(&format!("listen = [\"{address}\"]")));
    let ran = folder.command("check", "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(&format!("server.listen[0]: '{address}' is in use")), "{ran:?}");
    assert!(!folder.command("check --file-only", "").stdout.contains("in use"));
    // An address of a link needs to say which (RFC 4007): nothing can be bound there, whatever the machine has or
    // allows.
    let folder = written(&Config::standard(upstream.address).server("listen = [\"[fe80::1]:8080\"]"));
    let ran = folder.command("check", "");
    assert!(ran.code == 2 && ran.stderr.contains("server.listen[0]: cannot listen on [fe80::1]:8080"), "{ran:?}");
    folder.command("check --file-only", "").succeeded();
}

#[test]
fn programs_read_what_check_found() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address)
        .route("wide", "/panel", "auth = \"public\"")
        .route("narrow", "/panel/secret", "exact = true\naccept = [\"sws\"]")
        .route("trial", "/trial", "mode = \"shadow\"\naccept = [\"sws\"]");
    let folder = written(&config);
    let good = folder.command("check --output json", "").json();
    assert_eq!((&good["good"], &good["problems"], &good["routes"]), (&true.into(), &serde_json::json!([]), &9.into()));
    assert_eq!(good["shadow_routes"], serde_json::json!(["trial"]));
    let warning = &good["warnings"][0];
    assert!(warning["line"].is_u64() && warning["column"].is_u64(), "{warning}");
    assert!(warning["message"].as_str().unwrap().contains("'/panel/secret/' is another path"), "{warning}");
    let text = folder.command("check", "").stdout;
    assert!(text.contains("gateway.toml is good") && text.contains("\nwarning: "), "{text}");

    fs::write(folder.config(), "[[routes]]\nname = \"a\"\npath = \"/a/*\"\n").unwrap();
    let ran = folder.command("check --output json", "");
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    let bad: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&bad["good"], &bad["routes"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(
        (&bad["problems"][2]["line"], &bad["problems"][2]["key"]),
        (&3.into(), &"routes[0].path".into()),
        "{bad}"
    );

    // Those who start it hear of it too.
    config.write_to(&folder);
    let gateway = Gateway::run(folder);
    let event = gateway.process.event("the config has a warning");
    assert!(event["warning"].as_str().unwrap().contains("is another path"), "{event}");
}

#[test]
fn a_missing_file_names_how_to_name_one() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    let ran = Process::spawn(command(&["check"]).current_dir("/"), "").finish();
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("gateway.toml: cannot be read: "), "{ran:?}");
    assert!(ran.stderr.contains("name the config file with --config or PORTERO_CONFIG"), "{ran:?}");
    for arguments in [&["check"][..], &["user", "list", "--realm", "sws"], &["explain", "--offline", "GET", "/auth"]] {
        let mut command = command(arguments);
        let ran = Process::spawn(command.current_dir("/").env("PORTERO_CONFIG", folder.config()), "").finish();
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    }
    // The argument comes before the environment, and an empty variable counts as unset.
    for (named, code) in [("/nowhere/gateway.toml", 0), ("", 0)] {
        let mut command = command(&["check", "--config", &folder.config()]);
        let ran = Process::spawn(command.current_dir("/").env("PORTERO_CONFIG", named), "").finish();
        assert_eq!(ran.code, code, "{ran:?}");
    }
    let ran = Process::spawn(command(&["check"]).current_dir("/").env("PORTERO_CONFIG", ""), "").finish();
    assert!(ran.stderr.starts_with("gateway.toml: "), "{ran:?}");
}

#[test]
fn an_empty_file_is_never_taken_over() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start_bare();
    for (failures, text) in [(1, ""), (2, "[server]\nthreads = 1\n")] {
        fs::write(gateway.folder.config(), text).unwrap();
        gateway.process.signal("HUP");
        let refused = format!("portero_config_reload_total{{outcome=\"failure\"}} {failures}");
        wait_until(&refused, PATIENCE, || gateway.ask("/metrics").text().contains(&refused));
        assert_eq!(gateway.send(&get("/public")).status, 200);
        for words in ["check", "check --file-only", "run"] {
            let ran = gateway.command(words, "");
            assert!(ran.code == 2 && ran.stderr.contains("it serves nothing"), "{words}: {ran:?}");
        }
    }
    let event = gateway.process.event("the config was not taken over; the present one stays in force");
    let problem = event["problem"].as_str().unwrap();
    assert!(problem.ends_with("it serves nothing: add [[routes]], [[token_endpoints]] or [oauth]"), "{event}");
}

#[test]
fn a_file_that_is_half_written_is_never_taken_over() {
    let upstream = Upstream::start();
    for watch in ["", "[reload]\nwatch = true\n"] {
        let config = Config::standard(upstream.address).text(watch);
        let gateway = config.start_bare();
        let changed = config.clone().route("new", "/new", "auth = \"public\"").toml();
        // All but the last routes: good in itself.
        let half = changed.find("[[routes]]\nname = \"public\"").unwrap();
        let mut file = File::create(gateway.folder.config()).unwrap();
        file.write_all(&changed.as_bytes()[..half]).unwrap();
        file.sync_all().unwrap();
        // The watcher of the file has heard of it.
        let heard = || wait_until("the watch rests", PATIENCE, || gateway.process.rests("notify-rs"));
        heard();
        gateway.process.signal("HUP");
        let event = gateway.process.event("the config was not taken over; the present one stays in force");
        assert!(event["problem"].as_str().unwrap().contains("is just being written"), "{event}");
        assert_eq!(gateway.send(&get("/public")).status, 200);
        file.write_all(&changed.as_bytes()[half..]).unwrap();
        drop(file);
        if watch.is_empty() {
            heard();
            gateway.process.signal("HUP");
        }
        wait_until("the whole file is taken over", PATIENCE, || gateway.send(&get("/new")).status == 200);
        assert_eq!(gateway.send(&get("/public")).status, 200);
    }
}
