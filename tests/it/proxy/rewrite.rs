//! What a route changes, seen from both ends.

use std::cell::RefCell;

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, TestRunner},
};

use crate::support::{Config, Connection, Contract, Gateway, PATIENCE, RawUpstream, Upstream, get, wait_until};

/// A public gateway without accounts.
fn run(config: &Config) -> Gateway {
    let folder = crate::support::Folder::new();
    config.write_to(&folder);
    Gateway::run(folder)
}

#[test]
fn prefixes_are_stripped_and_replaced_and_queries_stay() {
    let upstream = Upstream::start();
    let gateway = run(&Config::new()
        .upstream("service", &[upstream.address])
        .route("strip", "/svc", "auth = \"public\"\nstrip_prefix = true")
        .route("old", "/old", "auth = \"public\"\nreplace_prefix = \"/v2/new\"")
        .route("one", "/one", "auth = \"public\"\nexact = true\nreplace_prefix = \"/fixed/\"")
        .route("root", "/", "auth = \"public\"\nreplace_prefix = \"/site\""));
    for (asked, arrived) in [
        ("/svc", "/"),
        ("/svc?a=/svc", "/?a=/svc"),
        ("/svc/", "/"),
        ("/svc/x/svc/", "/x/svc/"),
        ("/svc//evil.test/x", "/evil.test/x"),
        ("/svc/%7Eana", "/~ana"),
        ("/old/7?b=%20", "/v2/new/7?b=%20"),
        ("/old", "/v2/new"),
        ("/one?c", "/fixed/?c"),
        ("/svcs", "/site/svcs"),
        ("/", "/site/"),
        ("http://portero.test/old/a", "/v2/new/a"),
    ] {
        assert_eq!(gateway.send(&get(asked)).status, 200, "{asked}");
        assert_eq!(upstream.received().target, arrived, "{asked}");
    }
}

