//! What is sent again, and what never is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{nobody, pool, received, start};
use crate::support::{Connection, Deadline, RawUpstream, Request, Upstream, answer_every_head, get, post};

/// More than any test takes.
const TOOK_MAX: Duration = Duration::from_secs(600);

const RETRIES: &str = "portero_upstream_retries_total{upstream=\"service\"}";

#[test]
fn what_was_never_sent_goes_to_another_server_whatever_it_is() {
    let well = Upstream::start();
    let gateway = start(&pool(&[nobody(), well.address], "eject.failures = 0"));
    let wish = || get("/").header("Connection", "Upgrade").header("Upgrade", "websocket");
    let failures = "portero_upstream_connection_failures_total{kind=\"refused\",upstream=\"service\"}";
    for pair in [[post("/", "{}"), post("/", "{}")], [get("/"), get("/")], [wish(), wish()]] {
        let before = gateway.metric(failures);
        for request in pair {
            assert_eq!(gateway.send(&request).status, 200);
        }
        assert!(gateway.metric(failures) > before);
    }
    assert!(gateway.metric(RETRIES) >= 3.0);
}

#[test]
fn what_changes_nothing_goes_to_another_server_when_one_breaks_off() {
    let breaks = RawUpstream::start(|stream| {
        stream.read();
    });
    // One that waits for whole requests: what answers each read would answer a body too.
    let well = Upstream::start();
    let gateway = start(&pool(&[breaks.address, well.address], "eject.failures = 0"));
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        for _ in 0..2 {
            let answer = gateway.send(&Request::new(method, "/").body("x").header("Connection", "close"));
            assert_eq!(answer.status, 200, "{method}");
        }
        // Another attempt takes a turn of its own, so that each of them begins at the first.
        assert_eq!(received(&breaks, method), 2, "{method}");
    }
    let posts: Vec<_> = (0..4).map(|_| gateway.send(&post("/", "{}")).status).collect();
    let failed = posts.iter().filter(|&&status| status == 502).count();
    assert_eq!((failed, received(&breaks, "POST")), (2, 2), "{posts:?}");
}

#[test]
fn a_body_that_was_not_kept_whole_is_not_sent_again() {
    let breaks = |stream: &mut crate::support::RawStream| {
        for _ in 0..40 {
            stream.read();
        }
        stream.reset();
    };
    let (one, two) = (RawUpstream::start(breaks), RawUpstream::start(breaks));
    let gateway = start(&pool(&[one.address, two.address], "retries = 5"));
    let mut connection = Connection::open(gateway.front);
    let upload = Request::new("PUT", "/").body(vec![b'x'; 1 << 20]);
    // The gateway may answer and close before all of it is taken.
    let _ = connection.write(upload.bytes());
    let _ = connection.try_receive();
    gateway.process.access_line("its end", |line| line["method"] == "PUT" && line["reason"] == "upstream_failed");
    assert_eq!(received(&one, "PUT") + received(&two, "PUT"), 1);
}

#[test]
fn a_kept_connection_that_dies_is_replaced_for_a_get_and_never_for_a_post() {
    for (method, body, status, sent) in [("GET", false, 200, 2), ("GET", true, 200, 2), ("POST", true, 502, 1)] {
        let request = |path| if body { Request::new(method, path).body("x") } else { Request::new(method, path) };
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let end = if body { "\r\n\r\nx" } else { "\r\n\r\n" };
        // The first connection answers one request and breaks off within the second.
        let server = RawUpstream::start(move |stream| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            while !stream.so_far().ends_with(end) && stream.read() {}
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
            if first {
                stream.read();
            } else {
                answer_every_head(stream);
            }
        });
        let gateway = start(&pool(&[server.address], ""));
        let mut connection = Connection::open(gateway.front);
        assert_eq!(connection.send(&request("/first")).status, 200);
        assert_eq!(connection.send(&request("/second")).status, status, "{method}");
        assert_eq!(server.bytes().matches("/second").count(), sent, "{method}");
        assert_eq!(connections.load(Ordering::SeqCst), sent, "{method}");
    }
}

