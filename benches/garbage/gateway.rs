//! The real gateway in a folder of its own, with accounts, keys and tokens.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use bytes::Bytes;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;
use tempfile::TempDir;

use super::tokens::Signer;

/// The binary under test, of this build's profile.
const BINARY: &str = env!("CARGO_BIN_EXE_portero");

/// The shared secret that signs HS256 tokens.
const SECRET: &str = "0123456789abcdef0123456789ABCDEF";

/// The account's name and password in both realms: `maxpoint` asks for a UUID as name.
const NAME: &str = "f2ffebd1-77eb-49d2-a623-99824b1f485d";
const PASSWORD: &str = "c0f2afed-edc3-4cec-8af0-ef58fcb50062";

/// Clock ticks a second in `/proc`: Linux's `USER_HZ`, the same on all its platforms that Portero runs on.
const TICKS_PER_SECOND: u64 = 100;

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[admin]
listen = "127.0.0.1:0"
[tokens]
issuer = "https://portero.test"
[realms.sws]
dialect = "sws"
timezone = "UTC"
[realms.maxpoint]
dialect = "maxpoint"
algorithm = "ES256"
[[token_endpoints]]
path = "/api/Session/GetToken"
realms = ["sws"]
[[token_endpoints]]
path = "/api/auth/token"
realms = ["maxpoint"]
[[routes]]
name = "sws"
path = "/sws"
upstream = "service"
accept = ["sws"]
[[routes]]
name = "maxpoint"
path = "/maxpoint"
upstream = "service"
accept = ["maxpoint"]
"#;

/// A running gateway. It is killed when this is dropped.
pub(super) struct Gateway {
    process: Child,
    front: SocketAddr,
    good: Vec<Bytes>,
    garbage: Vec<Bytes>,
    _folder: TempDir,
}

impl Gateway {
    /// A gateway before `upstream`, with this budget of bad tokens (`None` for the default), and requests with this
    /// many tokens for it.
    pub(super) fn start(upstream: SocketAddr, bad_tokens: Option<u32>, good: usize, garbage: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("gateway.toml");
        let throttle = bad_tokens.map(|bad_tokens| format!("[throttle]\nbad_tokens = {bad_tokens}\n"));
        let servers = format!("[upstreams.service]\nservers = [\"{upstream}\"]\n");
        fs::write(&file, [CONFIG, &servers, &throttle.unwrap_or_default()].concat()).unwrap();
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let user = format!("user add --realm sws --username {NAME} --name Ana --role ADMIN --password-stdin");
        command(&file, &user, PASSWORD);
        command(&file, &format!("client add --realm maxpoint --id {NAME} --password-stdin"), PASSWORD);
        command(&file, "key import --realm sws --algorithm HS256 --kid shared", SECRET);
        command(&file, "key import --realm maxpoint --algorithm ES256 --kid pair", &pair.public_key_pem());

        let (process, front) = run(&file);
        let login = |path: &str, body: String, member: &str| {
            let answer = post(front, path, &body);
            answer.pointer(member).and_then(Value::as_str).unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
        };
        let sws = login(
            "/api/Session/GetToken",
            format!(r#"{{"username":"{NAME}","password":"{PASSWORD}"}}"#),
            "/tokenValido",
        );
        let maxpoint =
            login("/api/auth/token", format!(r#"{{"clientId":"{NAME}","clientSecret":"{PASSWORD}"}}"#), "/data/token");
        let mut hs256 = Signer::new(&sws, "shared", Algorithm::HS256, EncodingKey::from_secret(SECRET.as_bytes()));
        let pem = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let mut es256 = Signer::new(&maxpoint, "pair", Algorithm::ES256, pem);
        let good = (0..good).map(|turn| match turn % 2 {
            0 => get("/sws", &hs256.good()),
            _ => get("/maxpoint", &es256.good()),
        });
        let good = good.collect();
        let garbage = (0..garbage).map(|_| get("/maxpoint", &es256.garbage())).collect();
        Self { process, front, good, garbage, _folder: folder }
    }

    /// Where it listens.
    pub(super) const fn front(&self) -> SocketAddr {
        self.front
    }

    /// Requests with good tokens.
    pub(super) fn good(&self) -> &[Bytes] {
        &self.good
    }

    /// Requests with garbage.
    pub(super) fn garbage(&self) -> &[Bytes] {
        &self.garbage
    }

    /// How long its threads have run, in user space and in the kernel (`proc_pid_stat(5)`, fields 14 and 15).
    pub(super) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // The program's name may hold spaces; it ends with the last parenthesis, before field 3.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts it, and answers where it listens. What it logs is read and forgotten.
fn run(config: &Path) -> (Child, SocketAddr) {
    let mut process = portero(config, "run").stdout(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(process.stdout.take().unwrap());
    let front = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the gateway did not start");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "listening" {
            break event["listen"].as_str().unwrap().parse().unwrap();
        }
    };
    // It ends with the process.
    thread::spawn(move || io::copy(&mut log, &mut io::sink()));
    (process, front)
}

/// Runs a command to its end; it must succeed.
fn command(config: &Path, words: &str, stdin: &str) {
    let mut process = portero(config, words).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    assert!(process.wait().unwrap().success(), "portero {words}");
}

fn portero(config: &Path, words: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(words.split(' ')).arg("--config").arg(config);
    command.env_remove("PORTERO_MASTER_KEY_FILE").env_remove("RUST_LOG").stderr(Stdio::inherit());
    command
}

fn get(path: &str, token: &str) -> Bytes {
    format!("GET {path} HTTP/1.1\r\nHost: portero.test\r\nAuthorization: Bearer {token}\r\n\r\n").into()
}

/// Posts a JSON body on a connection of its own, and reads the JSON of the answer.
fn post(front: SocketAddr, path: &str, body: &str) -> Value {
    let mut connection = TcpStream::connect(front).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: portero.test\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all([&head, body].concat().as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
