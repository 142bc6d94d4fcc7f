//! What is wrong with what a route changes, shares and takes.

use super::{report, route};

fn problem(more: &str) -> String {
    report(&route(&format!("accept = [\"apis\"]\n{more}")))
}

#[test]
fn a_prefix_is_stripped_or_replaced() {
    for (more, expected) in [
        ("path = \"/a\"\nstrip_prefix = true", "no problem"),
        ("path = \"/a\"\nstrip_prefix = false\nreplace_prefix = \"/b/\"", "no problem"),
        ("exact = true\npath = \"/a\"\nreplace_prefix = \"/b\"", "no problem"),
        ("replace_prefix = \"/b\"", "no problem"),
        (
            "strip_prefix = true",
            "10:16: routes[0].strip_prefix: the route's path is \"/\": there is no prefix to strip",
        ),
        (
            "strip_prefix = true\nexact = true\npath = \"/a\"",
            "10:16: routes[0].strip_prefix: would leave nothing of one exact path; write replace_prefix = \"/\" for the root",
        ),
        (
            "path = \"/a\"\nstrip_prefix = true\nreplace_prefix = \"/b\"",
            "12:18: routes[0].replace_prefix: strips the prefix too: leave strip_prefix out",
        ),
        (
            "path = \"/a\"\nreplace_prefix = \"/b//c\"",
            "11:18: routes[0].replace_prefix: '/b//c' is not canonical, so no request would match it; write '/b/c'",
        ),
        (
            "path = \"/a\"\nreplace_prefix = \"b\"",
            "11:18: routes[0].replace_prefix: 'b' cannot be matched: a path starts with '/'",
        ),
    ] {
        assert_eq!(problem(more), expected, "{more}");
    }
}

#[test]
fn the_host_is_kept_the_servers_or_a_name() {
    for good in ["keep", "upstream", "a.example.com", "a.example.com:8443", "localhost", "crm", "[::1]:80"] {
        assert_eq!(problem(&format!("host = \"{good}\"")), "no problem");
    }
    for bad in ["", "upstram", "kep", "a b.c", "http://a.example.com", "a.example.com/x", "u@a.b"] {
        let expected = format!(
            "10:8: routes[0].host: '{bad}' is not \"keep\", \"upstream\" or a host such as \"a.example.com\" or \"localhost:8080\""
        );
        assert_eq!(problem(&format!("host = \"{bad}\"")), expected);
    }
}

#[test]
fn fields_that_are_not_the_routes_to_change_are_named() {
    const FRAMES: &str = "it frames the message or speaks about one connection, which is the gateway's to say";
    const OURS: &str = "it is one of the gateway's own, and services that read it trust the gateway for it";
    const NOT_FOR: &str = "is not for a route to change";
    for (more, expected) in [
        ("request_headers = { set = { X-Env = \"prod\" }, remove = [\"Cookie\"] }", "no problem".to_owned()),
        ("response_headers = { set = { Cache-Control = \"no-cache\" }, remove = [\"X-Auth-Role\"] }", "no problem".to_owned()),
        (
            "request_headers.remove = [\"X-Auth-Subject\"]",
            format!("10:27: routes[0].request_headers.remove[0]: 'x-auth-subject' {NOT_FOR}: {OURS}"),
        ),
        (
            "request_headers.set.X_Forwarded_For = \"1\"",
            format!("10:39: routes[0].request_headers.set.X_Forwarded_For: 'x_forwarded_for' {NOT_FOR}: {OURS}"),
        ),
        (
            "response_headers.set.traceparent = \"1\"",
            format!("10:36: routes[0].response_headers.set.traceparent: 'traceparent' {NOT_FOR}: {OURS}"),
        ),
        (
            "response_headers.remove = [\"Content-Length\"]",
            format!("10:28: routes[0].response_headers.remove[0]: 'content-length' {NOT_FOR}: {FRAMES}"),
        ),
        (
            "request_headers.set.Proxy-Authorization = \"x\"",
            format!("10:43: routes[0].request_headers.set.Proxy-Authorization: 'proxy-authorization' {NOT_FOR}: {FRAMES}"),
        ),
        (
            "request_headers.set.Host = \"x\"",
            format!(
                "10:28: routes[0].request_headers.set.Host: 'host' {NOT_FOR}: say host = \"upstream\" or host = \"a.example.com\" instead"
            ),
        ),
        (
            "response_headers.set.Access-Control-Allow-Origin = \"*\"",
            format!(
                "10:52: routes[0].response_headers.set.Access-Control-Allow-Origin: 'access-control-allow-origin' {NOT_FOR}: say cors = {{ … }} instead"
            ),
        ),
        (
            "request_headers.set = { X-A = \"1\", x-a = \"2\" }",
            "10:42: routes[0].request_headers.set.x-a: 'x-a' is set twice: names are compared without regard to case".to_owned(),
        ),
        (
            "request_headers.set.\"a b\" = \"1\"",
            "10:29: routes[0].request_headers.set.\"a b\": the name of a header field has letters, digits and hyphens, such as X-Env"
                .to_owned(),
        ),
        (
            "request_headers.set.X-A = \" 1\"",
            "10:27: routes[0].request_headers.set.X-A: ' 1' is not a value of visible ASCII characters, with spaces only inside"
                .to_owned(),
        ),
        (
            "request_headers.set.X-A = \"ñ\"",
            "10:27: routes[0].request_headers.set.X-A: 'ñ' is not a value of visible ASCII characters, with spaces only inside"
                .to_owned(),
        ),
        (
            "request_headers.set.X-A = \"\"",
            "10:27: routes[0].request_headers.set.X-A: '' is not a value of visible ASCII characters, with spaces only inside"
                .to_owned(),
        ),
        (
            "request_headers.set.X-A = \"${NOPE}\"",
            "10:27: routes[0].request_headers.set.X-A: the environment variable 'NOPE' is not set".to_owned(),
        ),
        (
            "request_headers.remove = []",
            "10:26: routes[0].request_headers.remove: must not be empty".to_owned(),
        ),
        (
            "request_headers.sett = { }",
            "10:17: routes[0].request_headers.sett: unknown key; did you mean 'set'?".to_owned(),
        ),
    ] {
        assert_eq!(problem(more), expected, "{more}");
    }
    let internal = problem("forward_token = \"internal\"\nrequest_headers.remove = [\"Authorization\"]");
    assert!(
        internal.contains(
            "'authorization' is not for a route to change: forward_token = \"internal\" says what stands there"
        ),
        "{internal}"
    );
}

