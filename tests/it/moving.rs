//! Moving house: a store goes to another place while gateways work with it. What was acknowledged is there, what was
//! revoked stays refused, and the old place takes nothing any more.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::runtime::Builder;

use crate::support::{
    Config, Connection, Contract, Database, Folder, Gateway, Link, PATIENCE, Postgres, Process, Ran, Upstream, command,
    post, wait_until,
};

/// Lines of progress after which a copy with `--switch` is killed. A pass has a line for each of 15 tables; then
/// changes wait, the last pass comes, and the source ends.
const KILLED_AFTER: [usize; 10] = [1, 4, 8, 11, 13, 14, 17, 21, 26, 28];

/// What a line of the network adds to each statement of a copy, so that it can be killed in its middle.
const DELAY: Duration = Duration::from_millis(5);

/// Has a gateway be stale as soon as one can be.
const SOON_STALE: &str = "max_staleness = \"5s\"\n";

const SECRET: &str = "a-secret-of-tests";

/// Where the store of a folder is.
fn file_of(folder: &Folder) -> String {
    format!("sqlite:{}", folder.file("portero.db").display())
}

/// `portero store copy`, as somebody on the machine of this folder says it.
fn copying(folder: &Folder, from: &str, to: &str, more: &[&str]) -> Process {
    let config = folder.config();
    let arguments = ["store", "copy", "--config", &config, "--output", "json", "--from", from, "--to", to];
    let mut command = command(&[&arguments, more].concat());
    Process::spawn(command.env("PORTERO_STORE_PASSWORD", Postgres::password()), "")
}

fn copied(folder: &Folder, from: &str, to: &str, more: &[&str]) -> Ran {
    copying(folder, from, to, more).finish()
}

/// A folder for a gateway beside that of `old`: the same accounts and master key, and the store at `url`.
fn new_house(config: &Config, old: &Folder, url: &str) -> Folder {
    let folder = Folder::new();
    fs::copy(old.file("master.key"), folder.file("master.key")).unwrap();
    let password = folder.file("store.password");
    fs::write(&password, Postgres::password()).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    configure(config, &folder, url, "");
    folder
}

/// Writes the config of a gateway with its store at `url`, and `more` of that.
fn configure(config: &Config, folder: &Folder, url: &str, more: &str) {
    let password = if url.starts_with("postgres") { "password_file = \"store.password\"\n" } else { "" };
    config.clone().text(&format!("[store]\nurl = \"{url}\"\n{password}{more}")).write_to(folder);
}

/// What clients and administrators were told is done.
#[derive(Default)]
struct Acknowledged {
    logins: Mutex<Vec<String>>,
    revoked: Mutex<Vec<String>>,
    accounts: Mutex<Vec<String>>,
    next_account: AtomicUsize,
}

impl Acknowledged {
    fn counts(&self) -> [usize; 3] {
        [&self.logins, &self.revoked, &self.accounts].map(|list| list.lock().unwrap().len())
    }

    /// Two logins, one of which is revoked over the admin API.
    fn use_gateway(&self, gateway: &Gateway) {
        self.logins.lock().unwrap().extend(login(gateway));
        let Some(token) = login(gateway) else { return };
        if revoke(gateway, &token) == 200 {
            self.revoked.lock().unwrap().push(token);
        }
    }

    /// A new account, and a login that is revoked by a command.
    fn use_commands(&self, gateway: &Gateway) {
        self.add_account(gateway);
        let Some(token) = login(gateway) else { return };
        if gateway.command("revoke token", &token).code == 0 {
            self.revoked.lock().unwrap().push(token);
        }
    }

    fn add_account(&self, gateway: &Gateway) {
        let name = format!("u{}", self.next_account.fetch_add(1, Ordering::Relaxed));
        let words = format!("user add --realm sws --username {name} --password-stdin");
        if gateway.command(&words, SECRET).code == 0 {
            self.accounts.lock().unwrap().push(name);
        }
    }

    /// Logs in, revokes and makes accounts until `work` is done.
    fn during<T>(&self, gateway: &Gateway, work: impl FnOnce() -> T) -> T {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stop = AtomicBool::new(false);
        let go_on = || !stop.load(Ordering::Relaxed);
        thread::scope(|scope| {
            scope.spawn(|| {
                while go_on() {
                    self.use_gateway(gateway);
                }
            });
            scope.spawn(|| {
                while go_on() {
                    self.use_commands(gateway);
                }
            });
            let _stop = Stop(&stop);
            work()
        })
    }

