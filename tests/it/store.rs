//! The store's files: what is missing, replaced or hangs is noticed; what is made, and what is left at the end.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::support::{
    Config, Connection, Contract, Database, Folder, Gateway, PATIENCE, Ran, Request, Upstream, command, get, post,
    wait_until,
};

/// Commands that read, change or revoke: they work with a store, and make none.
const COMMANDS: [&str; 16] = [
    "session list --realm sws --name admin",
    "user list --realm sws",
    "user show --realm sws --username admin",
    "user disable --realm sws --username admin",
    "user set-role --realm sws --username admin --role X",
    "user rotate-secret --realm sws --username admin",
    "user delete --realm sws --username admin",
    "company list --realm become",
    "company disable --realm become --name c",
    "revoke session --id 00000000-0000-4000-8000-000000000000",
    "revoke principal --realm sws --name admin",
    "revoke token --jti x --realm sws",
    "key list",
    "key rotate --realm sws",
    "key revoke x",
    "key reseal",
];

/// A view that never ends in a table's place: who reads it hangs.
const HANG: &str = "ALTER TABLE revocations RENAME TO away; CREATE VIEW revocations AS \
     WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) \
     SELECT n AS seq, 'token' AS kind, x'00' AS subject, NULL AS epoch, NULL AS expires_at, 1 AS created_at \
     FROM number WHERE n < 0";
/// The same for the keys, which are read when their revision changes. Views of them are not to follow the name.
const HANG_KEYS: &str = "PRAGMA legacy_alter_table = ON; ALTER TABLE keys RENAME TO away; CREATE VIEW keys AS \
     WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) \
     SELECT away.* FROM number, away WHERE n < 0; \
     UPDATE meta SET value = CAST('999999' AS BLOB) WHERE name = 'keys_revision'";
const HEAL_KEYS: &str = "DROP VIEW keys; ALTER TABLE away RENAME TO keys";
const HEAL: &str = "DROP VIEW revocations; ALTER TABLE away RENAME TO revocations";

fn config() -> Config {
    Config::standard(std::net::SocketAddr::from(([127, 0, 0, 1], 9)))
}

/// A folder with a config and accounts, in which no process runs.
fn made() -> Folder {
    config().with_accounts()
}

#[track_caller]
fn in_trouble(ran: &Ran, what: &str, said: &[&str]) {
    assert_eq!(ran.code, 2, "{what}: {ran:?}");
    assert!(said.iter().all(|said| ran.stderr.contains(said)), "{what}: {}", ran.stderr);
}

fn not_ready(gateway: &Gateway) -> bool {
    gateway.ask("/health/ready").status == 503
}

fn lag(gateway: &Gateway) -> f64 {
    let metrics = gateway.ask("/metrics").text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("portero_revocation_lag_seconds "));
    line.unwrap().parse().unwrap()
}

/// A revocation over the admin API, whatever comes of it.
fn revoke(gateway: &Gateway, token: &str) -> u16 {
    let request: Request = post("/api/v1/revocations/token", json!({ "token": token }).to_string());
    let request = request.header("Host", "localhost").bearer(&gateway.admin_token());
    Connection::open(gateway.admin).send(&request).status
}

#[test]
fn a_store_that_is_gone_is_made_anew_by_no_command_and_by_no_start() {
    let folder = made();
    let (store, away) = (folder.file("portero.db"), folder.file("away"));
    for emptied in [false, true] {
        fs::rename(&store, &away).unwrap();
        if emptied {
            fs::write(&store, "").unwrap();
        }
        let names = folder.names();
        let said = if emptied { "it is empty" } else { "portero store init" };
        for words in COMMANDS.into_iter().chain(["run", "user add --realm sws --username new --generate"]) {
            in_trouble(&folder.command(words, "secret"), words, &["portero.db", said]);
            assert_eq!(folder.names(), names, "{words}");
        }
        // What is left of a store without its database is not another store's.
        if !emptied {
            fs::write(folder.file("portero.db-wal"), "left").unwrap();
            for words in ["run", "store init", "key list"] {
                in_trouble(&folder.command(words, ""), words, &["portero.db-wal is there without it"]);
            }
            fs::remove_file(folder.file("portero.db-wal")).unwrap();
        }
        fs::rename(&away, &store).unwrap();
    }
    folder.command("user show --realm sws --username admin", "").succeeded();
}

