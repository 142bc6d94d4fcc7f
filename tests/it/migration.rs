//! Accounts of another system, with their passwords: by the command, into both stores, beside a gateway that serves.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, process::Command};

use serde_json::{Value, json};

use crate::support::{
    Config, Connection, Contract, Database, Folder, Gateway, PATIENCE, Postgres, Process, Ran, command, own_address,
    wait_until,
};

/// `contraseña`, as Django, passlib, bcrypt and Werkzeug made it, and as it is.
const SECRETS: [(&str, &str, &str); 8] = [
    ("django", "pbkdf2-sha256", "pbkdf2_sha256$1000$seasalt2$8ksRmRj+tlQYW+qzl23qIMcLgfwmBKsSvTQ0wnNFIag="),
    ("laravel", "bcrypt", "$2b$04$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG"),
    ("wordpress", "phpass", "$P$5ibCLnSTr5bowcRenoNP2syFDVHDAS0"),
    ("openldap", "sha1", "{SSHA}ljS9jp7MIBtzpWqi/GpjTmDbKI8v5ZxT"),
    (
        "linux",
        "sha512-crypt",
        "$6$rounds=1000$iglDSWbmvLqlddOS$NxngskneWqLOuhQPRgpgDu37VpxZT23cUHs0E7ugmPJXP6o7j0WkDrIg7V2//3InHA9U.GT21c2QDxnKbBGeh1",
    ),
    (
        "flask",
        "scrypt",
        "scrypt:1024:8:1$FKj1ysF3GjMjfmOu$4576aca054580867ca034b533c2584ac0866ff550ead8f671d1ddbca517adfb5bb326fd4b726e3e74f140833c1d4032cb6eaaf9c09445ad88e84481e2171c9fc",
    ),
    ("spring", "clear", "{noop}contraseña"),
    (
        "php",
        "argon2i",
        "$argon2i$v=19$m=1024,t=1,p=1$zaOUca0NAA/fkHdpSXqhAA$iq/QtPnu2P3WIi2BEx6zzYA5Vgy3DQgdiom6R5yZAiY",
    ),
];

const PASSWORD: &str = "contraseña";

/// A folder with a config and a store, and nobody in it.
fn folder() -> Folder {
    let folder = Folder::new();
    // Its routes are asked with tokens alone: what is behind them need not be there.
    Config::standard(([127, 0, 0, 1], 9).into()).write_to(&folder);
    folder.command("store init", "").succeeded();
    folder
}

/// The same on a server.
fn on_server(postgres: &Postgres) -> Folder {
    let folder = Folder::new();
    let password = folder.file("store.password");
    fs::write(&password, Postgres::password()).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let store = format!("[store]\nurl = \"{}\"\npassword_file = \"store.password\"\n", postgres.url());
    Config::standard(([127, 0, 0, 1], 9).into()).text(&store).write_to(&folder);
    folder.command("store init", "").succeeded();
    folder
}

/// Imports a file of this text.
fn import(folder: &Folder, name: &str, text: &str, words: &str) -> Ran {
    fs::write(folder.file(name), text).unwrap();
    import_file(folder, name, words)
}

fn import_file(folder: &Folder, name: &str, words: &str) -> Ran {
    let file = folder.file(name);
    folder.command(&format!("import {} {words}", file.display()), "")
}

const USERS: &str = "--realm apis --kind users --output json";

fn table_of_secrets() -> String {
    let rows = SECRETS.map(|(name, _, hash)| format!("{name},ADMIN,\"{hash}\"\n"));
    format!("username,role,hash\n{}", rows.concat())
}

fn logs_in(gateway: &Gateway, name: &str, password: &str) -> bool {
    let login = Contract::Apis.login_as(name, password);
    Contract::Apis.token_of(&Connection::open_from(own_address(), gateway.front).send(&login)).is_some()
}

