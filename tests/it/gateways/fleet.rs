//! Gateways on one PostgreSQL, each a process of its own, with a folder of its own and the same master key.

use std::{fs, os::unix::fs::OpenOptionsExt, thread};

use crate::support::{
    Config, Connection, Contract, Folder, Gateway, Link, PATIENCE, Pooler, Postgres, Process, Ran, Response, Upstream,
    command, get, post, wait_until,
};

/// The bound of these fleets: nothing stands still for so long that is not made to.
const LATE_STALE: &str = "max_staleness = \"2m\"";

/// The least that a config may say, for fleets that become stale.
const SOON_STALE: &str = "max_staleness = \"5s\"";

/// What `sws` says when it cannot know, at its token endpoint and on its routes.
const NO_LOGIN: &str = r#"{"error":3,"message":"Error del servidor"}"#;
const NO_ANSWER: &str = r#"{"error":503,"message":"Servicio no disponible"}"#;

/// Gateways and what they stand on, in the order in which they end.
pub(super) struct Fleet {
    pub(super) gateways: Vec<Gateway>,
    /// The network between each gateway and the server.
    pub(super) links: Vec<Link>,
    /// What stands before each link, where [`Pooler::named_before`] has one.
    poolers: Vec<Pooler>,
    config: Config,
    /// Of each gateway, beside three of its own: the server has 60.
    pub(super) connections: u32,
    /// What `[store]` says beside where the store is: a late bound, unless a test says otherwise.
    pub(super) store: String,
    master_key: Vec<u8>,
    pub(super) postgres: Postgres,
    _upstream: Upstream,
}

impl Fleet {
    /// So many gateways on a new server, with the accounts of `sws` and `apis`.
    pub(super) fn of(count: usize) -> Self {
        Self::on(Postgres::start(), count, |config| config)
    }

    /// The same on this server, with a config of its own.
    pub(super) fn on(postgres: Postgres, count: usize, edit: impl FnOnce(Config) -> Config) -> Self {
        let mut fleet = Self::without_gateways(postgres, edit);
        fleet.start(count);
        fleet
    }

    /// The same with gateways that become stale as soon as a config may say.
    pub(super) fn soon_stale(postgres: Postgres, count: usize, edit: impl FnOnce(Config) -> Config) -> Self {
        let mut fleet = Self::without_gateways(postgres, edit);
        SOON_STALE.clone_into(&mut fleet.store);
        fleet.start(count);
        fleet
    }

    /// A store that was made, and nobody on it yet.
    pub(super) fn without_gateways(postgres: Postgres, edit: impl FnOnce(Config) -> Config) -> Self {
        let upstream = Upstream::start();
        let config = edit(Config::standard(upstream.address));
        let mut fleet = Self {
            gateways: vec![],
            links: vec![],
            poolers: vec![],
            config,
            connections: 2,
            store: LATE_STALE.to_owned(),
            master_key: vec![],
            postgres,
            _upstream: upstream,
        };
        let folder = fleet.folder(&fleet.postgres.url());
        folder.command("store init", "").succeeded();
        Contract::Sws.make_account(&folder);
        Contract::Apis.make_account(&folder);
        fleet.master_key = fs::read(folder.file("master.key")).unwrap();
        fleet
    }

    /// Starts so many gateways at once, each behind a link of its own.
    pub(super) fn start(&mut self, count: usize) {
        let links: Vec<_> = (0..count).map(|_| Link::to(&self.postgres)).collect();
        let started: Vec<_> = links
            .iter()
            .map(|link| {
                let folder = match Pooler::named_before(&self.postgres, link) {
                    None => self.folder(&link.url()),
                    Some(pooler) => {
                        let folder = self.folder_with_direct(&pooler.url(), &link.url());
                        self.poolers.push(pooler);
                        folder
                    }
                };
                (Process::spawn(&mut command(&["run", "--config", &folder.config()]), ""), folder)
            })
            .collect();
        self.gateways.extend(started.into_iter().map(|(process, folder)| Gateway::of(process, folder)));
        self.links.extend(links);
    }

    /// What a gateway needs that reaches the store at this url.
    pub(super) fn folder(&self, url: &str) -> Folder {
        self.folder_with_direct(url, url)
    }

    /// The same where the feed and the like have a way of their own.
    pub(super) fn folder_with_direct(&self, url: &str, direct_url: &str) -> Folder {
        let folder = Folder::new();
        let Self { connections, store, .. } = self;
        let direct = if direct_url == url { String::new() } else { format!("direct_url = \"{direct_url}\"\n") };
        let store = format!(
            "[store]\nurl = \"{url}\"\n{direct}password_file = \"store.password\"\nconnections = {connections}\n\
             {store}"
        );
        self.config.clone().text(&store).write_to(&folder);
        write_secret(&folder, "store.password", Postgres::password().as_bytes());
        if !self.master_key.is_empty() {
            write_secret(&folder, "master.key", &self.master_key);
        }
        folder
    }

