//! A connection on which nothing happens for a while rests: what serves requests is put away until one comes. Nobody
//! notices.

use std::{
    io::{Read, Write},
    time::Duration,
};

use super::tls;
use crate::support::{
    Authority, Config, Connection, Contract, Deadline, Folder, Gateway, PATIENCE, Process, RawUpstream, Request,
    Upstream, command, get, post, wait_until,
};

/// A connection rests after 5 s. A machine on which it does not rest by now proves less, and nothing wrong.
const REST: Duration = Duration::from_secs(6);

/// So long nothing happens on any of the connections.
fn nothing_happens() {
    let rest = Deadline::after(REST);
    wait_until("they rest", PATIENCE, || rest.left().is_none());
}

#[test]
fn line_ends_behind_a_request_are_no_request_that_is_late() {
    let upstream = Upstream::start();
    let gateway =
        Config::standard(upstream.address).server("head_timeout = \"1s\"\nkeepalive_timeout = \"1s\"").start();
    let mut connection = Connection::open(gateway.front);
    connection.write([&get("/public").bytes()[..], b"\r\n"].concat()).unwrap();
    assert_eq!(connection.receive().status, 200);
    assert_eq!(String::from_utf8(connection.rest().unwrap()).unwrap(), "");
}

#[test]
fn a_connection_that_was_busy_for_long_is_idle_for_no_longer_than_others() {
    const LONG: Duration = Duration::from_secs(2);
    let late = RawUpstream::start(|stream| {
        while stream.read_request() {
            let long = Deadline::after(LONG);
            wait_until("more than the next request has", PATIENCE, || long.left().is_none());
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        }
    });
    let hasty = |address| Config::standard(address).server("head_timeout = \"1s\"\nkeepalive_timeout = \"1s\"").start();
    let gateway = hasty(late.address);
    for request in [get("/public"), post("/public", "a body")] {
        let mut connection = Connection::open(gateway.front);
        assert_eq!(connection.send(&request).text(), "late");
        connection.is_closed();
    }

    let upstream = Upstream::start();
    let gateway = hasty(upstream.address);
    let (mut connection, long) = (Connection::open(gateway.front), Deadline::after(LONG));
    while long.left().is_some() {
        assert_eq!(connection.send(&get("/public")).status, 200);
    }
    connection.is_closed();
}

#[test]
fn a_connection_that_rested_goes_on_as_one_that_did_not() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).server("head_timeout = \"60s\"").start();
    let token = gateway.login(Contract::Sws);
    let checked = get("/sws").bearer(&token);
    let opened = || {
        let mut connection = Connection::open(gateway.front);
        assert_eq!(connection.send(&checked).status, 200);
        connection
    };
    let [mut whole, mut late, mut two, mut upload, mut refused, mut ends, mut again] =
        std::array::from_fn(|_| opened());
    // Its first byte came before it rested, and the others come after.
    late.write("G").unwrap();
    let mut quiet = Connection::open(gateway.front);
    nothing_happens();

    assert_eq!(whole.send(&checked).status, 200);
    assert_eq!(whole.send(&get("/sws")).status, 401, "it is looked at as each request is");
    late.write(&checked.bytes()[1..]).unwrap();
    assert_eq!(late.receive().status, 200);
    two.write([checked.bytes(), get("/none").bytes()].concat()).unwrap();
    assert_eq!([two.receive().status, two.receive().status], [200, 404]);
    let body = vec![b'a'; 100_000];
    let sent = Request::new("POST", "/sws").bearer(&token).header("Expect", "100-continue").body("");
    let head = String::from_utf8(sent.bytes()).unwrap().replace("Content-Length: 0", "Content-Length: 100000");
    upload.write(head).unwrap();
    assert_eq!(upload.receive_line(), "HTTP/1.1 100 Continue");
    upload.write(&body).unwrap();
    assert_eq!(upload.receive().status, 200);
    refused.write("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").unwrap();
    assert_eq!(refused.receive().status, 400);
    assert!(refused.try_receive().is_err(), "nothing follows a head that is refused");
    ends.end();
    assert!(ends.rest().unwrap().is_empty());
    assert_eq!(quiet.send(&checked).status, 200, "the first request may take its time");
    // It rests each time.
    assert_eq!(again.send(&checked).status, 200);
    nothing_happens();
    assert_eq!(again.send(&post("/sws", "{}").bearer(&token)).status, 200);
    // One that rests keeps nobody waiting at the end.
    gateway.stop();
    assert!(whole.try_send(&checked).is_err());
}

#[test]
fn a_connection_that_rests_gives_its_buffers_back() {
    const CONNECTIONS: u64 = 400;
    let upstream = Upstream::start();
    let folder = Folder::new();
    // Each thread keeps some memory for itself.
    Config::standard(upstream.address).server("threads = 2").write_to(&folder);
    // The allocator gives to the system at once what it gives at all.
    let mut run = command(&["run", "--config", &folder.config()]);
    let gateway = Gateway::of(Process::spawn(run.env("MIMALLOC_PURGE_DELAY", "0"), ""), folder);
    let opened = |_| {
        let mut connection = Connection::open(gateway.front);
        assert_eq!(connection.send(&get("/none")).status, 404);
        connection
    };
    // The first ones bring along what all share.
    let _first: Vec<_> = (0..20).map(opened).collect();
    let before = gateway.resident_kib();
    let _resting: Vec<_> = (0..CONNECTIONS).map(opened).collect();
    let busy = gateway.resident_kib();
    assert!(busy >= before + CONNECTIONS * 12, "each has a part of hyper's two buffers of 8 KiB: {before} and {busy}");
    wait_until("more than half of that is given back", PATIENCE, || {
        // It looks for some when it is asked for some.
        assert_eq!(gateway.send(&get("/none")).status, 404);
        gateway.resident_kib() + CONNECTIONS * 8 <= busy
    });
}

#[test]
fn a_connection_through_tls_rests_too() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    let config = tls::config(&upstream, &["a"], "");
    let gateway = tls::start(&config, &authority, &[("a", &["a.test"])]);
    let client = tls::client(&gateway.folder.file("ca.pem"));
    let mut connection = tls::Secured::open(&gateway, &client, "a.test");
    let mut ask = |path: &str| {
        connection.0.write_all(&get(path).bytes()).unwrap();
        let mut answer = vec![];
        let mut chunk = [0; 4096];
        wait_until("a whole answer", PATIENCE, || {
            let read = connection.0.read(&mut chunk).unwrap();
            answer.extend_from_slice(&chunk[..read]);
            let text = String::from_utf8_lossy(&answer);
            let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
            text.split_once("\r\n\r\n").zip(length).is_some_and(|((_, body), length)| body.len() >= length)
        });
        String::from_utf8(answer).unwrap()[9..12].parse::<u16>().unwrap()
    };
    assert_eq!([ask("/public"), ask("/none")], [200, 404]);
    nothing_happens();
    assert_eq!([ask("/public"), ask("/sws")], [200, 401]);
}
