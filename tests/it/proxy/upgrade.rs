//! Upgraded connections: who gets one, what passes through it, and how it ends. Over HTTP/2 nobody gets one: see
//! `listeners/h2_tunnels.rs`.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    Config, Connection, Contract, Deadline, PATIENCE, RawUpstream, Upstream, WebSocket, WebSocketService,
    answer_every_request, get, requests, send_http2, wait_until,
};

/// A `WebSocket` on `/sws` with this token.
fn open(gateway: &crate::support::Gateway, token: &str) -> WebSocket {
    WebSocket::open(gateway.front, "/sws", &[("Authorization", &format!("Bearer {token}"))]).unwrap()
}

#[test]
fn a_web_socket_needs_a_token_from_a_source_of_its_route() {
    let service = WebSocketService::start();
    let sources =
        "accept = [\"sws\"]\nsources = [\"authorization\", \"query:token\", \"header:Sec-WebSocket-Protocol\"]";
    let gateway = Config::standard(service.address).route("sources", "/sources", sources).start();
    let token = gateway.login(Contract::Sws);
    for (target, headers) in
        [("/sws", vec![]), ("/sws", vec![("Authorization", "Bearer garbage")]), ("/sources?token=garbage", vec![])]
    {
        assert_eq!(WebSocket::open(gateway.front, target, &headers).unwrap_err(), 401, "{target}");
    }
    let bearer = format!("Bearer {token}");
    let query = format!("/sources?token={token}");
    for (target, headers) in [("/sws", vec![("Authorization", &*bearer)]), (&*query, vec![])] {
        let mut socket = WebSocket::open(gateway.front, target, &headers).unwrap();
        for text in ["one", "two"] {
            socket.send(text);
            assert_eq!(socket.receive().to_text().unwrap(), text);
        }
        drop(socket);
        let line = gateway.process.access_line("the tunnel", |line| {
            line["status"] == 101 && target.starts_with(line["path"].as_str().unwrap())
        });
        assert_eq!((&line["decision"], &line["reason"]), (&json!("forward"), &json!("authenticated")));
        assert!(line["bytes_in"].as_u64() >= Some(6) && line["bytes_out"].as_u64() >= Some(6), "{line}");
        assert!(!line.to_string().contains(&token));
    }
}

#[test]
fn a_101_says_what_the_gateway_says_of_the_connection() {
    let said = "HTTP/1.0 101 Switch\r\nConnection: X-Secret, close\r\nX-Secret: 1\r\nUpgrade: foo\r\nKeep-Alive: 1\r\n\
                Proxy-Connection: x\r\nX-Other: 1\r\n\r\n";
    for said in [said, "HTTP/1.1 101 Switch\r\nUpgrade: foo\r\nX-Other: 1\r\n\r\n"] {
        let service = RawUpstream::start(move |stream| {
            stream.read_request();
            stream.write(said);
        });
        let gateway =
            Config::standard(service.address).route("odd", "/odd", "auth = \"public\"\nupgrades = [\"foo\"]").start();
        let mut client = Connection::open(gateway.front);
        client.write("GET /odd HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n").unwrap();
        let head = String::from_utf8(client.rest().unwrap()).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let fields = head.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with("Date: "));
        let mut fields: Vec<_> = fields.collect();
        fields.sort_unstable();
        assert_eq!(fields, ["Connection: Upgrade", "Upgrade: foo", "X-Other: 1"], "{head}");
    }
}

