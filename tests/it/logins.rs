//! Logins of clients that flood, and of clients that leave.

use std::{future::poll_fn, net::Ipv4Addr, thread};

use bytes::Bytes;
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use crate::support::{Config, Connection, Contract, Database, Gateway, PATIENCE, Request, Upstream, wait_until};

/// The client that keeps the hashing thread busy, by the last octet of its address.
const HOLDER: u8 = 9;

/// A hash of 19 MiB whose check takes minutes.
const LONG_HASH: &str = "UPDATE principals SET password_hash = '$argon2id$v=19$m=19456,t=200000,p=1$\
    c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' WHERE realm = 'maxpoint'";

/// A gateway whose only thread that hashes is at work for longer than any test runs, with one more login waiting.
struct Busy {
    gateway: Gateway,
    _holders: [Connection; 2],
    upstream: Upstream,
}

impl Busy {
    fn start(server: &str) -> Self {
        let upstream = Upstream::start();
        let passwords = "[passwords]\nhash_threads = 1\nhash_queue = 16";
        let gateway = Config::standard(upstream.address).server(server).text(passwords).start();
        Database::of(&gateway).execute(LONG_HASH);
        let holders = [(); 2].map(|()| asked(&gateway, HOLDER, &Contract::Maxpoint.login_with("any")));
        let busy = Self { gateway, _holders: holders, upstream };
        busy.waits(1);
        busy
    }

    /// Waits until this many logins wait.
    #[track_caller]
    fn waits(&self, logins: usize) {
        let waiting = format!("portero_password_queue {logins}\n");
        wait_until(&waiting, PATIENCE, || self.metrics().contains(&waiting));
    }

    fn metrics(&self) -> String {
        self.gateway.ask("/metrics").text()
    }

    #[track_caller]
    fn hashed_nothing(&self) {
        let metrics = self.metrics();
        assert!(metrics.contains("portero_password_hash_seconds_count 0\n"), "{metrics}");
    }
}

/// A connection from this loopback address on which a request was sent.
fn asked(gateway: &Gateway, last: u8, request: &Request) -> Connection {
    let mut connection = Connection::open_from(Ipv4Addr::new(127, 0, 0, last), gateway.front);
    connection.write(request.bytes()).unwrap();
    connection
}

fn login(name: &str) -> Request {
    Contract::Sws.login_as(name, "wrong")
}

/// A POST on a stream of its own, whose body comes later.
async fn posted(
    sender: &mut h2::client::SendRequest<Bytes>,
    path: &str,
) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
    poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
    let head = http::Request::post(format!("http://a.test{path}")).header("content-type", "application/json");
    sender.send_request(head.body(()).unwrap(), false).unwrap()
}

#[test]
fn a_client_that_left_is_never_hashed_for() {
    let busy = Busy::start("");
    let mut open: Vec<_> = (0..3).map(|at| asked(&busy.gateway, 1, &login(&at.to_string()))).collect();
    // Its end stands behind bytes that nobody asked for yet: some of a head, all of one, and what is none.
    for (connection, behind) in
        open.iter_mut().zip(["GET /next HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\n"])
    {
        connection.write(behind).unwrap();
    }
    // A body in chunks is read in another way.
    let chunked = login("3")
        .header("Transfer-Encoding", "chunked")
        .body("28\r\n{\"username\":\"chunks\",\"password\":\"wrong\"}\r\n0\r\n\r\n");
    open.push(asked(&busy.gateway, 1, &chunked));
    busy.waits(5);
    drop(open);
    busy.waits(1);
    let left = r#"portero_token_requests_total{outcome="client_left",realm="sws"} 4"#;
    wait_until(left, PATIENCE, || busy.metrics().contains(left));
    let line = busy.gateway.process.access_line("the login", |line| line["reason"] == "client_left");
    assert_eq!((&line["path"], &line["status"]), (&"/api/Session/GetToken".into(), &0.into()), "{line}");
    busy.hashed_nothing();
}

