//! Field names that a server could take for others, fields that name another request, and `Upgrade`: the same in every
//! form of request.

use std::sync::Mutex;

use crate::support::{
    Config, Connection, Contract, Gateway, RawUpstream, Request, answer_every_head, get, post, send_http2, wait_until,
};

/// The forms of a request: HTTP/1, the same with a body, HTTP/2, and an upgrade.
const WAYS: [Way; 4] = [Way::Http1, Way::Http1Body, Way::Http2, Way::Tunnel];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Http1,
    Http1Body,
    Http2,
    Tunnel,
}

/// Answers each request, and switches where that is asked for.
fn switch_or_answer(stream: &mut crate::support::RawStream) {
    while stream.read_request() {
        if stream.so_far().to_lowercase().contains("\r\nupgrade: websocket") {
            stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            return;
        }
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
    }
}

/// A service that answers, and what it has received already.
struct Service {
    upstream: RawUpstream,
    seen: Mutex<usize>,
}

impl Service {
    fn start() -> Self {
        Self { upstream: RawUpstream::start(switch_or_answer), seen: Mutex::new(0) }
    }

    /// The head that came since the last look, in lower case.
    fn head(&self) -> String {
        let mut seen = self.seen.lock().unwrap();
        let bytes = self.upstream.bytes();
        let head = bytes[*seen..].to_lowercase();
        *seen = bytes.len();
        head
    }
}

/// Sends a GET with these fields in this form; its status.
fn send(gateway: &Gateway, way: Way, path: &str, fields: &[(&str, &str)]) -> u16 {
    let request = fields.iter().fold(get(path), |request, (name, value)| request.header(name, value));
    match way {
        Way::Http1 => gateway.send(&request).status,
        Way::Http1Body => gateway.send(&request.body("{}")).status,
        Way::Tunnel => {
            let mut connection = Connection::open(gateway.front);
            let wish = request.header("Connection", "Upgrade").header("Upgrade", "websocket");
            connection.write(wish.bytes()).unwrap();
            connection.receive_head().unwrap().status
        }
        Way::Http2 => send_http2(gateway.front, &request).unwrap().status,
    }
}

/// How often fields were dropped for this reason.
fn dropped(gateway: &Gateway, reason: &str) -> u64 {
    let line = format!("portero_header_fields_dropped_total{{reason=\"{reason}\"}} ");
    let metrics = gateway.ask("/metrics").text();
    let value = metrics.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok());
    value.unwrap_or_else(|| panic!("{line} in:\n{metrics}"))
}

#[test]
fn another_spelling_of_a_name_that_counts_reaches_no_server() {
    let service = Service::start();
    let config = Config::new()
        .text("[upstreams.service]")
        .text(&format!(
            "servers = [\"{}\"]\nbalance = \"hash\"\nhash_by = \"header:X-Shard\"\n",
            service.upstream.address
        ))
        .route("plain", "/plain", "auth = \"public\"")
        .route(
            "named",
            "/named",
            "auth = \"optional\"\naccept = [\"sws\"]\nsources = [\"header:X-Token\"]\n\
             request_headers = { set = { X-Env = \"prod\", x_old_name = \"prod\" }, remove = [\"X-Debug\"] }",
        );
    let gateway = config.start_bare();
    let everywhere = [
        "Content_Length",
        "Transfer_Encoding",
        "Remote_User",
        "remote.user",
        "Content_Type",
        "X_Auth_Subject",
        "X.Forwarded.For",
        "Proxy_Authorization",
        "Proxy",
        "X-Original-URL",
        "X_Original_URL",
        "X-Rewrite-Url",
        "X_HTTP_Method_Override",
    ];
    let where_named = ["X_Env", "X.Env", "x!env", "X_Debug", "X_Token", "X_Shard", "X-Old-Name", "X-Old_Name"];
    let pass = ["My_Key", "trace.id", "X-Envy", "X_Envy", "Remote-Users", "Proxied", "X-Shard"];
    for way in WAYS {
        let names = everywhere.iter().chain(&where_named).chain(&pass);
        let fields: Vec<_> = names.map(|name| (*name, "evil")).collect();
        let before = (dropped(&gateway, "spelling"), dropped(&gateway, "unsafe"));
        let status = send(&gateway, way, "/named", &fields);
        assert!(matches!(status, 101 | 200), "{way:?} {status}");
        let head = service.head();
        for name in everywhere.iter().chain(&where_named) {
            assert!(!head.contains(&format!("\r\n{}: evil", name.to_lowercase())), "{way:?} {name}: {head}");
        }
        for name in pass {
            assert!(head.contains(&format!("\r\n{}: evil", name.to_lowercase())), "{way:?} {name}: {head}");
        }
        assert!(head.contains("\r\nx-env: prod") && head.contains("\r\nx_old_name: prod"), "{way:?}: {head}");
        // `Proxy` and both names of a target in four spellings are unsafe; all the others are spellings.
        let now = (dropped(&gateway, "spelling"), dropped(&gateway, "unsafe"));
        assert_eq!((now.0 - before.0, now.1 - before.1), (17, 4), "{way:?}");
        // What another route names is nothing to this one, but for its pool's key.
        assert!(matches!(send(&gateway, way, "/plain", &fields), 101 | 200));
        let head = service.head();
        for name in ["x_env", "x_debug", "x_token", "x-old-name"] {
            assert!(head.contains(&format!("\r\n{name}: evil")), "{way:?} {name}: {head}");
        }
        assert!(!head.contains("\r\nx_shard") && !head.contains("\r\nremote_user"), "{way:?}: {head}");
    }
}