#[test]
fn a_426_says_what_to_upgrade_to_and_that_it_concerns_this_connection() {
    let service = RawUpstream::start(|stream| {
        while stream.read_request() {
            stream.write(
                "HTTP/1.1 426 Upgrade Required\r\nConnection: X-Secret, upgrade\r\nX-Secret: 1\r\nUpgrade: foo\r\n\
                 Upgrade: bar/1\r\nUpgrade: \r\nContent-Length: 2\r\n\r\nno",
            );
        }
    });
    let gateway = Config::standard(service.address).start_bare();
    for (wish, said) in [("keep-alive", "upgrade"), ("close", "upgrade, close")] {
        let answer = gateway.send(&get("/public").header("Connection", wish));
        let upgrades = answer.headers.iter().filter(|(name, _)| name == "Upgrade").map(|(_, value)| &**value);
        assert_eq!((answer.status, &*answer.body), (426, &b"no"[..]));
        assert_eq!(upgrades.collect::<Vec<_>>(), ["foo", "bar/1"]);
        assert_eq!((answer.header("Connection"), answer.header("X-Secret")), (Some(said), None));
    }
    let over_http2 = send_http2(gateway.front, &get("/public")).unwrap();
    assert_eq!((over_http2.status, over_http2.header("connection"), over_http2.header("upgrade")), (426, None, None));
}

#[test]
fn behind_a_trusted_proxy_each_client_has_so_many_and_no_more() {
    let service = WebSocketService::start();
    let limits = "requests_per_address = 2\ntrusted_proxies = [\"127.0.0.1\"]";
    let gateway = Config::standard(service.address).server(limits).start_bare();
    let open = |client: &str| WebSocket::open(gateway.front, "/public", &[("X-Forwarded-For", client)]);
    let mut first = open("203.0.113.1").unwrap();
    let _second = open("203.0.113.1").unwrap();
    assert_eq!(open("203.0.113.1").unwrap_err(), 429);
    assert_eq!(gateway.send(&get("/public").header("X-Forwarded-For", "203.0.113.1")).status, 429);
    let _other = open("203.0.113.2").unwrap();
    first.send("still there");
    assert_eq!(first.receive().to_text().unwrap(), "still there");
    drop(first);
    wait_until("its place is free", PATIENCE, || open("203.0.113.1").is_ok());
}

#[test]
fn it_is_told_when_its_token_is_revoked_whether_idle_or_busy() {
    let service = WebSocketService::start();
    let gateway = Config::standard(service.address).start();
    let (idle, busy, other) =
        (gateway.login(Contract::Sws), gateway.login(Contract::Sws), gateway.login(Contract::Sws));
    let mut idle_socket = open(&gateway, &idle);
    let mut busy_socket = open(&gateway, &busy);
    let mut other_socket = open(&gateway, &other);
    idle_socket.send("hello");
    idle_socket.receive();
    busy_socket.send("flood");
    busy_socket.receive();
    let tunnels = || gateway.metric("portero_connections{state=\"tunnel\"}");
    wait_until("all three are counted", PATIENCE, || tunnels() > 2.5);
    assert!(tunnels() < 3.5, "{}", tunnels());
    for (socket, token) in [(&mut idle_socket, idle), (&mut busy_socket, busy)] {
        let closed = thread::scope(|scope| {
            // A client that reads: one that stands still is cut when it does not take its close frame in time.
            let reading = scope.spawn(|| socket.closed(PATIENCE));
            gateway.api("/revocations/token", &json!({ "token": token }));
            reading.join().unwrap()
        });
        assert_eq!(closed, (4401, "token_revoked".to_owned()));
    }
    other_socket.send("still here");
    assert_eq!(other_socket.receive().to_text().unwrap(), "still here");
    let line = gateway.process.access_line("an ended tunnel", |line| line["reason"] == "token_revoked");
    assert_eq!((&line["decision"], &line["status"]), (&json!("error"), &json!(101)));
}

#[test]
fn a_web_socket_that_was_one_of_several_wishes_is_told_too() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n");
        while stream.read() {}
    });
    let gateway = Config::standard(upstream.address).start();
    let token = gateway.login(Contract::Sws);
    let wish = get("/sws").bearer(&token).header("Connection", "Upgrade").header("Upgrade", "foo, websocket");
    let mut connection = Connection::open(gateway.front);
    connection.write(wish.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").bytes()).unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 101);
    gateway.api("/revocations/token", &json!({ "token": token }));
    assert_eq!(connection.rest().unwrap(), b"\x88\x0f\x11\x31token_revoked");
}

