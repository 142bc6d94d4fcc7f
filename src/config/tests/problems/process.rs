//! What is wrong with `[server]`, `[admin]`, `[store]`, `[log]`, `[audit]`, `[passwords]`, `[throttle]`, `[cache]`,
//! `[reload]` and `[tokens]`.

use super::{check, report};

#[test]
fn the_process_has_bounds() {
    const DURATION: &str = "such as \"500ms\", \"30s\", \"12h\" or \"1d\"";
    check(&[
        ("server.threads = -1", "1:18: server.threads: expected an integer from 0 to 1024, found -1"),
        (
            "server.odd_header_names = \"warn\"",
            "1:27: server.odd_header_names: 'warn' is not known here; known: pass, drop",
        ),
        ("reload.watch = 1", "1:16: reload.watch: expected true or false, found 1"),
        ("reload.watch = \"yes\"", "1:16: reload.watch: expected true or false, found a value of type string"),
        ("server.connections_max = 0", "1:26: server.connections_max: expected an integer from 1 to 1000000, found 0"),
        (
            "server.head_timeout = \"0s\"",
            &format!("1:23: server.head_timeout: '0s' is not a duration from 1ms to 1h, {DURATION}"),
        ),
        (
            "server.keepalive_timeout = \"2x\"",
            &format!("1:28: server.keepalive_timeout: '2x' is not a duration from 1ms to 1h, {DURATION}"),
        ),
        (
            "server.drain_timeout = \"2h\"",
            &format!("1:24: server.drain_timeout: '2h' is not a duration from 0s to 1h, {DURATION}"),
        ),
        (
            "server.trusted_proxies = [\"10.0.0.1/8\"]",
            "1:27: server.trusted_proxies[0]: '10.0.0.1/8' has bits behind its prefix; the block is '10.0.0.0/8'",
        ),
        (
            "server.trusted_proxies = [\"lb\"]",
            "1:27: server.trusted_proxies[0]: 'lb' is not an address or a block of them, such as \"10.0.0.1\" or \"10.0.0.0/8\"",
        ),
        ("log.format = \"text\"", "1:14: log.format: 'text' is not known here; known: json"),
        ("cache.entries = 0", "1:17: cache.entries: expected an integer from 1 to 100000000, found 0"),
        (
            "cache.bytes = \"1KiB\"",
            "1:15: cache.bytes: '1KiB' is not a size from 1MiB to 1024GiB, such as \"64KiB\" or \"128MiB\"",
        ),
        (
            "cache.bytes = \"1TB\"",
            "1:15: cache.bytes: '1TB' is not a size from 1MiB to 1024GiB, such as \"64KiB\" or \"128MiB\"",
        ),
        ("cache.bytes = 1000", "1:15: cache.bytes: expected a string, found 1000"),
        ("cache.size = 1", "1:7: cache.size: unknown key; known: entries, bytes"),
        ("passwords.hash_threads = 0", "1:26: passwords.hash_threads: expected an integer from 1 to 256, found 0"),
        ("passwords.hash_queue = 0", "1:24: passwords.hash_queue: expected an integer from 1 to 100000, found 0"),
        (
            "throttle.name_failures = 4",
            "1:26: throttle.name_failures: must be at least 5 in 1m: 5 a minute are always allowed",
        ),
        (
            "throttle = { address_failures = 59, window = \"61s\" }",
            "1:33: throttle.address_failures: must be at least 60 in 61s: 30 a minute are always allowed",
        ),
        ("audit = { file = \"a\", required = true, rotate_size = \"0B\", rotate_every = \"0s\" }", "no problem"),
        ("audit.required = true", "1:18: audit.required: needs audit.file: without a file no login has a line"),
        ("log.names = 1", "1:13: log.names: expected true or false, found 1"),
        ("throttle.name_tries = 3", "1:23: throttle.name_tries: expected an integer from 4 to 1000000, found 3"),
        (
            "throttle.shared = true",
            "1:19: throttle.shared: gateways share failed logins through PostgreSQL only, and store.url names a file, \
             which has one gateway: leave it out, or name a postgres:// store",
        ),
        ("tokens.leeway = \"61s\"", &format!("1:17: tokens.leeway: '61s' is not a duration from 0s to 1m, {DURATION}")),
        ("tokens.audience = \"a b\"", "1:19: tokens.audience: 'a b' is not 1 to 255 visible ASCII characters"),
        (
            "tokens.issuer = \"https://g?x\"",
            "1:17: tokens.issuer: 'https://g?x' is not a URL without a query, such as \"https://gateway.example.com\"",
        ),
    ]);
}