#[test]
fn nothing_but_a_first_step_makes_a_store_in_a_new_folder() {
    let folder = Folder::new();
    config().write_to(&folder);
    for words in COMMANDS {
        in_trouble(&folder.command(words, ""), words, &["is missing"]);
        assert_eq!(folder.names(), ["gateway.toml"], "{words}");
    }
    for words in [
        "user add --realm sws --username a --generate",
        "client add --realm maxpoint --id a --generate",
        "project add --realm toc --business b --proyecto p --generate",
        "company add --realm become --name c",
        "key import --realm sws --algorithm HS256",
    ] {
        let folder = Folder::new();
        config().write_to(&folder);
        let ran = folder.command(words, "0123456789abcdef0123456789abcdef");
        ran.succeeded();
        assert!(ran.stderr.contains("a new store was made"), "{words}: {}", ran.stderr);
        assert_eq!(folder.names(), ["gateway.toml", "master.key", "portero.db"], "{words}");
    }
}

#[test]
fn init_makes_a_store_once_keeps_a_good_one_and_takes_a_master_key_that_is_given() {
    let folder = made();
    let before = fs::read(folder.file("portero.db")).unwrap();
    let ran = folder.command("store init --output json", "");
    assert_eq!(ran.json()["made"], false);
    assert_eq!(fs::read(folder.file("portero.db")).unwrap(), before, "nothing was changed");
    let key = fs::read(folder.file("master.key")).unwrap();
    // A store without its key is not called good.
    fs::rename(folder.file("master.key"), folder.file("key")).unwrap();
    in_trouble(&folder.command("store init", ""), "without its key", &["master key file"]);
    fs::rename(folder.file("key"), folder.file("master.key")).unwrap();

    fs::remove_file(folder.file("portero.db")).unwrap();
    let ran = folder.command("store init", "");
    ran.succeeded();
    assert!(ran.stdout.contains("every token that was given out before is void"), "{}", ran.stdout);
    assert_eq!(fs::read(folder.file("master.key")).unwrap(), key, "the key that was given stays");
    assert_eq!(fs::metadata(folder.file("portero.db")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(folder.command("user list --realm sws --output json", "").json(), json!([]));
    let gateway = Gateway::run(folder);
    assert_eq!(gateway.stop().code, 0);
}

#[test]
fn a_store_that_others_can_read_ends_the_start() {
    let folder = made();
    fs::set_permissions(folder.file("portero.db"), fs::Permissions::from_mode(0o640)).unwrap();
    for words in ["run", "user list --realm sws"] {
        in_trouble(&folder.command(words, ""), words, &["portero.db", "mode 640", "chmod 600"]);
    }
}

#[test]
fn a_store_that_is_replaced_while_it_is_open_takes_nothing_into_the_void() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let (store, away) = (gateway.folder.file("portero.db"), gateway.folder.file("away"));
    let copy = gateway.folder.file("copy");
    let refused = |gateway: &Gateway| {
        // At once, not only when the watch has seen it: nothing that goes into the void is acknowledged.
        for _ in 0..5 {
            assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).status, 503);
            assert_eq!(revoke(gateway, &token), 503);
        }
        wait_until("it is not ready", PATIENCE, || not_ready(gateway));
        assert_eq!(gateway.status("/sws", &token), 200, "what is checked goes on");
    };
    // Deleted, or a mount that went away.
    fs::rename(&store, &away).unwrap();
    refused(&gateway);
    // The same file again.
    fs::rename(&away, &store).unwrap();
    wait_until("it is ready", PATIENCE, || gateway.ask("/health/ready").status == 200);
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).status, 200);
    fs::rename(&store, &away).unwrap();
    refused(&gateway);
    let event = gateway.process.event("the store cannot be followed; what is in force stays in force");
    assert!(event["error"].as_str().unwrap().contains("gone"), "{event}");
    wait_until("the lag grows", PATIENCE, || lag(&gateway) > 0.2);
    // A copy, a backup, an empty store: it is not taken over.
    let other = made();
    fs::copy(other.file("portero.db"), &store).unwrap();
    fs::copy(&store, &copy).unwrap();
    refused(&gateway);
    wait_until("it is said", PATIENCE, || gateway.ask("/health/ready").text().contains("another file"));
    assert_eq!(fs::read(&store).unwrap(), fs::read(&copy).unwrap(), "nothing was written into it");
    // The right file is back, but who used the other one may have used the journal too: it is read anew by a restart.
    fs::rename(&away, &store).unwrap();
    refused(&gateway);
    let names = gateway.folder.names();
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    process.finish();
    assert_eq!(folder.names(), names, "nothing is deleted");
    let gateway = Gateway::run(folder);
    let mine = gateway.login(Contract::Sws);
    assert_eq!((revoke(&gateway, &mine), gateway.status("/sws", &mine)), (200, 401));
    gateway.command("revoke principal --realm sws --name admin", "").succeeded();
    gateway.wait_until_refused("it is revoked", "/sws", &token);
}