#[test]
fn it_is_told_when_its_token_expires() {
    let service = WebSocketService::start();
    let gateway = Config::standard(service.address)
        .replace("[tokens]", "[tokens]\nleeway = \"0s\"")
        .replace("[realms.become]", "[realms.become]\nlifetime = \"2s\"")
        .start();
    let deadline = Deadline::after(PATIENCE);
    let mut socket = loop {
        let bearer = format!("Bearer {}", gateway.login(Contract::Become));
        match WebSocket::open(gateway.front, "/become", &[("Authorization", &bearer)]) {
            Ok(socket) => break socket,
            // On a busy machine it may be over before it is used.
            Err(status) => assert!(status == 401 && deadline.left().is_some(), "{status}"),
        }
    };
    assert_eq!(socket.closed(PATIENCE), (4401, "expired".to_owned()));
}

#[test]
fn the_first_frame_may_come_in_one_packet_with_the_101() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
        while stream.read() {
            stream.write("pong");
        }
    });
    let gateway = Config::standard(upstream.address).start();
    let upgrade = get("/public").header("Connection", "Upgrade, X-Auth-Subject").header("Upgrade", "websocket");
    for round in 0..100 {
        let mut connection = Connection::open(gateway.front);
        // What comes with the head is held until the 101, and then follows it.
        connection.write([upgrade.bytes(), b"early".to_vec()].concat()).unwrap();
        assert_eq!(connection.receive_head().unwrap().status, 101, "round {round}");
        connection.discard(5).unwrap();
        connection.discard(4).unwrap();
        connection.write("late").unwrap();
        connection.discard(4).unwrap();
        connection.end();
        connection.is_closed();
    }
    let bytes = upstream.bytes();
    assert_eq!((bytes.matches("\r\n\r\nearly").count(), bytes.matches("late").count()), (100, 100));
    assert!(bytes.to_lowercase().contains("connection: upgrade\r\n"), "{}", &bytes[..500]);
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer_and_the_end_of_the_connection() {
    for (answer, body) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\n\r\n", "no"),
        ("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\nmore", "no"),
        ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", ""),
    ] {
        let upstream = RawUpstream::start(move |stream| {
            assert!(stream.read());
            stream.write(answer);
            while stream.read() {}
        });
        let gateway = Config::standard(upstream.address).start();
        let upgrade = get("/public").header("Connection", "Upgrade").header("Upgrade", "websocket");
        let mut connection = Connection::open(gateway.front);
        connection.write([upgrade.bytes(), get("/public/smuggled").bytes()].concat()).unwrap();
        let refused = connection.receive();
        assert_eq!((refused.status, refused.text().as_str()), (403, body));
        assert_eq!(refused.header("Connection"), Some("close"));
        connection.end();
        connection.is_closed();
        assert!(!upstream.bytes().contains("smuggled"), "{}", upstream.bytes());
    }
}

#[test]
fn http_2_in_the_clear_is_never_asked_of_an_upstream() {
    let upstream = RawUpstream::start(crate::support::answer_every_head);
    let gateway = Config::standard(upstream.address).start();
    for value in ["h2c", "H2C, websocket", "HTTP/2.0"] {
        let request = get("/public").header("Connection", "Upgrade, HTTP2-Settings").header("Upgrade", value);
        let answer = gateway.send(&request.header("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"));
        assert_eq!(answer.status, 200, "{value}");
    }
    let bytes = upstream.bytes().to_lowercase();
    assert!(!bytes.contains("upgrade") && !bytes.contains("http2-settings"), "{bytes}");
}

