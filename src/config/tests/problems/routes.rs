//! What is wrong with routes.

use super::{check, check_on_base, report, route};

#[test]
fn routes_are_named_and_lead_somewhere() {
    check_on_base(&[
        (
            "[[routes]]",
            "6:1: routes[0].name: missing; add it, for example name = \"clientes\"\n\
             6:1: routes[0].upstream: missing; add it, for example upstream = \"crm\"\n\
             6:1: routes[0].accept: missing; name the realms whose tokens open the route, for example accept = [\"crm\"], or say auth = \"public\"",
        ),
        (
            "[[routes]]\nname = \"a b\"\nupstrem = \"crm\"\nupstream = \"crn\"\naccept = [\"apis\"]",
            "7:8: routes[0].name: 'a b' is not a name: 1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'\n\
             8:1: routes[0].upstrem: unknown key; did you mean 'upstream'?\n\
             9:12: routes[0].upstream: no upstream is called 'crn'; did you mean 'crm'?",
        ),
    ]);
    let twice = format!(
        "{}[[routes]]\nname = \"a\"\nupstream = \"crm\"\npath = \"/b\"\naccept = [\"apis\"]",
        route("accept = [\"apis\"]\n")
    );
    assert_eq!(
        report(&twice),
        "11:8: routes[1].name: 'a' names the route of line 6 already; metrics tell routes by it"
    );
    check(&[(
        "[[routes]]\nname = \"a\"\nupstream = \"crm\"\naccept = [\"apis\"]",
        "3:12: routes[0].upstream: no upstream is called 'crm'; there is none yet: add [upstreams.NAME]\n\
         4:11: routes[0].accept[0]: no realm is called 'apis'; there is none yet: add [realms.NAME]",
    )]);
}

#[test]
fn what_a_route_matches_is_checked() {
    for (more, problem) in [
        (
            "path = \"/a//b\"",
            "10:8: routes[0].path: '/a//b' is not canonical, so no request would match it; write '/a/b'",
        ),
        ("path = \"/%61\"", "10:8: routes[0].path: '/%61' is not canonical, so no request would match it; write '/a'"),
        ("path = \"a\"", "10:8: routes[0].path: 'a' cannot be matched: a path starts with '/'"),
        ("path = \"/a;b\"", "10:8: routes[0].path: '/a;b' cannot be matched: a path parameter (';')"),
        ("hosts = []", "10:9: routes[0].hosts: must not be empty"),
        (
            "hosts = [\"h:80\"]",
            "10:10: routes[0].hosts[0]: 'h:80' is not a host name without a port, such as \"crm.example.com\" or \"*.example.com\"",
        ),
        ("hosts = [\"h\", \"H\"]", "10:15: routes[0].hosts[1]: 'H' stands here twice"),
        ("methods = []", "10:11: routes[0].methods: must not be empty"),
        (
            "methods = [\"get\"]",
            "10:12: routes[0].methods[0]: methods are compared letter by letter: write 'get' in capitals",
        ),
        ("methods = [\"G T\"]", "10:12: routes[0].methods[0]: 'G T' is not a method, such as \"GET\""),
        (
            "method_override = \"yes\"",
            "10:19: routes[0].method_override: expected true or false, found a value of type string",
        ),
        ("upgrades = []", "10:12: routes[0].upgrades: must not be empty"),
        ("upgrades = [\"foo\", \"Foo\"]", "10:20: routes[0].upgrades[1]: 'Foo' stands here twice"),
        (
            "upgrades = [\"foo bar\"]",
            "10:13: routes[0].upgrades[0]: 'foo bar' is not a protocol, such as \"websocket\" or \"foo/1\"",
        ),
        (
            "upgrades = [\"TLS/1.2\"]",
            "10:13: routes[0].upgrades[0]: 'TLS/1.2' is never asked of a server: what follows would be requests that nobody checks, or TLS that nobody reads",
        ),
        (
            "upgrades = [\"h2c\"]",
            "10:13: routes[0].upgrades[0]: 'h2c' is never asked of a server: what follows would be requests that nobody checks, or TLS that nobody reads",
        ),
        ("methods = [\"GET\", \"GET\"]", "10:19: routes[0].methods[1]: 'GET' stands here twice"),
    ] {
        assert_eq!(report(&route(&format!("accept = [\"apis\"]\n{more}"))), problem);
    }
}

#[test]
fn two_routes_that_match_the_same_are_both_named() {
    let pair = |first: &str, second: &str| {
        let second = format!("[[routes]]\nname = \"b\"\nupstream = \"crm\"\nauth = \"public\"\n{second}");
        report(&route(&format!("auth = \"public\"\n{first}\n{second}")))
    };
    let problem = "routes[1].path: matches the same requests as route 'a' of line 6";
    assert_eq!(pair("path = \"/x\"", "path = \"/x/\""), format!("15:8: {problem} (host *, path /x)"));
    assert_eq!(pair("", ""), format!("11:1: {problem} (host *, path /)"));
    assert_eq!(
        pair("hosts = [\"h\", \"i\"]", "hosts = [\"i\", \"j\"]\nmethods = [\"GET\"]"),
        "no problem",
        "any method and one of them are told apart"
    );
    assert_eq!(pair("hosts = [\"h\", \"i\"]", "hosts = [\"i\", \"j\"]"), format!("11:1: {problem} (host i, path /)"));
    assert_eq!(pair("exact = true", ""), "no problem");
    assert_eq!(
        pair("methods = [\"GET\", \"PUT\"]", "methods = [\"PUT\"]"),
        format!("11:1: {problem} (host *, path /)")
    );
    assert_eq!(pair("methods = [\"GET\"]", "methods = [\"PUT\"]"), "no problem");
}

