//! What an idle connection and a waiting stream of HTTP/2 cost the gateway: resident memory of the real binary, before
//! and after its clients opened them. The figures stand in `README.md` beside this file.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    iter,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

/// Connections of each kind.
const CONNECTIONS: usize = 10_000;

/// Connections of each kind where the bench runs as a test.
const CONNECTIONS_AS_TEST: usize = 20;

/// Files that are no clients', of those that the system lets us open.
const FILES_RESERVED: usize = 1000;

/// Connections with streams of HTTP/2; where the bench runs as a test, one.
const CONNECTIONS_WITH_STREAMS: usize = 30;

/// Streams of such a connection: as many as the gateway takes unless its config says otherwise.
const STREAMS: u32 = 100;

/// Bytes of a response that nobody takes.
const UNREAD_BYTES: usize = 10 << 20;

/// What the server writes of it at once.
const PIECE: &[u8] = &[b'x'; 64 << 10];

/// When a connection of HTTP/1 has long given back what only requests need.
const REST: Duration = Duration::from_secs(10);

fn main() {
    let has = |flag: &str| env::args().any(|argument| argument == flag);
    if has("--list") {
        return;
    }
    let connections = if has("--bench") && !has("--test") { CONNECTIONS } else { CONNECTIONS_AS_TEST };
    // The gateway keeps a second file for each connection.
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let connections = connections.min(usize::try_from(files / 2).unwrap().saturating_sub(FILES_RESERVED)).max(1);
    let as_test = connections <= CONNECTIONS_AS_TEST;
    let server = slow_server();
    // What a connection of HTTP/2 holds without streams.
    let mut http2_bytes = 0;
    for kind in Kind::ALL {
        let folder = tempfile::TempDir::new().unwrap();
        let gateway = Gateway::start(folder.path(), kind, server);
        let (warm, connections) = match kind {
            Kind::Waiting | Kind::Unread => (1, if as_test { 1 } else { CONNECTIONS_WITH_STREAMS }),
            _ => (CONNECTIONS_AS_TEST, connections),
        };
        // The first connections bring pools and caches along.
        let warm: Vec<_> = (0..warm).map(|_| kind.open(&gateway, folder.path())).collect();
        let before = gateway.resident_bytes();
        let open: Vec<_> = (0..connections).map(|_| kind.open(&gateway, folder.path())).collect();
        let held = connections as u64 * kind.held_by_a_connection();
        let own = if kind.held_by_a_connection() > 1 { connections as u64 * http2_bytes } else { 0 };
        let each = || gateway.resident_bytes().saturating_sub(before + own) / held;
        let at_first = each();
        if !as_test {
            thread::sleep(REST);
            let (rested, target) = (each(), kind.target_bytes());
            println!("{kind:?}: {held}, {at_first} bytes each at first, {rested} after {REST:?} (target {target})");
            assert!(rested <= target, "{kind:?}: {rested} bytes");
            if matches!(kind, Kind::Http2) {
                http2_bytes = rested;
            }
        }
        drop((warm, open));
    }
}

/// A server that answers `/unread` with [`UNREAD_BYTES`], and nothing else.
fn slow_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap_or(0);
                if head[..read].starts_with(b"GET /unread ") {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {UNREAD_BYTES}\r\n\r\n");
                    let mut pieces =
                        iter::once(head.as_bytes()).chain(iter::repeat_n(PIECE, UNREAD_BYTES / PIECE.len()));
                    // The gateway ends before it took all of it.
                    let _ = pieces.try_for_each(|piece| stream.write_all(piece));
                }
                // Until the gateway closes the connection.
                let _ = stream.read(&mut [0]);
            });
        }
    });
    address
}

/// What clients hold open.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A connection in the clear that has had one answer.
    Http1,
    /// The same through TLS.
    Tls,
    /// The same over HTTP/2.
    Http2,
    /// A stream whose request waits for its turn at a server.
    Waiting,
    /// A stream whose client opens no window for its response, with its connection to the server.
    Unread,
}

/// An open connection.
trait Held {}
impl Held for TcpStream {}
impl Held for StreamOwned<ClientConnection, TcpStream> {}

const REQUEST: &[u8] = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// The preface, empty SETTINGS, and a GET of `/` from stream 1.
const REQUEST_H2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
    \0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x01\x01a";

/// The preface, and SETTINGS with streams' windows of no byte.
const PREFACE_H2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";

