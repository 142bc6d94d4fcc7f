//! How many requests a pool takes at once.

use std::{
    sync::{Arc, Condvar, Mutex},
    thread,
};

use super::{IN_FLIGHT, metric, pool, start};
use crate::support::{Connection, PATIENCE, RawUpstream, get, wait_until};

/// A server that answers once it is told to.
struct Held {
    server: RawUpstream,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Held {
    fn start() -> Self {
        let open = Arc::new((Mutex::new(false), Condvar::new()));
        let closed = Arc::clone(&open);
        let server = RawUpstream::start(move |stream| {
            while stream.read() {
                let (open, opened) = &*closed;
                drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
                stream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        Self { server, open }
    }

    fn release(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }
}

#[test]
fn a_full_pool_lets_some_wait_and_refuses_the_rest_at_once() {
    let held = Held::start();
    let limits = "connections_max = 1\npending_max = 1\ntimeouts.connect = \"20s\"";
    let gateway = start(&pool(&[held.server.address], limits));
    let front = gateway.front;
    let ask = move || thread::spawn(move || Connection::open(front).send(&get("/")).status);
    let first = ask();
    wait_until("the first is in flight", PATIENCE, || !held.server.bytes().is_empty());
    assert!((metric(&gateway, IN_FLIGHT) - 1.0).abs() < f64::EPSILON);
    // Of two more one waits and the other is refused, whichever comes first.
    let more = [ask(), ask()];
    let busy = |line: &serde_json::Value| line["reason"] == "upstream_busy" && line["status"] == 503;
    gateway.process.access_line("the refusal", busy);
    held.release();
    assert_eq!(first.join().unwrap(), 200);
    let mut statuses = more.map(|asked| asked.join().unwrap());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    wait_until("the places are free", PATIENCE, || metric(&gateway, IN_FLIGHT) < 0.5);
}

#[test]
fn who_waits_too_long_is_refused() {
    let held = Held::start();
    let gateway = start(&pool(&[held.server.address], "connections_max = 1\ntimeouts.connect = \"100ms\""));
    let mut first = Connection::open(gateway.front);
    first.write(get("/").bytes()).unwrap();
    wait_until("the first is in flight", PATIENCE, || !held.server.bytes().is_empty());
    let second = gateway.send(&get("/"));
    assert_eq!((second.status, second.header("Retry-After")), (503, Some("1")));
    held.release();
    assert_eq!(first.receive().status, 200);
}

#[test]
fn a_client_that_goes_away_leaves_its_place() {
    let held = Held::start();
    let gateway = start(&pool(&[held.server.address], "connections_max = 1\npending_max = 0"));
    for _ in 0..3 {
        let mut gone = Connection::open(gateway.front);
        gone.write(get("/").bytes()).unwrap();
        wait_until("it is in flight", PATIENCE, || metric(&gateway, IN_FLIGHT) > 0.5);
        drop(gone);
        wait_until("its place is free", PATIENCE, || metric(&gateway, IN_FLIGHT) < 0.5);
    }
}
