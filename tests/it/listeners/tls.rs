//! HTTPS: certificates by name, exchanged under live connections, and clients that show their own.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use portero::domain::{Clock, SystemClock};

use super::curl::Curl;
use crate::support::{Authority, Config, Connection, Contract, Folder, Gateway, PATIENCE, Upstream, get, wait_until};

/// A config with a TLS listener for these tables of `tls`, and `more` of the listener's keys.
pub(super) fn config(upstream: &Upstream, certificates: &[&str], more: &str) -> Config {
    let table = |entry: &&str| {
        let (name, more) = entry.split_once(' ').unwrap_or((entry, ""));
        format!("{{ certificate = \"{name}.pem\", key = \"{name}.key\"{more} }}")
    };
    let tables: Vec<_> = certificates.iter().map(table).collect();
    let listen = format!("listen = [{{ address = \"127.0.0.1:0\", tls = [{}]{more} }}]", tables.join(", "));
    Config::standard(upstream.address).server(&listen)
}

pub(super) fn start(config: &Config, authority: &Authority, issued: &[(&str, &[&str])]) -> Gateway {
    let folder = Folder::new();
    for (name, hosts) in issued {
        authority.issue_to(&folder, name, name, hosts);
    }
    authority.write(&folder, "ca");
    authority.write(&folder, "clients");
    Gateway::run(config.with_accounts_in(folder))
}

/// A client of rustls that keeps tickets and trusts one authority.
pub(super) fn client(authority: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A token, by a login through TLS.
fn login(gateway: &Gateway) -> String {
    let contract = Contract::Become;
    let body = format!(r#"{{"client_id":"{}","client_secret":"{}"}}"#, contract.name(), contract.secret());
    let ca = gateway.folder.file("ca.pem");
    let curl = Curl::to(gateway.front, "https", "a.test", "/auth").trusting(&ca);
    let answer = curl.with(&["--json", &body]).ask();
    let (_, body) = answer.text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    json["access_token"].as_str().unwrap().to_owned()
}

/// A connection through TLS.
pub(super) struct Secured(pub(super) StreamOwned<ClientConnection, TcpStream>);

impl Secured {
    pub(super) fn open(gateway: &Gateway, client: &Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TcpStream::connect(gateway.front).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), stream))
    }

    /// The status of a request; `None` when the gateway refuses the connection.
    fn status_if_served(&mut self, path: &str) -> Option<u16> {
        self.0.write_all(&get(path).bytes()).ok()?;
        let mut first = [0; 12];
        self.0.read_exact(&mut first).ok()?;
        std::str::from_utf8(&first[9..]).ok()?.parse().ok()
    }

    /// The status of a request.
    fn status(&mut self) -> u16 {
        self.0.write_all(&get("/become").bytes()).unwrap();
        let mut seen = vec![];
        while !seen.ends_with(b"}") {
            let mut chunk = [0; 1024];
            let read = self.0.read(&mut chunk).unwrap();
            assert!(read > 0, "closed after {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&chunk[..read]);
        }
        String::from_utf8_lossy(&seen)["HTTP/1.1 ".len()..][..3].parse().unwrap()
    }

    fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }
}

#[test]
fn curl_is_answered_in_both_versions_by_the_certificate_of_the_name() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let names: [(&str, &[&str]); 3] = [("a", &["a.test"]), ("b", &["*.b.test"]), ("c", &["c.test", "d.test"])];
    let certificates = ["a", "b", "c , names = [\"x.test\"]"];
    let gateway = start(&config(&upstream, &certificates, ""), &authority, &names);
    let (ca, token) = (gateway.folder.file("ca.pem"), login(&gateway));
    for (host, version) in [("a.test", "1.1"), ("a.test", "2"), ("z.b.test", "2")] {
        let option = if version == "2" { "--http2" } else { "--http1.1" };
        let ask = || Curl::to(gateway.front, "https", host, "/become").trusting(&ca).with(&[option]);
        let answer = ask().bearer(&token).ask();
        assert_eq!((answer.status, &*answer.version), (200, version), "{answer:?}");
        let received = upstream.received();
        assert_eq!(received.header("x-forwarded-proto"), Some("https"));
        assert_eq!(received.header("x-forwarded-client-cert"), None);
        assert!(received.header("x-forwarded-host").unwrap().starts_with(host));
        assert_eq!(ask().ask().status, 401);
    }
    upstream.received_nothing();
    // A client that asks for a name without a certificate gets the first one, and finds that it is another's.
    for host in ["c.test", "y.z.b.test"] {
        let answer = Curl::to(gateway.front, "https", host, "/become").trusting(&ca).ask();
        assert_eq!((answer.code, answer.status), (60, 0), "{answer:?}");
    }
    let metrics = gateway.ask("/metrics").text();
    for name in ["a.test", "*.b.test", "x.test"] {
        let gauge = format!("portero_certificate_expiry_timestamp_seconds{{listener=\"127.0.0.1:0\",name=\"{name}\"}}");
        assert!(metrics.contains(&gauge), "{gauge} in:\n{metrics}");
    }
    let line = gateway.process.access_line("a request of HTTP/2", |line| line["host"] == "z.b.test");
    assert_eq!((&line["status"], &line["route"]), (&200.into(), &"become".into()));
}