/// The formats of a realm's accounts: how each is kept, and how many there are.
fn formats(folder: &Folder) -> Vec<(String, String, u64)> {
    let status = folder.command("migration status --output json", "").json();
    let of = |count: &Value| {
        let text = |member: &str| count[member].as_str().unwrap().to_owned();
        (text("format"), text("kept"), count["accounts"].as_u64().unwrap())
    };
    status["accounts"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn everybody_logs_in_as_before_and_no_hash_stays_what_it_was() {
    let folder = folder();
    let words = format!("{USERS} --map username=name --source old-crm");
    let report = import(&folder, "users.csv", &table_of_secrets(), &words).json();
    assert_eq!((&report["made"], &report["bad"], &report["sealed"]), (&json!(8), &json!(0), &json!(3)), "{report}");
    let kept = formats(&folder);
    for (_, format, _) in SECRETS {
        let how = if ["phpass", "sha1", "clear"].contains(&format) { "sealed" } else { "plain" };
        assert!(kept.contains(&(format.to_owned(), how.to_owned(), 1)), "{format}: {kept:?}");
    }
    // What is quickly tried lies nowhere on the disk.
    let database = fs::read(folder.file("portero.db")).unwrap();
    for secret in ["contraseña", "ibCLnSTr5bowcRenoNP2syFDVHDAS0", "ljS9jp7MIBtzpWqi"] {
        assert!(!database.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let gateway = Gateway::run(folder);
    for (name, ..) in SECRETS {
        assert!(!logs_in(&gateway, name, "contrasena"), "{name}");
        assert!(logs_in(&gateway, name, PASSWORD), "{name}");
    }
    // A gateway may have wrapped a hash while its owner logged in: then the next login replaces it.
    wait_until("nothing is sealed", PATIENCE, || formats(&gateway.folder).iter().all(|(_, kept, _)| kept != "sealed"));
    for (name, ..) in SECRETS {
        assert!(logs_in(&gateway, name, PASSWORD), "{name}, on what it has now");
    }
    wait_until("every hash is argon2id", PATIENCE, || {
        formats(&gateway.folder) == [("argon2id".to_owned(), "plain".to_owned(), 8)]
    });
    for (name, ..) in SECRETS {
        assert!(logs_in(&gateway, name, PASSWORD), "{name}, on its new hash");
    }
}

#[test]
fn what_is_sealed_is_wrapped_by_the_gateway_or_the_command_and_survives_a_new_master_key() {
    let folder = folder();
    let sealed: String =
        ["a", "b", "c"].map(|name| format!("{name},{{SSHA}}ljS9jp7MIBtzpWqi/GpjTmDbKI8v5ZxT\n")).concat();
    import(&folder, "users.csv", &format!("name,hash\n{sealed}"), USERS).succeeded();
    assert_eq!(formats(&folder), [("sha1".to_owned(), "sealed".to_owned(), 3)]);
    folder.command("key reseal", "").succeeded();
    let gateway = Gateway::run(folder);
    assert!(logs_in(&gateway, "a", PASSWORD), "while it is sealed");
    wait_until("the gateway wraps", PATIENCE, || {
        formats(&gateway.folder).contains(&("sha1".to_owned(), "wrapped".to_owned(), 2))
    });
    assert!(logs_in(&gateway, "b", PASSWORD) && !logs_in(&gateway, "b", "wrong"), "after it is wrapped");
    let counted = r#"portero_foreign_hashes{format="sha1",kept="wrapped",realm="apis"}"#;
    wait_until("what is left is counted", PATIENCE, || gateway.ask("/metrics").text().contains(counted));
    let words = format!("{USERS} --wrap now --on-conflict skip");
    let more = "name,password\na,x\nd,contraseña\ne,otra\n";
    let report = import(&gateway.folder, "more.csv", more, &words).json();
    assert_eq!((&report["made"], &report["skipped"], &report["sealed"]), (&json!(2), &json!(1), &json!(0)), "{report}");
    assert!(logs_in(&gateway, "d", PASSWORD) && logs_in(&gateway, "e", "otra"));
}

#[test]
fn a_hash_without_its_key_is_nobody_s_password_and_503() {
    let folder = folder();
    import(&folder, "users.csv", "name,hash\na,{SSHA}ljS9jp7MIBtzpWqi/GpjTmDbKI8v5ZxT\n", USERS).succeeded();
    let mut database = Database::in_folder(&folder);
    database.execute("UPDATE meta SET value = zeroblob(60) WHERE name = 'password_key'");
    database.close();
    let gateway = Gateway::run(folder);
    assert_eq!(gateway.send(&Contract::Apis.login_as("a", PASSWORD)).status, 503, "and never «wrong password»");
}

#[test]
fn a_reseal_that_does_not_know_the_key_of_passwords_is_refused_by_the_store() {
    let folder = folder();
    import(&folder, "users.csv", "name,password\na,b\n", USERS).succeeded();
    let mut database = Database::in_folder(&folder);
    let as_before = "INSERT INTO meta (name, value) VALUES ('master_key_fingerprint', x'00') \
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    assert!(database.refusal(as_before).contains("use the newer release"));
    database.close();
    let postgres = Postgres::start();
    let folder = on_server(&postgres);
    import(&folder, "users.csv", "name,password\na,b\n", USERS).succeeded();
    let as_before = "UPDATE meta SET value = '\\x00' WHERE name = 'master_key_fingerprint'";
    let refused = postgres.try_execute(as_before).unwrap_err().to_string();
    assert!(refused.contains("use the newer release"), "{refused}");
    folder.command("key reseal", "").succeeded();
}

#[test]
fn a_row_that_cannot_be_stops_the_import_before_it_or_is_left_out() {
    let folder = folder();
    let text = "name,role,hash\n\
                ana,USER,$2b$04$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG\n\
                eva,USER,$2b$15$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG\n\
                \" ida\",USER,{noop}x\n\
                uma,USER,{noop}x\n\
                oli,USER\n\
                zoe,USER,\n";
    let stopped = import(&folder, "users.csv", text, USERS);
    assert_eq!(stopped.code, 1);
    let said = "users.csv:3:3: hash: bcrypt cost of 15 is above 14";
    assert!(
        stopped.stderr.contains(said) && stopped.stderr.contains("the 1 rows before it are imported"),
        "{stopped:?}"
    );
    // The row is put right, and the import goes on with it.
    let text = text.replace("$2b$15", "$2b$04");
    let stopped = import(&folder, "users.csv", &text, USERS);
    assert!(stopped.stderr.contains("goes on behind row 1"), "{stopped:?}");
    assert!(stopped.stderr.contains("users.csv:4:1: name: the name begins or ends with white space"), "{stopped:?}");
    let report = import_file(&folder, "users.csv", &format!("{USERS} --bad-rows skip"));
    for said in ["users.csv:6: the row has 2 columns, and the heading 3", "users.csv:7: hash: a new account needs"] {
        assert!(report.stderr.contains(said), "{report:?}");
    }
    let report = report.json();
    assert_eq!((&report["rows"], &report["made"], &report["bad"]), (&json!(6), &json!(3), &json!(3)), "{report}");
    assert_eq!(report["bad_rows"][0]["line"], 4);
    assert!(!report.to_string().contains("2b$"), "no hash is repeated");
    let again = import_file(&folder, "users.csv", USERS).json();
    assert_eq!(again["made"], 0, "the whole file was imported before: {again}");
}

#[test]
fn a_taken_name_stops_is_skipped_or_is_updated_and_tokens_end_where_it_matters_on_both_stores() {
    conflicting(folder());
    let postgres = Postgres::start();
    conflicting(on_server(&postgres));
}

fn conflicting(folder: Folder) {
    let hash = "$2b$04$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG";
    let first = format!("name,role,status,hash\nana,USER,active,{hash}\neva,USER,active,{hash}\n");
    import(&folder, "users.csv", &first, USERS).succeeded();
    let epoch = |name: &str| {
        let shown = folder.command(&format!("user show --realm apis --username {name} --output json"), "").json();
        (shown["epoch"].as_u64().unwrap(), shown["role"].as_str().unwrap().to_owned(), shown["disabled"] == true)
    };
    let second =
        format!("name,role,status,hash\nana,USER,active,{hash}\neva,ADMIN,disabled,{hash}\nida,USER,,{hash}\n");
    let stopped = import(&folder, "second.csv", &second, USERS);
    assert!(stopped.code == 1 && stopped.stderr.contains("second.csv:2: name: 'ana' exists"), "{stopped:?}");
    let tried = import_file(&folder, "second.csv", &format!("{USERS} --on-conflict update --dry-run")).json();
    let counts =
        |report: &Value| ["made", "updated", "unchanged", "skipped"].map(|member| report[member].as_u64().unwrap());
    assert_eq!(counts(&tried), [1, 1, 1, 0], "{tried}");
    let skipped = import_file(&folder, "second.csv", &format!("{USERS} --on-conflict skip")).json();
    assert_eq!(counts(&skipped), [1, 0, 0, 2], "{skipped}");
    assert_eq!(epoch("eva"), (0, "USER".to_owned(), false));
    let updated = import_file(&folder, "second.csv", &format!("{USERS} --on-conflict update --restart")).json();
    assert_eq!(counts(&updated), [0, 1, 2, 0], "{updated}");
    assert_eq!(epoch("ana").0, 0, "nothing of it changed");
    assert_eq!(epoch("eva"), (1, "ADMIN".to_owned(), true));
    // A password that was set here stays, as long as the old system's did not change.
    folder.command("user set-password --realm apis --username ida --password-stdin", "nueva-clave").succeeded();
    let updated = import_file(&folder, "second.csv", &format!("{USERS} --on-conflict update --restart")).json();
    assert_eq!(counts(&updated), [0, 0, 3, 0], "{updated}");
    let gateway = Gateway::run(folder);
    assert!(
        logs_in(&gateway, "ida", "nueva-clave")
            && logs_in(&gateway, "ana", PASSWORD)
            && !logs_in(&gateway, "eva", PASSWORD)
    );
    let token = Contract::Apis.token_of(&gateway.send(&Contract::Apis.login_as("ida", "nueva-clave"))).unwrap();
    let third = "name,hash\nida,{noop}tercera\n";
    let updated = import(&gateway.folder, "third.csv", third, &format!("{USERS} --on-conflict update")).json();
    assert_eq!(counts(&updated), [0, 1, 0, 0], "{updated}");
    assert!(logs_in(&gateway, "ida", "tercera"));
    gateway.wait_until_refused("its tokens have ended", "/apis", &token);
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was_on_both_stores() {
    killed_and_resumed(&folder(), |folder, query| Database::in_folder(folder).count(query));
    let postgres = Postgres::start();
    killed_and_resumed(&on_server(&postgres), |_, query| postgres.count(query));
}

/// Rows of the file; an import takes a thousand in a transaction, at most.
const ROWS: usize = 4_200;

fn killed_and_resumed(folder: &Folder, count: impl Fn(&Folder, &'static str) -> i64) {
    let row = |at: usize| {
        format!(
            "{{\"name\":\"user{at}\",\"hash\":\"$2b$04$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG\",\"role\":\"R{at}\"}}\n"
        )
    };
    let rows: Vec<_> = (0..ROWS).map(row).collect();
    let pipe = folder.file("pipe.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let config = folder.config();
    let words = format!("import {} --realm apis --kind users --config {config}", pipe.display());
    let importing = Process::spawn(&mut command(&words.split(' ').collect::<Vec<_>>()), "");
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    // It waits for the rest of a batch in the end, and is killed there or before.
    writer.write_all(rows[..3_500].concat().as_bytes()).unwrap();
    let imported = "SELECT count(*) FROM principals WHERE realm = 'apis'";
    wait_until("several batches are imported", PATIENCE, || count(folder, imported) >= 2_000);
    importing.signal("KILL");
    importing.finish();
    drop(writer);
    let before = count(folder, imported);
    let status = folder.command("migration status --output json", "").json();
    assert_eq!(status["unfinished_imports"][0]["rows"], before, "{status}");
    // Another file, or one whose beginning has changed, cannot be gone on with.
    let changed = rows.concat().replacen("R7\"", "R8\"", 1);
    let refused = import(folder, "users.jsonl", &changed, USERS);
    assert!(refused.code == 1 && refused.stderr.contains(&format!("cut short after {before} rows")), "{refused:?}");
    let resumed = import(folder, "users.jsonl", &rows.concat(), USERS);
    assert!(resumed.stderr.contains(&format!("goes on behind row {before}")), "{resumed:?}");
    let report = resumed.json();
    assert_eq!((&report["rows"], &report["made"]), (&json!(ROWS), &json!(ROWS)), "{report}");
    let different =
        "SELECT count(DISTINCT role) FROM principals WHERE realm = 'apis' AND role = 'R' || substr(name, 5)";
    assert_eq!((count(folder, imported), count(folder, different)), (4_200, 4_200), "none is lost or doubled");
    // What was added to the file since is imported too.
    let grown = format!("{}{}", rows.concat(), row(ROWS));
    let report = import(folder, "users.jsonl", &grown, USERS).json();
    assert_eq!(report["made"], ROWS + 1, "{report}");
    every_batch_has_its_row(folder);
}

/// The audit log has every row of the file once, and nobody's name or hash.
fn every_batch_has_its_row(folder: &Folder) {
    let told = folder.command("audit tail --output json", "").stdout;
    assert!(!told.contains("user4199") && !told.contains("2b$"), "{told}");
    let rows: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begun = rows.iter().filter(|row| row["event"] == "import.begin").count();
    assert_eq!(begun, 3, "the refused one changed nothing: {told}");
    let (mut behind, mut made) = (0, 0);
    for row in rows.iter().filter(|row| row["event"] == "account.import") {
        let new = &row["new"];
        assert_eq!((&row["realm"], &new["kind"], &new["after_row"]), (&json!("apis"), &json!("user"), &json!(behind)));
        behind = new["to_row"].as_u64().unwrap();
        made += new["made"].as_u64().unwrap();
        assert_eq!(new["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(new["finished"], behind >= ROWS as u64, "{row}");
    }
    assert_eq!((behind, made), (ROWS as u64 + 1, ROWS as u64 + 1), "{told}");
    folder.command("audit verify", "").succeeded();
}

#[test]
fn of_two_imports_at_once_the_later_one_goes_on() {
    let folder = folder();
    let pipe = folder.file("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let config = folder.config();
    let words = format!("import {} --realm apis --kind users --config {config}", pipe.display());
    let earlier = Process::spawn(&mut command(&words.split(' ').collect::<Vec<_>>()), "");
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    writer.write_all(b"name,password\nana,x\n").unwrap();
    let begun = || Database::in_folder(&folder).count("SELECT count(*) FROM imports") == 1;
    wait_until("it has begun", PATIENCE, begun);
    import(&folder, "users.csv", "name,password\neva,x\n", USERS).succeeded();
    drop(writer);
    let ended = earlier.finish();
    assert!(
        ended.code == 1 && ended.stderr.contains("another portero import has taken over realm 'apis'"),
        "{ended:?}"
    );
    let names = Database::in_folder(&folder).text("SELECT group_concat(name) FROM principals");
    assert_eq!(names, "eva");
}

#[test]
fn an_import_that_takes_over_goes_on_where_the_earlier_one_is_by_then() {
    let folder = folder();
    let row = |at: usize| format!("user{at},x\n");
    let text = |rows: usize| format!("name,password\n{}", (0..rows).map(row).collect::<Vec<_>>().concat());
    let pipes = ["earlier.csv", "later.csv"].map(|name| folder.file(name));
    let started = pipes.each_ref().map(|pipe| {
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        let config = folder.config();
        let words = format!("import {} --realm apis --kind users --config {config}", pipe.display());
        move || Process::spawn(&mut command(&words.split(' ').collect::<Vec<_>>()), "")
    });
    let open = |pipe: &std::path::Path| fs::OpenOptions::new().write(true).open(pipe).unwrap();
    let imported = |rows: i64| {
        let count = || Database::in_folder(&folder).count("SELECT count(*) FROM principals") >= rows;
        wait_until("rows are imported", PATIENCE, count);
    };
    let [earlier, later] = &started;
    let earlier = earlier();
    let mut writer = open(&pipes[0]);
    // Less than a whole batch waits for more, which is a thousand rows at most.
    writer.write_all(text(1_500).as_bytes()).unwrap();
    imported(501);
    // The later one has seen that rows are there, and reads them.
    let later = later();
    let mut other = open(&pipes[1]);
    other.write_all(text(10).as_bytes()).unwrap();
    writer.write_all((1_500..3_000).map(row).collect::<Vec<_>>().concat().as_bytes()).unwrap();
    imported(1_501);
    other.write_all((10..3_500).map(row).collect::<Vec<_>>().concat().as_bytes()).unwrap();
    drop(other);
    let ended = later.finish();
    assert!(ended.code == 0 && ended.stdout.contains("made 3500, updated 0, unchanged 0, skipped 0"), "{ended:?}");
    drop(writer);
    assert_eq!(earlier.finish().code, 1);
}

#[test]
fn long_rows_are_passed_over_again() {
    let folder = folder();
    let photo = "p".repeat(100_000);
    let rows = (0..100).map(|at| format!("user{at},x,{photo}\n")).collect::<Vec<_>>().concat();
    let words = format!("{USERS} --map photo=-");
    import(&folder, "users.csv", &format!("name,password,photo\n{rows}"), &words).succeeded();
    let more = import(&folder, "users.csv", &format!("name,password,photo\n{rows}eva,x,\n"), &words).json();
    assert_eq!((&more["rows"], &more["made"]), (&json!(101), &json!(101)), "{more}");
}

#[test]
fn an_update_is_judged_as_a_change_by_hand_is() {
    let folder = Folder::new();
    let oauth = "[realms.oauth]\ndialect = \"oauth\"\n[oauth]\n";
    Config::standard(([127, 0, 0, 1], 9).into()).text(oauth).write_to(&folder);
    folder.command("store init", "").succeeded();
    let update = |name: &str, text: &str, words: &str| {
        import(&folder, name, text, &format!("{words} --on-conflict update --restart --output json"))
    };
    let users = "--realm sws --kind users";
    update("users.csv", "name,password,legacy_id\nana,x,5\neva,x,6\n", users).succeeded();
    let shown = |words: &str| folder.command(&format!("{words} --output json"), "").json();
    let user = |name: &str| shown(&format!("user show --realm sws --username {name}"));
    // Its tokens carry the number.
    assert_eq!(update("users.csv", "name,legacy_id\nana,50\n", users).json()["updated"], 1);
    assert_eq!((&user("ana")["legacy_id"], &user("ana")["epoch"]), (&json!(50), &json!(1)));
    // A number that a row gives to an account that is there is no new one's, not in the same batch and not later.
    let report = update("users.csv", "name,password,legacy_id\nnew,x,\neva,,51\n", users).json();
    assert_eq!((&report["made"], &report["updated"]), (&json!(1), &json!(1)), "{report}");
    let words = "user add --realm sws --username next --name Next --password-stdin";
    folder.command(words, "una-clave-larga").succeeded();
    assert_eq!([user("eva"), user("new"), user("next")].map(|user| user["legacy_id"].as_i64()), [51, 52, 53].map(Some));
    let id = "0b0f9a52-6f7b-4d0e-9a8e-6f2a6f1b1c01";
    let twice = update("users.csv", &format!("name,password,id\none,x,{id}\ntwo,x,{id}\n"), users);
    assert!(twice.code == 1 && twice.stderr.contains("users.csv:3: id: another account has it"), "{twice:?}");
    // What the row does not say need not be there, and counts as it is.
    update("companies.csv", "name\nACME\n", "--realm become --kind companies").succeeded();
    let clients = "--realm become --kind clients";
    update("clients.csv", "name,company,password\nc1,ACME,x\n", clients).succeeded();
    assert_eq!(update("clients.csv", "name,password\nc1,y\n", clients).json()["updated"], 1);
    for (text, said) in
        [("name,password\nc2,y\n", "a client needs a company"), ("name,company\nc1,\n", "a client needs a company")]
    {
        let refused = update("clients.csv", text, clients);
        assert!(refused.code == 1 && refused.stderr.contains(said), "{refused:?}");
    }
    let clients = "--realm oauth --kind clients";
    update("clients.csv", "name,password,grants\no1,x,client_credentials\n", clients).succeeded();
    let report = update("clients.csv", "name,grants\no1,client_credentials refresh_token\n", clients).json();
    assert_eq!(report["updated"], 1, "{report}");
    assert_eq!(shown("client show --realm oauth --id o1")["grants"], json!(["client_credentials", "refresh_token"]));
}

#[test]
fn every_kind_and_every_column_comes_over() {
    let folder = folder();
    let companies = import(
        &folder,
        "companies.csv",
        "name,status\nACME,active\nOLD,disabled\n",
        "--realm become --kind companies --output json",
    )
    .json();
    assert_eq!(companies["made"], 2, "{companies}");
    let clients = "{\"name\":\"c1\",\"company\":\"ACME\",\"scopes\":[\"read\",\"write\"],\"password\":\"s\",\"created_at\":\"2020-01-31 10:00:00\"}\n\n\
                   {\"name\":\"c2\",\"company\":\"NONE\",\"password\":\"s\"}\n";
    let stopped = import(&folder, "clients.jsonl", clients, "--realm become --kind clients");
    assert!(stopped.stderr.contains("clients.jsonl:3: company: there is no company 'NONE'"), "{stopped:?}");
    let shown = folder.command("client show --realm become --id c1 --output json", "").json();
    assert_eq!(
        (&shown["company"], &shown["scopes"], &shown["created_at"]),
        (&json!("ACME"), &json!(["read", "write"]), &json!("2020-01-31T10:00:00Z"))
    );
    let users = "id;name;legacy_id;display_name;status;password;created_at;left_out\n\
                 0b0f9a52-6f7b-4d0e-9a8e-6f2a6f1b1c01;ana;41;Ana Ruiz;locked;x;1580464800;?\n\
                 ;eva;;\"Eva; la segunda\";;y;;?\n";
    let words = "--realm sws --kind users --delimiter ; --map left_out=-";
    import(&folder, "users.csv", users, words).succeeded();
    let shown =
        |name: &str| folder.command(&format!("user show --realm sws --username {name} --output json"), "").json();
    let (ana, eva) = (shown("ana"), shown("eva"));
    assert_eq!(
        (&ana["id"], &ana["legacy_id"], &ana["locked"]),
        (&json!("0b0f9a52-6f7b-4d0e-9a8e-6f2a6f1b1c01"), &json!(41), &json!(true))
    );
    assert_eq!((&eva["display_name"], &eva["legacy_id"]), (&json!("Eva; la segunda"), &json!(42)));
    let projects = "business,name,password\nb,p,x\n";
    import(&folder, "projects.csv", projects, "--realm toc --kind projects").succeeded();
    for (file, text, words, said) in [
        (
            "a.csv",
            "name,pasword\n",
            "--realm apis --kind users",
            "a.csv:1:2: there is no column 'pasword' (did you mean 'password'?)",
        ),
        ("a.csv", "nombre\n", "--realm apis --kind users --map nombre=role", "has no 'name'"),
        ("a.csv", "name\n", "--realm apis --kind users --map x=role", "no 'x', which --map names"),
        ("a.csv", "name,name\n", "--realm apis --kind users", "stands twice"),
        ("a.csv", "name,role\n", "--realm become --kind companies", "a company has no role"),
        ("a.csv", "name,password\nx,y\n", "--realm apis --kind clients", "its accounts are users, not clients"),
        (
            "a.jsonl",
            "{\"name\":1,\"name\":2}\n",
            "--realm apis --kind users",
            "a.jsonl:1: the line is not one JSON object",
        ),
        (
            "a.csv",
            "name,password\nx,\u{e9}\n",
            "--realm apis --kind users --rule sha1(pepper+password)",
            "--pepper-file",
        ),
    ] {
        let refused = import(&folder, file, text, words);
        assert!(refused.code == 1 && refused.stderr.contains(said), "{words}: {refused:?}");
    }
    let absent = folder.command("import none.csv --realm apis --kind users", "");
    assert_eq!(absent.code, 2, "{absent:?}");
}

#[test]
fn a_probe_tells_whether_a_hash_and_a_rule_are_understood() {
    let folder = folder();
    let probe = |text: &str, words: &str| {
        let words = format!("--realm apis --kind users --probe {words}");
        import(&folder, "probe.csv", text, words.trim_end())
    };
    let known = probe(&format!("name,hash,password\nana,{},contraseña\n", SECRETS[0].2), "");
    assert!(known.code == 0 && known.stdout.contains("'ana': pbkdf2-sha256, the password matches"), "{known:?}");
    let wrong = probe(&format!("name,hash,password\nana,{},otra\n", SECRETS[0].2), "");
    assert!(wrong.code == 1 && wrong.stderr.contains("does NOT match"), "{wrong:?}");
    let digest = "name,salt,hash,password\nana,nieIULd91vK8,1766b7d3335f24c9de985cef29abf7d7465afe61,contraseña\n";
    let unruled = probe(digest, "");
    assert!(unruled.code == 1 && unruled.stderr.contains("say so with --rule"), "{unruled:?}");
    assert!(probe(digest, "--rule sha1(password+salt)").stderr.contains("does NOT match"));
    assert_eq!(probe(digest, "--rule sha1(salt+password)").code, 0);
    fs::write(folder.file("pepper"), "IULd91vK8\n").unwrap();
    let peppered = digest.replace("nieIULd91vK8", "nie");
    let words = format!("--rule sha1(salt+pepper+password) --pepper-file {}", folder.file("pepper").display());
    let matches = probe(&peppered, &format!("{words} --output json")).json();
    assert_eq!((&matches[0]["format"], &matches[0]["matches"]), (&json!("sha1"), &json!(true)));
    let stdin = folder.command(
        "import - --realm apis --kind users --probe",
        &format!("name,hash,password\na,{},contraseña\n", SECRETS[2].2),
    );
    stdin.succeeded();
    assert!(probe("name,hash\na,b\n", "").stderr.contains("takes a password in every row"));
}

#[test]
fn a_trial_changes_nothing_and_finds_what_stands_twice() {
    let folder = folder();
    let text = "name,password\nana,x\neva,y\nana,z\n";
    let tried = import(&folder, "users.csv", text, &format!("{USERS} --dry-run"));
    assert!(
        tried.code == 1 && tried.stderr.contains("users.csv:4: name: 'ana' stands in an earlier row already"),
        "{tried:?}"
    );
    let tried = import_file(&folder, "users.csv", &format!("{USERS} --dry-run --on-conflict skip")).json();
    assert_eq!((&tried["made"], &tried["skipped"], &tried["dry_run"]), (&json!(2), &json!(1), &json!(true)));
    assert_eq!(
        Database::in_folder(&folder).count("SELECT (SELECT count(*) FROM principals) + (SELECT count(*) FROM imports)"),
        0
    );
    let report = import_file(&folder, "users.csv", &format!("{USERS} --on-conflict skip")).json();
    assert_eq!((&report["made"], &report["skipped"]), (&json!(2), &json!(1)), "{report}");
}
