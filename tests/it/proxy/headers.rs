//! What an upstream is told about who asks: the gateway's word, and nobody else's.

use std::net::Ipv4Addr;

use crate::support::{
    Config, Connection, Contract, Gateway, RawUpstream, Received, Request, Upstream, answer_every_head, get,
};

/// Names that are the gateway's own, as clients spell them who try their luck.
const SPOOFED: [&str; 20] = [
    "X-Auth-Subject",
    "x-auth-subject",
    "X_Auth_Subject",
    "X-AUTH_ROLE",
    "X-Auth-Role",
    "X-Auth-Issuer",
    "X-Auth-Name",
    "X-Auth-Kind",
    "X-Auth-Scopes",
    "X-Auth-Organization",
    "X-Auth-Legacy-Id",
    "X-Auth-Anything",
    "X-Forwarded-For",
    "X_Forwarded_For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "Forwarded",
    "traceparent",
    "X-Request-Id",
    "X_Request_Id",
];

#[test]
fn an_upstream_learns_who_asks_in_full() {
    let (gateway, upstream) = Gateway::with_upstream();
    for contract in Contract::ALL {
        let (realm, token) = (contract.realm(), gateway.login(contract));
        assert_eq!(gateway.status(&format!("/{realm}"), &token), 200);
        let received = upstream.received();
        let issuer = format!("https://portero.test/{realm}");
        let own = identity(&received);
        let expected = match contract {
            Contract::Sws => vec![("kind", "user"), ("legacy-id", "1"), ("role", "ADMIN")],
            Contract::Apis => vec![("kind", "user"), ("role", "ADMIN"), ("scopes", "read")],
            Contract::Toc => vec![("kind", "project"), ("organization", "5a2ac49cbbbce212f885529c")],
            Contract::Maxpoint => vec![("kind", "client")],
            Contract::Become => vec![("kind", "client"), ("organization", "demo-company"), ("scopes", "read write")],
        };
        let mut expected: Vec<_> =
            expected.into_iter().chain([("issuer", &*issuer), ("name", contract.name())]).collect();
        expected.sort_unstable();
        assert_eq!(own, expected, "{contract:?}");
        assert_eq!(received.header("x-auth-subject").unwrap().len(), 36, "a uuid");
    }
}

/// The identity headers without their prefix, sorted, but for the subject.
fn identity(received: &Received) -> Vec<(&str, &str)> {
    let own = received.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("x-auth-")?, value.as_str())));
    let mut own: Vec<_> = own.filter(|(name, _)| *name != "subject").collect();
    own.sort_unstable();
    own
}

#[test]
fn what_a_client_says_under_our_names_is_gone_on_every_route() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = config.route("optional", "/optional", "auth = \"optional\"\naccept = [\"apis\"]").start();
    let token = gateway.login_apis().access;
    for request in [get("/public"), get("/optional"), get("/optional").bearer(&token), get("/apis").bearer(&token)] {
        assert_eq!(gateway.send(&spoofed(request)).status, 200);
        let received = upstream.received();
        for (name, value) in &received.headers {
            assert!(!value.contains("spoofed"), "{name}: {value}");
            assert!(!name.contains('_'), "{name}");
        }
        assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(received.header("x-forwarded-proto"), Some("http"));
        assert_eq!(received.header("x-forwarded-host"), Some("portero.test"));
        assert_eq!(received.header("forwarded"), Some("for=127.0.0.1;proto=http;host=\"portero.test\""));
        assert_eq!(received.header("x-request-id").map(str::len), Some(32));
        assert_eq!(received.header("traceparent").map(str::len), Some(55));
    }
}

fn spoofed(request: Request) -> Request {
    let twice = SPOOFED.iter().chain(&SPOOFED);
    twice.fold(request, |request, name| request.header(name, "spoofed"))
}

#[test]
fn names_are_spelt_as_the_client_did_where_the_pool_says_so() {
    for (pool, expected) in [
        ("preserve_header_case = true", ["\r\nHOST: ", "\r\nX-oLd: a\r\n", "\r\nX-Request-Id: "]),
        ("", ["\r\nhost: ", "\r\nx-old: a\r\n", "\r\nx-request-id: "]),
    ] {
        let upstream = RawUpstream::start(answer_every_head);
        let gateway =
            Config::standard(upstream.address).replace("servers = [", &format!("{pool}\nservers = [")).start();
        let mut connection = Connection::open(gateway.front);
        connection
            .write("GET /public HTTP/1.1\r\nHOST: a.test\r\nX-oLd: a\r\nx-old: b\r\nX-REQUEST-ID: c\r\n\r\n")
            .unwrap();
        assert_eq!(connection.receive().status, 200);
        for part in expected {
            assert!(upstream.bytes().contains(part), "{part} in {}", upstream.bytes());
        }
    }
}

