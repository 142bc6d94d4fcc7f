//! A table of faults. The client has its answer in time, and a POST arrives once at most: `docs/reliability.md`
//! has what is measured here.

use std::{net::SocketAddr, sync::Arc};

use super::{is_healthy, nobody, pool, received, start};
use crate::support::{
    Connection, Deadline, Gateway, PATIENCE, RawStream, RawUpstream, answer_every_head, get, post, wait_until,
};

/// What an upstream does, and what the client gets; `None` for a connection that breaks off.
struct Fault {
    name: &'static str,
    serve: fn(&mut RawStream),
    status: Option<u16>,
}

/// With waits of 300 ms for a connection and for bytes.
const TIMEOUTS: &str = "timeouts = { connect = \"300ms\", read = \"300ms\", total = \"2s\" }";

const FAULTS: [Fault; 12] = [
    Fault { name: "hung", serve: |stream| while stream.read() {}, status: Some(504) },
    Fault {
        name: "closes without an answer",
        serve: |stream| {
            stream.read();
        },
        status: Some(502),
    },
    Fault {
        name: "half-closed",
        serve: |stream| {
            stream.read();
            stream.end();
            while stream.read() {}
        },
        status: Some(502),
    },
    Fault {
        name: "reset",
        serve: |stream| {
            stream.read();
            stream.reset();
        },
        status: Some(502),
    },
    Fault {
        name: "garbage",
        serve: |stream| {
            stream.read();
            stream.write("I am not a web server\r\n\r\n");
        },
        status: Some(502),
    },
    Fault {
        name: "half a head",
        serve: |stream| {
            stream.read();
            stream.write("HTTP/1.1 200 OK\r\nContent-Le");
        },
        status: Some(502),
    },
    Fault {
        name: "half a head and silence",
        serve: |stream| {
            stream.read();
            stream.write("HTTP/1.1 200 OK\r\nContent-Le");
            while stream.read() {}
        },
        status: Some(504),
    },
    Fault {
        name: "1xx first",
        serve: |stream| {
            stream.read();
            stream
                .write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        },
        status: Some(200),
    },
    Fault {
        name: "1xx and nothing more",
        serve: |stream| {
            stream.read();
            stream.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        },
        // Our answer must still be one, after the interim head.
        status: Some(502),
    },
    Fault {
        name: "closes within a body of known length",
        serve: |stream| {
            stream.read();
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        },
        status: None,
    },
    Fault {
        name: "closes within a chunked body",
        serve: |stream| {
            stream.read();
            stream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly \r\n");
        },
        status: None,
    },
    Fault {
        name: "silent within a body",
        serve: |stream| {
            stream.read();
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
            while stream.read() {}
        },
        status: None,
    },
];

#[test]
#[expect(clippy::print_stdout, reason = "the figures of docs/reliability.md come from here")]
fn every_fault_is_answered_in_time_and_no_post_is_sent_twice() {
    for fault in &FAULTS {
        let (one, two) = (RawUpstream::start(fault.serve), RawUpstream::start(fault.serve));
        let config = pool(&[one.address, two.address], &format!("retries = 5\neject.failures = 0\n{TIMEOUTS}"));
        let gateway = start(&config);
        let began = Deadline::after(PATIENCE);
        let mut connection = Connection::open(gateway.front);
        connection.write(post("/", "{}").bytes()).unwrap();
        let status = connection.try_receive().ok().map(|answer| answer.status);
        let took = PATIENCE.saturating_sub(began.left().unwrap());
        println!("{}: {status:?} after {} ms", fault.name, took.as_millis());
        assert_eq!(status, fault.status, "{}", fault.name);
        assert_eq!(received(&one, "POST") + received(&two, "POST"), 1, "{}", fault.name);
        assert_eq!(gateway.send(&get("/no-route-has-this").header("Host", "a b")).status, 400, "the gateway goes on");
    }
}

#[test]
fn a_server_that_refuses_is_502_and_one_that_does_not_answer_is_504() {
    // Nobody routes to it (RFC 5737), so that no answer comes; where a machine has no route at all it says so.
    let unreachable: SocketAddr = "192.0.2.1:9".parse().unwrap();
    for (server, statuses) in [(nobody(), [502].as_slice()), (unreachable, &[502, 504])] {
        let gateway = start(&pool(&[server], TIMEOUTS));
        let status = gateway.send(&post("/", "{}")).status;
        assert!(statuses.contains(&status), "{server}: {status}");
    }
}

#[test]
fn the_pool_recovers_when_a_server_is_back() {
    let address = nobody();
    let gateway = start(&pool(&[address], "eject = { failures = 2, for = \"100ms\" }"));
    let statuses: Vec<_> = (0..3).map(|_| gateway.send(&get("/")).status).collect();
    assert_eq!(statuses, [502, 502, 503]);
    let refused = gateway.send(&get("/"));
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    gateway.process.access_line("the refusal", |line| line["reason"] == "upstream_unavailable");
    let _back = crate::support::Upstream::on(address, "back");
    wait_until("a request gets through", PATIENCE, || gateway.send(&get("/")).status == 200);
}

#[test]
fn what_this_machine_lacks_is_503_and_no_servers_failure() {
    // Each request needs a connection of its own.
    let upstream = RawUpstream::start(|stream| {
        if stream.read() {
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    let gateway = start(&pool(&[upstream.address], "retries = 0\neject = { failures = 1, for = \"1h\" }"));
    // Connections that are there already: with one that fails each ends.
    let mut open: Vec<_> = (0..3).map(|_| Connection::open(gateway.front)).collect();
    let statuses = |open: &mut [Connection]| open.iter_mut().map(|one| one.send(&get("/")).status).collect::<Vec<_>>();
    assert_eq!(statuses(&mut open), [200; 3]);
    let allowed = gateway.process.set_open_files(0);
    assert_eq!(statuses(&mut open), [503; 3]);
    gateway.process.set_open_files(allowed);
    assert_eq!(gateway.send(&get("/")).status, 200);
    assert!(is_healthy(&gateway, upstream.address));
    let failed = "portero_upstream_ejections_total";
    assert!(!gateway.ask("/metrics").text().lines().any(|line| line.starts_with(failed) && !line.ends_with(" 0")));
}

#[test]
fn an_answer_that_dribbles_is_whole_or_ended() {
    let dribbles = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        stream.dribble("x");
    });
    let gateway = start(&pool(&[dribbles.address], "timeouts = { read = \"200ms\", total = \"600ms\" }"));
    let mut connection = Connection::open(gateway.front);
    connection.write(get("/").bytes()).unwrap();
    assert!(connection.try_receive().is_err());
    gateway.process.access_line("its end", |line| line["reason"] == "upstream_timeout");
}

#[test]
fn requests_go_on_beside_a_server_that_hangs() {
    let hung = RawUpstream::start(|stream| while stream.read() {});
    let well = RawUpstream::start(answer_every_head);
    let gateway = Arc::new(start(&pool(&[hung.address, well.address], "timeouts.read = \"500ms\"\nretries = 0")));
    let front = gateway.front;
    let ask = move || Connection::open(front).send(&get("/")).status;
    let statuses = |gateway: &Gateway| {
        let asked: Vec<_> = (0..10).map(|_| std::thread::spawn(ask)).collect();
        assert!(gateway.ask("/metrics").status == 200);
        asked.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<_>>()
    };
    let first = statuses(&gateway);
    assert_eq!((first.iter().filter(|&&s| s == 200).count(), first.iter().filter(|&&s| s == 504).count()), (5, 5));
    // Five timeouts in a row: it is left alone now.
    assert_eq!(statuses(&gateway), [200; 10]);
}