#[test]
fn a_command_does_not_share_the_journal_of_another_database() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    assert_eq!(revoke(&gateway, &token), 200);
    let away = gateway.folder.file("away");
    for name in ["portero.db-shm", "portero.db"] {
        let file = gateway.folder.file(name);
        fs::rename(&file, &away).unwrap();
        if name == "portero.db" {
            fs::copy(&away, &file).unwrap();
        }
        for words in ["key list", "revoke principal --realm sws --name admin", "check"] {
            in_trouble(&gateway.command(words, ""), words, &["another process has a part of it open"]);
        }
        fs::rename(&away, &file).unwrap();
    }
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    process.finish();
    let gateway = Gateway::run(folder);
    assert_eq!(gateway.status("/sws", &token), 401, "what was acknowledged holds");
    assert_eq!(gateway.status("/sws", &gateway.login(Contract::Sws)), 200);
    assert_eq!(gateway.stop().code, 0);
}

#[test]
fn a_journal_that_is_emptied_takes_nothing_into_the_void() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    File::options().write(true).open(gateway.folder.file("portero.db-wal")).unwrap().set_len(0).unwrap();
    assert_ne!(revoke(&gateway, &token), 200);
    assert_ne!(gateway.command("revoke principal --realm sws --name admin", "").code, 0);
    wait_until("it is not ready", PATIENCE, || not_ready(&gateway));
    let before = fs::read(gateway.folder.file("portero.db")).unwrap();
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    process.finish();
    assert_eq!(fs::read(folder.file("portero.db")).unwrap(), before, "it is whole up to its last checkpoint");
    assert_eq!(Gateway::run(folder).stop().code, 0);
}

#[test]
fn a_journal_that_is_deleted_is_noticed_too() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let (journal, away) = (gateway.folder.file("portero.db-wal"), gateway.folder.file("away"));
    fs::rename(&journal, &away).unwrap();
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).status, 503);
    fs::rename(&away, &journal).unwrap();
    wait_until("it is ready", PATIENCE, || gateway.ask("/health/ready").status == 200);
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).status, 200);
}