/// RFC 9110 section 7.8: `Upgrade` means nothing without the option of that name, and nothing in HTTP/1.0.
#[test]
fn a_request_that_asks_for_no_upgrade_may_be_followed_by_another() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start_bare();
    let next = "GET /public HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for first in [
        "GET /public HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\n\r\n",
        "GET /public HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: keep-alive\r\n\r\n",
        "GET /public HTTP/1.0\r\nHost: a\r\nUpgrade: foo\r\nConnection: keep-alive, upgrade\r\n\r\n",
    ] {
        let mut connection = Connection::open(gateway.front);
        connection.write([first, next].concat()).unwrap();
        let responses = String::from_utf8(connection.rest().unwrap()).unwrap();
        assert_eq!(responses.matches(" 200 OK").count(), 2, "{first}: {responses}");
    }
}

/// Whose bytes would they be: the request's, or the tunnel's?
#[test]
fn a_request_with_a_body_makes_no_tunnel() {
    let answering = RawUpstream::start(answer_every_request);
    let switching = RawUpstream::start(|stream| {
        while stream.read_request() {
            stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        }
    });
    let gateway = Config::standard(answering.address)
        .upstream("switching", &[switching.address])
        .route("switching", "/switching", "upstream = \"switching\"\nauth = \"public\"")
        .start_bare();
    let framed = [
        ("Content-Length: 4", "ping"),
        ("Transfer-Encoding: chunked", "4\r\nping\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0\r\n\r\n"),
    ];
    for (method, (framing, body)) in ["GET", "POST"].into_iter().flat_map(|method| framed.map(|body| (method, body))) {
        let asked = |path: &str| {
            let upgrade = "Host: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket";
            format!("{method} {path} HTTP/1.1\r\n{upgrade}\r\n{framing}\r\n\r\n{body}")
        };
        // What stands behind the body is the next request.
        let mut connection = Connection::open(gateway.front);
        connection.write([asked("/public/asked").as_bytes(), &get("/public/next").bytes()].concat()).unwrap();
        for answer in [connection.receive(), connection.receive()] {
            assert_eq!((answer.status, answer.text().as_str()), (200, "raw"), "{method} {framing} {body:?}");
        }
        let mut connection = Connection::open(gateway.front);
        connection.write(asked("/sws")).unwrap();
        assert_eq!(connection.receive().status, 401, "{method} {framing} {body:?}");
        let mut connection = Connection::open(gateway.front);
        connection.write(asked("/switching")).unwrap();
        assert_eq!(connection.receive().status, 502, "{method} {framing} {body:?}");
    }
    assert!(gateway.metric("portero_connections{state=\"tunnel\"}") < 0.5);
    gateway.stop();
    let ask = |upstream: &RawUpstream| {
        let connections = upstream.by_connection();
        let heads = connections.iter().flat_map(|bytes| requests(bytes));
        heads.map(str::to_lowercase).collect::<Vec<_>>()
    };
    let (answered, switched) = (ask(&answering), ask(&switching));
    assert_eq!((answered.len(), switched.len()), (12, 6), "{answered:#?} {switched:#?}");
    for head in answered.iter().chain(&switched) {
        assert!(!head.contains("upgrade"), "{head}");
    }
}

#[test]
fn what_does_not_answer_an_upgrade_is_a_bad_gateway() {
    let closed = RawUpstream::start(|stream| {
        stream.read();
    });
    let garbage = RawUpstream::start(|stream| {
        stream.read();
        stream.write("220 smtp ready\r\n");
    });
    let unasked = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        while stream.read() {}
    });
    let endless = RawUpstream::start(|stream| {
        stream.read();
        while stream.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") {}
    });
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let cases = [
        (closed, "30s", 502),
        (garbage, "30s", 502),
        (unasked, "30s", 502),
        (endless, "30s", 502),
        (silent, "200ms", 504),
    ];
    for (upstream, read, status) in cases {
        let timeouts = format!("[upstreams.service.timeouts]\nread = \"{read}\"");
        let gateway = Config::standard(upstream.address).text(&timeouts).start();
        let upgrade = get("/public").header("Connection", "Upgrade").header("Upgrade", "websocket");
        let answer = gateway.send(&upgrade);
        assert_eq!((answer.status, answer.header("Connection")), (status, Some("close")));
    }
}