impl Kind {
    const ALL: [Self; 5] = [Self::Http1, Self::Tls, Self::Http2, Self::Waiting, Self::Unread];

    /// What one may cost.
    const fn target_bytes(self) -> u64 {
        match self {
            Self::Http1 => 22 << 10,
            Self::Waiting => 8 << 10,
            _ => 64 << 10,
        }
    }

    /// How many of them a connection holds.
    fn held_by_a_connection(self) -> u64 {
        match self {
            Self::Waiting | Self::Unread => STREAMS.into(),
            _ => 1,
        }
    }

    fn open(self, gateway: &Gateway, folder: &Path) -> Box<dyn Held> {
        let mut stream = TcpStream::connect(gateway.front).unwrap();
        match self {
            Self::Http1 => {
                stream.write_all(REQUEST).unwrap();
                read_until(&mut stream, b"}");
                Box::new(stream)
            }
            Self::Http2 => {
                stream.write_all(REQUEST_H2).unwrap();
                read_until(&mut stream, b"}");
                Box::new(stream)
            }
            Self::Waiting | Self::Unread => {
                stream.write_all(PREFACE_H2).unwrap();
                let path: &[u8; 7] = if matches!(self, Self::Waiting) { b"/waits/" } else { b"/unread" };
                for number in 0..STREAMS {
                    let [.., high, low] = (2 * number + 1).to_be_bytes();
                    let frame = [b"\0\0\x0e\x01\x05\0\0", &[high, low][..], b"\x82\x86\x04\x07", path, b"\x01\x01a"];
                    stream.write_all(&frame.concat()).unwrap();
                }
                Box::new(stream)
            }
            Self::Tls => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(folder.join("a.crt")).unwrap()).unwrap();
                let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
                let builder = builder.with_safe_default_protocol_versions().unwrap();
                let config = builder.with_root_certificates(roots).with_no_client_auth();
                let name = ServerName::try_from("localhost").unwrap();
                let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
                stream.write_all(REQUEST).unwrap();
                read_until(&mut stream, b"}");
                Box::new(stream)
            }
        }
    }
}

fn read_until(stream: &mut impl Read, end: &[u8]) {
    let mut seen = vec![];
    while !seen.windows(end.len()).any(|window| window == end) {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "closed after {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&chunk[..read]);
    }
}

/// The real binary.
struct Gateway {
    process: Child,
    front: SocketAddr,
}

impl Gateway {
    fn start(folder: &Path, kind: Kind, server: SocketAddr) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(folder.join("a.crt"), made.cert.pem()).unwrap();
        fs::write(folder.join("a.key"), made.signing_key.serialize_pem()).unwrap();
        assert!(PrivateKeyDer::from_pem_file(folder.join("a.key")).is_ok());
        let tls = if matches!(kind, Kind::Tls) { ", tls = [{ certificate = \"a.crt\", key = \"a.key\" }]" } else { "" };
        let config = format!(
            "[server]\nlisten = [{{ address = \"127.0.0.1:0\"{tls} }}]\nkeepalive_timeout = \"1h\"\n\
             connections_per_address = 100000\nconnections_max = 100000\nrequests_per_address = 100000\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\naccess = false\n\
             [[routes]]\nname = \"waits\"\npath = \"/waits\"\nauth = \"public\"\nupstream = \"full\"\n\
             [[routes]]\nname = \"unread\"\npath = \"/unread\"\nauth = \"public\"\nupstream = \"slow\"\n\
             [upstreams.full]\nservers = [\"{server}\"]\nconnections_max = 1\npending_max = 100000\n\
             timeouts = {{ connect = \"1h\", read = \"1h\" }}\n\
             [upstreams.slow]\nservers = [\"{server}\"]\nconnections_max = 100000\nshare_per_address = 1.0\n\
             timeouts = {{ connect = \"1h\", read = \"1h\" }}\n"
        );
        fs::write(folder.join("gateway.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portero"));
        let command = command.args(["run", "--config"]).arg(folder.join("gateway.toml"));
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let front = loop {
            let event: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if event["message"] == "listening" {
                break event["listen"].as_str().unwrap().parse().unwrap();
            }
        };
        Self { process, front }
    }

    fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        // Not the pages of the program itself, which the system takes and gives as it likes.
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
        };
        of("RssAnon:") + of("VmSwap:")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