#[test]
fn what_arrives_is_the_rewrite_of_what_was_authorised() {
    let upstream = Upstream::start();
    let gateway = run(&Config::new()
        .upstream("service", &[upstream.address])
        .route("strip", "/svc", "auth = \"public\"\nstrip_prefix = true")
        .route("moved", "/moved", "auth = \"public\"\nreplace_prefix = \"/svc/v2\"")
        .route("closed", "/svc/closed", "accept = [\"sws\"]\nstrip_prefix = true"));
    let upstream = RefCell::new(upstream);
    let segment = "(closed|svc|moved|x|\\.|\\.\\.|%2e|%2E%2e|%63losed|%2f|;|%20|%c3%b1|%7e|)";
    let paths = (prop_oneof![Just("svc"), Just("moved"), Just("%73vc")], proptest::collection::vec(segment, 0..5))
        .prop_map(|(first, rest)| format!("/{first}/{}", rest.join("/")));
    let mut runner = TestRunner::new(Cases { cases: 200, failure_persistence: None, ..Cases::default() });
    let outcome = runner.run(&paths, |path| {
        let mut connection = Connection::open(gateway.front);
        let status = connection.send(&get(&path)).status;
        let upstream = upstream.borrow_mut();
        if status != 200 {
            prop_assert!([400, 401, 404].contains(&status), "{} answered {}", path, status);
            upstream.received_nothing();
            return Ok(());
        }
        let received = upstream.received();
        let id = received.header("x-request-id").unwrap().to_owned();
        let line = gateway.process.access_line("the request", |line| line["request_id"] == id.as_str());
        let authorised = line["path"].as_str().unwrap();
        prop_assert!(authorised != "/svc/closed" && !authorised.starts_with("/svc/closed/"), "{}", path);
        let expected = match (authorised.strip_prefix("/svc"), authorised.strip_prefix("/moved")) {
            (Some(""), _) => "/".to_owned(),
            (Some(rest), _) => rest.to_owned(),
            (_, Some(rest)) => format!("/svc/v2{rest}"),
            _ => return Err(TestCaseError::fail(format!("{authorised} has no route"))),
        };
        prop_assert_eq!(received.target, expected, "{} was authorised as {}", path, authorised);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn fields_are_removed_and_set_and_identity_stays() {
    let upstream = Upstream::start();
    let edits = "accept = [\"apis\"]\n\
                 request_headers = { set = { X-Env = \"prod\", Accept-Language = \"es\" }, remove = [\"Cookie\", \"Authorization\"] }";
    let gateway = Config::new().upstream("service", &[upstream.address]).route("edited", "/edited", edits).start();
    let token = gateway.login_apis().access;
    let request =
        get("/edited").bearer(&token).header("Cookie", "a=1").header("cookie", "b=2").header("X-Env", "spoofed");
    let request = request.header("Accept-Language", "de").header("accept-language", "en").header("X-Kept", "yes");
    assert_eq!(gateway.send(&request).status, 200);
    let received = upstream.received();
    assert!(received.all("cookie").is_empty() && received.all("authorization").is_empty(), "{received:?}");
    assert_eq!((received.header("x-env"), received.header("accept-language")), (Some("prod"), Some("es")));
    assert_eq!(received.header("x-kept"), Some("yes"));
    assert!(received.header("x-auth-subject").is_some() && received.header("x-forwarded-for").is_some());
    // Nominated by the client, what the route sets still arrives.
    let nominated = get("/edited").bearer(&token).header("Connection", "x-env, accept-language");
    assert_eq!(gateway.send(&nominated).status, 200);
    assert_eq!(upstream.received().header("x-env"), Some("prod"));
}

#[test]
fn the_host_is_the_clients_the_servers_or_a_name() {
    let upstream = Upstream::start();
    let gateway = run(&Config::new()
        .upstream("service", &[upstream.address])
        .route("kept", "/kept", "auth = \"public\"")
        .route("servers", "/servers", "auth = \"public\"\nhost = \"upstream\"")
        .route("named", "/named", "auth = \"public\"\nhost = \"a.example.com:8443\""));
    let server = upstream.address.to_string();
    for (path, host) in [("/kept", "portero.test"), ("/servers", &*server), ("/named", "a.example.com:8443")] {
        assert_eq!(gateway.send(&get(path)).status, 200);
        let received = upstream.received();
        assert_eq!(received.header("host"), Some(host), "{path}");
        assert_eq!(received.header("x-forwarded-host"), Some("portero.test"), "{path}");
        assert_eq!(received.header("forwarded"), Some("for=127.0.0.1;proto=http;host=\"portero.test\""), "{path}");
    }
}

/// A service that says too much.
fn talkative() -> RawUpstream {
    RawUpstream::start(|stream| {
        while stream.read() {
            stream.write(
                "HTTP/1.1 200 OK\r\nServer: nginx/1.2\r\nX-Powered-By: PHP/5\r\nX-AspNet-Version: 4\r\nX-Debug: 1\r\n\
                 X-Debug: 2\r\nX-Frame-Options: SAMEORIGIN\r\nX-Env: dev\r\nContent-Length: 2\r\n\r\nok",
            );
        }
    })
}

#[test]
fn answers_are_changed_and_hardened_where_the_route_says_so() {
    let upstream = talkative();
    let gateway = Config::new()
        .upstream("service", &[upstream.address])
        .route("plain", "/plain", "auth = \"public\"")
        .route(
            "edited",
            "/edited",
            "auth = \"public\"\nresponse_headers = { set = { X-Env = \"prod\", Server = \"portero\" }, remove = [\"X-Debug\"] }",
        )
        .route("hard", "/hard", "accept = [\"sws\"]\nharden = true")
        .start();
    let plain = gateway.send(&get("/plain"));
    for (name, value) in [("server", "nginx/1.2"), ("x-powered-by", "PHP/5"), ("x-debug", "1"), ("x-env", "dev")] {
        assert_eq!(plain.header(name), Some(value));
    }
    assert_eq!((plain.header("referrer-policy"), plain.header("vary")), (None, None), "off by default");
    let edited = gateway.send(&get("/edited"));
    assert_eq!(
        (edited.header("x-env"), edited.header("server"), edited.header("x-debug")),
        (Some("prod"), Some("portero"), None)
    );
    assert_eq!((edited.text().as_str(), edited.header("x-powered-by")), ("ok", Some("PHP/5")));

    let hard = gateway.send(&get("/hard").bearer(&gateway.login(Contract::Sws)));
    for name in ["server", "x-powered-by", "x-aspnet-version", "strict-transport-security"] {
        assert_eq!(hard.header(name), None, "{name}");
    }
    assert_eq!(
        (hard.header("x-content-type-options"), hard.header("referrer-policy")),
        (Some("nosniff"), Some("no-referrer"))
    );
    assert_eq!(hard.header("x-frame-options"), Some("SAMEORIGIN"), "what the service says itself stands");
    let denied = gateway.send(&get("/hard"));
    assert_eq!((denied.status, denied.header("x-frame-options")), (401, Some("DENY")), "a denial is hardened too");
}

#[test]
fn a_reload_changes_what_is_rewritten() {
    let upstream = Upstream::start();
    let config = Config::new().upstream("service", &[upstream.address]).route(
        "svc",
        "/svc",
        "auth = \"public\"\nstrip_prefix = true",
    );
    let gateway = run(&config);
    let mut connection = Connection::open(gateway.front);
    assert_eq!(connection.send(&get("/svc/x")).status, 200);
    assert_eq!(upstream.received().target, "/x");
    let changed =
        "replace_prefix = \"/v2\"\nbody_bytes_max = \"1KiB\"\nhost = \"upstream\"\ncors = { origins = [\"*\"] }";
    config.replace("strip_prefix = true", changed).write_to(&gateway.folder);
    gateway.process.signal("HUP");
    let event = gateway.process.event("the config was taken over");
    assert_eq!(event["needs_restart"].to_string().matches("route").count(), 0, "{event}");
    wait_until("the new routes hold", PATIENCE, || {
        assert_eq!(connection.send(&get("/svc/x")).status, 200);
        upstream.received().target == "/v2/x"
    });
}