#[test]
fn odd_names_are_dropped_where_the_operator_says_so_and_never_of_grpc() {
    let service = Service::start();
    let config = Config::standard(service.upstream.address).server("odd_header_names = \"drop\"");
    let gateway = config.start_bare();
    for way in WAYS {
        let before = dropped(&gateway, "odd");
        send(&gateway, way, "/public", &[("My_Key", "evil"), ("My-Key", "good"), ("a.b", "evil")]);
        let head = service.head();
        assert!(head.contains("\r\nmy-key: good") && !head.contains("evil"), "{way:?}: {head}");
        assert_eq!(dropped(&gateway, "odd") - before, 2, "{way:?}");
        // gRPC's metadata has such names, and a call is HTTP/2: the content type alone says nothing.
        for (kind, passes) in [
            ("application/grpc", way == Way::Http2),
            ("application/grpc+proto", way == Way::Http2),
            ("application/grpcfoo", false),
        ] {
            send(&gateway, way, "/public", &[("Content-Type", kind), ("My_Key", "good"), ("Remote_User", "x")]);
            let head = service.head();
            assert_eq!(head.contains("\r\nmy_key: good"), passes, "{way:?} {kind}: {head}");
            assert!(!head.contains("remote_user"), "{way:?} {kind}: {head}");
        }
    }
}

#[test]
fn a_field_that_asks_for_another_method_is_refused_unless_the_route_has_it() {
    let service = Service::start();
    let config = Config::standard(service.upstream.address)
        .route("reads", "/reads", "auth = \"public\"\nmethods = [\"GET\"]")
        .route("overrides", "/overrides", "auth = \"public\"\nmethods = [\"GET\", \"DELETE\"]\nmethod_override = true")
        .route("any", "/any", "auth = \"public\"\nmethod_override = true");
    let gateway = config.start_bare();
    for way in WAYS {
        for name in ["X-HTTP-Method", "X-HTTP-Method-Override", "x-method-override"] {
            for path in ["/reads", "/public"] {
                assert_eq!(send(&gateway, way, path, &[(name, "DELETE")]), 400, "{way:?} {path} {name}");
                assert_eq!(service.head(), "");
            }
            assert!(matches!(send(&gateway, way, "/overrides", &[(name, "DELETE")]), 101 | 200), "{way:?} {name}");
            assert!(service.head().contains(&format!("\r\n{}: delete", name.to_lowercase())));
            let others = ["PATCH", "delete", "DELETE, PATCH", "", "TRACE"];
            for value in others {
                assert_eq!(send(&gateway, way, "/overrides", &[(name, value)]), 400, "{way:?} {name}: {value}");
            }
            let twice = [(name, "DELETE"), (name, "PATCH")];
            assert_eq!(send(&gateway, way, "/overrides", &twice), 400, "{way:?} {name} twice");
            assert!(matches!(send(&gateway, way, "/any", &[(name, "PATCH")]), 101 | 200), "{way:?} {name}");
            assert_eq!(send(&gateway, way, "/any", &[(name, "TRACE")]), 400, "{way:?} {name}");
            service.head();
        }
    }
    let line = gateway.process.access_line("a refused one", |line| line["status"] == 400);
    assert_eq!((&line["reason"], &line["route"]), (&"method_override".into(), &"reads".into()));
}

#[test]
fn one_authorization_goes_on_and_two_that_differ_are_refused_where_a_token_is_looked_at() {
    let service = Service::start();
    let gateway = Config::standard(service.upstream.address).start();
    let token = format!("Bearer {}", gateway.login(Contract::Sws));
    for way in WAYS {
        for path in ["/sws", "/public"] {
            let equal = [("Authorization", &*token), ("Authorization", &*token)];
            assert!(matches!(send(&gateway, way, path, &equal), 101 | 200), "{way:?} {path}");
            let head = service.head();
            assert_eq!(head.matches("\r\nauthorization: ").count(), 1, "{way:?} {path}: {head}");
        }
        for other in ["Basic dGVzdDp0ZXN0", "", "bearer other"] {
            for pair in [[&*token, other], [other, &*token]] {
                let fields = pair.map(|value| ("Authorization", value));
                assert_eq!(send(&gateway, way, "/sws", &fields), 400, "{way:?} {pair:?}");
                assert_eq!(service.head(), "", "{way:?} {pair:?}");
            }
        }
    }
}