    /// Waits until more of everything was acknowledged.
    fn grow(&self) {
        let before = self.counts();
        wait_until("more is acknowledged", PATIENCE, || {
            self.counts().iter().zip(before).all(|(now, before)| *now > before)
        });
    }

    /// Holds all of it against a gateway.
    #[track_caller]
    fn holds(&self, gateway: &Gateway) {
        let (logins, revoked) = (self.logins.lock().unwrap(), self.revoked.lock().unwrap());
        let refused = logins.iter().filter(|token| gateway.status("/sws", token) != 200).count();
        assert_eq!(refused, 0, "of {} logins", logins.len());
        let still_good = revoked.iter().filter(|token| gateway.status("/sws", token) != 401).count();
        assert_eq!(still_good, 0, "of {} revoked tokens", revoked.len());
        let listed = gateway.command("user list --realm sws --output json", "").json();
        let listed: Vec<_> = listed.as_array().unwrap().iter().filter_map(|user| user["name"].as_str()).collect();
        let accounts = self.accounts.lock().unwrap();
        let lost: Vec<_> = accounts.iter().filter(|name| !listed.contains(&name.as_str())).collect();
        assert!(lost.is_empty(), "lost of {} accounts: {lost:?}", accounts.len());
        let newest = accounts.last().unwrap();
        let answer = gateway.send(&Contract::Sws.login_as(newest, SECRET));
        assert!(Contract::Sws.token_of(&answer).is_some(), "{newest}: {answer:?}");
    }
}

/// A login, which is refused while changes are held off, and afterwards.
fn login(gateway: &Gateway) -> Option<String> {
    let answer = gateway.send(&Contract::Sws.login_with(Contract::Sws.secret()));
    let token = Contract::Sws.token_of(&answer);
    assert!(token.is_some() || answer.status == 503, "{answer:?}");
    token
}

/// A revocation over the admin API, whatever comes of it.
fn revoke(gateway: &Gateway, token: &str) -> u16 {
    let request = post("/api/v1/revocations/token", json!({ "token": token }).to_string());
    let request = request.header("Host", "localhost").bearer(&gateway.admin_token());
    Connection::open(gateway.admin).send(&request).status
}

/// A gateway on a store that has moved goes on with checked traffic, and with nothing else.
#[track_caller]
fn has_moved(gateway: &Gateway, to: &str, token: &str) {
    for contract in [Contract::Sws, Contract::Apis, Contract::Become] {
        let answer = gateway.send(&contract.login_with(contract.secret()));
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    assert_eq!(revoke(gateway, token), 503);
    assert_eq!(gateway.status("/sws", token), 200);
    for words in
        ["key list", "run", "revoke principal --realm sws --name admin", "store init", "key rotate --realm sws"]
    {
        refers_to(&gateway.command(words, ""), to);
    }
}

#[track_caller]
fn refers_to(ran: &Ran, to: &str) {
    assert!(ran.code == 2 && ran.stderr.contains(&format!("moved to {to}")), "{ran:?}");
}

fn rows_of(copied: &Value, table: &str) -> u64 {
    let tables = copied["tables"].as_array().unwrap();
    tables.iter().find(|sum| sum["table"] == table).unwrap()["rows"].as_u64().unwrap()
}

#[test]
fn a_store_moves_to_a_server_and_back_under_load_whatever_is_killed_and_nothing_is_lost() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = Gateway::run(config.with_accounts());
    let postgres = Postgres::start();
    let link = Link::to(&postgres);
    let (file, server) = (file_of(&gateway.folder), link.url());
    let apis = gateway.login_apis();
    let acknowledged = Acknowledged::default();

    let switched = acknowledged.during(&gateway, || {
        acknowledged.grow();
        link.delay(DELAY);
        for lines in KILLED_AFTER {
            let process = copying(&gateway.folder, &file, &server, &["--switch"]);
            wait_until("the copy gets on", PATIENCE, || process.written().lines().count() >= lines);
            process.signal("KILL");
            process.finish();
        }
        link.delay(Duration::ZERO);
        copied(&gateway.folder, &file, &server, &["--switch"]).json()
    });
    assert_eq!(switched["switched"], true, "{switched}");
    let token = acknowledged.logins.lock().unwrap()[0].clone();
    has_moved(&gateway, &server, &token);
    assert_eq!(gateway.refresh(&apis.refresh).status, 503, "nothing of it would have to be written");
    let backup = gateway.folder.file("backup");
    refers_to(&gateway.command(&format!("backup {}", backup.display()), ""), &server);

    let on_server = Gateway::run(new_house(&config, &gateway.folder, &server));
    acknowledged.holds(&on_server);
    assert_eq!(on_server.refresh(&apis.refresh).status, 200);
    gateway.stop();

    // And back, to a new file.
    let new = new_house(&config, &on_server.folder, "sqlite:portero.db");
    let file = file_of(&new);
    let moved = acknowledged.during(&on_server, || {
        acknowledged.grow();
        let first = copied(&on_server.folder, &server, &file, &[]).json();
        assert_eq!(first["switched"], false, "{first}");
        refers_to_copy(&new.command("run", ""), &server);
        acknowledged.grow();
        copied(&on_server.folder, &server, &file, &["--switch"]).json()
    });
    assert_eq!(moved["switched"], true, "{moved}");
    assert!(rows_of(&moved, "sessions") > rows_of(&switched, "sessions"), "{moved}");
    has_moved(&on_server, &file, &token);
    let at_home = Gateway::run(new);
    acknowledged.holds(&at_home);
    acknowledged.during(&at_home, || acknowledged.grow());
    acknowledged.holds(&at_home);
}

