//! TLS towards nginx: whose certificate is believed, what it is shown, and that connections of
//! pools that trust differently are never shared.

use std::fs;

use super::{is_healthy, named_pool, start};
use crate::support::{
    Authority, Connection, Folder, Gateway, Nginx, PATIENCE, Process, command, get, post, wait_until,
};

const SERVER: &str = "ssl_certificate {folder}/server.pem;\nssl_certificate_key {folder}/server.key;\n\
                      location / { return 200 secret; }";

/// nginx with a certificate for `host`, and its authority in `ca.pem` beside it.
fn nginx(host: &str, directives: &str) -> (Authority, Nginx) {
    let (authority, folder) = (Authority::new(), Folder::new());
    authority.write(&folder, "ca");
    authority.issue(&folder, "server", host);
    authority.issue(&folder, "client", "portero");
    (authority, Nginx::start(folder, "ssl", &format!("{directives}\n{SERVER}")))
}

/// A gateway before it, with this `tls`; `{folder}` stands for nginx's.
fn before(nginx: &Nginx, host: &str, tls: &str) -> Gateway {
    let tls = tls.replace("{folder}", nginx.folder.path().to_str().unwrap());
    let server = format!("\"{host}:{}\"", nginx.address.port());
    start(&named_pool(&server, &format!("tls = {tls}\nretries = 0\neject.failures = 0")))
}

#[test]
fn a_server_is_believed_by_its_authority_and_its_name() {
    let (_, named) = nginx("localhost", "");
    let (_, numbered) = nginx("127.0.0.1", "");
    let (_, elsewhere) = nginx("crm.internal", "");
    let external = Folder::new();
    Authority::new().write(&external, "foreign");
    let external = format!("{{ ca = \"{}\" }}", external.file("foreign.pem").display());
    for (nginx, host, tls, status) in [
        (&named, "localhost", "{ ca = \"{folder}/ca.pem\" }", 200),
        (&numbered, "127.0.0.1", "{ ca = \"{folder}/ca.pem\" }", 200),
        (&elsewhere, "127.0.0.1", "{ ca = \"{folder}/ca.pem\", name = \"crm.internal\" }", 200),
        (&named, "127.0.0.1", "{ ca = \"{folder}/ca.pem\" }", 502),
        (&elsewhere, "localhost", "{ ca = \"{folder}/ca.pem\" }", 502),
        (&named, "localhost", "{ ca = \"{folder}/ca.pem\", name = \"crm.internal\" }", 502),
        (&named, "localhost", "{ ca = \"{folder}/server.pem\" }", 502),
        (&named, "localhost", "true", 502),
        (&named, "localhost", external.as_str(), 502),
    ] {
        let gateway = before(nginx, host, tls);
        let answer = gateway.send(&post("/", "{}"));
        assert_eq!(answer.status, status, "{host} {tls}: {}", answer.text());
        if status == 502 {
            assert_eq!(gateway.send(&get("/")).status, 502, "{host} {tls}");
            let failures = "portero_upstream_connection_failures_total{kind=\"tls\",upstream=\"service\"}";
            assert!(gateway.metric(failures) > 1.5, "{host} {tls}");
        }
    }
}

#[test]
fn a_certificate_that_is_over_is_refused() {
    let (authority, folder) = (Authority::new(), Folder::new());
    authority.write(&folder, "ca");
    authority.issue_expired(&folder, "server", "localhost");
    let nginx = Nginx::start(folder, "ssl", SERVER);
    let gateway = before(&nginx, "localhost", "{ ca = \"{folder}/ca.pem\" }");
    assert_eq!(gateway.send(&get("/")).status, 502);
}

