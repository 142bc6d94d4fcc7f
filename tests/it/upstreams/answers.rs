//! Answers that one reader could take for something else than another does.

use std::thread;

use super::{is_healthy, pool, start};
use crate::support::{Connection, RawStream, RawUpstream, get, post, send_http2};

/// Answers one head with `bytes`, and a later one on the same connection with an ordinary answer.
fn answering(bytes: &'static str) -> RawUpstream {
    RawUpstream::start(move |stream: &mut RawStream| {
        if stream.read() {
            stream.write(bytes);
        }
        if stream.read() {
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
        }
    })
}

#[test]
fn an_answer_has_one_end_for_every_reader() {
    for (answer, status, length, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", 200, Some("3"), "abc"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 200, Some("3"), "abc"),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 60\r\n\r\n", 204, None, ""),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, None, ""),
    ] {
        let upstream = answering(answer);
        let gateway = start(&pool(&[upstream.address], ""));
        let mut connection = Connection::open(gateway.front);
        let first = connection.send(&get("/first"));
        let told = (first.status, first.header("Content-Length"), first.text());
        assert_eq!(told, (status, length, body.to_owned()), "{answer}");
        assert_eq!(first.header("Transfer-Encoding"), None, "{answer}");
        // On the same connection: nothing of the first answer is waited for.
        assert_eq!(connection.send(&get("/second")).text(), "next", "{answer}");
    }
}

#[test]
fn what_an_upstream_says_about_its_connection_goes_no_further() {
    let upstream = answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         Proxy-Connection: keep-alive\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = start(&pool(&[upstream.address], ""));
    let answer = gateway.send(&get("/"));
    for gone in ["X-Hop", "Keep-Alive", "Upgrade", "Proxy-Connection"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!((answer.header("X-End"), answer.text()), (Some("1"), "ok".to_owned()));
}

#[test]
fn an_answer_that_switches_although_nobody_asked_is_502() {
    let switches = answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw bytes");
    let gateway = start(&pool(&[switches.address], ""));
    assert_eq!(gateway.send(&get("/")).status, 502);
    gateway.process.access_line("its end", |line| line["status"] == 502 && line["reason"] == "upstream_failed");
}

#[test]
fn interim_answers_without_an_end_are_502_and_too_slow_ones_504() {
    let flood = RawUpstream::start(|stream| {
        stream.read();
        stream.write(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(1001));
        stream.read();
    });
    let gateway = start(&pool(&[flood.address], ""));
    assert_eq!(gateway.send(&get("/")).status, 502);
    let slow = RawUpstream::start(|stream| {
        stream.read();
        stream.dribble("HTTP/1.1 102 Processing\r\n\r\n");
    });
    let gateway = start(&pool(&[slow.address], "timeouts.total = \"300ms\""));
    assert_eq!(gateway.send(&get("/")).status, 504);
}

/// What comes later, on a connection that waits for its next request, is in `surplus.rs`.
#[test]
fn a_second_answer_never_reaches_the_next_request() {
    for behind in ["", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let upstream = RawUpstream::start(move |stream| {
            if stream.read() {
                let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL";
                stream.write(&format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{behind}{evil}"));
            }
            stream.read();
        });
        let gateway = start(&pool(&[upstream.address], ""));
        for _ in 0..5 {
            assert_eq!(gateway.send(&get("/")).text(), "ok");
        }
    }
}

/// As a server does with an upload that is too large for it: it says so, and closes the connection with bytes unread.
#[test]
fn the_response_of_a_server_that_closes_without_reading_the_body_reaches_its_client() {
    let refusing = RawUpstream::start(|stream: &mut RawStream| {
        stream.read();
        stream.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large");
        stream.reset();
    });
    let gateway = start(&pool(&[refusing.address], ""));
    let upload = post("/", vec![b'x'; 1 << 20]);
    for round in 0..20 {
        let mut connection = Connection::open(gateway.front);
        let (mut writer, bytes) = (connection.try_clone(), upload.bytes());
        // The gateway closes too, behind the response.
        let writing = thread::spawn(move || drop(writer.write(bytes)));
        let response = connection.receive();
        assert_eq!((response.status, response.text()), (413, "too large".to_owned()), "HTTP/1, round {round}");
        drop(connection);
        writing.join().unwrap();
        let response = send_http2(gateway.front, &upload).unwrap();
        assert_eq!((response.status, response.text()), (413, "too large".to_owned()), "HTTP/2, round {round}");
    }
    assert!(is_healthy(&gateway, refusing.address));
}

#[test]
fn a_response_that_ends_with_its_connection_and_is_reset_does_not_look_whole() {
    let breaking = RawUpstream::start(|stream: &mut RawStream| {
        stream.read();
        stream.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        stream.fill();
        stream.reset();
    });
    let gateway = start(&pool(&[breaking.address], ""));
    let mut connection = Connection::open(gateway.front);
    connection.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 200);
    breaking.by_connection();
    // Writing this to the server is what hears of the reset, before reading does.
    connection.write("5\r\nworld\r\n").unwrap();
    let line = || gateway.process.access_line("its end", |line| line["status"] == 200);
    let read = connection.rest().unwrap_or_default();
    assert!(!read.ends_with(b"0\r\n\r\n"), "{} bytes, and an end", read.len());
    assert_eq!(line()["reason"], "upstream_failed");
}