#[test]
fn keys_rotate_on_a_schedule_that_can_be_kept() {
    const DURATION: &str = "such as \"500ms\", \"30s\", \"12h\" or \"1d\"";
    const AHEAD: &str = "a key is published before it signs";
    check(&[
        ("keys.rotate_every = \"never\"", "no problem"),
        ("keys = { rotate_every = \"2s\", publish_ahead = \"100ms\", retire_after = \"0s\" }", "no problem"),
        (
            "keys.rotate_every = \"always\"",
            &format!("1:21: keys.rotate_every: 'always' is not a duration from 1s to 3650d, {DURATION}"),
        ),
        (
            "keys.publish_ahead = \"99ms\"",
            &format!("1:22: keys.publish_ahead: '99ms' is not a duration from 100ms to 365d, {DURATION}"),
        ),
        (
            "keys.rotate_every = \"1d\"",
            &format!("1:1: keys.publish_ahead: must be less than rotate_every (1d), and is 1d: {AHEAD}"),
        ),
        (
            "keys = { rotate_every = \"2h\", publish_ahead = \"3h\" }",
            &format!("1:47: keys.publish_ahead: must be less than rotate_every (2h), and is 3h: {AHEAD}"),
        ),
        ("keys.rotate = \"1d\"", "1:6: keys.rotate: unknown key; known: rotate_every, publish_ahead, retire_after"),
    ]);
}

#[test]
fn a_store_is_a_file_or_on_a_server() {
    check(&[
        (
            "store.url = \"mysql://u:pw@h/db\"",
            "1:13: store.url: must be sqlite:FILE or postgres://USER@HOST/DATABASE; there is no other store",
        ),
        (
            "store.url = \"portero.db\"",
            "1:13: store.url: must be sqlite:FILE or postgres://USER@HOST/DATABASE, for example \"sqlite:portero.db\"",
        ),
        (
            "store.url = \"sqlite::memory:\"",
            "1:13: store.url: must name a file, for example \"sqlite:portero.db\"; a store in memory would forget revocations",
        ),
        ("store.master_key_file = \"\"", "1:25: store.master_key_file: must not be empty"),
    ]);
}

#[test]
fn a_url_of_a_server_says_where_it_is_and_who_logs_in_and_nothing_else() {
    const SHAPE: &str = "must be postgres://USER@HOST:PORT/DATABASE";
    const ROLE: &str = "must name the role: postgres://USER@HOST:PORT/DATABASE";
    const PASSWORD: &str =
        "must carry no password: write it into a file (store.password_file), or give it as PORTERO_STORE_PASSWORD";
    const PARAMETERS: &str = "takes no parameters but host=/FOLDER for a socket: TLS is store.tls and store.ca, and \
                              the pool is store.connections";
    const ESCAPES: &str = "must name a role and a database of plain letters: %-escapes are not read";
    for (url, expected) in [
        ("postgres://u@h/db", None),
        ("postgresql://u@h:6432/db", None),
        ("postgres://u@/db?host=/run/postgresql", None),
        ("postgres://u:pw@h/db", Some(PASSWORD)),
        ("postgres://u:@h/db", Some(PASSWORD)),
        ("postgres://u:pw@/db?host=/run/postgresql", Some(PASSWORD)),
        ("postgres://h/db", Some(ROLE)),
        ("postgres://h:5432/db", Some(ROLE)),
        ("postgres://u@h/db?sslmode=disable", Some(PARAMETERS)),
        ("postgres://u@h/db?host=other", Some(PARAMETERS)),
        ("postgres://u@/db?host=/run&password=pw", Some(PARAMETERS)),
        ("postgres://u@h/db?", Some(PARAMETERS)),
        ("postgres://u@h", Some(SHAPE)),
        ("postgres://u@h/", Some(SHAPE)),
        ("postgres://u@h/a/b", Some(SHAPE)),
        ("postgres://@h/db", Some(SHAPE)),
        ("postgres://u@/db", Some(SHAPE)),
        ("postgres:u@h/db", Some(SHAPE)),
        ("postgres://u%40x@h/db", Some(ESCAPES)),
        ("postgres://u@h/d%62", Some(ESCAPES)),
    ] {
        let expected = expected.map_or("no problem".to_owned(), |why| format!("1:13: store.url: {why}"));
        assert_eq!(report(&format!("store.url = \"{url}\"")), expected, "{url}");
    }
    // What the gateway says of a password shows nothing of it.
    assert!(!report("store.url = \"postgres://u:hunter2@h/db\"").contains("hunter2"));
}