#[test]
fn certificates_are_watched_where_they_are_served_until_a_restart() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let gateway = start(&config(&upstream, &["a"], ""), &authority, &[("a", &["a.test"]), ("b", &["b.test"])]);
    let moved = config(&upstream, &["b"], "")
        .toml()
        .replace("listen = [{ address = \"127.0.0.1:0\"", "listen = [{ address = \"127.0.0.2:0\"");
    let watched = || {
        let metrics = gateway.ask("/metrics").text();
        let of = |line: &str| {
            Some(line.strip_prefix("portero_certificate_expiry_timestamp_seconds{")?.split_once('}')?.0.to_owned())
        };
        metrics.lines().filter_map(of).collect::<Vec<_>>()
    };
    let before = [r#"listener="127.0.0.1:0",name="a.test""#];
    assert_eq!(watched(), before);
    std::fs::write(gateway.folder.config(), moved).unwrap();
    gateway.asked("reload").succeeded();
    assert_eq!(watched(), before, "nobody listens at the other address yet");
    config(&upstream, &["b"], "").write_to(&gateway.folder);
    gateway.asked("reload").succeeded();
    assert_eq!(watched(), [r#"listener="127.0.0.1:0",name="b.test""#]);
}

#[test]
fn old_versions_and_what_is_no_tls_are_turned_away() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let config = config(&upstream, &["a"], "");
    let gateway = start(&config, &authority, &[("a", &["a.test"])]);
    let hasty = start(&config.server("head_timeout = \"300ms\""), &authority, &[("a", &["a.test"])]);
    let connect = |version: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &gateway.front.to_string(), version, "-cipher", "ALL:@SECLEVEL=0"]);
        command.stdin(Stdio::null()).output().unwrap()
    };
    assert!(connect("-tls1_2").status.success());
    assert!(!connect("-tls1_1").status.success());
    let mut plain = Connection::open(gateway.front);
    plain.write(get("/").bytes()).unwrap();
    assert!(!plain.rest().unwrap_or_default().starts_with(b"HTTP"));
    // Nothing at all is a handshake that is not over in time.
    Connection::open(hasty.front).is_closed();
    let failed = |gateway: &Gateway, reason: &str| {
        let line = format!("portero_tls_handshake_failures_total{{reason=\"{reason}\"}} ");
        let metrics = gateway.ask("/metrics").text();
        let count = metrics.lines().find_map(|text| text.strip_prefix(&line)?.parse::<u32>().ok());
        count.unwrap_or_else(|| panic!("{line} in:\n{metrics}"))
    };
    wait_until("they are counted", PATIENCE, || failed(&gateway, "protocol") == 2 && failed(&hasty, "timeout") == 1);
}

