//! What clients that mean harm cost the others: a flood of logins, answers that nobody takes, bodies that never come,
//! and requests that make the server close. The figures stand in `README.md` beside this file.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// How much of everything there is.
struct Scale {
    flooding: usize,
    fresh: u8,
    connections: usize,
    streams: u32,
    look: Duration,
    /// Whether a login that is told that the gateway is busy is sent again.
    asks_again: bool,
}

/// How long it is sent again.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fresh address may wait for its login.
const LOGIN_TARGET: Duration = Duration::from_secs(1);

/// What answers that nobody takes may hold.
const HELD_TARGET_MIB: u64 = 256;

/// Clients that attack a service while others use it.
const ATTACKERS: usize = 20;

/// The others.
const VICTIMS: u8 = 4;

/// The part of the others' requests that is served, at least.
const SERVED_TARGET: f64 = 0.999;

/// How long an attacker waits for an answer before it looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// How long those who leave wait before they do, and come again: a thousand logins a second that nobody waits for.
const LEAVING: Duration = Duration::from_millis(100);

const PASSWORD: &str = "demo2024";

fn main() {
    let has = |flag: &str| env::args().any(|argument| argument == flag);
    if has("--list") {
        return;
    }
    let measured = has("--bench") && !has("--test");
    let scale = if measured {
        Scale {
            flooding: 200,
            fresh: 20,
            connections: 400,
            streams: 8,
            look: Duration::from_secs(20),
            asks_again: false,
        }
    } else {
        Scale { flooding: 4, fresh: 1, connections: 4, streams: 2, look: Duration::from_millis(200), asks_again: true }
    };
    for apart in [false, true] {
        let (slowest, answered) = logins(&scale, apart);
        let whose = if apart { "an address each" } else { "one address" };
        println!(
            "{} clients flooding from {whose}: {answered} answers, a fresh address waits {slowest:?} at most",
            scale.flooding
        );
        assert!(!measured || slowest <= LOGIN_TARGET, "{slowest:?}");
    }
    let held = held_mib(&scale);
    println!("{} connections of {} streams without a window: {held} MiB", scale.connections, scale.streams);
    assert!(!measured || held <= HELD_TARGET_MIB, "{held} MiB");
    for (name, attack) in [("promise bodies that never come", promise as Attack), ("make the server close", provoke)] {
        let (served, asked, attacks) = victims(&scale, attack);
        #[expect(clippy::cast_precision_loss, reason = "some hundred thousand at most")]
        let part = served as f64 / asked as f64;
        println!(
            "{ATTACKERS} clients that {name}, {attacks} times: {served} of {asked} others served ({:.3}%)",
            part * 100.0
        );
        assert!(asked > 0 && attacks > 0 && (!measured || part >= SERVED_TARGET), "{part}");
    }
}

/// What an attacker does once, with a valid token; true when it had an answer or its connection ended.
type Attack = fn(SocketAddr, &str, &AtomicBool) -> bool;

/// A request whose body does not come.
fn promise(front: SocketAddr, _: &str, stop: &AtomicBool) -> bool {
    let head = "POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
    attack(front, head, stop)
}

/// A request of a user who may do so, and which makes the server close.
fn provoke(front: SocketAddr, token: &str, stop: &AtomicBool) -> bool {
    let head =
        format!("POST /own/close HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 1\r\n\r\nx");
    attack(front, &head, stop)
}

fn attack(front: SocketAddr, request: &str, stop: &AtomicBool) -> bool {
    let Ok(mut stream) = connect(Ipv4Addr::new(127, 1, 0, 1), front) else { return false };
    stream.set_read_timeout(Some(LOOK)).unwrap();
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    loop {
        match stream.read(&mut [0; 1024]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stop.load(Ordering::Relaxed) {
                    return false;
                }
            }
            _ => return true,
        }
    }
}