#[test]
fn our_headers_cannot_be_nominated_away() {
    let (gateway, upstream) = Gateway::with_upstream();
    let nominated = "keep-alive, X-Auth-Subject, x-auth-issuer, X-Auth-Role, X-Request-Id, X-Forwarded-For, Forwarded";
    let request = get("/sws").bearer(&gateway.login(Contract::Sws)).header("Connection", nominated);
    assert_eq!(gateway.send(&request).status, 200);
    let received = upstream.received();
    for name in ["x-auth-subject", "x-auth-issuer", "x-auth-role", "x-request-id", "x-forwarded-for", "forwarded"] {
        assert!(received.header(name).is_some(), "{name} is missing: {received:?}");
    }
}

#[test]
fn only_a_trusted_proxy_is_believed_and_never_about_identity() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).server("trusted_proxies = [\"127.9.0.0/16\"]").start();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = get("/public")
        .header("X-Forwarded-For", "198.51.100.7")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "shop.example")
        .header("Forwarded", "for=203.0.113.9;host=evil.example")
        .header("traceparent", trace)
        .header("tracestate", "a=b")
        .header("X-Auth-Subject", "spoofed");
    let from = |source: [u8; 4]| {
        assert_eq!(Connection::open_from(Ipv4Addr::from(source), gateway.front).send(&request).status, 200);
        upstream.received()
    };
    let believed = from([127, 9, 0, 1]);
    assert_eq!(believed.header("x-forwarded-for"), Some("198.51.100.7, 127.9.0.1"));
    assert_eq!(believed.header("x-forwarded-proto"), Some("https"));
    assert_eq!(believed.header("x-forwarded-host"), Some("portero.test"), "it is not named, so it may be the client's");
    assert_eq!(believed.header("forwarded"), Some("for=127.9.0.1;proto=http;host=\"portero.test\""));
    assert_eq!((believed.header("traceparent"), believed.header("tracestate")), (Some(trace), Some("a=b")));
    assert_eq!(believed.header("x-auth-subject"), None);
    gateway.process.access_line("the believed client", |line| line["client"] == "198.51.100.7");
    let stranger = from([127, 8, 0, 1]);
    assert_eq!(stranger.header("x-forwarded-for"), Some("127.8.0.1"));
    assert_eq!(stranger.header("x-forwarded-host"), Some("portero.test"));
    assert_ne!(stranger.header("traceparent"), Some(trace));
    assert_eq!(stranger.header("tracestate"), None);
}

#[test]
fn a_trusted_proxy_is_believed_about_the_headers_that_are_named() {
    let upstream = Upstream::start();
    let trusting = |headers: &str| {
        let lines = format!("trusted_proxies = [\"127.9.0.0/16\"]\ntrusted_headers = {headers}");
        Config::standard(upstream.address).server(&lines).start_bare()
    };
    let from_proxy = |gateway: &Gateway, request: &Request| {
        let mut connection = Connection::open_from(Ipv4Addr::from([127, 9, 0, 1]), gateway.front);
        assert_eq!(connection.send(request).status, 200);
        upstream.received()
    };
    let request = |proto: &str, host: &str, forwarded: &str| {
        get("/public")
            .header("X-Forwarded-For", "198.51.100.7")
            .header("X-Forwarded-Proto", proto)
            .header("X-Forwarded-Host", host)
            .header("Forwarded", forwarded)
    };
    let gateway = trusting("[\"X-Forwarded-Host\", \"x-forwarded-proto\", \"Forwarded\"]");
    let own = "for=127.9.0.1;proto=http;host=\"portero.test\"";
    let received = from_proxy(&gateway, &request("HTTPS", "shop.example:8443", "for=198.51.100.7;proto=https"));
    assert_eq!(received.header("x-forwarded-for"), Some("127.9.0.1"), "it is not named");
    assert_eq!(received.header("x-forwarded-host"), Some("shop.example:8443"));
    assert_eq!(received.header("x-forwarded-proto"), Some("https"));
    assert_eq!(received.header("forwarded"), Some(&*format!("for=198.51.100.7;proto=https, {own}")));
    gateway.process.access_line("the proxy is the client", |line| line["client"] == "127.9.0.1");
    for (proto, host, forwarded) in [
        ("javascript:", "a b", "for=\"x"),
        ("https, http", "a.test, b.test", "for=x;host=\"a/b\""),
        ("", "u@a.test", "proto=ftp"),
    ] {
        let received = from_proxy(&gateway, &request(proto, host, forwarded));
        let said = ["x-forwarded-proto", "x-forwarded-host", "forwarded"].map(|name| received.header(name));
        assert_eq!(said, [Some("http"), Some("portero.test"), Some(own)], "{proto} {host} {forwarded}");
    }
    let twice =
        request("https", "a.test", "for=x").header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "b.test");
    let received = from_proxy(&gateway, &twice);
    assert_eq!(received.header("x-forwarded-proto"), Some("http"), "nobody knows which is the proxy's own");
    assert_eq!(received.header("x-forwarded-host"), Some("portero.test"));
    let received = from_proxy(&trusting("[]"), &request("https", "a.test", "for=x"));
    assert_eq!(received.header("x-forwarded-for"), Some("127.9.0.1"));
    assert_eq!(received.header("forwarded"), Some(own));
}