#[test]
fn origins_are_those_that_browsers_send() {
    for (more, expected) in [
        ("cors = { origins = [\"https://app.example.com\"], credentials = true, max_age = \"1h\" }", "no problem"),
        ("cors = { origins = [\"*\"], headers = [], expose = [\"X-Total\"] }", "no problem"),
        (
            "cors = {}",
            "10:8: routes[0].cors.origins: missing; add it, for example origins = [\"https://app.example.com\"]",
        ),
        ("cors = { origins = [] }", "10:20: routes[0].cors.origins: must not be empty"),
        (
            "cors = { origins = [\"https://a/\"] }",
            "10:21: routes[0].cors.origins[0]: 'https://a/' is no origin: write scheme://host or scheme://host:port, without a path",
        ),
        (
            "cors = { origins = [\"https://A\"] }",
            "10:21: routes[0].cors.origins[0]: 'https://A' is no origin: browsers send origins in lower case",
        ),
        (
            "cors = { origins = [\"https://a:443\"] }",
            "10:21: routes[0].cors.origins[0]: 'https://a:443' is no origin: browsers leave the scheme's own port out",
        ),
        (
            "cors = { origins = [\"*\"], credentials = true }",
            "10:41: routes[0].cors.credentials: browsers refuse credentials together with the origin \"*\": name the origins",
        ),
        (
            "cors = { origins = [\"*\"], headers = [\"*\"] }",
            "10:38: routes[0].cors.headers[0]: name the header fields: browsers do not count Authorization among \"*\"",
        ),
        (
            "cors = { origins = [\"*\"], methods = [\"get\"] }",
            "10:38: routes[0].cors.methods[0]: methods are compared letter by letter: write 'get' in capitals",
        ),
        (
            "cors = { origins = [\"*\"], max_age = \"2d\" }",
            "10:37: routes[0].cors.max_age: '2d' is not a duration from 0s to 1d, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
        (
            "cors = { origin = [\"*\"] }",
            "10:8: routes[0].cors.origins: missing; add it, for example origins = [\"https://app.example.com\"]\n\
             10:10: routes[0].cors.origin: unknown key; did you mean 'origins'?",
        ),
    ] {
        assert_eq!(problem(more), expected, "{more}");
    }
}

#[test]
fn bodies_and_hardening_are_a_size_and_a_switch() {
    assert_eq!(problem("body_bytes_max = \"0B\"\nharden = true"), "no problem");
    let size = "is not a size from 0B to 1024GiB, such as \"64KiB\" or \"128MiB\"";
    assert_eq!(problem("body_bytes_max = \"10TB\""), format!("10:18: routes[0].body_bytes_max: '10TB' {size}"));
    assert_eq!(
        problem("harden = \"yes\""),
        "10:10: routes[0].harden: expected true or false, found a value of type string"
    );
    assert_eq!(report("[server]\nbody_bytes_max = \"x\""), format!("2:18: server.body_bytes_max: 'x' {size}"));
}
