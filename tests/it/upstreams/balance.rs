//! Which server a request goes to.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use super::{IN_FLIGHT, named_pool, pool, start};
use crate::support::{Config, Connection, Contract, PATIENCE, RawUpstream, Upstream, get, own_address, wait_until};

#[test]
fn weights_are_shares() {
    let (heavy, light) = (Upstream::named("heavy"), Upstream::named("light"));
    let servers = format!("{{ address = \"{}\", weight = 3 }}, \"{}\"", heavy.address, light.address);
    let gateway = start(&named_pool(&servers, ""));
    let mut connection = Connection::open(gateway.front);
    let answers: Vec<_> = (0..8).map(|_| connection.send(&get("/")).text()).collect();
    assert_eq!(answers, ["heavy", "heavy", "light", "heavy", "heavy", "heavy", "light", "heavy"]);
}

#[test]
fn the_least_busy_server_is_next() {
    let live_state = Arc::new((Mutex::new(false), Condvar::new()));
    let closed = Arc::clone(&live_state);
    let busy = RawUpstream::start(move |stream| {
        while stream.read() {
            let (open, opened) = &*closed;
            drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbusy");
        }
    });
    let free = Upstream::named("free");
    let gateway = start(&pool(&[busy.address, free.address], "balance = \"least-connections\""));
    let front = gateway.front;
    let held = thread::spawn(move || {
        // Both are free, so that the first in the list has the first request.
        Connection::open(front).send(&get("/")).text()
    });
    wait_until("the busy one has a request", PATIENCE, || !busy.bytes().is_empty());
    for _ in 0..10 {
        // A client may have its answer a moment before the gateway has put the request away.
        wait_until("only the busy one has a request", PATIENCE, || (gateway.metric(IN_FLIGHT) - 1.0).abs() < 0.5);
        assert_eq!(gateway.send(&get("/")).text(), "free");
    }
    let (open, opened) = &*live_state;
    *open.lock().unwrap() = true;
    opened.notify_all();
    assert_eq!(held.join().unwrap(), "busy");
}

#[test]
fn a_hash_keeps_a_key_at_its_server() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let servers = NAMES.map(Upstream::named);
    let addresses = servers.each_ref().map(|server| server.address);
    let by_header = start(&pool(&addresses, "balance = \"hash\"\nhash_by = \"header:x-tenant\""));
    let of = |tenant: usize| by_header.send(&get("/").header("X-Tenant", tenant.to_string())).text();
    let first: Vec<_> = (0..40).map(of).collect();
    assert_eq!((0..40).map(of).collect::<Vec<_>>(), first);
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 4, "every server has a part: {first:?}");

    let by_address = start(&pool(&addresses, "balance = \"hash\"\nhash_by = \"address\""));
    let from = |source: Ipv4Addr| Connection::open_from(source, by_address.front).send(&get("/")).text();
    let sources: Vec<_> = (0..20).map(|_| own_address()).collect();
    let first: Vec<_> = sources.iter().copied().map(from).collect();
    assert_eq!(sources.iter().copied().map(from).collect::<Vec<_>>(), first);
    assert!(first.iter().collect::<HashSet<_>>().len() > 1, "{first:?}");
}

#[test]
fn a_hash_by_subject_follows_the_subject_and_not_the_token() {
    let servers = ["a", "b", "c", "d"].map(Upstream::named);
    let list: Vec<_> = servers.iter().map(|server| format!("\"{}\"", server.address)).collect();
    let upstream = format!("[upstreams.service]\nservers = [{}]\nbalance = \"hash\"\n", list.join(","));
    let gateway = Config::new().text(&upstream).route("apis", "/apis", "accept = [\"apis\"]").start();
    let answers: HashSet<_> = (0..4)
        .map(|_| {
            let token = gateway.login(Contract::Apis);
            let request = get("/apis").bearer(&token);
            Connection::open_from(own_address(), gateway.front).send(&request).text()
        })
        .collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
}