#[test]
fn a_request_that_is_overridden_with_another_method_is_repeated_only_where_that_may_be() {
    // Plain, and with a field about the client's connection; on a fresh connection and on a kept one.
    for (plain, kept) in [(true, false), (true, true), (false, false), (false, true)] {
        for (overridden, sent) in [("POST", 1), ("PATCH", 1), ("PUT", 2)] {
            let breaks = move |stream: &mut crate::support::RawStream| {
                stream.read();
                if kept && stream.so_far().contains("/first") {
                    stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
                    stream.read();
                }
            };
            let servers = [RawUpstream::start(breaks), RawUpstream::start(breaks)];
            let addresses: Vec<_> = servers.iter().map(|server| server.address).take(2 - usize::from(kept)).collect();
            let upstream = pool(&addresses, "retries = 1\neject.failures = 0");
            let gateway = start(&upstream.route("own", "/own", "auth = \"public\"\nmethod_override = true"));
            let request = |path| if plain { get(path) } else { get(path).header("TE", "trailers") };
            let mut connection = Connection::open(gateway.front);
            if kept {
                assert_eq!(connection.send(&request("/first")).status, 200);
            }
            let request = request("/own/second").header("X-HTTP-Method-Override", overridden);
            assert_eq!(connection.send(&request).status, 502, "plain {plain}, kept {kept}, {overridden}");
            let received: usize = servers.iter().map(|server| server.bytes().matches("/second").count()).sum();
            assert_eq!(received, sent, "plain {plain}, kept {kept}, {overridden}");
        }
    }
}

#[test]
fn there_are_no_more_attempts_than_the_pool_says() {
    let breaks = |stream: &mut crate::support::RawStream| {
        stream.read();
    };
    for (retries, attempts) in [(0, 1), (1, 2), (2, 3), (5, 4)] {
        let servers: Vec<_> = (0..4).map(|_| RawUpstream::start(breaks)).collect();
        let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
        let gateway = start(&pool(&addresses, &format!("retries = {retries}")));
        assert_eq!(gateway.send(&get("/")).status, 502);
        let asked: Vec<_> = servers.iter().map(|server| received(server, "GET")).collect();
        assert_eq!(asked.iter().sum::<usize>(), attempts, "{retries}");
        assert!(asked.iter().all(|&asked| asked <= 1), "each another server: {asked:?}");
    }
}

#[test]
fn retries_have_a_budget() {
    let breaks = RawUpstream::start(|stream| {
        stream.read();
    });
    let also = RawUpstream::start(|stream| {
        stream.read();
    });
    let gateway = start(&pool(&[breaks.address, also.address], "retries = 1\neject.failures = 0"));
    let deadline = Deadline::after(TOOK_MAX);
    for _ in 0..200 {
        assert_eq!(gateway.send(&get("/")).status, 502);
    }
    let retried = gateway.metric(RETRIES);
    let took = TOOK_MAX.saturating_sub(deadline.left().unwrap_or_default());
    // 50 saved up, a fifth of the requests, ten a second: where they go on without a pause far from one for each.
    let allowed = 50.0 + 40.0 + 10.0 * (took.as_secs_f64() + 1.0);
    assert!((50.0..=allowed).contains(&retried), "{retried} in {took:?}");
}

#[test]
fn what_broke_off_within_the_head_of_its_answer_is_never_sent_again() {
    // Plain, and with a field about the client's connection; on a fresh connection and on a kept one.
    for (plain, kept) in [(true, false), (true, true), (false, false), (false, true)] {
        let breaks = move |stream: &mut crate::support::RawStream| {
            assert!(stream.read());
            if kept {
                stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
                stream.read();
            }
            stream.write("HTTP/1.1 200 OK\r\nContent-Le");
        };
        let servers = [RawUpstream::start(breaks), RawUpstream::start(breaks)];
        let addresses: Vec<_> = servers.iter().map(|server| server.address).take(2 - usize::from(kept)).collect();
        let gateway = start(&pool(&addresses, "retries = 5\neject.failures = 0"));
        let request = |path| if plain { get(path) } else { get(path).header("TE", "trailers") };
        let mut connection = Connection::open(gateway.front);
        if kept {
            assert_eq!(connection.send(&request("/first")).status, 200);
        }
        assert_eq!(connection.send(&request("/second")).status, 502, "plain {plain}, kept {kept}");
        let sent: usize = servers.iter().map(|server| server.bytes().matches("/second").count()).sum();
        assert_eq!(sent, 1, "plain {plain}, kept {kept}");
        assert!(gateway.metric(RETRIES) < 0.5);
    }
}