#[test]
fn a_store_that_hangs_is_said_refused_and_followed_again_and_does_not_hold_up_the_end() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let mut other = Database::of(&gateway);
    // SQLite works for ever on the store sync's next question.
    other.script(HANG);
    wait_until("the lag grows", PATIENCE, || lag(&gateway) > 1.0);
    wait_until("it is not ready", PATIENCE, || not_ready(&gateway));
    assert!(gateway.ask("/health/ready").text().contains("does not answer"));
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).status, 503);
    assert_eq!(revoke(&gateway, &token), 503);
    assert_eq!(gateway.status("/sws", &token), 200);
    // The connection that hangs does so still: another one sees what others do.
    other.script(HEAL);
    wait_until("it is ready", PATIENCE, || gateway.ask("/health/ready").status == 200);
    gateway.command("revoke principal --realm sws --name admin", "").succeeded();
    gateway.wait_until_refused("it is revoked", "/sws", &token);
    let ran = gateway.stop();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn keys_that_cannot_be_read_hold_up_nothing_else() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let mut other = Database::of(&gateway);
    other.script(HANG_KEYS);
    wait_until("the lag grows", PATIENCE, || lag(&gateway) > 1.0);
    wait_until("it is not ready", PATIENCE, || not_ready(&gateway));
    assert!(gateway.ask("/health/ready").text().contains("does not answer"));
    assert_eq!(gateway.status("/sws", &token), 200);
    other.script(HEAL_KEYS);
    wait_until("it is ready", PATIENCE, || gateway.ask("/health/ready").status == 200);
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).status, 200);
    // New keys are read again, and whose they are is known to verifiers.
    let kid = gateway.command("key rotate --realm sws --now --output json", "");
    kid.succeeded();
    gateway.command("revoke principal --realm sws --name admin", "").succeeded();
    gateway.wait_until_refused("it is revoked", "/sws", &token);
    assert_eq!(gateway.stop().code, 0);
}

#[test]
fn a_command_gives_up_a_store_that_hangs() {
    let folder = made();
    let mut other = Database::at(&folder.file("portero.db"));
    other.script(
        "ALTER TABLE sessions RENAME TO away; CREATE VIEW sessions AS \
         WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) \
         SELECT CAST(n AS BLOB) AS id, '' AS realm, x'00' AS principal, 0 AS created_at, 0 AS expires_at FROM number WHERE n < 0",
    );
    let words = "revoke session --id 00000000-0000-4000-8000-000000000000";
    in_trouble(&folder.command(words, ""), words, &["does not answer"]);
    other.script("DROP VIEW sessions; ALTER TABLE away RENAME TO sessions");
    // So does a lock that nobody gives back.
    other.script("BEGIN EXCLUSIVE");
    in_trouble(&folder.command("user disable --realm sws --username admin", ""), "locked", &["lock"]);
}

#[test]
fn sigterm_ends_a_gateway_whose_log_nobody_reads() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    let mut process = command(&["run", "--config", &folder.config()]);
    let mut child = process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let front = loop {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it never listened");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "listening" {
            break event["listen"].as_str().unwrap().parse().unwrap();
        }
    };
    // More than a pipe holds.
    let path = format!("/public/{}", "x".repeat(2_000));
    let mut connection = Connection::open(front);
    for _ in 0..100 {
        assert_eq!(connection.send(&get(&path)).status, 200);
    }
    drop(connection);
    assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
    wait_until("it ends", PATIENCE, || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(out);
    let names = folder.names();
    assert!(!names.iter().any(|name| name.ends_with("-wal")), "{names:?}");
}