#[test]
fn certificates_change_under_live_connections() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let gateway = start(&config(&upstream, &["a"], ""), &authority, &[("a", &["a.test"])]);
    let client = client(&gateway.folder.file("ca.pem"));
    let mut old = Secured::open(&gateway, &client, "a.test");
    assert_eq!((old.status(), old.0.conn.handshake_kind()), (401, Some(HandshakeKind::Full)));
    let mut again = Secured::open(&gateway, &client, "a.test");
    assert_eq!((again.status(), again.0.conn.handshake_kind()), (401, Some(HandshakeKind::Resumed)));
    authority.issue_to(&gateway.folder, "a", "another", &["a.test"]);
    gateway.process.signal("HUP");
    let taken = gateway.process.event("the config was taken over");
    assert_eq!(taken["needs_restart"], "");
    let mut new = Secured::open(&gateway, &self::client(&gateway.folder.file("ca.pem")), "a.test");
    assert_eq!(new.status(), 401);
    assert_ne!(new.certificate(), old.certificate());
    assert_eq!(old.status(), 401);
    // What cannot be used changes nothing.
    authority.issue_to(&gateway.folder, "b", "b", &["a.test"]);
    std::fs::copy(gateway.folder.file("b.key"), gateway.folder.file("a.key")).unwrap();
    gateway.process.signal("HUP");
    let refused = gateway.process.event("the config was not taken over; the present one stays in force");
    assert!(refused["problem"].as_str().unwrap().contains("does not fit the certificate"), "{refused}");
    let mut after = Secured::open(&gateway, &self::client(&gateway.folder.file("ca.pem")), "a.test");
    assert_eq!((after.status(), after.certificate()), (401, new.certificate()));
}

#[test]
fn clients_show_certificates_of_the_right_authority() {
    let (authority, other, upstream) = (Authority::new(), Authority::new(), Upstream::start());
    for (word, status_without) in [("required", 0), ("optional", 200)] {
        let more = format!(", client_ca = \"ca.pem\", client_certificate = \"{word}\"");
        let gateway = start(&config(&upstream, &["a"], &more), &authority, &[("a", &["a.test"]), ("ana", &[])]);
        other.issue_to(&gateway.folder, "eve", "eve", &[]);
        let path = |name: &str| gateway.folder.file(name).to_str().unwrap().to_owned();
        let ask = || {
            let curl = Curl::to(gateway.front, "https", "a.test", "/public").trusting(Path::new(&path("ca.pem")));
            curl.with(&["--header", "X-Forwarded-Client-Cert: Hash=forged"])
        };
        let shown = |name: &str| {
            ask().with(&["--cert", &path(&format!("{name}.pem")), "--key", &path(&format!("{name}.key"))]).ask()
        };
        assert_eq!(shown("ana").status, 200);
        let told = upstream.received().header("x-forwarded-client-cert").unwrap().to_owned();
        assert!(told.starts_with("Hash=") && told.contains(";Subject=\"CN=ana"), "{told}");
        assert_eq!(shown("eve").status, 0);
        assert_eq!(ask().ask().status, status_without);
        if status_without == 200 {
            assert_eq!(upstream.received().header("x-forwarded-client-cert"), None);
        }
        upstream.received_nothing();
    }
}

#[test]
fn a_balancer_speaks_first_and_tls_follows() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let config = config(&upstream, &["a"], ", proxy_protocol = true").server("trusted_proxies = [\"127.0.0.1\"]");
    let gateway = start(&config, &authority, &[("a", &["a.test"])]);
    let client = client(&gateway.folder.file("ca.pem"));
    let mut balanced = Secured::open(&gateway, &client, "a.test");
    balanced.0.sock.write_all(b"PROXY TCP4 198.51.100.7 127.0.0.1 5000 443\r\n").unwrap();
    balanced.0.write_all(&get("/public").bytes()).unwrap();
    let received = upstream.received();
    assert_eq!(received.header("x-forwarded-for"), Some("198.51.100.7"));
    assert_eq!(received.header("x-forwarded-proto"), Some("https"));
    // A client that begins with TLS completes no handshake.
    let mut other = Secured::open(&gateway, &client, "a.test");
    assert!(other.0.write_all(&get("/public").bytes()).is_err());
    upstream.received_nothing();
}

/// A client that keeps tickets and shows a certificate.
pub(super) fn client_showing(
    gateway: &Gateway,
    name: &str,
    version: &'static rustls::SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(gateway.folder.file("ca.pem")).unwrap()).unwrap();
    let chain = CertificateDer::pem_file_iter(gateway.folder.file(&format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(gateway.folder.file(&format!("{name}.key"))).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots);
    Arc::new(builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap())
}

/// RFC 8446 section 6.1: without that, a response that ends with the connection looks cut off.
#[test]
fn a_connection_that_ends_in_order_says_so() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let idle = config(&upstream, &["a"], "").server("keepalive_timeout = \"200ms\"");
    let gateway = start(&idle, &authority, &[("a", &["a.test"])]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = client_showing(&gateway, "a", version);
        for request in [
            "GET /public HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
            "GET /public HTTP/1.0\r\n\r\n",
            // Its connection is closed when it has waited for too long.
            "GET /public HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ] {
            let mut secured = Secured::open(&gateway, &client, "a.test");
            secured.0.write_all(request.as_bytes()).unwrap();
            let mut response = vec![];
            let ended = secured.0.read_to_end(&mut response);
            assert!(ended.is_ok() && response.starts_with(b"HTTP/1."), "{request}: {ended:?}");
        }
    }
}