    /// A folder for commands, beside the gateways, on a server of this url.
    #[track_caller]
    pub(super) fn command(&self, words: &str, stdin: &str) -> Ran {
        self.folder(&self.postgres.url()).command(words, stdin)
    }

    /// Runs the same command several times at once.
    pub(super) fn at_once(&self, words: &str, stdin: &str, times: usize) -> Vec<Ran> {
        let folders: Vec<_> = (0..times).map(|_| self.folder(&self.postgres.url())).collect();
        thread::scope(|scope| {
            let running: Vec<_> = folders.iter().map(|folder| scope.spawn(|| folder.command(words, stdin))).collect();
            running.into_iter().map(|running| running.join().unwrap()).collect()
        })
    }

    /// Every gateway takes this token of `sws`.
    #[track_caller]
    pub(super) fn all_take(&self, token: &str) {
        for (place, gateway) in self.gateways.iter().enumerate() {
            assert_eq!(gateway.decides("/sws", token), (200, "authenticated".to_owned()), "gateway {place}");
        }
    }

    /// Waits until every gateway refuses this token of `sws`.
    #[track_caller]
    pub(super) fn all_refuse(&self, token: &str) {
        for gateway in &self.gateways {
            gateway.comes_to_refuse("/sws", token);
        }
    }

    /// Waits until accounts of both realms can log in at every gateway, and every other one takes what they get.
    #[track_caller]
    pub(super) fn heals(&self) {
        for gateway in &self.gateways {
            gateway.heals();
        }
        for gateway in &self.gateways {
            gateway.login_apis();
            self.all_take(&gateway.login(Contract::Sws));
        }
    }
}

fn write_secret(folder: &Folder, name: &str, bytes: &[u8]) {
    use std::io::Write;
    let file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(folder.file(name));
    file.unwrap().write_all(bytes).unwrap();
}

impl Gateway {
    /// Waits until this token is refused.
    #[track_caller]
    pub(super) fn comes_to_refuse(&self, path: &str, token: &str) {
        // A request that is answered while the revocation arrives ends with it.
        let answer = || Connection::open(self.front).try_send(&get(path).bearer(token));
        wait_until("the token is refused", PATIENCE, || answer().is_ok_and(|answer| answer.status == 401));
    }

    /// A login at `sws`, whatever comes of it.
    pub(super) fn try_login(&self) -> Response {
        self.send(&Contract::Sws.login_with(Contract::Sws.secret()))
    }

    /// Logins fail in the contract's own words.
    #[track_caller]
    pub(super) fn cannot_log_in(&self) {
        is_unavailable(&self.try_login(), NO_LOGIN);
    }

    /// Revokes over the admin API, and answers the status: 200 means that it is acknowledged.
    pub(super) fn try_revoke(&self, token: &str) -> u16 {
        let request = post("/api/v1/revocations/token", serde_json::json!({ "token": token }).to_string());
        let request = request.header("Host", "localhost").bearer(&self.admin_token());
        Connection::open(self.admin).send(&request).status
    }

    /// Waits until logins work, changes too, and it is ready.
    #[track_caller]
    pub(super) fn heals(&self) {
        wait_until("logins work", PATIENCE, || self.try_login().status == 200);
        wait_until("it is ready", PATIENCE, || self.ask("/health/ready").status == 200);
        wait_until("revocations work", PATIENCE, || self.try_revoke(&self.login(Contract::Sws)) == 200);
    }

    /// Asks for a checked path until it is refused for want of the store, which must not be before the bound.
    #[track_caller]
    pub(super) fn becomes_stale(&self, token: &str) {
        let mut refusal = None;
        wait_until("it is stale", PATIENCE, || {
            let answer = self.send(&get("/sws").bearer(token));
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            refusal = Some(answer).filter(|answer| answer.status == 503);
            refusal.is_some()
        });
        // Read afterwards, so that it is no less than it was.
        let age = self.store_age();
        assert!(age >= 5.0, "refused at an age of {age} s");
        is_unavailable(&refusal.unwrap(), NO_ANSWER);
        self.process.access_line("a line that says why", |line| line["reason"] == "stale");
        assert_eq!(self.send(&get("/public")).status, 200);
        assert_eq!(self.ask("/health/ready").status, 503);
        assert_eq!(self.ask("/health/serving").status, 200);
    }

    /// How old what it knows of the store is, in seconds.
    pub(super) fn store_age(&self) -> f64 {
        let metrics = self.ask("/metrics").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("portero_store_age_seconds "));
        line.unwrap().parse().unwrap()
    }
}

#[track_caller]
fn is_unavailable(answer: &Response, body: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (503, body), "{answer:?}");
    let wait = answer.header("Retry-After").and_then(|wait| wait.parse::<u32>().ok());
    assert!(wait.is_some_and(|wait| wait > 0), "{answer:?}");
}
