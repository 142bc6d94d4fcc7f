//! Patterns of other proxies, which stand for nothing here.

use super::{check_on_base, report, route};

/// What is said of `path` on a route.
fn of_route(path: &str, more: &str) -> String {
    report(&route(&format!("auth = \"public\"\npath = \"{path}\"\n{more}")))
}

#[test]
fn a_pattern_in_a_path_is_refused_with_what_helps() {
    let wildcard = |path: &str, instead: &str| {
        format!(
            "10:8: routes[0].path: '{path}' has a pattern, and paths have none; a path covers everything below it: write {instead}"
        )
    };
    for path in ["/api/orders/*", "/api/orders/**", "/api/orders/:id", "/api/orders/{id}", "/api/orders/.*"] {
        assert_eq!(of_route(path, ""), wildcard(path, "\"/api/orders\""));
    }
    assert_eq!(of_route("/*", ""), wildcard("/*", "\"/\""));
    for (path, more, said) in [
        (
            "/api/orders/%2A",
            "",
            "has a pattern, and paths have none; a path covers everything below it: write \"/api/orders\"",
        ),
        (
            "/api/orders$",
            "",
            "ends with '$', which has no meaning here; for this one path write \"/api/orders\" with exact = true",
        ),
        ("/api?x=1", "", "has a '?', and queries are not matched; a path covers everything below it: write \"/api\""),
        ("/api#x", "", "has a '#', which clients never send; a path covers everything below it: write \"/api\""),
        (
            "/api/*",
            "exact = true",
            "has a pattern, and paths have none; leave exact out, and \"/api\" covers everything below it",
        ),
        ("/api?x", "exact = true", "has a '?', and queries are not matched; write \"/api\""),
        (
            "/${HOME_PORT}/*",
            "",
            "has a pattern, and paths have none; a path covers everything below it: write what stands before the pattern",
        ),
    ] {
        assert_eq!(of_route(path, more), format!("10:8: routes[0].path: '{path}' {said}"));
    }
    for path in ["/odata/$metadata", "/v1/items:cancel", "/%7Bid%7D", "/maven/1.+"] {
        assert_eq!(of_route(path, ""), "no problem", "{path}");
    }
}

#[test]
fn a_pattern_in_another_path_is_refused_too() {
    const ONE: &str = "has a pattern, and paths have none; it is one path: write all of it";
    const SENT: &str = "has a pattern, and paths have none; it is sent as it stands: write all of it";
    check_on_base(&[
        (
            "token_endpoints = [{ path = \"/auth/*\", realms = [\"apis\"] }]",
            &format!("6:29: token_endpoints[0].path: '/auth/*' {ONE}"),
        ),
        (
            "realms.o.dialect = \"oauth\"\noauth.token = \"/oauth/:realm/token\"",
            &format!("7:15: oauth.token: '/oauth/:realm/token' {ONE}"),
        ),
        (
            "upstreams.x = { servers = [\"h:1\"], health = { path = \"/health/*?deep=*\" } }",
            &format!("6:54: upstreams.x.health.path: '/health/*?deep=*' {SENT}"),
        ),
        ("upstreams.x = { servers = [\"h:1\"], health = { path = \"/health?deep=*\" } }", "no problem"),
    ]);
    assert_eq!(
        of_route("/a", "replace_prefix = \"/v2/{rest}\""),
        format!("11:18: routes[0].replace_prefix: '/v2/{{rest}}' {SENT}")
    );
}

#[test]
fn a_pattern_in_a_name_is_refused() {
    const HOST: &str = "is not a host name without a port, such as \"crm.example.com\" or \"*.example.com\"";
    const FIELD: &str = "there is no pattern for the names of header fields: name each one";
    for (more, problem) in [
        (
            "hosts = [\"*\"]",
            "11:10: routes[0].hosts[0]: a wildcard stands before a name, as in \"*.example.com\"; a route without hosts matches every host",
        ),
        ("hosts = [\".example.com\"]", "11:10: routes[0].hosts[0]: write '*.example.com' for every name below it"),
        ("hosts = [\"api[0-9].example.com\"]", &format!("11:10: routes[0].hosts[0]: 'api[0-9].example.com' {HOST}")),
        ("hosts = [\"[::1]:8080\"]", &format!("11:10: routes[0].hosts[0]: '[::1]:8080' {HOST}")),
        (
            "methods = [\"*\"]",
            "11:12: routes[0].methods[0]: there is no pattern for methods: leave methods out for all, or name each one",
        ),
        (
            "request_headers = { remove = [\"X-Internal-*\"] }",
            &format!("11:31: routes[0].request_headers.remove[0]: {FIELD}"),
        ),
        ("cors = { origins = [\"*\"], expose = [\"X-*\"] }", &format!("11:37: routes[0].cors.expose[0]: {FIELD}")),
        (
            "cors = { origins = [\"*\"], methods = [\"*\"] }",
            "11:38: routes[0].cors.methods[0]: there is no pattern for methods: leave methods out for all, or name each one",
        ),
        (
            "cors = { origins = [\"https://*.*.example.com\"] }",
            "11:21: routes[0].cors.origins[0]: 'https://*.*.example.com' is no origin: write scheme://host or scheme://host:port, without a path",
        ),
    ] {
        assert_eq!(of_route("/a", more), problem);
    }
    check_on_base(&[(
        "upstreams.x = { servers = [\"h:1\"], balance = \"hash\", hash_by = \"header:X-*\" }",
        &format!("6:64: upstreams.x.hash_by: {FIELD}"),
    )]);
    assert_eq!(
        report(&route("accept = [\"apis\"]\nsources = [\"cookie:sid*\"]")),
        "10:12: routes[0].sources[0]: there is no pattern for names: name each source"
    );
}
