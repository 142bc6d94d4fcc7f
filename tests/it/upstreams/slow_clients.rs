//! A client can never make a server look unhealthy: the side that owes bytes is waited for, and no other is blamed.

use std::{future::poll_fn, net::SocketAddr};

use bytes::Bytes;
use http::Request as Head;
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use super::{is_healthy, pool, start};
use crate::support::{
    Connection, Gateway, PATIENCE, RawStream, RawUpstream, Request, Upstream, get, own_address, post, wait_until,
};

/// A server's time is over long before a client's. A server that answers has more, however busy the machine is.
const READ: &str = "timeouts = { read = \"150ms\" }";

/// One failure is enough to see.
const STRICT: &str = "retries = 0\neject = { failures = 1, for = \"1h\" }";

/// Whether any pool left the server alone.
fn was_ejected(gateway: &Gateway, server: SocketAddr) -> bool {
    let ejections = format!("portero_upstream_ejections_total{{server=\"{server}\",");
    let metrics = gateway.ask("/metrics").text();
    metrics.lines().filter(|line| line.starts_with(&ejections)).any(|line| !line.ends_with(" 0"))
}

/// A gateway with these lines of `[server]`, before servers with these waits.
fn patient(servers: &[SocketAddr], server: &str, more: &str) -> Gateway {
    start(&pool(servers, more).server(server))
}

/// The head of a request whose body does not come.
fn promise(bytes: usize) -> Vec<u8> {
    promise_to("/", bytes)
}

fn promise_to(path: &str, bytes: usize) -> Vec<u8> {
    Request::new("POST", path).header("Content-Length", bytes.to_string()).bytes()
}

/// A connection on which this was sent.
fn sent(gateway: &Gateway, bytes: &[u8]) -> Connection {
    let mut connection = Connection::open(gateway.front);
    connection.write(bytes).unwrap();
    connection
}

