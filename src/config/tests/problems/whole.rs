//! What the file says as a whole: keys that are repeated, habits from elsewhere, nothing at all, and what is good and
//! hardly meant.

use std::path::Path;

use super::{BASE, check, check_on_base, read, report, route};
use crate::config::{Origin, load_alone, parse};

#[test]
fn a_repeated_key_names_its_first_place() {
    check(&[
        (
            "[[routes]]\nname = \"a\"\ntls = { name = \"x\" }\n[[routes]]\nname = \"b\"\ncors = { origins = [] }\n\"name\" = \"c\"",
            "7:1: no TOML: duplicate key: 'routes[1].name' stands on line 5 already",
        ),
        (
            "[upstreams.crm]\nservers = []\n[log]\n[upstreams.crm]",
            "4:12: no TOML: duplicate key: 'upstreams.crm' stands on line 1 already",
        ),
        (
            "server.threads = 1\nserver.threads = 2",
            "2:8: no TOML: duplicate key: 'server.threads' stands on line 1 already",
        ),
        (
            "log = { access = true, access = false }",
            "1:24: no TOML: duplicate key: 'log.access' stands on line 1 already",
        ),
        ("[[routes]]\n[routes]", "2:2: no TOML: duplicate key: 'routes' stands on line 1 already"),
    ]);
    // Every one is said, the first few with their place.
    let many: String = (0..20).map(|at| format!("k{at} = 1\nk{at} = 2\n")).collect::<Vec<_>>().concat();
    assert_eq!(report(&many).lines().filter(|line| line.contains("stands on line")).count(), 8);
    assert_eq!(report(&many).lines().count(), 20);
}

#[test]
fn what_is_written_without_a_unit_or_in_another_is_understood() {
    check(&[
        (
            "upstreams.c = { servers = [\"h:1\"], timeouts = { connect = 2, read = \"30\" } }",
            "1:59: upstreams.c.timeouts.connect: a duration has a unit: write \"2s\" for 2\n\
             1:69: upstreams.c.timeouts.read: a duration has a unit: write \"30s\" for '30'",
        ),
        (
            "server.body_bytes_max = \"10MB\"",
            "1:25: server.body_bytes_max: sizes are in units of 1024: write \"10MiB\" for '10MB'",
        ),
        (
            "server.body_bytes_max = \"64 kb\"",
            "1:25: server.body_bytes_max: sizes are in units of 1024: write \"64KiB\" for '64 kb'",
        ),
        ("server.body_bytes_max = 4096", "1:25: server.body_bytes_max: a size has a unit: write \"4096B\" for 4096"),
        // What would be out of bounds is not offered.
        ("server.drain_timeout = 99999", "1:24: server.drain_timeout: expected a string, found 99999"),
    ]);
}

#[test]
fn what_a_route_requires_stands_in_require() {
    for (key, value) in [("roles", "[\"ADMIN\"]"), ("scopes", "[\"read\"]"), ("claims", "{ tenant = \"x\" }")] {
        assert_eq!(
            report(&route(&format!("accept = [\"apis\"]\n{key} = {value}"))),
            format!("10:1: routes[0].{key}: stands in require: write require = {{ {key} = {value} }}")
        );
    }
}

#[test]
fn a_file_that_serves_nothing_is_refused() {
    let whole = |text: &str| {
        let parsed = parse(text, &Origin { file: "t", directory: Path::new("/etc") }, &|_| None);
        parsed.map_or_else(|report| report.to_string(), |_| "no problem".to_owned())
    };
    let nothing = "t: it serves nothing: add [[routes]], [[token_endpoints]] or [oauth]";
    for text in ["", "\n# gateway\n", "[server]\n", BASE, "routes = []\ntoken_endpoints = []"] {
        assert_eq!(whole(text), nothing, "{text:?}");
    }
    for text in [
        route("auth = \"public\""),
        format!("{BASE}token_endpoints = [{{ path = \"/t\", realms = [\"apis\"] }}]"),
        "[oauth]".to_owned(),
    ] {
        assert_eq!(whole(&text), "no problem", "{text}");
    }
    // Another problem is the better hint.
    assert!(!whole("[[routes]]").contains("serves nothing"));
}

