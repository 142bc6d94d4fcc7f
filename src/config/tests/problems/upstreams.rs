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
    for server in
        ["127.0.0.1:9901", "localhost:9901", "LOCALHOST.:9901", "0.0.0.0:9901", "[::]:9901", "[::ffff:127.0.0.1]:9901"]
    {
        assert!(
            servers(&format!("\"{server}\"")).ends_with("is the admin listener; no request may be forwarded to it"),
            "{server}"
        );
    }
    assert_eq!(servers("\"127.0.0.1:9902\", \"10.0.0.1:9901\", \"[::2]:9901\", \"db.internal:9901\""), "no problem");
    assert_eq!(servers("\"h:1\", \"H:1\""), "1:31: upstreams.c.servers[1]: 'H:1' stands here twice");
    assert_eq!(servers(""), "1:23: upstreams.c.servers: must name at least one server");
    check(&[
        (
            "admin.listen = \"0.0.0.0:7\"\nupstreams.c.servers = [\"[::1]:7\"]",
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
