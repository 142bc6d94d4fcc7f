//! One proxied request, end to end: `portero run` under callgrind, a client and an upstream outside of it.
//!
//! Store, keys and token are made before, by processes that callgrind does not slow down. Counting begins when the
//! gateway has answered requests already, and only the thread that serves is counted: what others do goes by the
//! clock, as looking for new revocations does four times a second.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    budget::Count,
    callgrind::{self, Threads},
    client::{CERTIFICATE, Client, Form, KEY, certify},
    postgres::Postgres,
    process::{Process, command, portero},
    turns::Turns,
    upstream,
    wait::wait_until,
};

/// Requests before those that count: connections are open, the token is remembered, allocators have what they need.
const WARM: u64 = 200;

/// Requests of a round.
const ROUND: u64 = 250;

/// How long a start may take: callgrind makes all of it some fifty times slower.
const START_MAX: Duration = Duration::from_secs(120);

/// Rounds, of which the median counts: timers go by the clock, and move single rounds by half a percent.
const ROUNDS: usize = 9;

const NAME: &str = "ana";
const PASSWORD: &str = "c0f2afed-edc3-4cec-8af0-ef58fcb50062";

/// A request with a remembered token that has a budget.
pub(crate) struct Probe {
    name: &'static str,
    what: &'static str,
    form: Form,
    access_log: bool,
    /// Whether the store is PostgreSQL; a file otherwise.
    shares_store: bool,
}

impl Probe {
    const fn new(name: &'static str, what: &'static str, form: Form) -> Self {
        Self { name, what, form, access_log: false, shares_store: false }
    }
}

pub(crate) static PROBES: [Probe; 6] = [
    Probe::new("request", "a proxied request with a remembered token, access log off", Form::Get),
    Probe { access_log: true, ..Probe::new("request_logged", "the same, access log on", Form::Get) },
    Probe::new("request_post", "the same with a body of 1 KiB, access log off", Form::Post),
    Probe::new("request_tls", "the first through TLS", Form::Tls),
    Probe::new("request_h2", "the first over HTTP/2", Form::Http2),
    Probe {
        shares_store: true,
        ..Probe::new("request_shared_store", "the first with a store on PostgreSQL", Form::Get)
    },
];

/// Counts such a request through `binary`, with a store and an upstream of its own.
pub(crate) fn count(probe: &Probe, binary: &Path) -> Count {
    let house = House::new(probe.shares_store.then(Postgres::start));
    let instructions = house.request(binary, probe.form, probe.access_log);
    Count { name: probe.name, what: probe.what, instructions }
}

/// A folder with all that a gateway has, and what stands around it.
struct House {
    folder: TempDir,
    turns: Arc<Turns>,
    upstream: SocketAddr,
    token: String,
    /// Where its store is; a file without one.
    postgres: Option<Postgres>,
}

impl House {
    fn new(postgres: Option<Postgres>) -> Self {
        let turns = Arc::default();
        let upstream = upstream::start(&turns);
        let folder = TempDir::new().unwrap();
        certify(folder.path());
        let mut house = Self { folder, turns, upstream, token: String::new(), postgres };
        let config = house.configure(Form::Get, false);
        if house.postgres.is_some() {
            let password = house.folder.path().join("store.password");
            fs::write(&password, Postgres::password()).unwrap();
            fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
            portero(&["store", "init", "--config", &config], "").succeeded();
        }
        let add = ["user", "add", "--realm", "sws", "--username", NAME, "--name", "Ana", "--role", "USER"];
        portero(&[&add[..], &["--password-stdin", "--config", &config]].concat(), PASSWORD).succeeded();
        let gateway = Process::spawn(&mut command(&["run", "--config", &config]), "");
        house.token = login(front(&gateway));
        stop(gateway);
        house
    }

    /// Writes the config, and gives its path.
    fn configure(&self, form: Form, access_log: bool) -> String {
        let config = self.folder.path().join("gateway.toml");
        let store = self.postgres.as_ref().map_or_else(String::new, |postgres| {
            format!("[store]\nurl = \"{}\"\npassword_file = \"store.password\"\n", postgres.url())
        });
        fs::write(&config, store + &text(self.upstream, form, access_log)).unwrap();
        config.to_str().unwrap().to_owned()
    }

    /// Instructions of one request.
    fn request(&self, binary: &Path, form: Form, access_log: bool) -> u64 {
        let config = self.configure(form, access_log);
        let out = self.folder.path().join(format!("callgrind.{form:?}.{access_log}"));
        let mut command = callgrind::command(callgrind::BY_THREAD, binary, &out);
        let gateway = Process::spawn(command.args(["run", "--config", &config]), "");
        let mut client = Client::connect(form, front(&gateway), &self.token, self.folder.path());
        client.exchange();
        self.turns.with(Some(gateway.id()));
        let mut threads = Threads::count(gateway.id(), out);
        self.send(&mut client, WARM);
        threads.busiest();
        let round = |_| {
            self.send(&mut client, ROUND);
            threads.busiest()
        };
        let mut rounds: Vec<_> = (0..ROUNDS).map(round).collect();
        self.turns.with(None);
        stop(gateway);
        rounds.sort_unstable();
        rounds[ROUNDS / 2] / ROUND
    }

    /// Sends as many requests, one after another.
    fn send(&self, client: &mut Client, requests: u64) {
        for _ in 0..requests {
            self.turns.wait();
            client.exchange();
        }
    }
}

/// Where it listens, once it does.
fn front(gateway: &Process) -> SocketAddr {
    wait_until("it listens", START_MAX, || gateway.written().contains("\"listening\"") || gateway.has_ended());
    gateway.event("listening")["listen"].as_str().unwrap().parse().unwrap()
}

fn stop(gateway: Process) {
    gateway.signal("TERM");
    gateway.finish().succeeded();
}

/// A token of the account.
fn login(front: SocketAddr) -> String {
    let body = format!(r#"{{"username":"{NAME}","password":"{PASSWORD}"}}"#);
    let mut connection = TcpStream::connect(front).unwrap();
    let head = format!(
        "POST /api/Session/GetToken HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all([head, body].concat().as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["tokenValido"].as_str().unwrap_or_else(|| panic!("no token: {body}")).to_owned()
}

fn text(upstream: SocketAddr, form: Form, access_log: bool) -> String {
    let tls = format!(r#", tls = [{{ certificate = "{CERTIFICATE}", key = "{KEY}", names = ["localhost"] }}]"#);
    let tls = if form == Form::Tls { &*tls } else { "" };
    format!(
        r#"
[server]
listen = [{{ address = "127.0.0.1:0"{tls} }}]
threads = 1
[admin]
listen = "127.0.0.1:0"
[log]
access = {access_log}
[tokens]
issuer = "https://portero.test"
[realms.sws]
dialect = "sws"
timezone = "UTC"
[[token_endpoints]]
path = "/api/Session/GetToken"
realms = ["sws"]
[[routes]]
name = "api"
path = "/api"
upstream = "service"
accept = ["sws"]
[upstreams.service]
servers = ["{upstream}"]
"#
    )
}
