//! One path, one meaning: what was authorised is what the upstream receives.

use std::cell::RefCell;

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, TestRunner},
};

use crate::support::{Config, Connection, Gateway, Upstream};

/// A public space around a private one.
fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::start();
    let config = Config::new().upstream("service", &[upstream.address]).route("open", "/", "auth = \"public\"").route(
        "closed",
        "/closed",
        "accept = [\"sws\"]",
    );
    let folder = crate::support::Folder::new();
    config.write_to(&folder);
    (Gateway::run(folder), upstream)
}

fn ask(gateway: &Gateway, path: &str) -> u16 {
    let mut connection = Connection::open(gateway.front);
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).unwrap();
    connection.receive().status
}

#[test]
fn no_spelling_of_a_private_path_is_public() {
    let (gateway, upstream) = gateway();
    for path in [
        "/closed",
        "//closed",
        "/./closed",
        "/x/../closed",
        "/%63losed",
        "/%2e/closed",
        "/x/%2e%2e/closed",
        "/x/.%2E/closed/y",
        "http://h/closed",
        "http://h//closed",
        "/closed/",
        "/closed?x",
        "/clos%65d#",
    ] {
        assert!([400, 401].contains(&ask(&gateway, path)), "{path}");
    }
    for path in [
        "/x%2f..%2fclosed",
        "/x\\..\\closed",
        "/x%5c..%5cclosed",
        "/closed;x",
        "/;/closed",
        "/closed%00",
        "/%zz",
        "/%",
        "/..",
        "/../closed",
        "/%2e%2e/closed",
        "/%c0%ae%c0%ae/closed",
        "/%f8%80%80%80%ae/closed",
        "/%fc%80%80%80%80%ae/closed",
        "/%f5%80%80%80/closed",
        "/%ff%bf/closed",
        "*",
        "/a b",
        "/a#b",
    ] {
        assert_eq!(ask(&gateway, path), 400, "{path}");
    }
    upstream.received_nothing();
    let query = "/a?nombre=Jos\u{e9}&x=<y>";
    assert_eq!(ask(&gateway, query), 200);
    assert_eq!(upstream.received().target, "/a?nombre=Jos%C3%A9&x=%3Cy%3E");
    for (path, received) in [("/a//b/./c/../d", "/a/b/d"), ("/%7Eana", "/~ana"), ("/%c3%b1", "/%C3%B1"), ("/", "/")] {
        assert_eq!(ask(&gateway, path), 200, "{path}");
        assert_eq!(upstream.received().target, received);
    }
}

#[test]
fn the_path_that_was_authorised_is_the_path_that_arrives() {
    let (gateway, upstream) = gateway();
    let upstream = RefCell::new(upstream);
    let segment = "(closed|x|\\.|\\.\\.|%2e|%2E%2e|%63losed|%2f|%5c|;|a;b|%20|%c3%b1|~|%7e|)";
    let paths = proptest::collection::vec(segment, 1..6).prop_map(|segments| format!("/{}", segments.join("/")));
    let mut runner = TestRunner::new(Cases { cases: 200, failure_persistence: None, ..Cases::default() });
    let any = "/[!-~]{0,12}(closed|%63losed)?[!-~]{0,12}".prop_filter("a fragment", |path| !path.contains('#'));
    let outcome = runner.run(&prop_oneof![paths, any], |path| {
        let status = ask(&gateway, &path);
        let upstream = upstream.borrow_mut();
        if status == 200 {
            let received = upstream.received();
            let arrived = received.path().to_owned();
            let id = received.header("x-request-id").unwrap().to_owned();
            let line = gateway.process.access_line("the request", |line| line["request_id"] == id.as_str());
            prop_assert_eq!(line["path"].as_str(), Some(arrived.as_str()), "what was authorised");
            prop_assert!(!arrived.starts_with("/closed/") && arrived != "/closed", "{} arrived as {}", path, arrived);
            prop_assert!(!arrived.contains("//") && !arrived.split('/').any(|s| s == "." || s == ".."), "{}", arrived);
            prop_assert_eq!(ask(&gateway, &arrived), 200);
            let again = upstream.received();
            prop_assert_eq!(again.path(), arrived, "a canonical path stays as it is");
        } else {
            prop_assert!([400, 401].contains(&status), "{} answered {}", path, status);
            upstream.received_nothing();
        }
        Ok(())
    });
    outcome.unwrap();
}
