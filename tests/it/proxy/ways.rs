//! Every request takes the same steps, over HTTP/1 and HTTP/2, with a body and without. Nobody, before or behind the
//! gateway, may see a difference that the request itself does not make.

use std::sync::{Arc, Mutex, mpsc};

use crate::support::{
    Config, Connection, Folder, Gateway, PATIENCE, RawUpstream, Request, Response, Upstream, WAYS, Way,
    answer_every_head, answer_every_request, exchange, get, wait_until, with_client,
};

/// A gateway with one thread: each has upstream connections of its own.
fn run(config: &Config) -> Gateway {
    let folder = Folder::new();
    config.clone().server("threads = 1").write_to(&folder);
    Gateway::run(folder)
}

/// Fields by their names in lower case: some are left `out`, and what is new with each request is masked.
fn comparable<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>, out: &[&str]) -> Vec<String> {
    let new = ["date", "x-request-id", "traceparent"];
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (name.to_lowercase(), value))
        .filter(|(name, _)| !out.contains(&&**name))
        .map(|(name, value)| if new.contains(&&*name) { (name, "new") } else { (name, value) })
        .collect();
    // Values of one name keep their order.
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn servers_receive_the_same() {
    let upstream = RawUpstream::start(answer_every_request);
    let cookies = "sources = [\"cookie:sid\", \"query:key\"]";
    let config = Config::new()
        .text("[oauth]")
        .upstream("service", &[upstream.address])
        .route("public", "/public", "auth = \"public\"")
        .route("checked", "/checked", "accept = [\"apis\"]")
        .route("kept", "/kept", "accept = [\"apis\"]\nforward_token = true")
        .route("internal", "/internal", "accept = [\"apis\"]\nforward_token = \"internal\"")
        .route("elsewhere", "/elsewhere", &format!("accept = [\"apis\"]\n{cookies}"))
        .route(
            "changed",
            "/changed",
            "auth = \"public\"\nreplace_prefix = \"/v2\"\nhost = \"upstream\"\n\
             request_headers = { set = { X-Env = \"prod\" }, remove = [\"Accept\"] }\n\
             [routes.cors]\norigins = [\"https://app.test\"]",
        )
        .server("threads = 1");
    let gateway = config.start();
    let token = gateway.login_apis().access;
    let requests = [
        get("/public"),
        get("/public?a=%20&b"),
        get("/public/%7Eana/"),
        Request::new("HEAD", "/public"),
        Request::new("DELETE", "/public/1"),
        Request::new("OPTIONS", "/public"),
        get("/public").header("Connection", "keep-alive").header("ACCEPT", "a").header("accept", "b"),
        get("/public").header("x-forwarded-for", "192.0.2.1").header("X_Auth_Subject", "eve").header("Empty", ""),
        get("/public").header("Proxy-Authorization", "Basic c2VjcmV0").header("Proxy-Anything", "a"),
        get("/public").header("X-Latin", b"caf\xe9".as_slice()),
        get("/checked?q").bearer(&token).header("Cookie", "a=1; sid=2"),
        get("/kept").bearer(&token),
        get("/internal").bearer(&token),
        get("/elsewhere?key=&a=b").header("Cookie", format!("a=1; sid={token}; b=2")),
        get("/changed/x").header("Accept", "a").header("Origin", "https://app.test"),
    ];
    let mut seen = 0;
    for request in requests {
        let received = WAYS.map(|way| {
            let request = way.request(&request);
            let status = way.send(&gateway, &request).status;
            assert_eq!(status, 200, "{} {request:?}", way.name);
            let all = upstream.bytes();
            let (head, body) = all[seen..].split_once("\r\n\r\n").unwrap();
            seen = all.len();
            assert_eq!(body.contains("{}"), way.body, "{} {request:?}", way.name);
            assert!(!head.to_lowercase().contains("\nproxy-"), "{head}");
            let (line, fields) = head.split_once("\r\n").unwrap();
            let fields = fields.lines().map(|line| line.split_once(':').unwrap());
            let fields = fields.map(|(name, value)| match name {
                // Internal tokens are made anew for each.
                "Authorization" | "authorization" if line.contains("/internal") => (name, "internal"),
                _ => (name, value.trim_start()),
            });
            (line.to_owned(), comparable(fields, &["content-length", "transfer-encoding"]))
        });
        for (way, other) in WAYS.iter().zip(&received) {
            assert_eq!(other, &received[0], "{} {request:?}", way.name);
        }
    }
}

