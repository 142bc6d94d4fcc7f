//! A process that is stopped and goes on: what was revoked meanwhile is in force before anything is decided.

use std::time::Duration;

use crate::support::{Config, Connection, Contract, Deadline, PATIENCE, Upstream, get, post, wait_until};

/// Connections that wait for the process: enough that some worker serves one before the store sync has its turn.
const CONNECTIONS: usize = 64;

/// Longer than memory is decided by without a look at the store, load or not.
const STOPPED: Duration = Duration::from_millis(700);

#[test]
fn requests_that_came_while_the_process_was_stopped_are_decided_with_revocations_read_first() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start();
    let (token, tokens) = (gateway.login(Contract::Sws), gateway.login_apis());
    let open = || (0..CONNECTIONS).map(|_| Connection::open(gateway.front)).collect::<Vec<_>>();
    let (mut routes, mut refreshes) = (open(), open());
    // The token is remembered, and every connection has its worker.
    for connection in &mut routes {
        assert_eq!(connection.send(&get("/sws").bearer(&token)).status, 200);
    }
    for connection in &mut refreshes {
        assert_eq!(connection.send(&get("/public")).status, 200);
    }

    gateway.process.signal("STOP");
    // The signal stops each thread when that runs next: until then it may serve what is written below.
    wait_until("every thread has stopped", PATIENCE, || gateway.process.is_stopped());
    let stopped = Deadline::after(STOPPED);
    let refresh = format!(r#"{{"refreshToken":"{}"}}"#, tokens.refresh);
    for (route, refreshing) in routes.iter_mut().zip(&mut refreshes) {
        route.write(get("/sws").bearer(&token).bytes()).unwrap();
        refreshing.write(post("/api/auth/refreshtoken", refresh.clone()).bytes()).unwrap();
    }
    gateway.command("revoke token", &token).succeeded();
    gateway.command("revoke token", &tokens.refresh).succeeded();
    wait_until("it was stopped for long enough", PATIENCE, || stopped.left().is_none());
    gateway.process.signal("CONT");

    let statuses = |connections: &mut [Connection]| {
        connections.iter_mut().map(|connection| connection.receive().status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&mut routes), [401; CONNECTIONS]);
    assert_eq!(statuses(&mut refreshes), [401; CONNECTIONS]);
    assert_eq!(gateway.send(&get("/public")).status, 200);
}
