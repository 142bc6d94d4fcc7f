//! Starting, stopping and starting again.

use std::{fs, os::unix::fs::PermissionsExt, process::Command, thread};

use crate::support::{
    Config, Connection, Contract, Gateway, PATIENCE, RawUpstream, Request, get, portero, post, wait_until,
};

/// The members of an access line, as `docs/observability.md` lists them.
const ACCESS_LINE: [&str; 17] = [
    "timestamp",
    "kind",
    "request_id",
    "client",
    "method",
    "host",
    "path",
    "route",
    "status",
    "decision",
    "reason",
    "principal",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "upstream_ms",
    "upstream",
];

/// Every metric that `docs/observability.md` promises.
const METRICS: [&str; 24] = [
    "portero_requests_total",
    "portero_decisions_total",
    "portero_gateway_seconds_bucket",
    "portero_upstream_seconds_bucket",
    "portero_token_requests_total",
    "portero_password_hash_seconds_count",
    "portero_password_queue",
    "portero_token_cache_hits_total",
    "portero_token_cache_misses_total",
    "portero_token_cache_evictions_total",
    "portero_token_cache_entries",
    "portero_revocations",
    "portero_revocation_lag_seconds",
    "portero_key_age_seconds",
    "portero_upstream_healthy",
    "portero_config_reload_total",
    "portero_config_last_success_timestamp_seconds",
    "portero_connections{state=",
    "portero_access_log_dropped_total",
    "portero_connections_refused_total",
    "portero_tls_handshake_failures_total",
    "portero_build_info{version=",
    "process_open_fds",
    "process_resident_memory_bytes",
];

