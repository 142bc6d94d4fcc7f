//! Pools of servers, and servers that fail.

use std::thread;

use super::nobody;
use crate::support::{Config, Connection, Contract, Gateway, RawUpstream, Request, Upstream, get};

#[test]
fn servers_are_taken_in_turn() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let config = Config::new().upstream("service", &[one.address, two.address]);
    let gateway = config.route("public", "/", "auth = \"public\"").start();
    let mut connection = Connection::open(gateway.front);
    let answers: Vec<_> = (0..6).map(|_| connection.send(&get("/")).text()).collect();
    assert_eq!(answers, ["one", "two", "one", "two", "one", "two"]);
}

#[test]
fn a_dead_server_is_passed_over_however_many_ask_at_once() {
    let living = Upstream::start();
    let config = Config::new().upstream("service", &[nobody(), living.address]);
    let gateway = config.route("public", "/", "auth = \"public\"").start();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut connection = Connection::open(gateway.front);
            thread::spawn(move || (0..25).map(|_| connection.send(&get("/")).status).collect::<Vec<_>>())
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), vec![200; 25]);
    }
}

#[test]
fn an_upstream_that_is_down_is_502_in_the_routes_dialect_until_it_is_back() {
    let address = nobody();
    let gateway = Config::standard(address).start();
    let token = gateway.login(Contract::Sws);
    let mut connection = Connection::open(gateway.front);
    let failed = connection.send(&get("/sws").bearer(&token));
    assert_eq!((failed.status, failed.json()["error"].as_u64()), (502, Some(502)));
    let failed = gateway.send(&get("/maxpoint").bearer(&gateway.login(Contract::Maxpoint)));
    assert_eq!((failed.status, failed.json()["code"].as_u64()), (502, Some(502)));
    let failed = gateway.send(&get("/public"));
    assert_eq!((failed.status, failed.header("Content-Type")), (502, Some("application/problem+json")));
    let _back = Upstream::on(address, "back");
    assert_eq!(gateway.send(&get("/public")).text(), "back");
}

#[test]
fn a_silent_upstream_is_504() {
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let timeouts = "[upstreams.slow]\nservers = [\"SERVER\"]\ntimeouts = { read = \"200ms\", connect = \"200ms\" }";
    let gateway = Config::standard(silent.address)
        .text(&timeouts.replace("SERVER", &silent.address.to_string()))
        .route("slow", "/slow", "upstream = \"slow\"\naccept = [\"become\"]")
        .start();
    let answer = gateway.send(&get("/slow").bearer(&gateway.login(Contract::Become)));
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (504, r#"{"msg": "Gateway Timeout"}"#.replace(": ", ":").as_str())
    );
    gateway.process.access_line("the timeout", |line| line["reason"] == "upstream_timeout" && line["status"] == 504);
}

#[test]
fn an_upstream_that_breaks_off_is_never_a_whole_answer() {
    let broken = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    });
    let silent_close = RawUpstream::start(|stream| assert!(stream.read()));
    let gateway = Config::standard(broken.address)
        .upstream("closes", &[silent_close.address])
        .route("closes", "/closes", "upstream = \"closes\"\nauth = \"public\"")
        .start();
    let mut connection = Connection::open(gateway.front);
    connection.write(get("/public").bytes()).unwrap();
    assert!(connection.try_receive().is_err(), "a part was delivered as a whole");
    assert_eq!(gateway.send(&get("/closes")).status, 502);
    assert_eq!(gateway.send(&get("/sws")).status, 401, "the gateway goes on");
}

#[test]
fn an_exchange_has_an_end_even_if_bytes_keep_coming() {
    let endless = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while stream.write("drop") {}
    });
    let timeouts = "[upstreams.endless]\nservers = [\"SERVER\"]\ntimeouts = { total = \"3s\" }";
    let gateway = Config::standard(endless.address)
        .text(&timeouts.replace("SERVER", &endless.address.to_string()))
        .route("endless", "/endless", "upstream = \"endless\"\nauth = \"public\"")
        .start();
    let mut connection = Connection::open(gateway.front);
    connection.write(get("/endless").bytes()).unwrap();
    assert!(connection.receive_head().unwrap().status == 200 && connection.discard(1_000_000_000).is_err());
    gateway.process.access_line("its end", |line| line["reason"] == "upstream_timeout" && line["decision"] == "error");
}

#[test]
fn a_client_that_breaks_off_is_never_a_whole_request() {
    let (gateway, upstream) = Gateway::with_upstream();
    let upload = Request::new("PUT", "/public").header("Content-Length", "100");
    let mut connection = Connection::open(gateway.front);
    connection.write([upload.bytes(), b"only this".to_vec()].concat()).unwrap();
    drop(connection);
    // A hyper server records what broke off too: with as many bytes as came.
    gateway.process.access_line("its end", |line| line["method"] == "PUT");
    assert!(upstream.received().body_bytes < 100);
    assert_eq!(gateway.send(&get("/public")).status, 200, "the gateway goes on");
}