/// A copy in the making is no store.
#[track_caller]
fn refers_to_copy(ran: &Ran, from: &str) {
    assert!(ran.code == 2 && ran.stderr.contains(&format!("a copy in the making, of {from}")), "{ran:?}");
}

#[test]
fn a_move_that_is_killed_between_both_ends_leaves_no_store_to_work_with_until_it_is_repeated() {
    let config = Config::standard(([127, 0, 0, 1], 9).into());
    let old = config.with_accounts();
    let postgres = Postgres::start();
    let (file, server) = (file_of(&old), postgres.url());
    let new = new_house(&config, &old, &server);
    copied(&old, &file, &server, &[]).succeeded();

    // Somebody has the row that says that it is a copy: it cannot become a store.
    let mut held = Held::row_of(&postgres);
    let process = copying(&old, &file, &server, &["--switch"]);
    wait_until("the source has ended", PATIENCE, || process.written().contains("the source has ended"));
    process.signal("KILL");
    process.finish();
    held.give_up();
    refers_to(&old.command("key list", ""), &server);
    refers_to_copy(&new.command("key list", ""), &file);
    refers_to_copy(&new.command("run", ""), &file);
    refers_to(&copied(&old, &file, &format!("sqlite:{}", old.file("elsewhere").display()), &[]), &server);

    // Repeated, with --switch or without: there is no other way from here.
    let done = copied(&old, &file, &server, &[]).json();
    assert_eq!((&done["switched"], &done["changed"]), (&json!(true), &json!(0)), "{done}");
    new.command("user show --realm sws --username admin", "").succeeded();
    assert_eq!(copied(&old, &file, &server, &["--switch"]).json()["switched"], true);
}

/// A transaction of somebody else on a server.
struct Held {
    connection: Option<PgConnection>,
    runtime: tokio::runtime::Runtime,
}

impl Held {
    fn row_of(postgres: &Postgres) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let options = postgres.url().parse::<PgConnectOptions>().unwrap().password(Postgres::password());
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await?;
            // Its value may be changed, and the row cannot be removed.
            let lock = "BEGIN; SELECT FROM meta WHERE name = 'copying_from' FOR KEY SHARE";
            sqlx::raw_sql(lock).execute(&mut connection).await.map(|_| connection)
        });
        Self { connection: Some(connection.unwrap()), runtime }
    }

    fn give_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(sqlx::Connection::close(connection)).unwrap();
        }
    }
}