#[test]
fn the_operator_sees_health_metrics_and_each_request() {
    let (gateway, upstream) = Gateway::with_upstream();
    assert_eq!((gateway.ask("/health/alive").status, gateway.ask("/health/ready").status), (200, 200));
    for path in ["/health/alive", "/health/ready", "/metrics"] {
        let head = Connection::open(gateway.admin).send(&Request::new("HEAD", path).header("Host", "localhost"));
        assert_eq!((head.status, head.text().as_str()), (200, ""), "{path}");
    }
    let root = gateway.ask("/");
    let says = root.json()["error"].as_str().unwrap().to_owned();
    assert!(root.status == 404 && says.contains("/health/ready") && says.contains("/api/v1/"), "{says}");
    let token = gateway.login(Contract::Become);
    assert_eq!(gateway.status("/become/x?secret=1", &token), 200);
    let line = gateway.process.access_line("the request", |line| line["route"] == "become");
    for (member, value) in
        [("path", "/become/x"), ("method", "GET"), ("decision", "forward"), ("reason", "authenticated")]
    {
        assert_eq!(line[member], value, "{line}");
    }
    assert_eq!((&line["status"], &line["principal"]["realm"]), (&200.into(), &"become".into()));
    assert_eq!(line.as_object().unwrap().keys().collect::<Vec<_>>(), ACCESS_LINE);
    assert_eq!(line["request_id"].as_str(), upstream.received().header("x-request-id"));
    gateway.send(&get("/become"));
    let denied = gateway.process.access_line("the denial", |line| line["status"] == 401);
    assert_eq!(
        (&denied["decision"], &denied["reason"], &denied["path"]),
        (&"deny".into(), &"missing_token".into(), &"/become".into())
    );
    let metrics = gateway.ask("/metrics").text();
    for name in METRICS {
        assert!(metrics.contains(name), "{name} in:\n{metrics}");
    }
    assert!(metrics.contains(r#"portero_decisions_total{decision="deny",reason="missing_token",route="become"} 1"#));
}

#[test]
fn a_gateway_that_stops_ends_what_it_began_and_says_so() {
    let (upstream, release) = RawUpstream::late();
    // Neither ends the connection that says nothing.
    let endless = "head_timeout = \"1h\"\ndrain_timeout = \"1h\"";
    let gateway = Config::standard(upstream.address).server(endless).start();
    let mut idle = Connection::open(gateway.front);
    let mut connection = Connection::open(gateway.front);
    let in_flight = thread::spawn(move || connection.send(&get("/public")).text());
    wait_until("the request is with the upstream", PATIENCE, || upstream.bytes().contains("/public"));
    gateway.process.signal("TERM");
    wait_until("not ready any more", PATIENCE, || gateway.ask("/health/ready").status == 503);
    assert_eq!(gateway.ask("/health/alive").status, 200);
    idle.is_closed();
    release.send(()).unwrap();
    assert_eq!(in_flight.join().unwrap(), "late");
    let ran = gateway.process.finish();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_gateway_that_stops_serves_on_while_a_balancer_sees_that_it_is_not_ready() {
    let upstream = crate::support::Upstream::start();
    let gateway = Config::standard(upstream.address).server("drain_delay = \"1h\"").start();
    gateway.process.signal("TERM");
    wait_until("not ready any more", PATIENCE, || gateway.ask("/health/ready").status == 503);
    assert_eq!(gateway.send(&get("/public")).status, 200);
    // Being asked again ends the delay.
    assert_eq!(gateway.stop().code, 0);
}

#[test]
fn what_does_not_end_in_the_drain_timeout_is_broken_off() {
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let gateway = Config::standard(silent.address).server("drain_timeout = \"200ms\"").start();
    let mut connection = Connection::open(gateway.front);
    connection.write(get("/public").bytes()).unwrap();
    wait_until("the request is with the upstream", PATIENCE, || silent.bytes().contains("/public"));
    let ran = gateway.stop();
    assert!(ran.code == 0 && ran.stdout.contains("still in flight"), "{ran:?}");
    assert!(ran.stdout.contains(r#""reason":"gateway_stopped""#), "it is not the client who left: {ran:?}");
    connection.is_closed();
}

#[test]
fn a_response_to_http_1_0_that_is_broken_off_then_does_not_look_whole() {
    let endless = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 200 OK\r\n\r\nbegun");
        while stream.read() {}
    });
    let gateway = Config::standard(endless.address).server("drain_timeout = \"200ms\"").start();
    let mut connection = Connection::open(gateway.front);
    connection.write("GET /public HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(connection.receive_line(), "HTTP/1.0 200 OK");
    let ran = gateway.stop();
    assert!(ran.code == 0 && ran.stdout.contains(r#""reason":"gateway_stopped""#), "{ran:?}");
    assert_eq!(connection.rest().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn one_connection_too_many_is_closed_at_once() {
    let upstream = crate::support::Upstream::start();
    let gateway = Config::standard(upstream.address).server("connections_max = 2").start();
    let mut held = [Connection::open(gateway.front), Connection::open(gateway.front)];
    assert!(held.iter_mut().all(|connection| connection.send(&get("/public")).status == 200));
    Connection::open(gateway.front).is_closed();
    drop(held);
    let mut served = || {
        let mut connection = Connection::open(gateway.front);
        connection.write(get("/public").bytes()).is_ok() && connection.try_receive().is_ok()
    };
    wait_until("there is room again", PATIENCE, &mut served);
}

#[test]
fn its_memory_is_in_small_pages() {
    let (gateway, _upstream) = Gateway::with_upstream();
    assert_eq!(gateway.process_status("THP_enabled"), "0");
}

#[test]
fn the_files_are_private() {
    let (gateway, _upstream) = Gateway::with_upstream();
    gateway.login(Contract::Sws);
    for name in ["portero.db", "portero.db-wal", "portero.db-shm", "master.key", "admin.token"] {
        let mode = fs::metadata(gateway.folder.file(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let database = fs::read(gateway.folder.file("portero.db")).unwrap();
    let wal = fs::read(gateway.folder.file("portero.db-wal")).unwrap();
    let found = |needle: &[u8]| [&database, &wal].iter().any(|bytes| bytes.windows(needle.len()).any(|w| w == needle));
    assert!(found(b"$argon2id$v=19$m=19456,t=2,p=1$") && !found(b"demo2024"));
}

#[test]
fn a_demo_starts_again_on_what_is_there_and_changes_nothing() {
    let gateway = Gateway::demo();
    fs::write(gateway.folder.file("notes.txt"), "mine").unwrap();
    let token = gateway.login(Contract::Apis);
    gateway.command("user set-password --realm sws --username admin --password-stdin", "changed since").succeeded();
    gateway.command("client delete --realm become --id demo_client_123", "").succeeded();
    gateway.process.signal("INT");
    let Gateway { process, folder, .. } = gateway;
    assert_eq!(process.finish().code, 0);
    let config = fs::read_to_string(folder.config()).unwrap();

    let gateway = Gateway::demo_in(folder);
    assert_eq!(fs::read_to_string(gateway.folder.config()).unwrap(), config);
    assert_eq!(gateway.status("/api/data", &token), 200, "the keys are the same");
    assert_eq!(gateway.send(&Contract::Sws.login_with("demo2024")).json()["error"], 1);
    assert_eq!(gateway.send(&Contract::Sws.login_with("changed since")).json()["usuario"]["id"], 1);
    let deleted = gateway
        .send(&post("/api/v1/auth", r#"{"client_id":"demo_client_123","client_secret":"demo_secret_456_ABCDEFGH"}"#));
    assert_eq!(deleted.json()["msg"], "Invalid login details");
    assert_eq!(fs::read_to_string(gateway.folder.file("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_demo_that_is_thrown_away_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portero"));
    command.args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).env("TMPDIR", temporary.path());
    let process = crate::support::Process::spawn(&mut command, "");
    process.event("listening");
    let made: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [folder] = &made[..] else { panic!("{made:?}") };
    process.signal("INT");
    let ran = process.finish();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // A newcomer reads what to do first, and events, warnings among them, behind it.
    assert!(ran.stdout.starts_with("Portero's demo: gateway http://127.0.0.1:"), "{}", ran.stdout);
    let (banner, _) = ran.stdout.split_once("\n{").unwrap();
    assert!(banner.contains(&format!("--config {}\n", folder.join("gateway.toml").display())), "{banner}");
    assert!(banner.contains(&format!("admin API: {}\n", folder.join("admin.token").display())), "{banner}");
    assert!(ran.stdout.matches("curl -s ").count() >= 6, "{}", ran.stdout);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_demo_says_what_stands_in_its_way() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = crate::support::Folder::new();
    let dir = folder.file("new");
    let ran = portero(&["demo", "--dir", dir.to_str().unwrap(), "--listen", &address, "--admin", "127.0.0.1:0"], "");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains(&address) && ran.stderr.contains("in use"), "{}", ran.stderr);
    assert!(!dir.exists(), "nothing was made");
    let ran = portero(&["demo", "--listen", "0.0.0.0:0"], "");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("loopback"), "{}", ran.stderr);
}

#[test]
fn two_processes_may_start_on_a_new_store_at_once() {
    let upstream = crate::support::Upstream::start();
    let config = Config::standard(upstream.address);
    let folder = crate::support::Folder::new();
    config.write_to(&folder);
    let path = folder.config();
    let commands: Vec<_> = (0..4)
        .map(|number| {
            let path = path.clone();
            thread::spawn(move || {
                let name = format!("user-{number}");
                portero(&["user", "add", "--config", &path, "--realm", "sws", "--username", &name, "--generate"], "")
            })
        })
        .collect();
    for command in commands {
        command.join().unwrap().succeeded();
    }
    let users = folder.command("user list --realm sws --output json", "").json();
    let mut ids: Vec<_> = users.as_array().unwrap().iter().map(|user| user["legacy_id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4]);
}

#[test]
fn a_demo_stays_on_loopback_whatever_its_file_says_and_finds_another_port_behind_it() {
    let gateway = Gateway::demo();
    gateway.process.signal("INT");
    let Gateway { process, folder, .. } = gateway;
    process.finish().succeeded();
    let config = fs::read_to_string(folder.config()).unwrap();
    fs::write(folder.config(), config.replacen("127.0.0.1", "0.0.0.0", 1)).unwrap();
    let dir = folder.path().to_str().unwrap().to_owned();
    let ran = portero(&["demo", "--dir", &dir], "");
    assert!(ran.code == 2 && ran.stderr.contains("loopback"), "{ran:?}");

    fs::write(folder.config(), &config).unwrap();
    let server = config.lines().find_map(|line| line.strip_prefix("servers = [\"")?.strip_suffix("\"]")).unwrap();
    // Where that fails somebody else has it.
    let _taken = std::net::TcpListener::bind(server);
    let gateway = Gateway::demo_in(folder);
    assert_eq!(gateway.send(&get("/public")).json()["path"], "/public");
}

#[test]
fn what_a_killed_start_left_of_a_secret_is_cleared() {
    let upstream = crate::support::Upstream::start();
    let folder = crate::support::Folder::new();
    Config::standard(upstream.address).write_to(&folder);
    let secrets = ["master.key.0123456789abcdef.new", "admin.token.fedcba9876543210.new"];
    let others =
        ["master.key.txt.new", "master.key.0123456789abcdeg.new", "admin.token.0123.new", "x.0123456789abcdef.new"];
    for name in secrets.iter().chain(&others) {
        std::fs::write(folder.file(name), "secret").unwrap();
    }
    let gateway = Gateway::run(folder);
    let left = |gateway: &Gateway| gateway.folder.names();
    assert!(secrets.iter().all(|name| !left(&gateway).contains(&(*name).to_owned())), "{:?}", left(&gateway));
    assert!(others.iter().all(|name| left(&gateway).contains(&(*name).to_owned())), "{:?}", left(&gateway));
    // Those that came later are cleared by the next start.
    for name in secrets {
        std::fs::write(gateway.folder.file(name), "secret").unwrap();
    }
    let gateway = gateway.kill_and_restart();
    assert!(secrets.iter().all(|name| !left(&gateway).contains(&(*name).to_owned())), "{:?}", left(&gateway));
}
