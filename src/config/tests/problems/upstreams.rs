//! What is wrong with upstreams.

use super::{check, report};

#[test]
fn a_server_is_host_and_port_and_never_the_admin_listener() {
    const SHAPE: &str =
        "is not host:port with a port from 1 to 65535, for example \"127.0.0.1:9000\" or \"[::1]:9000\"";
    let servers = |list: &str| report(&format!("upstreams.c.servers = [{list}]"));
    for (server, problem) in [
        ("http://h:1", "a server is host:port, without a scheme; for example \"127.0.0.1:9000\""),
        ("h:1/x", "a server is host:port, without a path: the path that was authorised is forwarded as it is"),
        ("h", "'h' has no port; write host:port, for example \"127.0.0.1:9000\""),
        ("[::1]", "'[::1]' has no port; write host:port, for example \"127.0.0.1:9000\""),
        ("h:0", &format!("'h:0' {SHAPE}")),
        ("h:65536", &format!("'h:65536' {SHAPE}")),
        ("h:+1", &format!("'h:+1' {SHAPE}")),
        (":1", &format!("':1' {SHAPE}")),
        ("::1:5", &format!("'::1:5' {SHAPE}")),
        ("[x]:5", &format!("'[x]:5' {SHAPE}")),
        ("127.1:9901", &format!("'127.1:9901' {SHAPE}")),
        ("2130706433:9901", &format!("'2130706433:9901' {SHAPE}")),
        ("0x7f000001:9901", &format!("'0x7f000001:9901' {SHAPE}")),
        ("127.0.0.1.:9901", &format!("'127.0.0.1.:9901' {SHAPE}")),
        ("a b:5", &format!("'a b:5' {SHAPE}")),
    ] {
        assert_eq!(servers(&format!("\"{server}\"")), format!("1:24: upstreams.c.servers[0]: {problem}"));
    }
    for server in ["127.0.0.1:9901", "localhost:9901", "LOCALHOST.:9901", "0.0.0.0:9901", "[::ffff:127.0.0.1]:9901"] {
        assert!(
            servers(&format!("\"{server}\"")).ends_with("is the admin listener; no request may be forwarded to it"),
            "{server}"
        );
    }
    assert_eq!(servers("\"127.0.0.1:9902\", \"10.0.0.1:9901\", \"[::2]:9901\", \"db.internal:9901\""), "no problem");
    for (admin, server) in [("0.0.0.0:7", "[::1]:7"), ("[::]:7", "127.0.0.1:7")] {
        let other_family = format!("admin.listen = \"{admin}\"\nupstreams.c.servers = [\"{server}\"]");
        assert_eq!(report(&other_family), "no problem");
    }
    assert_eq!(servers("\"h:1\", \"H:1\""), "1:31: upstreams.c.servers[1]: 'H:1' stands here twice");
    assert_eq!(servers(""), "1:23: upstreams.c.servers: must name at least one server");
    check(&[
        (
            "admin.listen = \"[::]:7\"\nupstreams.c.servers = [\"[::1]:7\"]",
            "2:24: upstreams.c.servers[0]: '[::1]:7' is the admin listener; no request may be forwarded to it",
        ),
        ("[upstreams.c]", "1:1: upstreams.c.servers: missing; add it, for example servers = [\"127.0.0.1:9000\"]"),
        (
            "[upstreams.\"a b\"]\nservers = [\"h:1\"]",
            "1:1: upstreams.\"a b\": the name must be 1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'",
        ),
        (
            "upstreams.c = { servers = [\"h:1\"], timeouts = { connect = \"0s\" } }",
            "1:59: upstreams.c.timeouts.connect: '0s' is not a duration from 1ms to 1d, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
    ]);
}

#[test]
fn balancing_and_limits_are_checked() {
    let upstream = |keys: &str| report(&format!("[upstreams.c]\nservers = [\"h:1\"]\n{keys}"));
    for (keys, problem) in [
        (
            "balance = \"round\"",
            "3:11: upstreams.c.balance: 'round' is not known here; known: round-robin, least-connections, hash",
        ),
        ("hash_by = \"address\"", "3:1: upstreams.c.hash_by: only balance = \"hash\" has it"),
        (
            "balance = \"hash\"\nhash_by = \"header:\"",
            "4:11: upstreams.c.hash_by: 'header:' is not \"subject\", \"address\" or \"header:NAME\"",
        ),
        ("retries = 6", "3:11: upstreams.c.retries: expected an integer from 0 to 5, found 6"),
        ("connections_max = 0", "3:19: upstreams.c.connections_max: expected an integer from 1 to 1000000, found 0"),
        (
            "share_per_address = 0.0",
            "3:21: upstreams.c.share_per_address: expected a number above 0.0, up to 1.0, found a value of type float",
        ),
        (
            "share_per_address = 2",
            "3:21: upstreams.c.share_per_address: expected a number above 0.0, up to 1.0, found 2",
        ),
        ("pending_max = -1", "3:15: upstreams.c.pending_max: expected an integer from 0 to 1000000, found -1"),
        (
            "eject_max_percent = 101",
            "3:21: upstreams.c.eject_max_percent: expected an integer from 0 to 100, found 101",
        ),
        (
            "eject = { failures = 1001 }",
            "3:22: upstreams.c.eject.failures: expected an integer from 0 to 1000, found 1001",
        ),
        (
            "eject.for = \"1ms\"",
            "3:13: upstreams.c.eject.for: '1ms' is not a duration from 100ms to 1h, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
        (
            "resolve = \"2h\"",
            "3:11: upstreams.c.resolve: '2h' is not a duration from 100ms to 1h, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
        ("http = \"quic\"", "3:8: upstreams.c.http: 'quic' is not known here; known: 1.1, 2, auto"),
        (
            "http = \"auto\"",
            "3:8: upstreams.c.http: \"auto\" is what TLS agrees on; add tls, or write \"1.1\" or \"2\"",
        ),
        ("http = \"auto\"\ntls = true", "no problem"),
        ("http = \"2\"\nbalance = \"hash\"\nhash_by = \"header:X-Tenant\"", "no problem"),
    ] {
        assert_eq!(upstream(keys), problem, "{keys}");
    }
}

#[test]
fn a_weighted_server_is_a_table() {
    let servers = |list: &str| report(&format!("upstreams.c.servers = [{list}]"));
    for (list, problem) in [
        (
            "{ weight = 2 }",
            "1:24: upstreams.c.servers[0].address: missing; add it, for example address = \"127.0.0.1:9000\"",
        ),
        (
            "{ address = \"h:1\", weight = 0 }",
            "1:52: upstreams.c.servers[0].weight: expected an integer from 1 to 1000, found 0",
        ),
        ("{ address = \"h:1\", share = 2 }", "1:43: upstreams.c.servers[0].share: unknown key; known: address, weight"),
        ("\"h:1\", { address = \"h:1\", weight = 2 }", "1:31: upstreams.c.servers[1]: 'h:1' stands here twice"),
        ("{ address = \"h:1\", weight = 1000 }, { address = \"[::1]:2\" }", "no problem"),
    ] {
        assert_eq!(servers(list), problem, "{list}");
    }
    assert_eq!(
        report("upstreams.c.servers = [{ address = \"127.0.0.1:9901\" }]"),
        "1:36: upstreams.c.servers[0].address: '127.0.0.1:9901' is the admin listener; no request may be forwarded to it"
    );
}

#[test]
fn a_health_check_has_a_path_or_a_connection() {
    const EITHER: &str = "must have either path, for example path = \"/health\", or tcp = true";
    let health = |keys: &str| report(&format!("[upstreams.c]\nservers = [\"h:1\"]\nhealth = {{ {keys} }}"));
    for (keys, problem) in [
        ("", format!("3:10: upstreams.c.health: {EITHER}")),
        ("path = \"/h\", tcp = true", format!("3:10: upstreams.c.health: {EITHER}")),
        (
            "path = \"health\"",
            "3:19: upstreams.c.health.path: 'health' is not a path, for example \"/health\"".to_owned(),
        ),
        (
            "path = \"/a b\"",
            "3:19: upstreams.c.health.path: '/a b' is not a path, for example \"/health\"".to_owned(),
        ),
        (
            "path = \"/h\", host = \"a b\"",
            "3:32: upstreams.c.health.host: 'a b' is not a host, for example \"crm.internal\"".to_owned(),
        ),
        (
            "path = \"/h\", status = \"399-200\"",
            "3:34: upstreams.c.health.status: '399-200' is not a status or a range of them, for example \"200\" or \"200-399\""
                .to_owned(),
        ),
        (
            "tcp = true, status = \"200\"",
            "3:33: upstreams.c.health.status: only a check with a path has it".to_owned(),
        ),
        (
            "tcp = true, healthy = 0",
            "3:34: upstreams.c.health.healthy: expected an integer from 1 to 100, found 0".to_owned(),
        ),
        (
            "tcp = true, interval = \"1ms\"",
            "3:35: upstreams.c.health.interval: '1ms' is not a duration from 100ms to 1h, such as \"500ms\", \"30s\", \"12h\" or \"1d\""
                .to_owned(),
        ),
        ("path = \"/h?deep=1\", host = \"crm:80\", status = \"204\"", "no problem".to_owned()),
        ("tcp = true, interval = \"1s\", timeout = \"1s\", healthy = 1, unhealthy = 1", "no problem".to_owned()),
    ] {
        assert_eq!(health(keys), problem, "{keys}");
    }
}

#[test]
fn tls_is_checked_with_what_its_files_say() {
    let folder = crate::memory::new_folder();
    let pair = rcgen::generate_simple_self_signed(vec!["crm.internal".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    for (name, text) in [
        ("good.pem", pair.cert.pem()),
        ("good.key", pair.signing_key.serialize_pem()),
        ("other.key", other.serialize_pem()),
        ("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()),
        ("empty.pem", String::new()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let tls = |value: &str| {
        let value = value.replace("F/", &format!("{}/", folder.path().display()));
        let problem = report(&format!("[upstreams.c]\nservers = [\"h:1\"]\ntls = {value}"));
        problem.replace(&format!("{}/", folder.path().display()), "F/")
    };
    for good in [
        "true",
        "false",
        "{}",
        "{ name = \"crm.internal\", ca = \"F/good.pem\", certificate = \"F/good.pem\", key = \"F/good.key\" }",
        "{ name = \"10.0.0.1\" }",
    ] {
        assert_eq!(tls(good), "no problem", "{good}");
    }
    let names = |value: &str, words: &[&str]| {
        let problem = tls(value);
        assert!(words.iter().all(|word| problem.contains(word)), "{value}: {problem}");
        assert!(!problem.contains("PRIVATE"), "{problem}");
    };
    names("1", &["3:7: upstreams.c.tls: expected a table"]);
    names("{ sni = \"x\" }", &["upstreams.c.tls.sni: unknown key"]);
    names("{ name = \"a b\" }", &["upstreams.c.tls.name: 'a b' is not a host name or an address"]);
    names("{ name = \"a_b\" }", &["upstreams.c.tls.name: 'a_b' is not a host name or an address"]);
    assert_eq!(
        report("[upstreams.c]\nservers = [\"a_b:1\"]\ntls = true"),
        "3:7: upstreams.c.tls: no certificate can be for 'a_b'; add tls.name"
    );
    assert_eq!(report("[upstreams.c]\nservers = [\"a_b:1\", \"[::1]:2\"]\ntls = { name = \"crm\" }"), "no problem");
    names("{ ca = \"F/none.pem\" }", &["upstreams.c.tls.ca: 'F/none.pem' cannot be read"]);
    names("{ ca = \"F/empty.pem\" }", &["upstreams.c.tls.ca: 'F/empty.pem' has no certificate in PEM form"]);
    names("{ ca = \"F/broken.pem\" }", &["upstreams.c.tls: a certificate cannot be used"]);
    names("{ certificate = \"F/good.pem\" }", &["upstreams.c.tls.certificate: needs key beside it"]);
    names("{ key = \"F/good.key\" }", &["upstreams.c.tls.key: needs certificate beside it"]);
    names(
        "{ certificate = \"F/good.pem\", key = \"F/good.pem\" }",
        &["upstreams.c.tls.key: 'F/good.pem' has no private key"],
    );
    names(
        "{ certificate = \"F/good.pem\", key = \"F/other.key\" }",
        &["upstreams.c.tls: the key cannot be used with the certificate"],
    );
}
