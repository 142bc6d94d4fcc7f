//! A table of faults. The client has its answer in time, and a POST arrives once at most: `docs/reliability.md`
//! has what is measured here.

use std::{net::SocketAddr, sync::Arc, thread};

use h2::Reason;

use self::Outcome::{Answered, CutOff, Reset};
use super::{is_healthy, nobody, pool, received, start};
use crate::support::{
    Config, Connection, Deadline, Gateway, PATIENCE, RawStream, RawUpstream, Request, answer_every_head, get, post,
    send_http2, wait_until,
};

/// What an upstream does, and what the clients of either protocol get.
struct Fault {
    name: &'static str,
    /// The wait for a server that is silent. Where it breaks off, a busy machine may take as long as it needs.
    read: Option<&'static str>,
    serve: fn(&mut RawStream),
    http1: Outcome,
    http2: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Answered(u16),
    /// The connection ends before the answer does.
    CutOff,
    /// The stream does, with this reason.
    Reset(Reason),
}

const FAULTS: [Fault; 13] = [
    Fault {
        name: "hung",
        read: Some("300ms"),
        serve: |stream| while stream.read() {},
        http1: Answered(504),
        http2: Answered(504),
    },
    Fault {
        name: "closes without an answer",
        read: None,
        serve: |stream| {
            stream.read_request();
        },
        http1: Answered(502),
        http2: Answered(502),
    },
    Fault {
        name: "half-closed",
        read: None,
        serve: |stream| {
            stream.read_request();
            stream.end();
            while stream.read() {}
        },
        http1: Answered(502),
        http2: Answered(502),
    },
    Fault {
        name: "reset",
        read: None,
        serve: |stream| {
            stream.read_request();
            stream.reset();
        },
        http1: Answered(502),
        http2: Answered(502),
    },
    Fault {
        name: "garbage",
        read: None,
        serve: |stream| {
            stream.read_request();
            stream.write("I am not a web server\r\n\r\n");
        },
        http1: Answered(502),
        http2: Answered(502),
    },
    Fault {
        name: "half a head",
        read: None,
        serve: |stream| {
            stream.read_request();
            stream.write("HTTP/1.1 200 OK\r\nContent-Le");
        },
        http1: Answered(502),
        http2: Answered(502),
    },
    Fault {
        name: "half a head and silence",
        read: Some("300ms"),
        serve: |stream| {
            stream.read_request();
            stream.write("HTTP/1.1 200 OK\r\nContent-Le");
            while stream.read() {}
        },
        http1: Answered(504),
        http2: Answered(504),
    },
    Fault {
        name: "1xx first",
        read: None,
        serve: |stream| {
            stream.read_request();
            stream
                .write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        },
        http1: Answered(200),
        http2: Answered(200),
    },
    Fault {
        name: "1xx and nothing more",
        read: None,
        serve: |stream| {
            stream.read_request();
            stream.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        },
        // Our answer must still be one, after the interim head.
        http1: Answered(502),
        http2: Answered(502),
    },
    Fault {
        name: "1xx without end",
        read: None,
        serve: |stream| {
            stream.read_request();
            while stream.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") {}
        },
        http1: Answered(502),
        http2: Answered(502),
    },
    Fault {
        name: "closes within a body of known length",
        read: None,
        serve: |stream| {
            stream.read_request();
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        },
        http1: CutOff,
        http2: Reset(Reason::INTERNAL_ERROR),
    },
    Fault {
        name: "closes within a chunked body",
        read: None,
        serve: |stream| {
            stream.read_request();
            stream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly \r\n");
        },
        http1: CutOff,
        http2: Reset(Reason::INTERNAL_ERROR),
    },
    Fault {
        name: "silent within a body",
        read: Some("5s"),
        serve: |stream| {
            stream.read_request();
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
            while stream.read() {}
        },
        http1: CutOff,
        http2: Reset(Reason::INTERNAL_ERROR),
    },
];