/// How many requests of others are served beside an attack, of how many, and how often the attack succeeded.
fn victims(scale: &Scale, attack: Attack) -> (usize, usize, usize) {
    let servers = [fragile(), fragile()];
    let gateway = Gateway::start_with(&servers, "body_timeout = \"500ms\"");
    let front = gateway.front;
    let token: Arc<str> = token(front).into();
    let (stop, attacks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let attackers: Vec<_> = (0..ATTACKERS)
        .map(|_| {
            let (token, stop, attacks) = (Arc::clone(&token), Arc::clone(&stop), Arc::clone(&attacks));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    attacks.fetch_add(attack(front, &token, &stop).into(), Ordering::Relaxed);
                }
            })
        })
        .collect();
    let others: Vec<_> = (0..VICTIMS)
        .map(|last| {
            let (stop, attacks) = (Arc::clone(&stop), Arc::clone(&attacks));
            thread::spawn(move || {
                let (mut served, mut asked) = (0, 0);
                // However short the look: an attack is to have been made beside it.
                while asked == 0 || !stop.load(Ordering::Relaxed) || attacks.load(Ordering::Relaxed) == 0 {
                    served += usize::from(is_served(Ipv4Addr::new(127, 2, 0, last + 1), front));
                    asked += 1;
                }
                (served, asked)
            })
        })
        .collect();
    while attacks.load(Ordering::Relaxed) == 0 {
        thread::sleep(LOOK);
    }
    thread::sleep(scale.look);
    stop.store(true, Ordering::Relaxed);
    let sum = |(served, asked), one: (usize, usize)| (served + one.0, asked + one.1);
    let (served, asked) = others.into_iter().map(|other| other.join().unwrap()).fold((0, 0), sum);
    for attacker in attackers {
        attacker.join().unwrap();
    }
    (served, asked, attacks.load(Ordering::Relaxed))
}

/// Whether a good request is answered well.
fn is_served(from: Ipv4Addr, front: SocketAddr) -> bool {
    let mut answer = vec![];
    let asked = connect(from, front).and_then(|mut stream| {
        stream.write_all(b"GET /public HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut answer)
    });
    asked.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

/// A token of `admin`.
fn token(front: SocketAddr) -> String {
    let mut stream = connect(Ipv4Addr::new(127, 2, 0, 1), front).unwrap();
    stream.write_all(&login("admin", PASSWORD)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["tokenValido"].as_str().unwrap().to_owned()
}

/// A service that closes its connection where it is asked to, answers each GET, and waits for the body of everything
/// else.
fn fragile() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = move || {
                let mut seen = [0; 4096];
                while let Ok(read) = stream.read(&mut seen)
                    && read > 0
                    && !seen[..read].starts_with(b"POST /own/close")
                {
                    let answer: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if seen[..read].starts_with(b"GET") && stream.write_all(answer).is_err() {
                        return;
                    }
                }
            };
            let _ = thread::Builder::new().stack_size(64 << 10).spawn(answer);
        }
    });
    address
}