#[test]
fn a_service_hears_of_the_client_that_was_decided_by() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address)
        .server("trusted_proxies = [\"127.9.0.0/16\"]\ntrusted_headers = [\"X-Forwarded-For\", \"X-Forwarded-Host\"]")
        .start_bare();
    for (said, client, told) in [
        ("198.51.100.7", "198.51.100.7", "198.51.100.7, 127.9.0.1"),
        ("192.0.2.1, 198.51.100.7:80", "198.51.100.7", "192.0.2.1, 198.51.100.7:80, 127.9.0.1"),
        // What is no address ends the chain for both.
        ("192.0.2.1, evil, 198.51.100.8", "198.51.100.8", "198.51.100.8, 127.9.0.1"),
        ("192.0.2.1, evil", "127.9.0.1", "127.9.0.1"),
        ("", "127.9.0.1", "127.9.0.1"),
    ] {
        let request = get("/public")
            .header("X-Forwarded-For", said)
            .header("X-Forwarded-Host", "shop.example")
            .header("Connection", "keep-alive, X-Forwarded-For, X-Forwarded-Host, Forwarded");
        let mut connection = Connection::open_from(Ipv4Addr::from([127, 9, 0, 1]), gateway.front);
        assert_eq!(connection.send(&request).status, 200);
        let received = upstream.received();
        let heard = (received.header("x-forwarded-for"), received.header("x-forwarded-host"));
        assert_eq!(heard, (Some(told), Some("shop.example")), "{said}");
        let id = received.header("x-request-id").unwrap();
        let line = gateway.process.access_line("its line", |line| line["request_id"] == id);
        assert_eq!(line["client"], client, "{said}");
    }
}

#[test]
fn the_token_is_passed_on_unless_the_route_says_otherwise() {
    let upstream = Upstream::start();
    let everywhere = "accept = [\"apis\"]\ntoken = \"content\"\n\
                      sources = [\"authorization\", \"header:X-Token\", \"cookie:sid\", \"query:token\"]";
    let gateway = Config::standard(upstream.address)
        .route("kept", "/kept", everywhere)
        .route("dropped", "/dropped", &format!("{everywhere}\nforward_token = false"))
        .start();
    let token = gateway.login_apis().content;
    let request = |path: &str| {
        get(path).bearer(&token).header("X-Token", &token).header("Cookie", format!("a=1; sid={token}; b=2"))
    };
    assert_eq!(gateway.send(&request(&format!("/kept?a=1&token={token}&b=%20"))).status, 200);
    let kept = upstream.received();
    assert_eq!(kept.target, "/kept?a=1&b=%20", "a token never stays in a query");
    assert_eq!(kept.header("authorization"), Some(&*format!("Bearer {token}")));
    assert_eq!(
        (kept.header("x-token"), kept.header("cookie")),
        (Some(&*token), Some(&*format!("a=1; sid={token}; b=2")))
    );
    assert_eq!(gateway.send(&request(&format!("/dropped?token={token}"))).status, 200);
    let dropped = upstream.received();
    assert!(!format!("{dropped:?}").contains(&token), "{dropped:?}");
    assert_eq!((dropped.target.as_str(), dropped.header("cookie")), ("/dropped", Some("a=1; b=2")));
}
