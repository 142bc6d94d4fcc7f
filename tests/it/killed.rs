//! Kill -9 in the middle of everything that a gateway acknowledges: logins, exchanges of refresh tokens, revocations,
//! and rotations of keys. What was acknowledged holds afterwards, on either store.

use std::{
    env, fs, io,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::support::{
    Config, Connection, Contract, Folder, Gateway, PATIENCE, Postgres, Request, Upstream, post, wait_until,
};

/// How often each gateway is killed; `PORTERO_KILLS` makes it more (`make kills`).
const KILLS: usize = 4;

/// Keys of every realm rotate this often, so that a gateway is killed while it does that too. They are kept: their
/// tokens live on.
const ROTATION: &str = "[keys]\nrotate_every = \"1s\"\npublish_ahead = \"100ms\"";

/// An answer that was lost comes again within the grace.
const OAUTH: &str =
    "[realms.oauth]\ndialect = \"oauth\"\n[oauth]\nrefresh_grace = \"5m\"\n[passwords]\nhash_queue = 256";

const CLIENT: (&str, &str) = ("one", "a-secret-of-one");

#[test]
fn what_was_acknowledged_on_a_file_survives_kills() {
    survives_kills("");
}

#[test]
fn what_was_acknowledged_on_a_server_survives_kills() {
    let postgres = Postgres::start();
    survives_kills(&format!("[store]\nurl = \"{}\"\npassword_file = \"store.password\"", postgres.url()));
}

fn survives_kills(store: &str) {
    let kills = env::var("PORTERO_KILLS").ok().map_or(KILLS, |kills| kills.parse().unwrap());
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).text(ROTATION).text(OAUTH).text(store);
    let mut gateway = Gateway::run(with_accounts(&config, !store.is_empty()));
    let acknowledged = Acknowledged::default();
    *acknowledged.line.lock().unwrap() = gateway.login_apis().refresh;
    for kill in 0..kills {
        acknowledged.until_killed(&gateway, kill);
        gateway = gateway.kill_and_restart();
        acknowledged.holds(&gateway);
    }
    println!("{kills} kills: {acknowledged}");
}

fn with_accounts(config: &Config, on_server: bool) -> Folder {
    let folder = Folder::new();
    config.write_to(&folder);
    if on_server {
        fs::write(folder.file("store.password"), Postgres::password()).unwrap();
        fs::set_permissions(folder.file("store.password"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        folder.command("store init", "").succeeded();
    }
    let config = config.clone();
    let folder = config.with_accounts_in(folder);
    folder
        .command(&format!("client add --realm oauth --id {} --scope read --password-stdin", CLIENT.0), CLIENT.1)
        .succeeded();
    folder
}

/// What clients and administrators were told is done.
#[derive(Default)]
struct Acknowledged {
    /// Tokens of logins that nobody revoked.
    logins: Mutex<Vec<String>>,
    revoked: Mutex<Vec<String>>,
    /// The last refresh token of a line.
    line: Mutex<String>,
    exchanges: AtomicUsize,
}

impl Acknowledged {
    /// Uses the gateway from all sides until it is killed: after so many more acknowledgements of one kind, another
    /// kind each time.
    fn until_killed(&self, gateway: &Gateway, kill: usize) {
        let before = self.counts();
        let (kind, more) = (kill % before.len(), 1 + kill % 5);
        thread::scope(|scope| {
            scope.spawn(|| while self.log_in(gateway).is_ok() {});
            scope.spawn(|| while self.revoke(gateway).is_ok() {});
            scope.spawn(|| while self.exchange(gateway).is_ok() {});
            wait_until("more is acknowledged", PATIENCE, || self.counts()[kind] >= before[kind] + more);
            gateway.process.signal("KILL");
        });
    }

    fn counts(&self) -> [usize; 3] {
        let [logins, revoked] = [&self.logins, &self.revoked].map(|list| list.lock().unwrap().len());
        [logins, revoked, self.exchanges.load(Ordering::Relaxed)]
    }

    fn log_in(&self, gateway: &Gateway) -> io::Result<()> {
        let token = login(gateway)?;
        self.logins.lock().unwrap().push(token);
        Ok(())
    }

    fn revoke(&self, gateway: &Gateway) -> io::Result<()> {
        let token = login(gateway)?;
        let request = post("/api/v1/revocations/token", json!({ "token": token }).to_string());
        let request = request.header("Host", "localhost").bearer(&gateway.admin_token());
        let answer = Connection::try_open(gateway.admin)?.try_send(&request)?;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.revoked.lock().unwrap().push(token);
        Ok(())
    }

    fn exchange(&self, gateway: &Gateway) -> io::Result<()> {
        let mut line = self.line.lock().unwrap();
        let request = Request::new("POST", "/oauth/token")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", format!("Basic {}", STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1))))
            .body(format!("grant_type=refresh_token&refresh_token={line}"));
        let answer = Connection::try_open(gateway.front)?.try_send(&request)?;
        assert_eq!(answer.status, 200, "the line goes on where it was: {answer:?}");
        answer.json()["refresh_token"].as_str().unwrap().clone_into(&mut line);
        drop(line);
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Holds all of it against a gateway. The keys of every token are there too, whatever rotated.
    #[track_caller]
    fn holds(&self, gateway: &Gateway) {
        for (tokens, status) in [(&self.logins, 200), (&self.revoked, 401)] {
            let tokens = tokens.lock().unwrap();
            let mut connection = Connection::open(gateway.front);
            let wrong = tokens
                .iter()
                .filter(|token| connection.send(&crate::support::get("/sws").bearer(token)).status != status);
            assert_eq!(wrong.count(), 0, "of {} are not {status}", tokens.len());
        }
        self.exchange(gateway).unwrap();
        for realm in ["sws", "apis", "toc", "maxpoint", "become"] {
            let keys = gateway.command(&format!("key list --realm {realm} --output json"), "").json();
            let active = keys.as_array().unwrap().iter().filter(|key| key["state"] == "active").count();
            assert_eq!(active, 1, "{keys}");
        }
    }
}

impl std::fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [logins, revoked, exchanges] = self.counts();
        write!(f, "{logins} logins, {revoked} revocations, {exchanges} exchanges, nothing lost")
    }
}

/// A login; an error where the gateway has ended.
fn login(gateway: &Gateway) -> io::Result<String> {
    let answer = Connection::try_open(gateway.front)?.try_send(&Contract::Sws.login_with(Contract::Sws.secret()))?;
    Ok(Contract::Sws.token_of(&answer).unwrap_or_else(|| panic!("no token: {answer:?}")))
}