#[test]
fn the_systems_authorities_are_the_default() {
    let (_, nginx) = nginx("localhost", "");
    let server = format!("\"localhost:{}\"", nginx.address.port());
    let folder = Folder::new();
    named_pool(&server, "tls = true").write_to(&folder);
    let system = nginx.folder.file("ca.pem");
    let mut run = command(&["run", "--config", &folder.config()]);
    let process = Process::spawn(run.env("SSL_CERT_FILE", system), "");
    let front = process.event("listening")["listen"].as_str().unwrap().parse().unwrap();
    assert_eq!(Connection::open(front).send(&get("/")).text(), "secret");
}

#[test]
fn system_authorities_that_cannot_be_read_are_said_and_not_a_panic() {
    let folder = Folder::new();
    named_pool("\"127.0.0.1:9\"", "").write_to(&folder);
    let broken = folder.file("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let mut run = command(&["run", "--config", &folder.config()]);
    let ran = Process::spawn(run.env("SSL_CERT_FILE", &broken), "").finish();
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("the system's trusted certificates cannot be used"), "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
}

#[test]
fn the_client_certificate_is_shown_to_requests_and_to_checks() {
    let verify = "ssl_verify_client on;\nssl_client_certificate {folder}/ca.pem;";
    let (_, nginx) = nginx("localhost", verify);
    let ours = "{ ca = \"{folder}/ca.pem\", certificate = \"{folder}/client.pem\", key = \"{folder}/client.key\" }\n\
         health = { path = \"/health\", interval = \"100ms\", unhealthy = 3 }";
    let gateway = before(&nginx, "localhost", ours);
    assert_eq!(gateway.send(&get("/asked")).text(), "secret");
    wait_until("its health is asked for", PATIENCE, || nginx.seen().iter().any(|line| line.contains("/health")));
    assert!(nginx.seen().iter().all(|line| line.contains("CN=portero")), "{:?}", nginx.seen());
    let none = before(&nginx, "localhost", "{ ca = \"{folder}/ca.pem\" }");
    assert_eq!(none.send(&get("/")).status, 400, "nginx asks for one");
}

#[test]
fn pools_that_trust_differently_share_no_connection() {
    let (_, nginx) = nginx("localhost", "");
    let external = Folder::new();
    Authority::new().write(&external, "foreign");
    let pool = |name: &str, ca: &std::path::Path| {
        let (port, ca) = (nginx.address.port(), ca.display());
        format!(
            "[upstreams.{name}]\nservers = [\"localhost:{port}\"]\nretries = 0\neject.failures = 0\ntls.ca = \"{ca}\"\n"
        )
    };
    let (good, bad) = (nginx.folder.file("ca.pem"), external.file("foreign.pem"));
    let route = |name: &str| format!("auth = \"public\"\nupstream = \"{name}\"");
    let config = crate::support::Config::new()
        .text(&pool("trusts", &good))
        .text(&pool("distrusts", &bad))
        .route("trusts", "/trusts", &route("trusts"))
        .route("distrusts", "/distrusts", &route("distrusts"));
    let gateway = start(&config);
    for _ in 0..3 {
        assert_eq!(gateway.send(&get("/trusts")).status, 200, "there is a connection that could be shared");
        assert_eq!(gateway.send(&get("/distrusts")).status, 502);
    }
    // A reload that stops to trust the authority uses no connection that was made before it.
    config.replace(good.to_str().unwrap(), bad.to_str().unwrap()).write_to(&gateway.folder);
    gateway.process.signal("HUP");
    gateway.process.event("the config was taken over");
    assert_eq!(gateway.send(&get("/trusts")).status, 502);
}

#[test]
fn a_check_over_tls_believes_nobody_whom_a_request_would_not() {
    let (_, nginx) = nginx("elsewhere.test", "");
    let checks = "{ ca = \"{folder}/ca.pem\" }\nhealth = { tcp = true, interval = \"100ms\", unhealthy = 3 }";
    let gateway = before(&nginx, "127.0.0.1", checks);
    wait_until("it is not well", PATIENCE, || !is_healthy(&gateway, nginx.address));
}

#[test]
fn http_2_is_spoken_where_the_pool_says_so() {
    let folder = Folder::new();
    let authority = Authority::new();
    authority.write(&folder, "ca");
    authority.issue(&folder, "server", "localhost");
    let over_tls = Nginx::start(folder, "ssl http2", SERVER);
    let clear = Nginx::start(Folder::new(), "http2", "location / { return 200 clear; }");
    for (http, version) in [("1.1", "HTTP/1.1"), ("2", "HTTP/2.0"), ("auto", "HTTP/2.0")] {
        let tls = format!(
            "{{ ca = \"{{folder}}/ca.pem\" }}\nhttp = \"{http}\"\n\
             health = {{ path = \"/health\", interval = \"100ms\", unhealthy = 3 }}"
        );
        let gateway = before(&over_tls, "localhost", &tls);
        assert_eq!(gateway.send(&get(&format!("/over-{http}"))).text(), "secret", "{http}");
        let line = format!("GET /over-{http} {version}");
        wait_until(&line, PATIENCE, || over_tls.seen().iter().any(|seen| seen.contains(&line)));
    }
    let (_, old) = nginx("localhost", "");
    let gateway = before(&old, "localhost", "{ ca = \"{folder}/ca.pem\" }\nhttp = \"auto\"");
    assert_eq!(gateway.send(&get("/agreed")).text(), "secret");
    wait_until("HTTP/1.1 was agreed on", PATIENCE, || {
        old.seen().iter().any(|seen| seen.contains("GET /agreed HTTP/1.1"))
    });
    let checked = "http = \"2\"\nhealth = { path = \"/health\", interval = \"100ms\", unhealthy = 3 }";
    let gateway = start(&named_pool(&format!("\"{}\"", clear.address), checked));
    assert_eq!(gateway.send(&get("/clear")).text(), "clear");
    for line in ["GET /clear HTTP/2.0", "GET /health HTTP/2.0"] {
        wait_until(line, PATIENCE, || clear.seen().iter().any(|seen| seen.contains(line)));
    }
    assert!(is_healthy(&gateway, clear.address));
}

/// The figures are those of `docs/reliability.md`.
#[test]
#[expect(clippy::print_stdout, reason = "the figures of docs/reliability.md come from here")]
fn sessions_are_resumed_whatever_the_authorities_and_with_a_body_too() {
    const REQUESTS: usize = 200;
    let (_, nginx) = nginx("localhost", "keepalive_requests 1;\nssl_session_cache shared:s:1m;");
    let server = format!("\"localhost:{}\"", nginx.address.port());
    let ca = nginx.folder.file("ca.pem");
    let own = format!("{{ ca = \"{}\" }}", ca.display());
    for (tls, body) in [("true", false), (&own, false), ("true", true), (&own, true)] {
        let folder = Folder::new();
        named_pool(&server, &format!("tls = {tls}")).write_to(&folder);
        let mut run = command(&["run", "--config", &folder.config()]);
        let process = Process::spawn(run.env("SSL_CERT_FILE", &ca), "");
        let front = process.event("listening")["listen"].as_str().unwrap().parse().unwrap();
        let before = nginx.seen().len();
        let mut connection = Connection::open(front);
        let ticks = |process: &Process| processor_ticks(process.id());
        let began = ticks(&process);
        for _ in 0..REQUESTS {
            let request = if body { get("/").body("x") } else { get("/") };
            assert_eq!(connection.send(&request).status, 200);
        }
        let spent = ticks(&process) - began;
        wait_until("all are logged", PATIENCE, || nginx.seen().len() == before + REQUESTS);
        let resumed = nginx.seen()[before..].iter().filter(|line| line.starts_with("r ")).count();
        println!("tls = {tls}, body = {body}: {resumed} of {REQUESTS} handshakes resumed, {spent} ticks of 10 ms");
        assert!(resumed > REQUESTS / 2, "{tls}, {body}: {resumed}");
    }
}

/// What a process has used of the processors.
fn processor_ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
