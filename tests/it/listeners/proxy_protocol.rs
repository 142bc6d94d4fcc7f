//! The PROXY protocol: who the client is, as a trusted balancer says it, and nobody else.

use std::net::Ipv4Addr;

use crate::support::{Config, Connection, Gateway, PATIENCE, Upstream, get, wait_until};

const LISTEN: &str = "listen = [{ address = \"127.0.0.1:0\", proxy_protocol = true }]";

/// A gateway that trusts 127.0.0.2.
fn start(upstream: &Upstream, more: &str) -> Gateway {
    Config::standard(upstream.address)
        .server(LISTEN)
        .server("trusted_proxies = [\"127.0.0.2\"]")
        .server(more)
        .start_bare()
}

fn balancer(gateway: &Gateway) -> Connection {
    Connection::open_from(Ipv4Addr::new(127, 0, 0, 2), gateway.front)
}

fn binary(command: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, 0x11][..], &length, rest].concat()
}

fn refused(gateway: &Gateway, reason: &str) -> u32 {
    let line = format!("portero_connections_refused_total{{reason=\"{reason}\"}} ");
    let metrics = gateway.ask("/metrics").text();
    metrics.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap()
}

#[test]
fn the_client_is_who_the_balancer_says() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let address = [198, 51, 100, 7, 127, 0, 0, 1, 0x13, 0x88, 0, 80];
    let request = get("/public").bytes();
    for (header, client) in [
        (b"PROXY TCP4 198.51.100.7 127.0.0.1 5000 80\r\n".to_vec(), "198.51.100.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 5000 80\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.2"),
        (binary(0x21, &[&address[..], b"\x04\0\x02xx"].concat()), "198.51.100.7"),
        (binary(0x20, b""), "127.0.0.2"),
    ] {
        // In one piece, and each byte by itself: none of the request is lost either way.
        for piece in [header.len() + request.len(), 1] {
            let mut connection = balancer(&gateway);
            for piece in [&header[..], &request].concat().chunks(piece) {
                connection.write(piece).unwrap();
            }
            assert_eq!(connection.receive().status, 200, "{client}");
            assert_eq!(upstream.received().header("x-forwarded-for"), Some(client));
            assert_eq!(connection.send(&get("/public")).status, 200);
            assert_eq!(upstream.received().header("x-forwarded-for"), Some(client));
        }
    }
    gateway.process.access_line("the balancer's client", |line| line["client"] == "2001:db8::7");
}

#[test]
fn what_is_no_header_and_who_is_no_balancer_is_closed() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "head_timeout = \"300ms\"");
    Connection::open(gateway.front).is_closed();
    let long = format!("PROXY UNKNOWN {}", "a".repeat(200));
    let mut refusals = 1;
    for header in [
        &get("/public").bytes()[..],
        b"PROXY TCP4 198.51.100.7 127.0.0.1 5000 80\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        long.as_bytes(),
        &binary(0x21, b"short"),
        &binary(0x21, &[0; 4096]),
        b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\0",
    ] {
        let mut connection = balancer(&gateway);
        connection.write(header).unwrap();
        // It may be closed by now.
        let _ = connection.write(get("/public").bytes());
        assert!(connection.rest().unwrap_or_default().is_empty(), "{}", String::from_utf8_lossy(header));
        refusals += 1;
    }
    wait_until("they are counted", PATIENCE, || refused(&gateway, "proxy_protocol") == refusals);
    // One that never comes to its end is cut off too.
    let mut slow = balancer(&gateway);
    slow.write("PROXY TCP4 ").unwrap();
    slow.is_closed();
    upstream.received_nothing();
}

#[test]
fn each_of_a_balancers_clients_has_its_own_count() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "connections_per_address = 1");
    let open = |client: &str| {
        let mut connection = balancer(&gateway);
        connection.write(format!("PROXY TCP4 {client} 127.0.0.1 5000 80\r\n")).unwrap();
        connection
    };
    let (mut first, mut other) = (open("198.51.100.7"), open("198.51.100.8"));
    assert_eq!((first.send(&get("/public")).status, other.send(&get("/public")).status), (200, 200));
    open("198.51.100.7").is_closed();
    assert_eq!(refused(&gateway, "address"), 1);
    assert_eq!(first.send(&get("/public")).status, 200);
}