#[test]
fn after_sigterm_the_store_is_one_whole_file() {
    let (gateway, upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let kept = gateway.login(Contract::Become);
    assert_eq!(revoke(&gateway, &token), 200);
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    process.finish().succeeded();
    assert_eq!(folder.names().iter().filter(|name| name.starts_with("portero.db")).collect::<Vec<_>>(), ["portero.db"]);
    assert_eq!(Database::at(&folder.file("portero.db")).text("PRAGMA integrity_check"), "ok");
    // A copy of it knows what was acknowledged.
    let copy = Folder::new();
    for name in ["portero.db", "master.key", "gateway.toml"] {
        fs::copy(folder.file(name), copy.file(name)).unwrap();
    }
    drop(upstream);
    let gateway = Gateway::run(copy);
    assert_eq!(gateway.status("/sws", &token), 401);
    assert_ne!(gateway.status("/become", &kept), 401);
}

#[test]
fn a_backup_is_made_beside_a_gateway_and_restored_where_nothing_is() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    assert_eq!(revoke(&gateway, &token), 200);
    let kept = gateway.login(Contract::Become);
    let file = gateway.folder.file("backup.db");
    let backup = format!("backup {}", file.display());
    let ran = gateway.command(&backup, "");
    ran.succeeded();
    assert!(ran.stdout.contains("master.key") && ran.stdout.contains("checked"), "{}", ran.stdout);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Database::at(&file).text("PRAGMA integrity_check"), "ok");
    let again = gateway.command(&backup, "");
    assert!(again.code == 1 && again.stderr.contains("nothing is overwritten"), "{again:?}");
    assert!(!gateway.folder.names().iter().any(|name| name.contains(".new")), "{:?}", gateway.folder.names());

    // Never over a store, and only a store of ours.
    let restore = format!("restore {}", file.display());
    let over = gateway.command(&restore, "");
    assert!(over.code == 1 && over.stderr.contains("nothing is overwritten"), "{over:?}");
    let new = Folder::new();
    fs::copy(gateway.folder.config(), new.config()).unwrap();
    fs::write(new.file("other"), "no database").unwrap();
    fs::write(new.file("cut"), &fs::read(&file).unwrap()[..20_000]).unwrap();
    for other in ["other", "cut", "missing"] {
        let ran = new.command(&format!("restore {}", new.file(other).display()), "");
        assert!(ran.code != 0 && ran.stderr.contains(other), "{other}: {ran:?}");
    }
    fs::write(new.file("master.key"), "0".repeat(64)).unwrap();
    fs::set_permissions(new.file("master.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let ran = new.command(&restore, "");
    assert!(ran.code == 1 && ran.stderr.contains("another master key"), "{ran:?}");
    assert_eq!(new.names(), ["cut", "gateway.toml", "master.key", "other"], "nothing was changed");
    fs::remove_file(new.file("master.key")).unwrap();
    let ran = new.command(&restore, "");
    ran.succeeded();
    assert!(ran.stdout.contains("its master key is to be put there"), "{}", ran.stdout);
    fs::copy(gateway.folder.file("master.key"), new.file("master.key")).unwrap();
    let restored = Gateway::run(new);
    assert_eq!((restored.status("/sws", &token), restored.status("/become", &kept)), (401, 200));
}

#[test]
fn what_is_revoked_again_after_a_restore_ends_the_tokens_of_before() {
    let (gateway, upstream) = Gateway::with_upstream();
    let file = gateway.folder.file("backup.db");
    gateway.command(&format!("backup {}", file.display()), "").succeeded();
    // Two raised epochs that the backup does not know.
    for _ in 0..2 {
        gateway.command("revoke principal --realm sws --name admin", "").succeeded();
    }
    let token = gateway.login(Contract::Sws);
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    process.finish().succeeded();
    for again in [false, true] {
        fs::remove_file(folder.file("portero.db")).unwrap();
        let restored = folder.command(&format!("restore {}", file.display()), "");
        restored.succeeded();
        assert!(restored.stdout.contains("revoke the key of its realm"), "{}", restored.stdout);
        let revoked = if again { "user disable --realm sws --username" } else { "revoke principal --realm sws --name" };
        folder.command(&format!("{revoked} admin"), "").succeeded();
    }
    let gateway = Gateway::run(folder);
    assert_eq!(gateway.status("/sws", &token), 401);
    gateway.command("user enable --realm sws --username admin", "").succeeded();
    let next = gateway.login(Contract::Sws);
    wait_until("the next login is good", PATIENCE, || gateway.status("/sws", &next) == 200);
    gateway.command("revoke principal --realm sws --name admin", "").succeeded();
    gateway.wait_until_refused("and ends", "/sws", &next);
    drop(upstream);
}

#[test]
fn a_wiped_key_is_in_no_file() {
    let (gateway, _upstream) = Gateway::with_upstream();
    gateway.login(Contract::Sws);
    let kid = gateway.command("key list --realm sws --output json", "").json()[0]["kid"].as_str().unwrap().to_owned();
    let mut other = Database::of(&gateway);
    let found = |bytes: &[u8]| {
        let names = ["portero.db", "portero.db-wal"].map(|name| gateway.folder.file(name));
        names.iter().any(|name| contains(name, bytes))
    };
    let sealed = other.bytes("SELECT sealed FROM keys WHERE realm = 'sws' AND state = 'active'");
    assert!(found(&sealed), "it is there before");
    gateway.command("key rotate --realm sws --now", "").succeeded();
    gateway.command(&format!("key retire {kid} --force"), "").succeeded();
    let is_gone = |sealed: &[u8]| wait_until("it is in no file", 3 * PATIENCE, || !found(sealed));
    is_gone(&sealed);

    // And one from outside, which is known by a thumbprint from then on.
    let import = "key import --realm sws --algorithm HS256 --kid";
    let secret = "an old secret of at least 32 bytes";
    gateway.command(&format!("{import} leaked"), secret).succeeded();
    let sealed = other.bytes("SELECT sealed FROM keys WHERE id = 'leaked'");
    assert!(found(&sealed), "it is there before");
    gateway.command("key revoke leaked", "").succeeded();
    is_gone(&sealed);
    let again = gateway.command(&format!("{import} again"), secret);
    assert!(again.code == 1 && again.stderr.contains("was revoked here as leaked"), "{again:?}");
    gateway.command(&format!("{import} other"), "another secret of at least 32 bytes").succeeded();
}

fn contains(file: &Path, bytes: &[u8]) -> bool {
    fs::read(file).is_ok_and(|text| text.windows(bytes.len()).any(|window| window == bytes))
}

#[test]
fn sessions_are_listed_in_pages_and_revoked_ones_as_such() {
    let (gateway, _upstream) = Gateway::with_upstream();
    for _ in 0..3 {
        gateway.login(Contract::Sws);
    }
    let list =
        |more: &str| gateway.command(&format!("session list --realm sws --name admin --output json{more}"), "").json();
    let all = list("");
    let ids: Vec<_> = all.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(list(" --limit 2").as_array().unwrap().len(), 2);
    assert_eq!(list(&format!(" --limit 2 --after {}", ids[1]))[0]["id"], ids[2]);
    let page = gateway.api_get(&format!("/sessions?realm=sws&name=admin&limit=1&after={}", ids[0]));
    assert_eq!((page.as_array().unwrap().len(), &page[0]["id"]), (1, &all[1]["id"]));
    gateway.command(&format!("revoke session --id {}", ids[1]), "").succeeded();
    let revoked = |listed: &serde_json::Value| -> Vec<bool> {
        listed.as_array().unwrap().iter().map(|session| session["revoked"].as_bool().unwrap()).collect()
    };
    assert_eq!(revoked(&list("")), [false, true, false]);
    assert_eq!(revoked(&gateway.api_get("/sessions?realm=sws&name=admin")), [false, true, false]);
    let text = gateway.command("session list --realm sws --name admin --limit 2", "").stdout;
    assert!(text.contains("revoked") && text.contains(&format!("--after {}", ids[1])), "{text}");
    // Everything that was issued until now ends with its principal's tokens.
    gateway.command("revoke principal --realm sws --name admin", "").succeeded();
    gateway.login(Contract::Sws);
    assert_eq!(revoked(&list("")), [false, true, true, true]);
    assert_eq!(gateway.command("session list --realm sws --name admin --limit 0", "").code, 2);
    let unknown =
        gateway.command("session list --realm sws --name admin --after 00000000-0000-4000-8000-000000000000", "");
    assert!(unknown.code == 1 && unknown.stderr.contains("no session"), "{unknown:?}");
}

#[test]
fn a_successor_makes_no_store() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    let gateway = Gateway::run_with_successors(Path::new(env!("CARGO_BIN_EXE_portero")), folder);
    for name in ["portero.db", "portero.db-wal", "portero.db-shm", "master.key"] {
        fs::rename(gateway.folder.file(name), gateway.folder.file(&format!("{name}.away"))).unwrap();
    }
    let ran = gateway.asked("upgrade");
    // The one that runs refuses where it has seen it by then, and else the successor does.
    assert!(ran.code != 0 && ["is missing", "is gone"].iter().any(|why| ran.stderr.contains(why)), "{ran:?}");
    assert!(!gateway.folder.file("portero.db").exists());
}