#[test]
fn no_upstream_is_a_front_listener() {
    let problem = |listen: &str, server: &str| {
        report(&format!("server.listen = [{listen}]\nupstreams.c.servers = [\"{server}\"]"))
    };
    let is = |server: &str, listener: &str| {
        format!(
            "2:24: upstreams.c.servers[0]: '{server}' is where this gateway listens ('{listener}'); a request would come back to it without end"
        )
    };
    for (listen, server, listener) in [
        ("\"127.0.0.1:8080\"", "127.0.0.1:8080", "127.0.0.1:8080"),
        ("\"127.0.0.1:8080\"", "localhost:8080", "127.0.0.1:8080"),
        ("\"127.0.0.1:8080\"", "[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
        ("\"0.0.0.0:8080\"", "127.0.0.1:8080", "0.0.0.0:8080"),
        ("\"0.0.0.0:8080\"", "0.0.0.0:8080", "0.0.0.0:8080"),
        ("\"[::]:8080\"", "[::1]:8080", "[::]:8080"),
        ("\"10.0.0.5:8080\", \"10.0.0.5:8081\"", "10.0.0.5:8081", "10.0.0.5:8081"),
    ] {
        assert_eq!(problem(listen, server), is(server, listener));
    }
    for (listen, server) in [
        ("\"127.0.0.1:8080\"", "127.0.0.1:8081"),
        ("\"127.0.0.1:8080\"", "10.0.0.5:8080"),
        ("\"127.0.0.1:0\"", "127.0.0.1:8080"),
    ] {
        assert_eq!(problem(listen, server), "no problem", "{listen} {server}");
    }
}

/// The warnings of two routes on [`BASE`].
fn warnings(first: &str, second: &str) -> String {
    let second = format!("[[routes]]\nname = \"b\"\nupstream = \"crm\"\n{second}");
    let settings = read(&route(&format!("{first}\n{second}"))).map_err(|report| report.to_string()).unwrap();
    settings.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_exact_route_beside_a_weaker_one_is_warned_of() {
    let exact = "path = \"/panel/secret\"\nexact = true\naccept = [\"apis\"]\nrequire.roles = [\"ADMIN\"]";
    let warning = |path: &str, line: usize, why: &str| {
        format!(
            "10:9: routes[0].exact: '{path}' is another path, and falls to route 'b' of line {line}, which {why}; leave exact out, or give '{path}' a route of its own"
        )
    };
    for (wider, why) in [
        ("path = \"/panel\"\nauth = \"public\"", "is public"),
        ("auth = \"public\"", "is public"),
        ("auth = \"optional\"\naccept = [\"apis\"]", "asks for no token"),
        ("accept = [\"apis\", \"more\"]\nrequire.roles = [\"ADMIN\"]", "accepts tokens of other realms or issuers"),
        ("accept = [\"apis\"]", "lets other roles in"),
        ("accept = [\"apis\"]\nrequire.roles = [\"ADMIN\"]\nmode = \"shadow\"", "is in shadow mode"),
        ("methods = [\"GET\"]\nauth = \"public\"", "is public"),
    ] {
        assert_eq!(warnings(exact, wider), warning("/panel/secret/", 13, why), "{wider}");
    }
    for wider in [
        "accept = [\"apis\"]\nrequire = { roles = [\"ADMIN\"], scopes = [\"read\"] }",
        "path = \"/panel/secret/deeper\"\nauth = \"public\"",
        "path = \"/panel/secret/\"\nexact = true\nauth = \"public\"",
        "hosts = [\"other.example\"]\nauth = \"public\"",
    ] {
        assert_eq!(warnings(exact, wider), "", "{wider}");
    }
    let other_slash = exact.replace("secret\"", "secret/\"");
    assert_eq!(warnings(&other_slash, "auth = \"public\""), warning("/panel/secret", 13, "is public"));
    let of_hosts = format!("hosts = [\"*.example.com\"]\n{exact}");
    assert!(warnings(&of_hosts, "auth = \"public\"").contains("which is public"));
    for harmless in [
        "path = \"/health\"\nexact = true\nauth = \"public\"",
        "path = \"/\"\nexact = true\naccept = [\"apis\"]",
        "path = \"/a\"\nexact = true\nmode = \"shadow\"\naccept = [\"apis\"]",
        "path = \"/a\"\naccept = [\"apis\"]",
        "path = \"/a\"\nexact = true\nmethods = [\"POST\"]\naccept = [\"apis\"]",
    ] {
        let wider =
            if harmless.contains("methods") { "methods = [\"GET\"]\nauth = \"public\"" } else { "auth = \"public\"" };
        assert_eq!(warnings(harmless, wider), "", "{harmless}");
    }
}

#[test]
fn whose_headers_are_believed_is_said_or_warned_of() {
    let warned = |text: &str| {
        let settings = read(text).map_err(|report| report.to_string()).unwrap();
        settings.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let proxies = "server.trusted_proxies = [\"10.0.0.0/8\"]";
    assert!(warned(proxies).starts_with("1:26: server.trusted_proxies: trusted_headers does not say which headers"));
    let with = |headers: &str| warned(&format!("{proxies}\nserver.trusted_headers = [{headers}]"));
    assert_eq!(with("\"x-forwarded-for\", \"X-Forwarded-Host\""), "");
    assert!(with("").starts_with("2:26: server.trusted_headers: without X-Forwarded-For"));
    assert!(with("\"Forwarded\"").contains("every client behind a proxy has the proxy's address"));
    for good in ["server.trusted_proxies = []", "", "server.trusted_proxies = []\nserver.trusted_headers = []"] {
        assert_eq!(warned(good), "", "{good}");
    }
    check(&[
        (
            "server.trusted_headers = [\"Forwarded\"]",
            "1:26: server.trusted_headers: stands beside trusted_proxies, which names whose headers they are",
        ),
        (
            "server = { trusted_proxies = [\"10.0.0.1\"], trusted_headers = [\"X-Real-IP\"] }",
            "1:63: server.trusted_headers[0]: 'X-Real-IP' is not known here; known: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, traceparent, tracestate",
        ),
    ]);
}

#[test]
fn a_token_endpoint_takes_the_other_slash_too() {
    let text = format!(
        "{}[[token_endpoints]]\npath = \"/a/\"\nrealms = [\"apis\"]\n[[routes]]\nname = \"b\"\nupstream = \"crm\"\nauth = \"public\"",
        route("path = \"/a\"\nexact = true\naccept = [\"apis\"]\n")
    );
    assert_eq!(read(&text).map_err(|report| report.to_string()).unwrap().warnings, []);
}

#[test]
fn a_file_alone_is_checked_without_what_it_refers_to() {
    let folder = crate::memory::new_folder();
    let file = folder.path().join("gateway.toml");
    let text = "server.listen = [{ address = \"127.0.0.1:8443\", tls = [{ certificate = \"a.crt\", key = \"a.key\" }], client_ca = \"c.pem\" }]
[upstreams.crm]
servers = [\"127.0.0.1:9000\"]
tls = { ca = \"ca.pem\", certificate = \"c.crt\", key = \"c.key\" }
[issuers.corp]
issuer = \"https://login.example.com\"
keys = [{ file = \"corp.pem\", algorithm = \"RS256\", id = \"1\" }]
[[routes]]
name = \"a\"
upstream = \"crm\"
accept = [\"corp\"]
";
    std::fs::write(&file, text).unwrap();
    let summary = load_alone(&file, &|_| None).map_err(|report| report.to_string()).unwrap();
    assert_eq!((summary.routes, summary.upstreams), (1, 1));
    std::fs::write(&file, text.replace("9000", "8443")).unwrap();
    let report = load_alone(&file, &|_| None).unwrap_err().to_string();
    assert!(report.ends_with(":3:12: upstreams.crm.servers[0]: '127.0.0.1:8443' is where this gateway listens ('127.0.0.1:8443'); a request would come back to it without end"), "{report}");
    check_on_base(&[(
        "[issuers.x]\nissuer = \"https://x\"",
        "6:1: issuers.x: says nothing of its keys; add discovery or jwks_url = \"https://…\", or keys = [{ file, algorithm, id }]",
    )]);
}