#[test]
fn a_copy_carries_differences_over_and_is_made_only_where_nothing_is() {
    let config = Config::standard(([127, 0, 0, 1], 9).into());
    let (old, other) = (config.with_accounts(), config.with_accounts());
    let postgres = Postgres::start();
    let (file, server) = (file_of(&old), postgres.url());
    let refused = |ran: &Ran, code: i32, said: &str| assert!(ran.code == code && ran.stderr.contains(said), "{ran:?}");
    refused(&copied(&old, &file, &file_of(&other), &[]), 1, "is not empty");
    refused(&copied(&old, &file, &file, &[]), 1, "the same place");
    refused(&copied(&old, &file, "postgres://a:b@127.0.0.1/c", &[]), 1, "--to must carry no password");
    refused(&copied(&old, &file_of(&Folder::new()), &server, &[]), 2, "is missing");

    let first = copied(&old, &file, &server, &[]).json();
    let accounts = Contract::ALL.len() as u64;
    assert_eq!((rows_of(&first, "principals"), rows_of(&first, "account_numbers")), (accounts, accounts));
    assert_eq!(rows_of(&first, "companies"), 1);
    let again = copied(&old, &file, &server, &[]).json();
    assert_eq!((&again["changed"], &again["tables"]), (&json!(0), &first["tables"]));
    refused(&copied(&other, &file_of(&other), &server, &[]), 1, &format!("of {file} already"));

    // What goes is gone there, and what comes under its name is another one.
    old.command("user delete --realm sws --username admin", "").succeeded();
    Contract::Sws.make_account(&old);
    old.command("user disable --realm apis --username admin", "").succeeded();
    let third = copied(&old, &file, &server, &[]).json();
    assert!(third["changed"].as_u64().unwrap() > 3, "{third}");
    assert_eq!(rows_of(&third, "principals"), accounts);
    let disabled = "SELECT count(*) FROM principals WHERE realm = 'apis' AND disabled";
    assert_eq!(postgres.count(disabled), 1);
    // A copy that is no store yet stands in nobody's way: the old one is in use.
    old.command("user enable --realm apis --username admin", "").succeeded();

    // What a server counts goes on behind what was copied.
    copied(&old, &file, &server, &["--switch"]).succeeded();
    assert_eq!(postgres.count(disabled), 0);
    let new = new_house(&config, &old, &server);
    new.command("user add --realm sws --username later --generate", "").succeeded();
    let numbers = "SELECT count(*) FROM account_numbers, principals WHERE id = account AND name = 'later' \
                   AND seq = (SELECT max(seq) FROM account_numbers)";
    assert_eq!(postgres.count(numbers), 1);
    refers_to(&old.command("key list", ""), &server);

    // Nothing writes to it, whatever it knows of the move.
    let text = refusal_of(&old.file("portero.db"));
    assert_eq!(text, format!("the store has moved to {server}"));
}

/// What a program without any knowledge of a move gets for a change.
fn refusal_of(file: &Path) -> String {
    let mut database = Database::at(file);
    database.refusal("UPDATE principals SET locked = 1")
}

#[test]
fn a_gateway_on_a_server_that_has_moved_grows_stale_and_makes_way() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let old = config.with_accounts();
    let postgres = Postgres::start();
    copied(&old, &file_of(&old), &postgres.url(), &["--switch"]).succeeded();
    let folder = new_house(&config, &old, &postgres.url());
    configure(&config, &folder, &postgres.url(), SOON_STALE);
    let gateway = Gateway::run_with_successors(Path::new(env!("CARGO_BIN_EXE_portero")), folder);
    let (token, revoked) = (gateway.login(Contract::Sws), gateway.login(Contract::Sws));
    let beat = "SELECT count(*) FROM gateways";
    wait_until("it writes itself down", PATIENCE, || postgres.count(beat) == 1);
    let file = format!("sqlite:{}", gateway.folder.file("new.db").display());
    copied(&gateway.folder, &postgres.url(), &file, &["--switch"]).succeeded();

    // It cannot write itself down any more, so that it refuses what it cannot know to be revoked.
    wait_until("it is stale", PATIENCE, || gateway.ask("/health/ready").status == 503);
    assert_eq!(gateway.status_at_once("/sws", &token), 503);
    assert_eq!(gateway.send(&Contract::Sws.login_with(Contract::Sws.secret())).status, 503);
    let log = gateway.process.written();
    assert!(log.contains(&format!("the store has moved to {file}")), "{log}");
    let changes = [
        "UPDATE principals SET locked = TRUE",
        "DELETE FROM deletions",
        "TRUNCATE revocations",
        "DELETE FROM gateways",
    ];
    for change in changes {
        let refused = postgres.try_execute(change).unwrap_err().to_string();
        assert!(refused.contains(&format!("the store has moved to {file}")), "{change}: {refused}");
    }

    // No row in the old place can say that it hands over, and it does.
    let pid = gateway.serving_pid();
    configure(&config, &gateway.folder, &file, "");
    gateway.command("revoke token", &revoked).succeeded();
    gateway.asked("upgrade").succeeded();
    assert_ne!(gateway.serving_pid(), pid);
    assert_eq!((gateway.status("/sws", &token), gateway.status("/sws", &revoked)), (200, 401));
    gateway.login(Contract::Sws);
}