#[test]
fn a_host_with_two_dots_at_its_end_is_refused() {
    let service = Service::start();
    let gateway = Config::standard(service.upstream.address).start_bare();
    for way in [Way::Http1, Way::Http1Body, Way::Tunnel] {
        assert!(matches!(send(&gateway, way, "/public", &[("Host", "portero.test.")]), 101 | 200), "{way:?}");
        service.head();
        for host in ["portero.test..", "portero.test..:80", "portero.test...", ".."] {
            assert_eq!(send(&gateway, way, "/public", &[("Host", host)]), 400, "{way:?} {host}");
            assert_eq!(service.head(), "");
        }
    }
}

#[test]
fn only_web_sockets_and_what_a_route_lists_are_asked_of_a_server() {
    let upstream = RawUpstream::start(|stream| {
        while stream.read() {
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
        }
    });
    let config = Config::standard(upstream.address).route(
        "listed",
        "/listed",
        "auth = \"public\"\nupgrades = [\"Foo/1\", \"bar\"]",
    );
    let gateway = config.start_bare();
    let mut seen = 0;
    let mut asked = |path: &str, wish: &str| {
        let request = get(path).header("Connection", "Upgrade").header("Upgrade", wish);
        assert_eq!(gateway.send(&request).status, 200, "{path} {wish}");
        let bytes = upstream.bytes();
        let head = bytes[seen..].to_lowercase();
        seen = bytes.len();
        head.lines().find_map(|line| line.strip_prefix("upgrade: ").map(str::to_owned))
    };
    for (path, wish, expected) in [
        ("/public", "websocket", Some("websocket")),
        ("/public", "WebSocket", Some("websocket")),
        ("/public", "TLS/1.2", None),
        ("/public", "TLS/1.0, HTTP/1.1", None),
        ("/public", "foo/1", None),
        ("/public", "foo/1, websocket", Some("websocket")),
        ("/public", "websocket, TLS/1.2", Some("websocket")),
        ("/listed", "foo/1", Some("foo/1")),
        ("/listed", "foo/2", None),
        ("/listed", "foo", None),
        ("/listed", "BAR, tls/1.3, baz", Some("bar")),
        ("/listed", "websocket", Some("websocket")),
    ] {
        assert_eq!(asked(path, wish).as_deref(), expected, "{path} {wish}");
    }
}

#[test]
fn a_server_switches_to_nothing_that_it_was_not_asked_for() {
    for (chosen, status) in [("websocket", 101), ("WebSocket", 101), ("foo", 502), ("foo, websocket", 502), ("", 502)] {
        let upstream = RawUpstream::start(move |stream| {
            assert!(stream.read());
            let switch =
                format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {chosen}\r\n\r\n");
            stream.write(&switch);
            stream.read();
        });
        let gateway = Config::standard(upstream.address).start_bare();
        let mut connection = Connection::open(gateway.front);
        let wish = get("/public").header("Connection", "Upgrade").header("Upgrade", "foo, websocket");
        connection.write(wish.bytes()).unwrap();
        assert_eq!(connection.receive_head().unwrap().status, status, "{chosen}");
    }
}

#[test]
fn what_a_route_says_of_responses_holds_for_a_101() {
    let upstream = RawUpstream::start(|stream| {
        assert!(stream.read());
        stream.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nServer: old/1.0\r\n\
             X-Debug: secret\r\nSec-WebSocket-Accept: abc\r\n\r\n",
        );
        stream.read();
    });
    let config = Config::standard(upstream.address).route(
        "changed",
        "/changed",
        "auth = \"public\"\nharden = true\n\
         response_headers = { set = { X-Via = \"portero\" }, remove = [\"X-Debug\"] }",
    );
    let gateway = config.start_bare();
    let mut connection = Connection::open(gateway.front);
    let wish = get("/changed").header("Connection", "Upgrade").header("Upgrade", "websocket");
    connection.write(wish.bytes()).unwrap();
    let answer = connection.receive_head().unwrap();
    assert_eq!((answer.status, answer.header("X-Via")), (101, Some("portero")), "{answer:?}");
    assert_eq!((answer.header("X-Debug"), answer.header("Server")), (None, None), "{answer:?}");
    assert_eq!((answer.header("Upgrade"), answer.header("Connection")), (Some("websocket"), Some("Upgrade")));
    assert_eq!(answer.header("Sec-WebSocket-Accept"), Some("abc"));
}

#[test]
fn an_upload_is_held_to_the_same_names() {
    let upstream = RawUpstream::start(answer_every_head);
    let gateway = Config::standard(upstream.address).start_bare();
    let upload = post("/public", "{}").header("Transfer_Encoding", "chunked").header("content_length", "0");
    assert_eq!(gateway.send(&upload).status, 200);
    let refused = Request::new("POST", "/public").header("X-HTTP-Method-Override", "DELETE").body("x");
    assert_eq!(gateway.send(&refused).status, 400);
    wait_until("the upload came", crate::support::PATIENCE, || upstream.bytes().ends_with("{}"));
    let head = upstream.bytes().to_lowercase();
    assert!(!head.contains("transfer_encoding") && !head.contains("content_length"), "{head}");
}
