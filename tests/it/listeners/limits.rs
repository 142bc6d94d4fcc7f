//! How many connections there may be.

use std::{cmp::Reverse, fs, net::Ipv4Addr};

use crate::support::{Config, Connection, PATIENCE, Upstream, get, wait_until};

#[test]
fn one_address_has_its_share_and_a_trusted_proxy_has_more() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).server("connections_per_address = 2");
    let gateway = config.clone().server("trusted_proxies = [\"127.0.0.2\"]").start_bare();
    let open = |last| Connection::open_from(Ipv4Addr::new(127, 0, 0, last), gateway.front);
    let mut mine: Vec<_> = (0..2).map(|_| open(1)).collect();
    for connection in &mut mine {
        assert_eq!(connection.send(&get("/public")).status, 200);
    }
    open(1).is_closed();
    let mut others: Vec<_> = (0..4).map(|_| open(2)).chain([open(3)]).collect();
    for connection in &mut others {
        assert_eq!(connection.send(&get("/public")).status, 200);
    }
    assert!(gateway.ask("/metrics").text().contains("portero_connections_refused_total{reason=\"address\"} 1"));
    // A place is free again when its connection has ended.
    mine.pop();
    let answered = || {
        let mut connection = open(1);
        connection.write(get("/public").bytes()).is_ok() && connection.try_receive().is_ok()
    };
    wait_until("the place is free", PATIENCE, answered);
    // More are taken after a reload.
    config.clone().server("connections_max = 5").write_to(&gateway.folder);
    gateway.process.signal("HUP");
    assert_eq!(gateway.process.event("the config was taken over")["needs_restart"], "");
    wait_until("no more in all", PATIENCE, || {
        open(4).rest().is_ok_and(|rest| rest.is_empty())
            && gateway.ask("/metrics").text().contains("portero_connections_refused_total{reason=\"total\"}")
    });
}

/// How many files each of a process's reactors watches (`proc_pid_fdinfo(5)`), from the one with the most.
fn watched(process: u32) -> Vec<usize> {
    let infos = fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap();
    // A file may be closed meanwhile.
    let texts = infos.filter_map(|info| fs::read_to_string(info.unwrap().path()).ok());
    let counts = texts.map(|text| text.lines().filter(|line| line.starts_with("tfd:")).count());
    let mut counts: Vec<_> = counts.filter(|&count| count > 0).collect();
    counts.sort_unstable_by_key(|&count| Reverse(count));
    counts
}

#[test]
fn a_few_connections_that_last_are_spread_one_by_one() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).server("threads = 2").start_bare();
    let before = watched(gateway.process.id());
    let mut open = vec![];
    for _ in 0..6 {
        // What ends at once, beside them, has a turn of its own.
        assert_eq!(gateway.send(&get("/public").header("Connection", "close")).status, 200);
        for _ in 0..2 {
            open.push(Connection::open(gateway.front));
            assert_eq!(open.last_mut().unwrap().send(&get("/public")).status, 200);
        }
    }
    // Each has six, but for what those that ended have put out of turn, and connections of its own to the upstream.
    let after = watched(gateway.process.id());
    assert!(after[1] >= before[1] + 4, "{before:?} {after:?}");
}

#[test]
fn connections_are_spread_over_the_threads_that_serve() {
    const CONNECTIONS: usize = 60;
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).server("threads = 3").start_bare();
    let before = watched(gateway.process.id());
    let mut open: Vec<_> = (0..CONNECTIONS).map(|_| Connection::open(gateway.front)).collect();
    for connection in &mut open {
        assert_eq!(connection.send(&get("/public")).status, 200);
    }
    let added = |most: usize| watched(gateway.process.id())[most].saturating_sub(before[0]);
    // Each has its share of them, less an eighth.
    assert!(added(2) * 3 >= CONNECTIONS * 3 / 4, "{before:?} {:?}", watched(gateway.process.id()));
    // Connections for one request each change nothing for those that last.
    for _ in 0..CONNECTIONS {
        assert_eq!(gateway.send(&get("/public").header("Connection", "close")).status, 200);
    }
    // Those who go leave room where they were.
    open.truncate(CONNECTIONS / 3);
    for _ in 0..2 * CONNECTIONS {
        let mut connection = Connection::open(gateway.front);
        assert_eq!(connection.send(&get("/public")).status, 200);
        open.push(connection);
    }
    assert!(added(2) * 3 >= open.len() * 3 / 4, "{before:?} {:?}", watched(gateway.process.id()));
}