#[test]
fn a_stream_that_was_reset_is_never_hashed_for() {
    let busy = Busy::start("");
    Runtime::new().unwrap().block_on(async {
        let stream = TcpStream::connect(busy.gateway.front).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        let mut streams = vec![];
        for at in 0..3 {
            let mut stream = posted(&mut sender, Contract::Sws.endpoint()).await;
            let text = format!(r#"{{"username":"{at}","password":"wrong"}}"#);
            stream.1.send_data(Bytes::from(text), true).unwrap();
            streams.push(stream);
        }
        busy.waits(4);
        streams.pop().unwrap().1.send_reset(h2::Reason::CANCEL);
        busy.waits(3);
        driving.abort();
        drop((sender, streams));
        busy.waits(1);
    });
    busy.hashed_nothing();
}

#[test]
fn a_login_that_waits_holds_up_no_other_stream_of_its_connection() {
    let busy = Busy::start("");
    Runtime::new().unwrap().block_on(async {
        let stream = TcpStream::connect(busy.gateway.front).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        let (uploaded, mut upload) = posted(&mut sender, "/public").await;
        upload.send_data(Bytes::from_static(b"begun"), false).unwrap();
        let (_login, mut body) = posted(&mut sender, Contract::Sws.endpoint()).await;
        body.send_data(Bytes::from_static(br#"{"username":"x","password":"wrong"}"#), true).unwrap();
        busy.waits(2);
        // More than a watched connection of HTTP/1 keeps.
        upload.send_data(Bytes::from(vec![b'x'; 64 << 10]), true).unwrap();
        let answer = timeout(PATIENCE, uploaded).await.unwrap();
        assert_eq!(answer.unwrap().status().as_u16(), 200);
        busy.waits(2);
        driving.abort();
    });
    assert_eq!(busy.upstream.received().body_bytes, (64 << 10) + 5);
}

#[test]
fn while_others_wait_one_address_has_a_quarter_of_the_queue() {
    let busy = Busy::start("trusted_proxies = [\"127.0.0.5\"]");
    let flood = |last: u8, client: Option<&str>| {
        let request = |at: i32| match client {
            Some(client) => login(&format!("{at}")).header("X-Forwarded-For", client),
            None => login(&format!("{at}")),
        };
        (0..6).map(|at| asked(&busy.gateway, last, &request(at))).collect::<Vec<_>>()
    };
    let refused = |connections: Vec<Connection>, waiting: usize| {
        busy.waits(waiting);
        // Of six each, four wait and two are refused.
        let unavailable = (waiting - 1) / 2;
        let busy_answers =
            format!(r#"portero_token_requests_total{{outcome="unavailable",realm="sws"}} {unavailable}"#);
        wait_until(&busy_answers, PATIENCE, || busy.metrics().contains(&busy_answers));
        connections
    };
    let first = refused(flood(1, None), 5);
    let second = refused(flood(5, Some("203.0.113.7")), 9);
    let third = refused(flood(5, Some("203.0.113.8")), 13);
    drop((first, second, third));
    busy.waits(1);
    busy.hashed_nothing();
}

#[test]
fn guesses_that_wait_together_cost_no_more_hashes_than_the_throttle_allows() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).text("[passwords]\nhash_threads = 1").start();
    let guesses: Vec<_> = (0..20)
        .map(|_| {
            let front = gateway.front;
            thread::spawn(move || Connection::open(front).send_until_available(&login("admin")).json()["error"].clone())
        })
        .collect();
    let answers: Vec<_> = guesses.into_iter().map(|guess| guess.join().unwrap()).collect();
    let metrics = gateway.ask("/metrics").text();
    assert!(metrics.contains("portero_password_hash_seconds_count 5\n"), "{answers:?} {metrics}");
    assert!(
        metrics.contains(r#"portero_token_requests_total{outcome="invalid_credentials",realm="sws"} 5"#),
        "{metrics}"
    );
    assert!(metrics.contains(r#"portero_token_requests_total{outcome="throttled_name",realm="sws"} 15"#), "{metrics}");
}
