//! Every problem, with its exact place and words.

mod endpoints;
mod introspection;
mod issuers;
mod listen;
mod matching;
mod oauth;
mod process;
mod realms;
mod resources;
mod rewrite;
mod routes;
mod upstreams;
mod verifiers;
mod whole;

use std::path::Path;

use super::{load, read};
use crate::config::FILE_BYTES_MAX;

/// Five lines that routes and token endpoints can refer to; what a case adds starts at line 6.
const BASE: &str = "tokens.issuer = \"https://g\"
upstreams.crm.servers = [\"127.0.0.1:9000\"]
realms.apis.dialect = \"apis\"
realms.become.dialect = \"become\"
realms.more = { dialect = \"apis\" }
";

/// What the report on `text` says, without the file's name.
fn report(text: &str) -> String {
    let report = read(text).map_or_else(|report| report.to_string(), |_| "no problem".to_owned());
    report.lines().map(|line| line.strip_prefix("t:").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(report(text), *expected, "{text}");
    }
}

/// As [`check`], with [`BASE`] before each text.
fn check_on_base(cases: &[(&str, &str)]) {
    assert_eq!(report(BASE), "no problem");
    for (text, expected) in cases {
        assert_eq!(report(&format!("{BASE}{text}")), *expected, "{text}");
    }
}

/// A route with everything that is required, and `more`.
fn route(more: &str) -> String {
    format!("{BASE}[[routes]]\nname = \"a\"\nupstream = \"crm\"\n{more}")
}

#[test]
fn an_unknown_key_names_the_nearest_or_all() {
    check(&[
        ("[serer]", "1:2: serer: unknown key; did you mean 'server'?"),
        (
            "[upstreams.c]\nservers = [\"h:1\"]\ntimeouts = { conect = \"1s\" }",
            "3:14: upstreams.c.timeouts.conect: unknown key; did you mean 'connect'?",
        ),
        ("log.colour = 1", "1:5: log.colour: unknown key; known: access, names, format"),
        (
            "\"a\\nb\".\"c d\" = 1",
            "1:1: \"a\\nb\": unknown key; known: server, admin, store, log, audit, passwords, throttle, keys, cache, reload, tokens, realms, issuers, upstreams, verifiers, token_endpoints, oauth, resources, routes",
        ),
    ]);
}

#[test]
fn a_value_of_another_type_is_named() {
    check(&[
        ("realms = 1", "1:10: realms: expected a table, found 1"),
        ("routes = [1]", "1:11: routes[0]: expected a table, found 1"),
        ("server.listen = \"127.0.0.1:1\"", "1:17: server.listen: expected an array, found a value of type string"),
        ("log.access = \"true\"", "1:14: log.access: expected true or false, found a value of type string"),
        ("server.body_timeout = 5", "1:23: server.body_timeout: a duration has a unit: write \"5s\" for 5"),
        (
            "server.body_rate_min = \"2GiB\"",
            "1:24: server.body_rate_min: '2GiB' is not a size from 0B to 1GiB, such as \"64KiB\" or \"128MiB\"",
        ),
        (
            "server.body_total_timeout = \"2d\"",
            "1:29: server.body_total_timeout: '2d' is not a duration from 1ms to 1d, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
        (
            "server.threads = 1.5",
            "1:18: server.threads: expected an integer from 0 to 1024, found a value of type float",
        ),
        (
            "server.threads = 99999999999999999999",
            "1:18: server.threads: expected an integer from 0 to 1024, found 99999999999999999999",
        ),
    ]);
}

#[test]
fn variables_are_named_and_never_shown() {
    check(&[
        ("server.listen = [\"${NOPE}\"]", "1:18: server.listen[0]: the environment variable 'NOPE' is not set"),
        (
            "admin.listen = \"${\"",
            "1:16: admin.listen: '${' must be followed by a variable's name and '}'; write '$${' for the text '${'",
        ),
    ]);
    for text in [
        "admin.listen = \"${SECRET}\"",
        "log.format = \"${SECRET}\"",
        "server.head_timeout = \"${SECRET}\"",
        "store.url = \"${SECRET}\"",
        "tokens.issuer = \"${SECRET}\"",
        "upstreams.c.servers = [\"${SECRET}\"]",
        "token_endpoints = [{ path = \"${SECRET}\", realms = [\"${SECRET}\"] }]",
        "[realms.x]\ndialect = \"sws\"\ntimezone = \"${SECRET}\"\nalgorithm = \"${SECRET}\"\nlifetime = \"${SECRET}\"",
        &route(
            "auth = \"public\"\nhost = \"${SECRET}/\"\nreplace_prefix = \"${SECRET}\"\nbody_bytes_max = \"${SECRET}\"",
        ),
        &route("auth = \"public\"\nrequest_headers = { remove = [\"${SECRET}\"], set = { X-A = \"${SECRET} \" } }"),
        &route(
            "auth = \"public\"\ncors = { origins = [\"${SECRET}\"], expose = [\"${SECRET}\"], methods = [\"${SECRET}\"] }",
        ),
        &route("accept = [\"${SECRET}\"]\npath = \"/${SECRET}\"\nmethods = [\"${SECRET}\"]\nsources = [\"${SECRET}\"]"),
    ] {
        let report = report(text);
        assert!(report != "no problem" && !report.contains("hunter2"), "{text}: {report}");
    }
    assert!(!report("store.url = \"postgres://u:hunter2@h/db\"").contains("hunter2"));
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_file() {
    let text = "[[routes]]\nname = \"a\"\nupstream = \"x\"\nauth = \"public\"\n[server]\nthreds = 1\nlisten = [\"x\"]\n[log]\naccess = 1";
    let lines: Vec<_> =
        report(text).lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, ["3:12 routes[0].upstream", "6:1 server.threds", "7:11 server.listen[0]", "9:10 log.access"]);
}

#[test]
fn what_is_no_toml_is_placed_by_its_parser() {
    check(&[
        ("[log]\naccess = ", "2:10: no TOML: string values must be quoted, expected literal string"),
        ("[log]\n[log]", "2:2: no TOML: duplicate key: 'log' stands on line 1 already"),
        (
            "a = \"x\nb = 1\nc == 2",
            "1:7: no TOML: invalid basic string, expected `\"`\n3:4: no TOML: extra `=`, expected nothing",
        ),
    ]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let directory = crate::memory::new_folder();
    let of = |path: &Path| load(path, &|_| None).unwrap_err().to_string();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        of(&path)
    };
    assert!(of(&directory.path().join("missing.toml")).contains("missing.toml: cannot be read: No such file"));
    assert!(of(directory.path()).contains(": cannot be read: "));
    assert!(file("latin1.toml", b"[log]\n# a\xf1o\n").ends_with("latin1.toml:2:4: no UTF-8"));
    let large = vec![b'\n'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
    assert!(file("large.toml", &large).ends_with("cannot be read: it has more than 4194304 octets"));
}
