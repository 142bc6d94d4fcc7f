//! The audit log of real gateways: what is told, what is never told, and whatever somebody does to it.

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use portero::{
    domain::{Clock as _, SystemClock},
    state::account::password::PASSWORD_BYTES_MAX,
};
use serde_json::{Value, json};

use crate::support::{
    Config, Connection, Contract, Database, Folder, Gateway, PATIENCE, Ran, Request, SmallDisk, Upstream, post,
    wait_until,
};

const AUDIT: &str = "[audit]\nfile = \"audit.log\"\n";

fn config() -> (Config, Upstream) {
    let upstream = Upstream::start();
    (Config::standard(upstream.address).text(AUDIT), upstream)
}

fn verify(folder: &Folder) -> Ran {
    folder.command("audit verify --output json", "")
}

/// That nothing was changed; answers what was read.
#[track_caller]
fn is_clean(folder: &Folder) -> Value {
    let ran = verify(folder);
    assert_eq!(ran.code, 0, "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["findings"], json!([]), "{found}");
    found
}

/// What was found, as one text.
#[track_caller]
fn findings(folder: &Folder) -> String {
    let ran = verify(folder);
    assert_eq!(ran.code, 1, "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    found["findings"].to_string()
}

fn tail(folder: &Folder, more: &str) -> Vec<Value> {
    let ran = folder.command(format!("audit tail --output json {more}").trim_end(), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn good() -> Request {
    Contract::Sws.login_with(Contract::Sws.secret())
}

fn login(gateway: &Gateway) -> u16 {
    gateway.send(&good()).status
}

fn lines_of(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Waits until the file has a line of this event.
fn wait_for_event(gateway: &Gateway, event: &str, times: usize) {
    wait_until(event, PATIENCE, || events(&gateway.folder, event) >= times);
}

/// The lines of this event that the file has.
fn events(folder: &Folder, event: &str) -> usize {
    let word = format!("\"event\":\"{event}\"");
    lines_of(&folder.file("audit.log")).iter().filter(|line| line.contains(&word)).count()
}

#[test]
fn who_did_what_is_told_and_no_secret_is() {
    let (config, _upstream) = config();
    let gateway = config.text("[log]\nnames = true\n").start();
    assert_eq!(login(&gateway), 200);
    gateway.send(&Contract::Sws.login_with("wrong secret"));
    let typed = json!({ "username": "hunter2 typed as a name", "password": "x" });
    gateway.send(&post("/api/Session/GetToken", typed.to_string()));
    gateway.send(&post("/api/Session/GetToken", typed.to_string()));
    wait_for_event(&gateway, "login", 4);
    let body = json!({ "realm": "sws", "name": "admin" }).to_string();
    let request = post("/api/v1/accounts/lock", body).header("Host", "localhost").header("X-Request-Id", "mine");
    let answer = Connection::open(gateway.admin).send(&request.bearer(&gateway.admin_token()));
    assert_eq!(answer.status, 200);
    let request_id = answer.header("X-Request-Id").unwrap().to_owned();
    assert!(request_id.len() == 32 && request_id != "mine");
    gateway.command("user unlock --realm sws --username admin", "").succeeded();
    let folder = &gateway.folder;
    is_clean(folder);

    let stream = tail(folder, "");
    // An anchor has the time when it is written, an event the time when it happened.
    let events = stream.iter().filter(|entry| entry["event"] != "anchor");
    let times: Vec<_> = events.map(|entry| entry["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let logins: Vec<_> = stream.iter().filter(|entry| entry["event"] == "login").collect();
    let outcomes: Vec<_> = logins.iter().map(|entry| (&entry["outcome"], &entry["reason"])).collect();
    assert_eq!(outcomes[0], (&json!("done"), &Value::Null));
    assert_eq!(outcomes[1..], [(&json!("refused"), &json!("invalid_credentials")); 3]);
    let account = logins[0]["account"].as_str().unwrap();
    assert_eq!(account.len(), 36);
    assert_eq!(logins[1]["account"], account, "whose it is counts, and not what came of it");
    assert_eq!((&logins[2]["account"], &logins[2]["client"]), (&json!("unknown"), &json!("127.0.0.1")));
    assert!(logins[2]["name_code"].as_str().unwrap().len() == 16 && logins[2]["name_code"] == logins[3]["name_code"]);

    let of_account = tail(folder, &format!("--account {account}"));
    let events: Vec<_> = of_account.iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["account.add", "login", "login", "account.lock", "account.unlock"]);
    assert_eq!(of_account, tail(folder, "--account admin --realm sws"));
    let lock = &of_account[3];
    assert_eq!(
        (&lock["actor_kind"], &lock["actor"], &lock["from"]),
        (&json!("file"), &json!("file"), &json!("127.0.0.1"))
    );
    assert_eq!(lock["request"], request_id);
    assert_eq!((&lock["old"], &lock["new"]), (&json!({ "locked": false }), &json!({ "locked": true })));
    assert_eq!(of_account[4]["actor_kind"], "command");
    assert!(tail(folder, "--since 2100-01-01T00:00:00Z").is_empty());

    let everything = format!("{stream:?}{}", fs::read_to_string(folder.file("audit.log")).unwrap());
    for secret in [Contract::Sws.secret(), "wrong secret", "hunter2", "$argon2", &gateway.admin_token()] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

/// The folder of a gateway after three logins and its end, of which the file and the store know each other's. They are
/// given some seconds for that, and no more.
fn three_logins(config: &Config) -> Folder {
    let mut left = None;
    wait_until("both sides know the other's end", PATIENCE, || {
        let gateway = config.start();
        for _ in 0..3 {
            assert_eq!(login(&gateway), 200);
        }
        wait_for_event(&gateway, "login", 3);
        let folder = gateway.stop_in_folder();
        let mut store = Database::in_folder(&folder);
        let ended = store.count("SELECT count(*) FROM audit_anchors WHERE ended");
        store.close();
        left = (ended == 1 && events(&folder, "anchor") > 0).then_some(folder);
        left.is_some()
    });
    left.unwrap()
}

#[test]
fn an_edited_line_a_cut_end_and_a_swapped_file_are_each_found() {
    let (config, _upstream) = config();
    let folder = &three_logins(&config);
    is_clean(folder);
    let file = folder.file("audit.log");
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    let logins: Vec<_> = (0..lines.len()).filter(|at| lines[*at].contains("\"login\"")).collect();
    let mut swapped = lines.clone();
    swapped.swap(logins[0], logins[1]);
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().concat();
    for (text, said) in [
        (whole.replacen("127.0.0.1", "127.0.0.2", 1), "was changed"),
        (without(logins[1]), "lines are missing"),
        (swapped.concat(), "lines are missing"),
        (lines[..logins[2]].concat(), "its end was cut"),
        (format!("{whole}{}", lines[logins[0]]), "does not belong"),
        (format!("{whole}nothing\n"), "is no line"),
        (String::new(), "removed or swapped"),
    ] {
        fs::write(&file, text).unwrap();
        let found = findings(folder);
        assert!(found.contains(said), "{said}: {found}");
    }
    fs::remove_file(&file).unwrap();
    assert!(findings(folder).contains("removed or swapped"));
    fs::write(&file, &whole).unwrap();
    is_clean(folder);

    // Rows that are cut off the end of the store, its own anchor set back: the file knows better.
    let before = Database::in_folder(folder).count("SELECT count(*) FROM audit");
    let mut store = Database::in_folder(folder);
    store.script("CREATE TABLE a AS SELECT * FROM audit; CREATE TABLE b AS SELECT * FROM audit_anchors");
    store.execute("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)");
    assert!(findings(folder).contains("their end was cut"));
    store.execute("DELETE FROM audit_anchors WHERE chain = zeroblob(16)");
    assert!(findings(folder).contains(&format!("went to {before}")));
    // An anchor of the file's chain that is gone.
    store.script("DELETE FROM audit; INSERT INTO audit SELECT * FROM a; DELETE FROM audit_anchors");
    assert!(findings(folder).contains("its anchor was removed"));
    store.script("INSERT INTO audit_anchors SELECT * FROM b");
    store.close();
    is_clean(folder);
}

#[test]
fn another_gateways_file_in_its_place_is_found() {
    let (config, _upstream) = config();
    // Both begin as copies of one store: the other one takes a master key of its own.
    let other = config.with_accounts();
    other.command("key reseal", "").succeeded();
    let (one, two) = (config.start(), Gateway::run(other));
    let (one, two) = (one.stop_in_folder(), two.stop_in_folder());
    is_clean(&one);
    fs::copy(two.file("audit.log"), one.file("audit.log")).unwrap();
    let found = findings(&one);
    assert!(found.contains("whose key nobody has") && found.contains("removed or swapped"), "{found}");
}

#[test]
fn two_processes_of_an_upgrade_write_to_one_file() {
    let (config, _upstream) = config();
    let program = Path::new(env!("CARGO_BIN_EXE_portero"));
    let gateway = Gateway::run_with_successors(program, config.with_accounts());
    assert_eq!(login(&gateway), 200);
    gateway.asked("upgrade").succeeded();
    wait_for_event(&gateway, "begin", 2);
    assert_eq!(login(&gateway), 200);
    wait_for_event(&gateway, "end", 1);
    wait_for_event(&gateway, "login", 2);
    let read = is_clean(&gateway.folder);
    assert_eq!((&read["chains"], &read["gaps"]), (&json!(2), &json!([])), "{read}");
    let told = tail(&gateway.folder, "");
    let upgrade = told.iter().find(|entry| entry["event"] == "process.upgrade").unwrap();
    assert_eq!(upgrade["actor"], "file");
}

/// How often a gateway is killed: more by hand.
fn kills() -> usize {
    env::var("PORTERO_AUDIT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(3)
}

/// Says that it is over, however that comes: those who wait for it would go on for ever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_that_was_acknowledged_is_missing_after_kills_with_commands_beside() {
    let (config, _upstream) = config();
    let mut folder = config.with_accounts();
    let acknowledged = Mutex::new(vec![]);
    for kill in 0..kills() {
        let gateway = Gateway::run(folder);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let over = Stop(&stop);
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // It may be killed by now.
                    let sent = TcpStream::connect(gateway.front).and_then(|mut to| {
                        to.write_all(&good().bytes())?;
                        to.read(&mut [0; 1024])
                    });
                    drop(sent);
                }
            });
            for process in 0..2 {
                let (gateway, acknowledged, stop) = (&gateway, &acknowledged, &stop);
                scope.spawn(move || {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let name = format!("u{kill}-{process}-{n}");
                        let words = format!("user add --realm sws --username {name} --generate --output json");
                        let ran = gateway.command(&words, "");
                        if ran.code == 0 {
                            let made: Value = serde_json::from_str(&ran.stdout).unwrap();
                            acknowledged.lock().unwrap().push(made["id"].as_str().unwrap().to_owned());
                        }
                    }
                });
            }
            let unlock = post("/api/v1/accounts/unlock", json!({ "realm": "sws", "name": "admin" }).to_string());
            let unlock = unlock.header("Host", "localhost").bearer(&gateway.admin_token());
            let enough = (kill + 1) * 4;
            wait_until("some changes", PATIENCE, || {
                // It may be refused where the store is held for long.
                Connection::open(gateway.admin).send(&unlock);
                acknowledged.lock().unwrap().len() >= enough
            });
            gateway.process.signal("KILL");
            drop(over);
        });
        folder = gateway.finish_in_folder();
        is_clean(&folder);
        let told = tail(&folder, "");
        let told: Vec<_> =
            told.iter().filter(|entry| entry["event"] == "account.add").map(|entry| &entry["subject"]).collect();
        for id in acknowledged.lock().unwrap().iter() {
            assert!(told.iter().any(|subject| *subject == id), "{id} was acknowledged");
        }
    }
}

#[test]
fn a_file_is_rotated_by_size_and_opened_anew_when_somebody_moved_it() {
    let (config, _upstream) = config();
    let gateway = config.replace("file = \"audit.log\"", "file = \"audit.log\"\nrotate_size = \"1KiB\"").start();
    let files = |folder: &Folder| {
        let names = folder.names();
        names.into_iter().filter(|name| name.starts_with("audit.log.")).collect::<Vec<_>>()
    };
    wait_until("some files", PATIENCE, || {
        login(&gateway);
        files(&gateway.folder).len() >= 2
    });
    let file = gateway.folder.file("audit.log");
    // There is none for a moment while it is rotated.
    let moved = gateway.folder.file("audit.log.moved");
    wait_until("it is moved", PATIENCE, || fs::rename(&file, &moved).is_ok());
    gateway.process.signal("USR1");
    gateway.process.event("the audit file was opened anew");
    login(&gateway);
    wait_until("the file is there again", PATIENCE, || fs::metadata(&file).is_ok_and(|facts| facts.len() > 0));
    let folder = gateway.stop_in_folder();
    let read = is_clean(&folder);
    assert!(read["files"].as_array().unwrap().len() >= 4 && read["gaps"] == json!([]), "{read}");
    // The second one of those that went: lines are missing then.
    let removed = folder.file(&files(&folder)[1]);
    let text = fs::read(&removed).unwrap();
    fs::remove_file(&removed).unwrap();
    assert!(findings(&folder).contains("missing"));
    fs::write(&removed, text).unwrap();
    // Those before may be gone where somebody says so, and then only.
    fs::remove_file(folder.file(&files(&folder)[0])).unwrap();
    assert!(findings(&folder).contains("in a file that is not here"));
    let ran = folder.command("audit verify --since 2100-01-01T00:00:00Z", "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// Logs in, again where the line was not written in time: it must be there where each login must have one.
fn has_its_line(gateway: &Gateway) {
    wait_until("a login has its line", PATIENCE, || login(gateway) == 200);
}

#[test]
fn a_file_that_cannot_be_opened_anew_is_a_gap_and_no_end() {
    for required in [false, true] {
        let upstream = Upstream::start();
        let text = format!("[audit]\nfile = \"logs/audit.log\"\nrequired = {required}\n");
        let folder = Config::standard(upstream.address).text(&text).with_accounts();
        let [logs, away] = ["logs", "away"].map(|name| folder.file(name));
        fs::create_dir(&logs).unwrap();
        let gateway = Gateway::run(folder);
        has_its_line(&gateway);
        fs::rename(&logs, &away).unwrap();
        gateway.process.signal("USR1");
        gateway.process.event("the audit file cannot be written; what happens meanwhile is a gap in it");
        let failing = |word: &str| gateway.ask("/metrics").text().contains(word);
        wait_until("that is told", PATIENCE, || failing("portero_audit_failing 1\n"));
        assert_eq!(login(&gateway), if required { 503 } else { 200 });
        // What is refused needs no line.
        let lost = || !failing("portero_audit_events_total{outcome=\"lost\"} 0\n");
        wait_until("it has none", PATIENCE, || lost() != required);
        fs::rename(&away, &logs).unwrap();
        gateway.process.signal("USR1");
        wait_until("it is written again", PATIENCE, || failing("portero_audit_failing 0\n"));
        has_its_line(&gateway);
        let read = is_clean(&gateway.stop_in_folder());
        assert_eq!(read["gaps"].as_array().unwrap().len(), usize::from(!required), "{read}");
    }
}

#[test]
fn on_a_full_disk_logins_go_on_with_a_gap_or_are_refused_where_each_must_have_its_line() {
    for required in [false, true] {
        let upstream = Upstream::start();
        let text = format!("[audit]\nfile = \"disk/audit.log\"\nrequired = {required}\n");
        let folder = Config::standard(upstream.address).text(&text).with_accounts();
        let Some(disk) = SmallDisk::at(folder.file("disk"), 64 << 10) else { return };
        let gateway = Gateway::run(folder);
        has_its_line(&gateway);
        disk.fill();
        let failing = |word: &str| gateway.ask("/metrics").text().contains(word);
        let mut refused = None;
        wait_until("the file cannot be written", PATIENCE, || {
            let answer = gateway.send(&good());
            if answer.status != 200 {
                refused = Some(answer);
            }
            failing("portero_audit_failing 1\n")
        });
        if required {
            // In the contract's own shape, and never without its line.
            let answer = gateway.send(&good());
            assert_eq!((answer.status, &answer.json()["error"]), (503, &json!(3)), "{}", answer.text());
            assert!(refused.is_some());
        } else {
            assert!(refused.is_none() && login(&gateway) == 200);
        }
        // The store lies on another disk.
        gateway.api("/accounts/unlock", &json!({ "realm": "sws", "name": "admin" }));
        disk.free();
        wait_until("the file can be written", PATIENCE, || failing("portero_audit_failing 0\n"));
        has_its_line(&gateway);
        let metrics = gateway.ask("/metrics").text();
        assert!(!metrics.contains("portero_audit_events_total{outcome=\"lost\"} 0\n"), "{metrics}");
        let folder = gateway.stop_in_folder();
        let read = is_clean(&folder);
        assert_ne!(read["gaps"], json!([]), "{read}");
        drop(disk);
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk_and_no_end() {
    let (config, _upstream) = config();
    let gateway = config.start();
    assert_eq!(login(&gateway), 200);
    let before = gateway.process.set_file_bytes(1);
    let failing = |word: &str| gateway.ask("/metrics").text().contains(word);
    wait_until("nothing can be written", PATIENCE, || {
        login(&gateway);
        failing("portero_audit_failing 1\n")
    });
    gateway.process.set_file_bytes(before);
    wait_until("all of it can be written", PATIENCE, || login(&gateway) == 200 && failing("portero_audit_failing 0\n"));
}

#[test]
fn a_guess_is_told_even_where_nobody_waits_for_the_answer() {
    let (config, _upstream) = config();
    let gateway = config.start();
    // A refused login waits as long as this hash takes; a right password is answered before that.
    let slow = "name,hash\nslow,$2b$13$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG\n";
    let file = gateway.folder.file("slow.csv");
    fs::write(&file, slow).unwrap();
    gateway.command(&format!("import {} --realm sws --kind users", file.display()), "").succeeded();
    assert_eq!(Contract::Sws.token_of(&gateway.send(&Contract::Sws.login_as("slow", "wrong secret"))), None);
    let body = json!({ "username": "admin", "password": "wrong secret" }).to_string();
    let mut guess = TcpStream::connect(gateway.front).unwrap();
    write!(
        guess,
        "POST /api/Session/GetToken HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    wait_until("it was found to be wrong", PATIENCE, || {
        gateway.api_get("/limits?realm=sws&name=admin")["standing"][0]["failures"] == 1
    });
    drop(guess);
    wait_for_event(&gateway, "login", 2);
    is_clean(&gateway.folder);
}

#[test]
fn a_flood_of_refused_logins_is_summed() {
    let (config, _upstream) = config();
    let gateway = config.text("[throttle]\nname_failures = 100000\naddress_failures = 100000\n").start();
    for _ in 0..25 {
        // Too long to be hashed: a window is not over before the flood is.
        gateway.send(&Contract::Sws.login_with(&"x".repeat(PASSWORD_BYTES_MAX + 1)));
    }
    let folder = gateway.stop_in_folder();
    is_clean(&folder);
    let told = tail(&folder, "");
    let refused = told.iter().filter(|entry| entry["event"] == "login" && entry["outcome"] == "refused").count();
    let summed: u64 = told.iter().filter_map(|entry| entry["events"].as_u64()).sum();
    // More windows begin where the machine is slow.
    assert!(refused >= 10 && summed > 0 && refused as u64 + summed == 25, "{refused} {summed}");
}

#[test]
fn the_time_of_the_last_anchor_is_told() {
    let series = "portero_audit_anchored_timestamp_seconds ";
    let told = |gateway: &Gateway| -> f64 {
        let text = gateway.ask("/metrics").text();
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap().parse().unwrap()
    };
    let before = SystemClock.now().as_secs_f64();
    let (config, _upstream) = config();
    let gateway = config.start();
    wait_until("the first anchor", PATIENCE, || told(&gateway) > 0.0);
    let first = told(&gateway);
    assert!((before..=SystemClock.now().as_secs_f64()).contains(&first), "{first}");
    assert_eq!(login(&gateway), 200);
    wait_for_event(&gateway, "login", 1);
    // A new file is anchored at once.
    gateway.process.signal("USR1");
    wait_until("the next anchor", PATIENCE, || told(&gateway) > first);
    let (without, _upstream) = Gateway::with_upstream();
    assert!(told(&without).abs() < f64::EPSILON, "there is no file");
}