#[test]
fn a_port_that_is_none_is_never_taken_for_the_usual_one() {
    for port in ["port", "99999", "543a"] {
        let expected = "1:13: store.url: must be postgres://USER@HOST:PORT/DATABASE";
        assert_eq!(report(&format!("store.url = \"postgres://u@h:{port}/db\"")), expected, "{port}");
    }
}

#[test]
fn a_url_that_is_wrong_is_the_only_problem() {
    let text = "[store]\nurl = \"postgres://u:pw@h/db\"\ntls = \"off\"\nconnections = 9\nmax_staleness = \"1m\"";
    assert!(report(text).starts_with("2:7: store.url: must carry no password"), "{}", report(text));
    assert_eq!(report(text).lines().count(), 1, "{}", report(text));
}

#[test]
fn what_a_server_takes_is_in_bounds_and_nothing_for_a_file() {
    const FILE: &str = "is for a PostgreSQL store: url = \"postgres://…\"";
    const DURATION: &str = "such as \"500ms\", \"30s\", \"12h\" or \"1d\"";
    const SERVER: &str = "[store]\nurl = \"postgres://u@h/db\"\n";
    for key in [
        "direct_url = \"postgres://u@h/db\"",
        "password_file = \"pw\"",
        "tls = \"off\"",
        "ca = \"ca.pem\"",
        "connections = 8",
        "migrate = \"auto\"",
        "max_staleness = \"2m\"",
        "stale = \"serve\"",
    ] {
        let name = key.split_once(' ').unwrap().0;
        for url in ["", "url = \"sqlite:portero.db\"\n"] {
            let line = 2 + url.lines().count();
            assert_eq!(report(&format!("[store]\n{url}{key}")), format!("{line}:1: store.{name}: {FILE}"), "{url}");
        }
    }
    for (key, expected) in [
        ("connections = 1", "15: store.connections: expected an integer from 2 to 1000, found 1".to_owned()),
        ("connections = 1001", "15: store.connections: expected an integer from 2 to 1000, found 1001".to_owned()),
        ("tls = \"require\"", "7: store.tls: 'require' is not known here; known: verify-full, off".to_owned()),
        ("migrate = \"yes\"", "11: store.migrate: 'yes' is not known here; known: auto, manual".to_owned()),
        ("stale = \"ignore\"", "9: store.stale: 'ignore' is not known here; known: refuse, serve".to_owned()),
        (
            "max_staleness = \"4s\"",
            format!("17: store.max_staleness: '4s' is not a duration from 5s to 1d, {DURATION}"),
        ),
        (
            "max_staleness = \"25h\"",
            format!("17: store.max_staleness: '25h' is not a duration from 5s to 1d, {DURATION}"),
        ),
        (
            "direct_url = \"sqlite:portero.db\"",
            "14: store.direct_url: must lead to the same PostgreSQL store as store.url".to_owned(),
        ),
        (
            "direct_url = \"postgres://h/db\"",
            "14: store.direct_url: must name the role: postgres://USER@HOST:PORT/DATABASE".to_owned(),
        ),
    ] {
        assert_eq!(report(&format!("{SERVER}{key}")), format!("3:{expected}"), "{key}");
    }
    let missing = report(&format!("{SERVER}password_file = \"missing\""));
    assert!(missing.starts_with("3:17: store.password_file: 'missing' cannot be read: "), "{missing}");
}

#[test]
fn listeners_have_addresses_of_their_own() {
    const OWN: &str = "of server.listen; the operator's door needs an address of its own";
    check(&[
        ("server.listen = []", "1:17: server.listen: must name at least one address to listen on"),
        (
            "server.listen = [\"localhost:1\"]",
            "1:18: server.listen[0]: 'localhost:1' is not an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        ),
        (
            "server.listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
            "1:33: server.listen[1]: '127.0.0.1:1' is listened on already",
        ),
        (
            "server.listen = [\"0.0.0.0:1\", \"127.0.0.1:1\"]",
            "1:31: server.listen[1]: '127.0.0.1:1' is listened on already",
        ),
        ("server.listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"", "no problem"),
        (
            "server.listen = [\"127.0.0.1:1\"]\nadmin.listen = \"127.0.0.1:1\"",
            &format!("2:16: admin.listen: clashes with '127.0.0.1:1' {OWN}"),
        ),
        ("admin.listen = \"127.0.0.1:8080\"", &format!("1:16: admin.listen: clashes with '127.0.0.1:8080' {OWN}")),
        ("server.listen = [\"0.0.0.0:9901\"]", &format!("1:1: admin.listen: clashes with '0.0.0.0:9901' {OWN}")),
    ]);
}
