//! The admin listener under those who only hold its places.

use crate::support::{Config, Connection, Gateway, PATIENCE, Upstream, get, post, wait_until};

/// More connections than the listener has places.
const MANY: usize = 300;

fn asks(gateway: &Gateway, path: &str) -> u16 {
    Connection::open(gateway.admin).send(&get(path).header("Host", "localhost")).status
}

#[test]
fn idle_connections_never_silence_health_and_metrics() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start_bare();
    // Some say nothing, some do not end their head, some were answered and stay.
    let mut idle: Vec<_> = (0..MANY).map(|_| Connection::open(gateway.admin)).collect();
    for connection in idle.iter_mut().step_by(3) {
        let _ = connection.write("GET /health/alive HTTP/1.1\r\nHost: local");
    }
    for path in ["/health/alive", "/health/ready", "/metrics"] {
        assert_eq!(asks(&gateway, path), 200, "{path}");
    }
    for _ in 0..MANY {
        let mut connection = Connection::open(gateway.admin);
        assert_eq!(connection.send(&get("/health/alive").header("Host", "localhost")).status, 200);
        idle.push(connection);
    }
    assert_eq!(asks(&gateway, "/health/ready"), 200);
    assert_eq!(gateway.api_get("/process")["pid"], gateway.process.id());
}

#[test]
fn those_who_do_not_read_their_answer_never_silence_health() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start_bare();
    let metrics = get("/metrics").header("Host", "localhost").bytes().repeat(30);
    let _greedy: Vec<_> = (0..MANY)
        .map(|_| {
            let mut connection = Connection::open(gateway.admin);
            // The gateway may have closed it already.
            let _ = connection.write(&metrics);
            connection
        })
        .collect();
    assert_eq!(asks(&gateway, "/health/ready"), 200);
}

#[test]
fn requests_to_the_api_leave_places_for_health() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start_bare();
    let token = gateway.admin_token();
    // Their bodies never come, so that each of them is in work.
    let slow = post("/api/v1/revocations/token", "").header("Host", "localhost").header("Content-Length", "10");
    let slow = slow.bearer(&token).bytes();
    let mut held: Vec<_> = (0..MANY).map(|_| Connection::open(gateway.admin)).collect();
    for connection in &mut held {
        let _ = connection.write(&slow);
    }
    for path in ["/health/ready", "/metrics"] {
        assert_eq!(asks(&gateway, path), 200, "{path}");
    }
    drop(held);
    wait_until("the API answers again", PATIENCE, || {
        let request = get("/api/v1/process").header("Host", "localhost").bearer(&token);
        Connection::open(gateway.admin).send(&request).status == 200
    });
}

#[test]
fn a_listener_that_others_reach_is_warned_of() {
    let upstream = Upstream::start();
    let folder = crate::support::Folder::new();
    let config = Config::standard(upstream.address);
    let toml = config.toml().replace("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"0.0.0.0:0\"");
    std::fs::write(folder.config(), &toml).unwrap();
    let checked = folder.command("check", "");
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.contains("\nwarning: ") && checked.stdout.contains(" admin.listen: "), "{checked:?}");
    let gateway = Gateway::run(folder);
    let warned = gateway.process.event("the config has a warning");
    assert!(warned["warning"].as_str().unwrap().contains(" admin.listen: '0.0.0.0:0'"), "{warned}");
    assert!(!config.start_bare().process.written().contains("the config has a warning"));
}
