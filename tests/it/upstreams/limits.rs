//! How many requests a pool takes at once.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread::{self, JoinHandle},
};

use super::{IN_FLIGHT, pool, start};
use crate::support::{Connection, Gateway, PATIENCE, RawUpstream, Request, get, wait_until};

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

    /// A gateway in front, on whose server one request is in flight.
    fn behind(limits: &str) -> (Self, Gateway, JoinHandle<u16>) {
        let held = Self::start();
        let gateway = start(&pool(&[held.server.address], limits));
        let front = gateway.front;
        let first = thread::spawn(move || Connection::open(front).send(&get("/")).status);
        wait_until("the first is in flight", PATIENCE, || !held.server.bytes().is_empty());
        (held, gateway, first)
    }

    fn release(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }
}

#[test]
fn what_is_in_flight_counts_for_the_limits_after_a_reload_too() {
    let (held, gateway, first) = Held::behind("connections_max = 1\npending_max = 0");
    let reload = |limits: &str| {
        pool(&[held.server.address], limits).server("threads = 1").write_to(&gateway.folder);
        gateway.asked("reload").succeeded();
    };
    reload("connections_max = 1\npending_max = 0\nretries = 0");
    assert_eq!(gateway.send(&get("/")).status, 503);
    assert!((gateway.metric(IN_FLIGHT) - 1.0).abs() < f64::EPSILON);
    reload("connections_max = 2\npending_max = 0\nretries = 0");
    let front = gateway.front;
    let second = thread::spawn(move || Connection::open(front).send(&get("/")).status);
    wait_until("there is room for another", PATIENCE, || (gateway.metric(IN_FLIGHT) - 2.0).abs() < f64::EPSILON);
    assert_eq!(gateway.send(&get("/")).status, 503);
    held.release();
    assert_eq!([first.join().unwrap(), second.join().unwrap()], [200, 200]);
    wait_until("the slots are free", PATIENCE, || gateway.metric(IN_FLIGHT) < 0.5);
}

#[test]
fn a_full_pool_lets_some_wait_and_refuses_the_rest_at_once() {
    let (held, gateway, first) = Held::behind("connections_max = 1\npending_max = 1\ntimeouts.connect = \"20s\"");
    let front = gateway.front;
    let ask = move || thread::spawn(move || Connection::open(front).send(&get("/")).status);
    assert!((gateway.metric(IN_FLIGHT) - 1.0).abs() < f64::EPSILON);
    // Of two more one waits and the other is refused, whichever comes first.
    let more = [ask(), ask()];
    let busy = |line: &serde_json::Value| line["reason"] == "upstream_busy" && line["status"] == 503;
    gateway.process.access_line("the refusal", busy);
    let event = gateway.process.event("a request could not be proxied");
    assert_eq!((event["source"].as_str(), event["error"].as_str()), (Some("Upstream"), Some("PoolFull")));
    held.release();
    assert_eq!(first.join().unwrap(), 200);
    let mut statuses = more.map(|asked| asked.join().unwrap());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    wait_until("the places are free", PATIENCE, || gateway.metric(IN_FLIGHT) < 0.5);
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
fn who_has_less_time_than_there_is_to_wait_is_refused_when_it_is_over() {
    let service = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        while stream.read() {}
    });
    let limits = "connections_max = 1\ntimeouts = { connect = \"1m\", total = \"300ms\" }";
    let gateway = start(&pool(&[service.address], limits).route("x", "/x", "auth = \"public\"\nupgrades = [\"x\"]"));
    let mut tunnel = Connection::open(gateway.front);
    tunnel.write(get("/x").header("Connection", "Upgrade").header("Upgrade", "x").bytes()).unwrap();
    assert_eq!(tunnel.receive_head().unwrap().status, 101);
    for request in [get("/"), Request::new("POST", "/").body("x")] {
        assert_eq!(gateway.send(&request).status, 503);
    }
    assert_eq!(service.bytes().matches(" HTTP/1.1\r\n").count(), 1, "nothing was sent for nobody");
}

#[test]
fn one_address_has_every_place_and_the_next_one_that_becomes_free_is_anothers() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = RawUpstream::start(move |stream| {
        while stream.read() {
            let _ = held.lock().unwrap().recv();
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let limits = "connections_max = 4\npending_max = 8\ntimeouts.connect = \"20s\"";
    let proxies = "trusted_proxies = [\"127.0.0.9\"]";
    let gateway = start(&pool(&[server.address], limits).server(proxies));
    let ask = |last: u8, request: &Request| {
        let mut connection = Connection::open_from(Ipv4Addr::new(127, 0, 0, last), gateway.front);
        connection.write(request.bytes()).unwrap();
        connection
    };
    let mut first: Vec<_> = (0..4).map(|_| ask(1, &get("/first"))).collect();
    let at_the_server = |path: &str| server.bytes().matches(&format!("GET /{path} ")).count();
    wait_until("one address has every place", PATIENCE, || at_the_server("first") == 4);
    // Eight more of its requests fill the waiting room, so that the ninth is refused.
    first.extend((0..9).map(|_| ask(1, &get("/first"))));
    let busy = "portero_decisions_total{decision=\"error\",reason=\"upstream_busy\",route=\"public\"}";
    wait_until("one is refused", PATIENCE, || (gateway.metric(busy) - 1.0).abs() < 0.5);
    // Two others make room among those. Of a proxy, the client that it names counts.
    let mut second = ask(2, &get("/second"));
    let mut named = ask(9, &get("/named").header("X-Forwarded-For", "203.0.113.1"));
    wait_until("two made room", PATIENCE, || (gateway.metric(busy) - 3.0).abs() < 0.5);
    release.send(()).unwrap();
    wait_until("the second is served next", PATIENCE, || at_the_server("second") + at_the_server("named") == 1);
    release.send(()).unwrap();
    wait_until("then the third", PATIENCE, || at_the_server("second") + at_the_server("named") == 2);
    assert_eq!(at_the_server("first"), 4, "nobody above the share was served in between");
    drop(release);
    assert_eq!((second.receive().status, named.receive().status), (200, 200));
    let answers = first.iter_mut().map(|connection| connection.receive().status);
    assert_eq!(answers.filter(|&status| status == 200).count(), 10);
}

#[test]
fn a_client_that_goes_away_leaves_its_place() {
    let held = Held::start();
    let gateway = start(&pool(&[held.server.address], "connections_max = 1\npending_max = 0"));
    for _ in 0..3 {
        let mut gone = Connection::open(gateway.front);
        gone.write(get("/").bytes()).unwrap();
        wait_until("it is in flight", PATIENCE, || gateway.metric(IN_FLIGHT) > 0.5);
        drop(gone);
        wait_until("its place is free", PATIENCE, || gateway.metric(IN_FLIGHT) < 0.5);
    }
}