/// The longest login of a fresh address while others flood, half of which leave at once; and how many of theirs were
/// answered.
fn logins(scale: &Scale, apart: bool) -> (Duration, usize) {
    let gateway = Gateway::start(SocketAddr::from(([127, 0, 0, 1], 9)));
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood: Vec<_> = (0..scale.flooding)
        .map(|at| {
            let (front, stop, answered) = (gateway.front, Arc::clone(&stop), Arc::clone(&answered));
            let last = if apart { u8::try_from(at).unwrap_or(u8::MAX) } else { 1 };
            thread::spawn(move || {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let Ok(mut stream) = connect(Ipv4Addr::new(127, 1, 0, last), front) else { continue };
                    let _ = stream.write_all(&login(&format!("{at}-{round}"), "wrong"));
                    if at % 2 == 0 {
                        thread::sleep(LEAVING);
                    } else if stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    // The flood is at its height: everybody has had, or waits for, an answer.
    thread::sleep(scale.look / 4);
    let slowest = (0..scale.fresh).map(|last| {
        let started = Instant::now();
        let ask = || {
            let mut stream = connect(Ipv4Addr::new(127, 2, 0, last + 1), gateway.front).unwrap();
            stream.write_all(&login("admin", PASSWORD)).unwrap();
            read_until(&mut stream, b"}")
        };
        let mut answer = ask();
        // Where nothing is measured the machine may stand still for longer than a login waits.
        while scale.asks_again && answer.starts_with("HTTP/1.1 503") && started.elapsed() < PATIENCE {
            answer = ask();
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("tokenValido"), "{answer}");
        started.elapsed()
    });
    let slowest = slowest.max().unwrap_or_default();
    stop.store(true, Ordering::Relaxed);
    for flooding in flood {
        flooding.join().unwrap();
    }
    (slowest, answered.load(Ordering::Relaxed))
}

fn login(name: &str, password: &str) -> Vec<u8> {
    let body = format!(r#"{{"username":"{name}","password":"{password}"}}"#);
    let length = body.len();
    format!(
        "POST /api/Session/GetToken HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The most memory that the gateway has more while clients take nothing of large answers.
fn held_mib(scale: &Scale) -> u64 {
    let gateway = Gateway::start(large_answers());
    let before = gateway.resident_kib();
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    // An initial window of nothing; then GET /public, again and again.
    let mut bytes = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    for at in 0..scale.streams {
        bytes.extend(frame(1, 5, 2 * at + 1, b"\x82\x86\x04\x07/public\x01\x01a"));
    }
    let open: Vec<_> = (0..scale.connections)
        .map(|_| {
            let mut stream = connect(Ipv4Addr::LOCALHOST, gateway.front).unwrap();
            stream.write_all(&bytes).unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    let mut most = 0;
    while started.elapsed() < scale.look {
        thread::sleep(Duration::from_millis(100));
        most = most.max(gateway.resident_kib());
    }
    drop(open);
    most.saturating_sub(before) >> 10
}

/// A service that answers each connection with ten megabytes.
fn large_answers() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let part: Arc<[u8]> = vec![b'x'; 1 << 20].into();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let part = Arc::clone(&part);
            let answer = move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n");
                for _ in 0..10 {
                    let _ = stream.write_all(&part);
                }
            };
            // Each waits until the gateway goes.
            let _ = thread::Builder::new().stack_size(64 << 10).spawn(answer);
        }
    });
    address
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut seen = vec![];
    while !seen.windows(end.len()).any(|window| window == end) {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "closed after {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&chunk[..read]);
    }
    String::from_utf8(seen).unwrap()
}

/// The real binary, with the account `admin`. It is killed when this is dropped.
struct Gateway {
    process: Child,
    front: SocketAddr,
    _folder: TempDir,
}

impl Gateway {
    fn start(upstream: SocketAddr) -> Self {
        Self::start_with(&[upstream], "")
    }

    /// With these lines of `[server]`.
    fn start_with(servers: &[SocketAddr], lines: &str) -> Self {
        let servers: Vec<_> = servers.iter().map(|server| format!("\"{server}\"")).collect();
        let servers = servers.join(", ");
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("gateway.toml");
        let config = format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n{lines}\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\naccess = false\n\
             [throttle]\naddress_failures = 1000000\n[tokens]\nissuer = \"https://portero.test\"\n\
             [realms.sws]\ndialect = \"sws\"\ntimezone = \"UTC\"\n\
             [[token_endpoints]]\npath = \"/api/Session/GetToken\"\nrealms = [\"sws\"]\n\
             [upstreams.service]\nservers = [{servers}]\n\
             [[routes]]\nname = \"public\"\npath = \"/public\"\nupstream = \"service\"\nauth = \"public\"\n\
             [[routes]]\nname = \"own\"\npath = \"/own\"\nupstream = \"service\"\naccept = [\"sws\"]\n"
        );
        fs::write(&file, config).unwrap();
        let portero = |words: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_portero"));
            command.args(words.split(' ')).arg("--config").arg(&file);
            command
        };
        let add = "user add --realm sws --username admin --name Ana --role ADMIN --password-stdin";
        let mut adding = portero(add).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        adding.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        assert!(adding.wait().unwrap().success());
        let mut process = portero("run").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let front = loop {
            let event: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if event["message"] == "listening" {
                break event["listen"].as_str().unwrap().parse().unwrap();
            }
        };
        // What it writes is read, so that it never waits.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process, front, _folder: folder }
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