#[test]
fn clients_are_answered_the_same() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{}", "x".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 3\r\n\r\nabc", "X-Many: 1\r\n".repeat(90));
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Empty:\r\nx-lower: 1\r\nX-LATIN: caf\u{e9}\r\n\r\n", false),
        ("HTTP/1.1 200 Fine By Me\r\nContent-Length: 3\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nabc", false),
        ("HTTP/1.1 200\r\nContent-Length: 3, 3\r\n\r\nabc", false),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 60\r\n\r\n", false),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 60\r\nETag: \"a\"\r\n\r\n", false),
        ("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", false),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", true),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", true),
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabcd", false),
        ("HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3  \r\nabc\r\n0\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 200 OK\r\nBlank : a\r\nFolded: a\r\n b\r\nContent-Length: 3\r\n\r\nabc", false),
        (&many, false),
        ("HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false),
        ("SSH-2.0-OpenSSH\r\n", true),
        ("", true),
        (&long, false),
    ];
    // An upstream, a route and a pool for each exchange, and one gateway for all.
    let mut config = Config::new();
    let mut exchanges = vec![];
    for (at, (answer, closes)) in cases.into_iter().enumerate() {
        for method in ["GET", "HEAD"] {
            let path = format!("/{method}/{at}");
            let upstreams = WAYS.map(|way| {
                let upstream = answering(answer, closes);
                let name = format!("{}-{at}-{}", method.to_lowercase(), way.name);
                let route = format!("auth = \"public\"\nupstream = \"{name}\"\nhosts = [\"{}.test\"]", way.name);
                config = config.clone().upstream(&name, &[upstream.address]).route(&name, &path, &route);
                upstream
            });
            exchanges.push((answer, closes, method, path, upstreams));
        }
    }
    let gateway = run(&config);
    for (answer, closes, method, path, _upstreams) in &exchanges {
        let answered = WAYS.map(|way| {
            let request = way.request(&Request::new(method, path).header("Host", format!("{}.test", way.name)));
            let (got, second) = twice(&gateway, way, &request, !closes)?;
            if let Some(second) = second {
                // Nothing of the first answer is left on any connection; a new one begins with the same.
                assert!(second == 200 || second == got.status, "{} {answer}: {second}", way.name);
            }
            let fields = got.headers.iter().map(|(name, value)| (&**name, &**value));
            let connection = ["connection", "keep-alive", "transfer-encoding", "content-length"];
            // hyper writes no length of a 304 over HTTP/1: `docs/decisions/on-the-wire.md`.
            let fields = comparable(fields, if got.status == 304 { &connection } else { &connection[..3] });
            let body = if got.status == 200 { got.text() } else { String::new() };
            Some((got.status, fields, body))
        });
        for (way, other) in WAYS.iter().zip(&answered) {
            assert_eq!(other, &answered[0], "{} {method} {answer}", way.name);
        }
    }
}

/// An upstream that gives this answer first on each connection, and then closes it or gives another.
fn answering(answer: &str, closes: bool) -> RawUpstream {
    let bytes = answer.to_owned();
    RawUpstream::start(move |stream| {
        if stream.read_request() {
            stream.write(&bytes);
        }
        while !closes && stream.read_request() {
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
        }
    })
}

/// The answer, where it is whole, and the status of the next on its connection, where that stays open and is asked
/// `again`.
fn twice(gateway: &Gateway, way: Way, request: &Request, again: bool) -> Option<(Response, Option<u16>)> {
    if way.http2 {
        return with_client(gateway.front, async |mut sender| {
            let first = exchange(&mut sender, request).await.ok()?;
            let second = if again { Some(exchange(&mut sender, request).await.unwrap().status) } else { None };
            Some((first, second))
        });
    }
    let mut connection = Connection::open(gateway.front);
    let first = connection.try_send(request).ok()?;
    let stays = !first.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let second = (again && stays).then(|| connection.send(request).status);
    Some((first, second))
}

#[test]
fn requests_that_come_before_their_turn_are_answered_in_order() {
    let (upstream, release) = RawUpstream::late();
    let config = Config::new().upstream("late", &[upstream.address]);
    let quick = Upstream::named("quick");
    let config = config.upstream("quick", &[quick.address]);
    let route = |upstream: &str| format!("auth = \"public\"\nupstream = \"{upstream}\"");
    let gateway = run(&config.route("late", "/late", &route("late")).route("quick", "/quick", &route("quick")));
    let mut connection = Connection::open(gateway.front);
    connection.write(get("/late").bytes()).unwrap();
    wait_until("the first is asked", PATIENCE, || upstream.bytes().contains("/late"));
    // In two pieces, the second of which comes when nobody waits for it.
    let next = get("/quick").bytes();
    connection.write(&next[..20]).unwrap();
    release.send(()).unwrap();
    assert_eq!(connection.receive().text(), "late");
    connection.write(&next[20..]).unwrap();
    assert_eq!(connection.receive().text(), "quick");
}

#[test]
fn a_connection_that_its_server_ends_is_not_kept() {
    let (ended, told) = mpsc::channel();
    let ended = Mutex::new(ended);
    let upstream = RawUpstream::start(move |stream| {
        stream.read();
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
        stream.end();
        // Until the gateway ends it too.
        while stream.read() {}
        ended.lock().unwrap().send(()).unwrap();
    });
    let config = Config::new().upstream("service", &[upstream.address]).route("public", "/", "auth = \"public\"");
    let gateway = run(&config);
    assert_eq!(gateway.send(&get("/")).status, 200);
    told.recv_timeout(PATIENCE).expect("the gateway ends its side without being asked for anything");
    assert_eq!(gateway.send(&get("/")).status, 200);
}

#[test]
fn an_idle_connection_ends_with_its_time() {
    let ends = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&ends);
    let upstream = RawUpstream::start(move |stream| {
        answer_every_head(stream);
        *counted.lock().unwrap() += 1;
    });
    let config = Config::new()
        .text(&format!("[upstreams.service]\nservers = [\"{}\"]\ntimeouts.idle = \"100ms\"\n", upstream.address))
        .route("public", "/", "auth = \"public\"");
    let gateway = run(&config);
    assert_eq!(gateway.send(&get("/")).status, 200);
    wait_until("it is closed", PATIENCE, || *ends.lock().unwrap() == 1);
}