#[test]
fn a_client_certificate_that_expired_is_not_resumed() {
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let gateway =
        start(&config(&upstream, &["a"], ", client_ca = \"ca.pem\""), &authority, &[("a", &["a.test"]), ("ana", &[])]);
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let lasting = versions.map(|version| client_showing(&gateway, "ana", version));
    for client in &lasting {
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut shown = Secured::open(&gateway, client, "a.test");
            assert_eq!((shown.status_if_served("/public"), shown.0.conn.handshake_kind()), (Some(200), Some(kind)));
        }
    }
    let short = versions.map(|version| {
        // On a busy machine it may be over before it is shown.
        let served = [2, 4, 8, 16].into_iter().find_map(|seconds| {
            let until = SystemClock.now().as_secs() + seconds;
            authority.issue_until(&gateway.folder, "short", "short", until);
            let client = client_showing(&gateway, "short", version);
            let mut shown = Secured::open(&gateway, &client, "a.test");
            let served = shown.status_if_served("/public") == Some(200);
            served.then_some((until, client, shown))
        });
        served.unwrap()
    });
    for (until, client, mut open) in short {
        wait_until("the certificate has expired", PATIENCE, || SystemClock.now().as_secs() > until);
        let mut again = Secured::open(&gateway, &client, "a.test");
        assert_eq!(again.status_if_served("/public"), None, "{:?}", again.0.conn.handshake_kind());
        // A connection takes no request either once its certificate is over.
        assert_eq!(open.status_if_served("/public"), None);
    }
    for client in &lasting {
        assert_eq!(Secured::open(&gateway, client, "a.test").status_if_served("/public"), Some(200));
    }
}

#[test]
fn an_authority_that_is_taken_away_ends_what_was_opened_under_it() {
    let (authority, other, upstream) = (Authority::new(), Authority::new(), Upstream::start());
    let gateway = start(
        &config(&upstream, &["a"], ", client_ca = \"clients.pem\""),
        &authority,
        &[("a", &["a.test"]), ("ana", &[])],
    );
    let client = client_showing(&gateway, "ana", &rustls::version::TLS13);
    assert_eq!(Secured::open(&gateway, &client, "a.test").status_if_served("/public"), Some(200));
    other.write(&gateway.folder, "clients");
    gateway.process.signal("HUP");
    gateway.process.event("the config was taken over");
    assert_eq!(Secured::open(&gateway, &client, "a.test").status_if_served("/public"), None);
}

#[test]
fn a_private_key_that_everybody_can_read_is_warned_of_at_start_check_and_reload() {
    use std::os::unix::fs::PermissionsExt;
    let (authority, upstream) = (Authority::new(), Upstream::start());
    let folder = Folder::new();
    authority.issue_to(&folder, "a", "a", &["a.test"]);
    let key = folder.file("a.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    config(&upstream, &["a"], "").write_to(&folder);
    let checked = folder.command("check", "");
    assert!(
        checked.code == 0 && checked.stdout.contains("warning: ") && checked.stdout.contains("a.key"),
        "{checked:?}"
    );
    let gateway = Gateway::run(folder);
    let warned = gateway.process.event("every user of this system can read a file with a secret");
    assert!(warned["file"].as_str().unwrap().ends_with("a.key"), "{warned}");
    let warnings =
        || gateway.process.written().matches("every user of this system can read a file with a secret").count();
    assert_eq!(warnings(), 1);
    std::fs::write(gateway.folder.config(), config(&upstream, &["a"], "").server("body_timeout = \"20s\"").toml())
        .unwrap();
    gateway.process.signal("HUP");
    gateway.process.event("the config was taken over");
    assert_eq!(warnings(), 2);
}