#[test]
fn what_a_route_asks_for_makes_sense() {
    const PUBLIC: &str = "a public route does not look at tokens; leave it out, or say auth = \"optional\"";
    const SOURCE: &str = "is not \"authorization\", \"header:NAME\", \"query:NAME\" or \"cookie:NAME\"";
    for (more, problem) in [
        ("accept = []", "9:10: routes[0].accept: must not be empty"),
        (
            "accept = [\"api\"]\ntoken = \"content\"",
            "9:11: routes[0].accept[0]: no realm is called 'api'; did you mean 'apis'?",
        ),
        ("accept = [\"apis\", \"apis\"]", "9:19: routes[0].accept[1]: 'apis' stands here twice"),
        (
            "auth = \"requird\"\nsources = 1",
            "9:8: routes[0].auth: 'requird' is not known here; did you mean 'required'?",
        ),
        (
            "auth = \"optional\"",
            "6:1: routes[0].accept: missing; name the realms whose tokens open the route, for example accept = [\"crm\"], or say auth = \"public\"",
        ),
        ("auth = \"public\"\naccept = [\"apis\"]", &format!("10:1: routes[0].accept: {PUBLIC}")),
        ("auth = \"public\"\nrequire.roles = [\"A\"]", &format!("10:1: routes[0].require: {PUBLIC}")),
        ("auth = \"public\"\ntoken = \"access\"", &format!("10:1: routes[0].token: {PUBLIC}")),
        ("auth = \"public\"\nsources = [\"query:t\"]", &format!("10:1: routes[0].sources: {PUBLIC}")),
        ("auth = \"public\"\nmode = \"shadow\"", &format!("10:1: routes[0].mode: {PUBLIC}")),
        (
            "accept = [\"apis\"]\nmode = \"shadwo\"",
            "10:8: routes[0].mode: 'shadwo' is not known here; did you mean 'shadow'?",
        ),
        ("auth = \"public\"\nforward_token = false", &format!("10:1: routes[0].forward_token: {PUBLIC}")),
        (
            "accept = [\"become\"]\ntoken = \"content\"",
            "10:9: routes[0].token: none of the accepted realms gives content tokens (only dialect 'apis' has them); nothing would open the route",
        ),
        (
            "accept = [\"apis\"]\ntoken = \"refresh\"",
            "10:9: routes[0].token: 'refresh' is not known here; known: access, content",
        ),
        ("accept = [\"apis\"]\nsources = []", "10:11: routes[0].sources: must not be empty"),
        ("accept = [\"apis\"]\nsources = [\"query:\"]", &format!("10:12: routes[0].sources[0]: 'query:' {SOURCE}")),
        (
            "accept = [\"apis\"]\nsources = [\"header:a b\"]",
            &format!("10:12: routes[0].sources[0]: 'header:a b' {SOURCE}"),
        ),
        (
            "accept = [\"apis\"]\nsources = [\"Authorization\"]",
            &format!("10:12: routes[0].sources[0]: 'Authorization' {SOURCE}"),
        ),
        (
            "accept = [\"apis\"]\nsources = [\"header:Authorization\"]",
            "10:12: routes[0].sources[0]: say \"authorization\" for this header",
        ),
        (
            "accept = [\"apis\"]\nsources = [\"header:cookie\"]",
            "10:12: routes[0].sources[0]: say \"cookie:NAME\" for a cookie",
        ),
        (
            "accept = [\"apis\"]\nforward_token = \"internal\"",
            "6:1: routes[0]: forward_token = \"internal\" needs a path where upstreams get the keys: add [oauth], whose internal_jwks is one",
        ),
        (
            "accept = [\"apis\"]\nforward_token = \"external\"",
            "10:17: routes[0].forward_token: expected true to pass the client's token on, false to drop it, or \"internal\" to exchange it for the gateway's own",
        ),
        ("accept = [\"apis\"]\nrequire = { roles = [] }", "10:21: routes[0].require.roles: must not be empty"),
        (
            "accept = [\"apis\"]\nrequire = { role = \"A\" }",
            "10:13: routes[0].require.role: unknown key; did you mean 'roles'?",
        ),
        (
            "accept = [\"apis\"]\nrequire.claims = { a = 1.5, b = 1 }",
            "10:24: routes[0].require.claims.a: a claim is compared with a string, an integer, true or false",
        ),
    ] {
        assert_eq!(report(&route(more)), problem);
    }
}