/// One request to a pool of its own, both of whose servers have the fault.
struct Case {
    fault: &'static Fault,
    http2: bool,
    method: &'static str,
    upstreams: [RawUpstream; 2],
}

impl Case {
    fn name(&self) -> String {
        format!("{}, {} over HTTP/{}", self.fault.name, self.method, if self.http2 { 2 } else { 1 })
    }

    fn expected(&self) -> Outcome {
        match self.fault.http2 {
            // With a request body it is the sweeper that ends the stream.
            Reset(_) if self.http2 && self.method == "POST" && self.fault.name == "silent within a body" => {
                Reset(Reason::CANCEL)
            }
            expected if self.http2 => expected,
            _ => self.fault.http1,
        }
    }

    fn outcome(&self, front: SocketAddr, path: &str) -> Outcome {
        let request = if self.method == "POST" { post(path, "{}") } else { Request::new(self.method, path) };
        if self.http2 {
            return match send_http2(front, &request) {
                Ok(answer) => Answered(answer.status),
                Err(error) if error.is_reset() && error.is_remote() => Reset(error.reason().unwrap()),
                Err(error) => panic!("{}: {error}", self.name()),
            };
        }
        Connection::open(front).try_send(&request).map_or(CutOff, |answer| Answered(answer.status))
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of docs/reliability.md come from here")]
fn every_fault_is_answered_in_time_and_no_post_is_sent_twice() {
    let mut config = Config::new();
    let mut cases = vec![];
    for fault in &FAULTS {
        for (http2, method) in [(false, "GET"), (false, "POST"), (true, "GET"), (true, "POST")] {
            let upstreams = [RawUpstream::start(fault.serve), RawUpstream::start(fault.serve)];
            let (name, [one, two]) = (format!("case-{}", cases.len()), upstreams.each_ref().map(|one| one.address));
            let read = fault.read.map_or(String::new(), |read| format!("timeouts.read = \"{read}\"\n"));
            let pool = format!(
                "[upstreams.{name}]\nservers = [\"{one}\", \"{two}\"]\nretries = 5\neject.failures = 0\n{read}"
            );
            let route = format!("auth = \"public\"\nupstream = \"{name}\"");
            config = config.text(&pool).route(&name, &format!("/{name}"), &route);
            cases.push(Case { fault, http2, method, upstreams });
        }
    }
    let gateway = start(&config);
    let front = gateway.front;
    // All at once: most of the time is waiting.
    let outcomes: Vec<_> = thread::scope(|scope| {
        let ask = |(at, case): (usize, &'_ Case)| {
            let began = Deadline::after(PATIENCE);
            let outcome = case.outcome(front, &format!("/case-{at}"));
            (outcome, PATIENCE.saturating_sub(began.left().unwrap_or_default()))
        };
        let asked: Vec<_> = cases.iter().enumerate().map(|case| scope.spawn(move || ask(case))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for (case, (outcome, took)) in cases.iter().zip(outcomes) {
        let sent = || case.upstreams.iter().map(|upstream| received(upstream, case.method)).sum::<usize>();
        // One that does not answer may read it later than the gateway waits.
        wait_until(&case.name(), PATIENCE, || sent() > 0);
        let sent = sent();
        println!("{}: {outcome:?} after {} ms", case.name(), took.as_millis());
        assert_eq!(outcome, case.expected(), "{}", case.name());
        assert!(sent == 1 || case.method == "GET" && sent > 1, "{}: sent {sent} times", case.name());
    }
    assert_eq!(gateway.send(&get("/no-route-has-this").header("Host", "a b")).status, 400, "the gateway goes on");
}

#[test]
fn a_server_that_refuses_is_502_and_one_that_does_not_answer_is_504() {
    // Nobody routes to it (RFC 5737), so that no answer comes; where a machine has no route at all it says so.
    let unreachable: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let hasty = "timeouts.connect = \"300ms\"";
    for (server, timeouts, statuses) in [(nobody(), "", [502].as_slice()), (unreachable, hasty, &[502, 504])] {
        let gateway = start(&pool(&[server], timeouts));
        let status = gateway.send(&post("/", "{}")).status;
        assert!(statuses.contains(&status), "{server}: {status}");
    }
}

#[test]
fn the_pool_recovers_when_a_server_is_back() {
    let address = nobody();
    let gateway = start(&pool(&[address], "eject = { failures = 2, for = \"5s\" }"));
    let statuses: Vec<_> = (0..3).map(|_| gateway.send(&get("/")).status).collect();
    assert_eq!(statuses, [502, 502, 503]);
    let refused = gateway.send(&get("/"));
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    gateway.process.access_line("the refusal", |line| line["reason"] == "upstream_unavailable");
    // The first two tell of a server, and those after them that there was none to ask.
    let event = gateway.process.log_line("no server", |line| line["error"] == "NoServer");
    assert_eq!((event["source"].as_str(), event["server"].as_str()), (Some("Upstream"), None));
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
fn informational_responses_without_end_are_told_as_no_http() {
    // A client of HTTP/2 gets none of them: their bytes have a bound. One of HTTP/1.1 gets them: their number has.
    for over_http2 in [true, false] {
        let endless = RawUpstream::start(|stream| {
            stream.read_request();
            while stream.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") {}
        });
        let gateway = start(&pool(&[endless.address], "retries = 0"));
        let status = if over_http2 {
            send_http2(gateway.front, &get("/")).unwrap().status
        } else {
            Connection::open(gateway.front).send(&get("/")).status
        };
        assert_eq!(status, 502);
        let event = gateway.process.event("a request could not be proxied");
        assert_eq!((event["source"].as_str(), event["error"].as_str()), (Some("Upstream"), Some("InvalidHTTPHeader")));
    }
}

#[test]
fn an_answer_that_dribbles_is_whole_or_ended() {
    let dribbles = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        stream.dribble("x");
    });
    let gateway = start(&pool(&[dribbles.address], "timeouts = { read = \"200ms\", total = \"600ms\" }"));
    wait_until("it is cut within its body", PATIENCE, || {
        let answer = Connection::open(gateway.front).try_send(&get("/"));
        // A server that has not begun in time does not dribble.
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 504), "{answer:?}");
        answer.is_err()
    });
    let cut = |line: &serde_json::Value| line["reason"] == "upstream_timeout" && line["status"] == 200;
    gateway.process.access_line("its end", cut);
}

#[test]
fn requests_go_on_beside_a_server_that_hangs() {
    let hung = RawUpstream::start(|stream| while stream.read() {});
    let well = RawUpstream::start(answer_every_head);
    let gateway = Arc::new(start(&pool(&[hung.address, well.address], "timeouts.read = \"5s\"\nretries = 0")));
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

#[test]
fn a_server_that_stops_within_its_response_failed_whatever_was_asked() {
    let stops = || {
        RawUpstream::start(|stream| {
            stream.read_request();
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
            while stream.read() {}
        })
    };
    for (request, over_http2) in
        [(get("/"), false), (post("/", "{}"), false), (get("/"), true), (post("/", "{}"), true)]
    {
        // The last server of a pool would not be left alone.
        let servers = [stops(), stops()];
        let more = "timeouts.read = \"300ms\"\neject = { failures = 1, for = \"1h\" }";
        let gateway = start(&pool(&servers.each_ref().map(|server| server.address), more));
        wait_until("one of them is left alone", PATIENCE, || {
            let status = if over_http2 {
                send_http2(gateway.front, &request).map(|response| response.status).ok()
            } else {
                Connection::open(gateway.front).try_send(&request).map(|response| response.status).ok()
            };
            // On a busy machine its head may be late, too.
            assert!(status.is_none_or(|status| status == 504), "{status:?}");
            !servers.iter().all(|server| is_healthy(&gateway, server.address))
        });
        assert_eq!(gateway.process.event("a request could not be proxied")["source"], "Upstream");
    }
}