#[test]
fn a_service_that_says_something_now_and_then_may_take_its_time_to_switch() {
    let slow = RawUpstream::start(|stream| {
        stream.read();
        for _ in 0..4 {
            let pause = Deadline::after(Duration::from_millis(700));
            wait_until("a moment", PATIENCE, || pause.left().is_none());
            stream.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while stream.read() {}
    });
    let gateway = Config::standard(slow.address).text("[upstreams.service.timeouts]\nread = \"2s\"").start();
    let mut connection = Connection::open(gateway.front);
    let upgrade = get("/public").header("Connection", "Upgrade").header("Upgrade", "websocket");
    connection.write(upgrade.bytes()).unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 101);
}

#[test]
fn a_tunnel_that_says_nothing_ends_and_so_does_one_that_is_drained() {
    let service = WebSocketService::start();
    let idle = Config::standard(service.address).text("[upstreams.service.timeouts]\ntunnel_idle = \"300ms\"").start();
    let mut socket = open(&idle, &idle.login(Contract::Sws));
    assert_eq!(socket.closed(PATIENCE), (1001, "idle".to_owned()));

    let draining = Config::standard(service.address).server("drain_timeout = \"4s\"").start();
    let mut socket = open(&draining, &draining.login(Contract::Sws));
    draining.process.signal("TERM");
    assert_eq!(socket.closed(PATIENCE), (1001, "draining".to_owned()));
    draining.process.finish().succeeded();
}

#[test]
fn a_tunnel_that_opens_late_while_draining_has_no_longer_than_the_others() {
    let (release, held) = mpsc::channel::<()>();
    let (held, is_first) = (Mutex::new(held), AtomicBool::new(true));
    let service = RawUpstream::start(move |stream| {
        stream.read_request();
        if !is_first.swap(false, Ordering::SeqCst) {
            held.lock().unwrap().recv().unwrap();
        }
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while stream.read() {}
    });
    let gateway = Config::standard(service.address).server("drain_timeout = \"4s\"").start();
    let ask = |path: &str| {
        let mut connection = Connection::open(gateway.front);
        let upgrade = get(path).header("Connection", "Upgrade").header("Upgrade", "websocket");
        connection.write(upgrade.bytes()).unwrap();
        connection
    };
    let mut early = ask("/public/early");
    assert_eq!(early.receive_head().unwrap().status, 101);
    let mut late = ask("/public/late");
    wait_until("the late one is asked for", PATIENCE, || service.bytes().contains("/public/late"));
    gateway.process.signal("TERM");
    early.is_closed();
    // It opens when tunnels are over, and drained: not when the gateway ends.
    release.send(()).unwrap();
    assert_eq!(late.receive_head().unwrap().status, 101);
    late.is_closed();
    let line = gateway.process.access_line("the late one", |line| line["path"] == "/public/late");
    assert_eq!(line["decision"], "forward");
    gateway.process.finish().succeeded();
}

#[test]
fn an_absolute_target_of_another_host_is_refused_with_an_upgrade_too() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while stream.read() {}
    });
    let gateway = Config::standard(upstream.address).start();
    for (authority, status) in [("b.test", 400), ("x@a.test", 400), ("a.test", 101)] {
        let mut connection = Connection::open(gateway.front);
        let head = "HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        connection.write(format!("GET http://{authority}/public {head}")).unwrap();
        assert_eq!(connection.receive_head().unwrap().status, status, "{authority}");
    }
    assert_eq!(upstream.bytes().matches("GET /public ").count(), 1);
}

#[test]
fn a_service_that_switches_unasked_is_a_bad_gateway() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw");
        while stream.read() {}
    });
    let gateway = Config::standard(upstream.address).start();
    assert_eq!(gateway.send(&get("/public")).status, 502);
}