/// What several requests to `path` get on one HTTP/2 connection, each with what comes of its body at once, and whether
/// that is all.
fn streams(gateway: &Gateway, path: &str, bodies: &[(&'static str, bool)]) -> Vec<Option<u16>> {
    Runtime::new().unwrap().block_on(async {
        let stream = TcpStream::connect(gateway.front).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        let (mut responses, mut open) = (vec![], vec![]);
        for (body, end) in bodies {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let head = Head::builder().method("POST").uri(format!("http://a.test{path}")).body(()).unwrap();
            let (response, mut out) = sender.send_request(head, false).unwrap();
            // Behind its head, as a client sends it that makes it while it goes.
            out.send_data(Bytes::from_static(body.as_bytes()), *end).unwrap();
            responses.push(response);
            open.push(out);
        }
        let mut statuses = vec![];
        for response in responses {
            let answer = timeout(PATIENCE, response).await.unwrap();
            statuses.push(answer.ok().map(|answer| answer.status().as_u16()));
        }
        driving.abort();
        statuses
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of docs/reliability.md come from here")]
fn bodies_that_never_come_cost_their_senders_a_408_and_no_server_its_place() {
    let upstream = Upstream::start();
    // One server in two pools: what is silent there is over its time long before its clients.
    let hurried = format!("[upstreams.hurried]\nservers = [\"{}\"]\n{READ}", upstream.address);
    let config = pool(&[upstream.address], "").server("body_timeout = \"600ms\"").text(&hurried);
    let gateway = start(&config.route("hurried", "/hurried", "auth = \"public\"\nupstream = \"hurried\""));
    let paths = ["/", "/hurried"].into_iter().cycle();
    let mut answers = paths.take(20).map(|path| sent(&gateway, &promise_to(path, 10))).collect::<Vec<_>>().into_iter();
    let first = std::thread::spawn({
        let mut first = answers.next().unwrap();
        move || first.receive()
    });
    // Others are served all the while, with and without a body.
    let mut served = 0;
    while !first.is_finished() {
        assert_eq!(gateway.send(&get("/")).status, 200);
        assert_eq!(gateway.send(&post("/", "whole")).status, 200);
        served += 2;
    }
    println!("beside bodies that never come: {served} of {served} served");
    assert_eq!(first.join().unwrap().status, 408);
    for mut connection in answers {
        assert_eq!(connection.receive().status, 408);
        connection.is_closed();
    }
    assert_eq!(gateway.process.event("a request could not be proxied")["source"], "Downstream");
    let line = gateway.process.access_line("a 408", |line| line["status"] == 408);
    assert_eq!((line["decision"].as_str(), line["reason"].as_str()), (Some("error"), Some("request_timeout")));
    assert_eq!(streams(&gateway, "/hurried", &[("", false); 30]), [Some(408); 30]);
    assert_eq!(streams(&gateway, "/", &[("", false), ("whole", true)]), [Some(408), Some(200)]);
    assert!(!was_ejected(&gateway, upstream.address) && is_healthy(&gateway, upstream.address));
    assert_eq!(gateway.send(&get("/")).status, 200);
}

#[test]
fn a_body_may_pause_for_longer_than_the_server_may_be_silent() {
    let upstream = Upstream::start();
    let gateway = patient(&[upstream.address], "", "timeouts = { read = \"4s\" }");
    // More than that server's whole time.
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let clock = start(&pool(&[silent.address], "timeouts = { read = \"5s\" }"));
    let mut connection = sent(&gateway, &[promise(10), b"first".to_vec()].concat());
    assert_eq!(clock.send(&get("/")).status, 504);
    connection.write("again").unwrap();
    assert_eq!(connection.receive().status, 200);
    assert_eq!(upstream.received().body, b"firstagain");
}

#[test]
fn a_server_that_is_silent_after_a_whole_upload_is_504_and_counts() {
    // More than is kept for another attempt, and no more than sockets hold: no server has to be quick with it.
    for (http, large) in [("1.1", 256 << 10), ("1.1", 3), ("2", 3)] {
        let silent = RawUpstream::start(|stream| {
            if stream.so_far().is_empty() && stream.read() && stream.so_far().starts_with("PRI ") {
                // An empty SETTINGS frame: a server of HTTP/2 that takes whatever comes.
                stream.write("\0\0\0\u{4}\0\0\0\0\0");
            }
            while stream.read() {}
        });
        let more = format!(
            "http = \"{http}\"\nretries = 0\neject = {{ failures = 3, for = \"1h\" }}\ntimeouts = {{ read = \"400ms\" }}"
        );
        let well = RawUpstream::start(|stream| while stream.read() {});
        let gateway = patient(&[silent.address, well.address], "body_timeout = \"20s\"", &more);
        let answer = gateway.send(&post("/", vec![b'x'; large]));
        assert_eq!(answer.status, 504, "HTTP/{http}, {large} bytes");
        // A body that is behind its head, on HTTP/2.
        assert_eq!(streams(&gateway, "/", &[("whole", true); 2]), [Some(504); 2], "HTTP/{http}");
        let line = gateway.process.access_line("a 504", |line| line["status"] == 504);
        assert_eq!(line["reason"], "upstream_timeout");
        wait_until("one of them is left alone", PATIENCE, || {
            gateway.send(&post("/", "x"));
            !is_healthy(&gateway, silent.address) || !is_healthy(&gateway, well.address)
        });
    }
}

#[test]
fn a_body_that_trickles_has_a_rate_and_a_total() {
    let upstream = RawUpstream::start(|stream| while stream.read() {});
    for (lines, kind, trickles) in [
        ("body_rate_min = \"1MiB\"\nbody_rate_grace = \"300ms\"", "text/plain", true),
        // A call is HTTP/2 on both sides: the content type alone exempts nobody.
        ("body_rate_min = \"1MiB\"\nbody_rate_grace = \"300ms\"", "application/grpc", true),
        ("body_rate_min = \"0B\"\nbody_total_timeout = \"300ms\"", "application/grpc", true),
        ("body_rate_min = \"0B\"\nbody_timeout = \"300ms\"", "application/grpc", false),
    ] {
        let gateway = patient(&[upstream.address], lines, READ);
        let head = Request::new("POST", "/").header("Content-Length", "1000000").header("Content-Type", kind);
        let mut connection = sent(&gateway, &head.bytes());
        let mut trickling = connection.try_clone();
        let sender = std::thread::spawn(move || {
            let (_sender, pause) = std::sync::mpsc::channel::<()>();
            // Until the gateway closes.
            while trickles && trickling.write("x").is_ok() {
                assert!(pause.recv_timeout(std::time::Duration::from_millis(10)).is_err());
            }
        });
        // With the type of a call the same is told in its own way.
        let answer = connection.receive();
        let told = (answer.status, answer.header("grpc-status"));
        assert!(matches!(told, (408, None) | (200, Some("4"))), "{lines} {kind}: {answer:?}");
        drop(connection);
        sender.join().unwrap();
        assert!(!was_ejected(&gateway, upstream.address), "{lines}");
    }
}

#[test]
fn a_server_that_loses_patience_with_a_client_has_not_failed() {
    // One that closes when a body does not come, as servers do.
    let closes = RawUpstream::start(|stream| {
        stream.read();
    });
    let well = Upstream::start();
    let more = "eject = { failures = 1, for = \"1h\" }\nretries = 0";
    let gateway = patient(&[closes.address, well.address], "body_timeout = \"300ms\"", more);
    for _ in 0..6 {
        let mut connection = Connection::open(gateway.front);
        connection.write(promise(10)).unwrap();
        assert!(matches!(connection.receive().status, 408 | 502));
    }
    assert!(is_healthy(&gateway, closes.address));
    // With a whole body it has.
    wait_until("it is left alone", PATIENCE, || {
        gateway.send(&post("/", "whole"));
        !is_healthy(&gateway, closes.address)
    });
}

#[test]
fn a_client_that_waits_for_a_100_that_never_comes_says_nothing_of_its_server() {
    let silent = [(); 2].map(|()| RawUpstream::start(|stream| while stream.read() {}));
    let addresses = silent.each_ref().map(|server| server.address);
    let gateway = patient(&addresses, "body_timeout = \"600ms\"", &format!("{STRICT}\n{READ}"));
    let head = Request::new("POST", "/").header("Content-Length", "10").header("Expect", "100-continue");
    let waiting: Vec<_> = (0..6).map(|_| sent(&gateway, &head.bytes())).collect();
    for mut connection in waiting {
        assert_eq!(connection.receive().status, 408);
        connection.is_closed();
    }
    for server in addresses {
        assert!(!was_ejected(&gateway, server) && is_healthy(&gateway, server));
    }
}

#[test]
fn an_answer_before_the_end_of_the_body_reaches_its_client_and_is_no_failure() {
    let answers = [
        // One that reads on, and one that does not.
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly", 200, true),
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly", 400, false),
    ];
    for (answer, status, reads_on) in answers {
        let early = move |stream: &mut RawStream| {
            let heads = |stream: &RawStream| stream.so_far().matches("\r\n\r\n").count();
            let mut answered = 0;
            while stream.read() {
                for _ in answered..heads(stream) {
                    stream.write(answer);
                }
                answered = heads(stream);
                if answered > 0 && !reads_on {
                    return;
                }
            }
        };
        let servers = [RawUpstream::start(early), RawUpstream::start(early)];
        let addresses = servers.each_ref().map(|server| server.address);
        let gateway = patient(&addresses, "body_timeout = \"3s\"", STRICT);
        for round in 0..2 {
            for path in ["/sends-the-rest", "/never-sends-it"] {
                let path = format!("{path}/{round}");
                let mut connection = sent(&gateway, &promise_to(&path, 10));
                let answer = connection.receive();
                assert_eq!((answer.status, &*answer.text()), (status, "early"), "{path}");
                if path.starts_with("/sends") {
                    // The gateway may have closed already.
                    let _ = connection.write("0123456789");
                }
                gateway.process.access_line(&path, |line| line["path"] == *path && line["status"] == status);
            }
        }
        for server in addresses {
            assert!(!was_ejected(&gateway, server) && is_healthy(&gateway, server), "{answer}");
        }
    }
}

#[test]
fn a_client_that_keeps_its_body_back_keeps_no_server_out_that_was_away() {
    let address = super::nobody();
    let gateway = start(&pool(&[address], "retries = 0\neject = { failures = 1, for = \"100ms\" }"));
    assert_eq!(gateway.send(&get("/")).status, 502);
    // Where the next one comes late it is a trial.
    assert!([502, 503].contains(&gateway.send(&get("/")).status));
    let back = Upstream::on(address, "back");
    // Nobody but this client asks, so that it has every trial.
    let mut held = vec![];
    wait_until("the server is back", PATIENCE, || {
        let mut connection = Connection::open(gateway.front);
        connection.write(promise(10)).unwrap();
        held.push(connection);
        is_healthy(&gateway, back.address)
    });
    assert_eq!(gateway.send(&get("/")).status, 200);
}

/// A server that does what a bad request asks for, and answers any other.
fn provoked() -> RawUpstream {
    RawUpstream::start(|stream| {
        let mut seen = 0;
        while stream.read() {
            let request = stream.so_far()[seen..].to_owned();
            seen = stream.so_far().len();
            if request.contains("/garbage") {
                stream.write("I am not a web server\r\n\r\n");
                return;
            } else if request.contains("/large") {
                stream.write(&format!("HTTP/1.1 200 OK\r\nX-Large: {}\r\n\r\n", "x".repeat(2 << 20)));
                return;
            } else if request.contains("/close") {
                return;
            }
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
        }
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of docs/reliability.md come from here")]
fn one_client_that_provokes_a_server_takes_it_from_nobody_else() {
    for servers in [1, 2] {
        let upstreams: Vec<_> = (0..servers).map(|_| provoked()).collect();
        let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address).collect();
        let gateway = start(&pool(&addresses, "eject = { failures = 5, for = \"1h\" }"));
        let (front, victim) = (gateway.front, own_address());
        let attackers: Vec<_> = ["/garbage", "/large", "/close"]
            .into_iter()
            .map(|path| {
                // Many at once, so that they fail in a row whatever goes on beside them.
                std::thread::spawn(move || {
                    for _ in 0..3 {
                        let mut burst: Vec<_> = (0..10).map(|_| Connection::open(front)).collect();
                        for connection in &mut burst {
                            connection.write(post(path, "x").bytes()).unwrap();
                        }
                        for mut connection in burst {
                            assert_eq!(connection.receive().status, 502);
                        }
                    }
                })
            })
            .collect();
        let mut served = 0;
        while served == 0 || !attackers.iter().all(std::thread::JoinHandle::is_finished) {
            assert_eq!(Connection::open_from(victim, front).send(&get("/")).status, 200);
            served += 1;
        }
        for attacker in attackers {
            attacker.join().unwrap();
        }
        println!("beside a client that provokes {servers} server(s): {served} of {served} served");
        assert_eq!(Connection::open_from(victim, front).send(&post("/", "x")).status, 200);
    }
}

#[test]
fn one_client_on_one_route_is_enough_where_nobody_else_was_well() {
    let closes = RawUpstream::start(|stream| while !stream.so_far().ends_with("\r\n\r\nx") && stream.read() {});
    let well = Upstream::start();
    let gateway = start(&pool(&[closes.address, well.address], "retries = 0"));
    let mut failed = 0;
    for _ in 0..10 {
        match gateway.send(&post("/", "x")).status {
            502 => failed += 1,
            status => assert_eq!(status, 200),
        }
    }
    assert_eq!((failed, is_healthy(&gateway, closes.address)), (5, false));
    for _ in 0..6 {
        assert_eq!(gateway.send(&post("/", "x")).status, 200);
    }
}

#[test]
fn failures_after_sending_never_take_more_than_their_part_nor_the_last() {
    let closes: Vec<_> = (0..4).map(|_| RawUpstream::start(|stream| assert!(stream.read()))).collect();
    let addresses: Vec<_> = closes.iter().map(|upstream| upstream.address).collect();
    for (percent, left) in [("", 2), ("eject_max_percent = 100\n", 1), ("eject_max_percent = 0\n", 4)] {
        let gateway = start(&pool(&addresses, &format!("{percent}eject = {{ failures = 1, for = \"1h\" }}")));
        for _ in 0..20 {
            // Not 503: somebody is asked.
            assert_eq!(gateway.send(&post("/", "x")).status, 502);
        }
        let healthy = addresses.iter().filter(|&&address| is_healthy(&gateway, address)).count();
        assert_eq!(healthy, left, "{percent}");
    }
}

#[test]
fn a_client_that_goes_away_or_sends_no_body_is_not_the_servers_failure() {
    let upstream = Upstream::start();
    let gateway = start(&pool(&[upstream.address, super::nobody()], "eject = { failures = 1, for = \"1h\" }"));
    // The other one is known to be away, so that each of these is at the one that is well.
    wait_until("the other is left alone", PATIENCE, || {
        gateway.send(&get("/"));
        gateway.ask("/metrics").text().contains("portero_upstream_healthy") && metric_sum(&gateway) < 1.5
    });
    for chunks in ["zz\r\n", "3\nabc"] {
        let mut broken = Connection::open(gateway.front);
        broken.write(Request::new("POST", "/").header("Transfer-Encoding", "chunked").bytes()).unwrap();
        broken.write(chunks).unwrap();
        assert_eq!(broken.receive().status, 400, "{chunks:?}");
    }
    let mut gone = Connection::open(gateway.front);
    gone.write([promise(100), b"part".to_vec()].concat()).unwrap();
    drop(gone);
    gateway.process.access_line("its end", |line| line["status"] == 0);
    assert!(is_healthy(&gateway, upstream.address));
    let beside = Connection::open(gateway.front).send(&get("/"));
    assert_eq!(beside.status, 200);
}

/// How many servers of the pool are healthy.
fn metric_sum(gateway: &Gateway) -> f64 {
    let text = gateway.ask("/metrics").text();
    let values = text.lines().filter(|line| line.starts_with("portero_upstream_healthy{"));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
