//! Balancers in front of two gateways: the configs that ship, started for real, with the PROXY protocol.

mod haproxy;
mod nginx;

use std::net::Ipv4Addr;

use crate::support::{Config, Connection, Folder, Front, Gateway, PATIENCE, Place, Upstream, get, wait_until};

/// Another machine than the front's, as far as a gateway can tell.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);

/// What the client says that it is.
const FORGED: &str = "203.0.113.9";

/// Requests of which a front sends some to each of two gateways.
const SOME: usize = 20;

/// A gateway's config, as the fronts ask for it. It stops when it is told so twice: the first time it is not ready.
fn behind_a_front(place: Place, upstream: &Upstream) -> Config {
    let Place { front, admin } = place;
    Config::standard(upstream.address)
        .server(&format!("listen = [{{ address = \"{front}\", proxy_protocol = true }}]"))
        .server("trusted_proxies = [\"127.0.0.1\"]\ndrain_delay = \"1h\"")
        .admin(&format!("listen = \"{admin}\""))
}

/// Two gateways with a store each, and the service behind each.
struct Pair {
    places: [Place; 2],
    gateways: [Gateway; 2],
    upstreams: [Upstream; 2],
}

impl Pair {
    fn start() -> Self {
        let places = [Place::free(), Place::free()];
        let upstreams = ["one", "two"].map(Upstream::named);
        let gateways = [0, 1].map(|at| behind_a_front(places[at], &upstreams[at]).start_bare());
        Self { places, gateways, upstreams }
    }
}

/// Two gateways with one store and the documents' accounts, and the service behind both.
fn sharing_a_store() -> ([Place; 2], [Gateway; 2], Upstream) {
    let (places, upstream) = ([Place::free(), Place::free()], Upstream::start());
    let first = behind_a_front(places[0], &upstream).with_accounts();
    let file = |name| first.file(name).display().to_string();
    let store =
        format!("[store]\nurl = \"sqlite:{}\"\nmaster_key_file = \"{}\"\n", file("portero.db"), file("master.key"));
    let second = Folder::new();
    behind_a_front(places[1], &upstream).text(&store).write_to(&second);
    (places, [first, second].map(Gateway::run), upstream)
}

/// Tells a gateway to stop: it is not ready any more, and serves on.
fn leave(gateway: &Gateway) {
    gateway.process.signal("TERM");
    wait_until("it is not ready", PATIENCE, || gateway.ask("/health/ready").status == 503);
}

/// Ends a gateway that is told so already.
fn end(gateway: Gateway) -> Folder {
    gateway.process.signal("TERM");
    let Gateway { process, folder, .. } = gateway;
    let ran = process.finish();
    assert_eq!(ran.code, 0, "{ran:?}");
    folder
}

/// The client's address reaches the services, and nothing else that it says about itself.
fn knows_its_clients(start: fn([Place; 2]) -> Front) {
    let pair = Pair::start();
    let front = start(pair.places);
    let forged = get("/public").header("X-Forwarded-For", FORGED).header("Forwarded", format!("for={FORGED}"));
    let mut asked = vec![];
    for _ in 0..SOME {
        let answer = Connection::open_from(CLIENT, front.address).send(&forged);
        let at = usize::from(answer.text() == "two");
        let received = pair.upstreams[at].received();
        assert_eq!(received.header("x-forwarded-for"), Some(&*CLIENT.to_string()));
        assert!(!received.headers.iter().any(|(_, value)| value.contains(FORGED)), "{received:?}");
        asked.push(at);
    }
    assert!(asked.contains(&0) && asked.contains(&1), "{asked:?}");

    // A header of the PROXY protocol before the request is no part of one: the front's own stands before it.
    let header = format!("PROXY TCP4 {FORGED} 127.0.0.1 5000 80\r\n");
    let mut connection = Connection::open_from(CLIENT, front.address);
    connection.write([header.as_bytes(), &get("/public").bytes()].concat()).unwrap();
    let answer = connection.rest().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    // Nor does a gateway listen to anybody but the front.
    Connection::open_from(CLIENT, pair.places[0].front).is_closed();
    for upstream in &pair.upstreams {
        upstream.received_nothing();
    }
}
