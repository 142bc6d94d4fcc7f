//! How many connections there may be.

use std::net::Ipv4Addr;

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
