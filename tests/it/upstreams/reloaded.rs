//! A reload that changes how a server is spoken with: no connection that was made before is used afterwards.

use std::{collections::BTreeSet, fs};

use super::{is_healthy, named_pool, nobody, pool, start};
use crate::support::{Authority, Folder, Nginx, PATIENCE, Port, Upstream, WAYS, get, wait_until};

#[test]
fn a_listener_that_waits_for_a_restart_makes_no_pool_anew() {
    let (there, away) = (Upstream::start(), nobody());
    let pool = pool(&[there.address, away], "eject = { failures = 1, for = \"1h\" }");
    let [first, second] = [Port::hold(), Port::hold()];
    let listen = |addresses: &[&Port]| {
        let addresses: Vec<_> = addresses.iter().map(|port| format!("\"127.0.0.1:{}\"", port.number)).collect();
        pool.clone().server(&format!("listen = [{}]", addresses.join(", ")))
    };
    let gateway = start(&listen(&[&first]));
    wait_until("the one that is away is known", PATIENCE, || {
        gateway.send(&get("/"));
        !is_healthy(&gateway, away)
    });
    listen(&[&first, &second]).server("threads = 1").write_to(&gateway.folder);
    let reloaded = gateway.asked("reload");
    reloaded.succeeded();
    assert!(reloaded.stdout.contains("server.listen"), "{reloaded:?}");
    assert!(!is_healthy(&gateway, away));
}

#[test]
fn a_reload_with_other_authorities_or_another_version_makes_new_connections() {
    let (authority, folder) = (Authority::new(), Folder::new());
    authority.write(&folder, "ca");
    Authority::new().write(&folder, "foreign");
    let [own, foreign] = ["ca.pem", "foreign.pem"].map(|name| fs::read_to_string(folder.file(name)).unwrap());
    fs::write(folder.file("both.pem"), own + &foreign).unwrap();
    authority.issue(&folder, "server", "localhost");
    let directives = "ssl_certificate {folder}/server.pem;\nssl_certificate_key {folder}/server.key;\n\
                      location / { return 200 secret; }";
    let nginx = Nginx::start(folder, "ssl http2", directives);
    let config = |ca: &str, http: &str| {
        let ca = nginx.folder.file(ca);
        let pool = format!("http = \"{http}\"\ntls.ca = \"{}\"\nretries = 0\neject.failures = 0", ca.display());
        named_pool(&format!("\"localhost:{}\"", nginx.address.port()), &pool)
    };
    let gateway = start(&config("ca.pem", "1.1"));
    let reload = |ca: &str, http: &str| {
        config(ca, http).server("threads = 1").write_to(&gateway.folder);
        gateway.asked("reload").succeeded();
    };
    let mut used_before = BTreeSet::new();
    // The last is as the first was.
    let generations = [("ca.pem", "1.1"), ("both.pem", "1.1"), ("both.pem", "2"), ("ca.pem", "2"), ("ca.pem", "1.1")];
    for (at, (ca, http)) in generations.into_iter().enumerate() {
        if at > 0 {
            reload(ca, http);
        }
        let before = nginx.seen().len();
        for request in WAYS.iter().chain(&WAYS).map(|way| (way, way.request(&get("/")))) {
            assert_eq!(request.0.send(&gateway, &request.1).text(), "secret", "{request:?} {ca} {http}");
        }
        wait_until("all are logged", PATIENCE, || nginx.seen().len() == before + 2 * WAYS.len());
        let version = if http == "2" { "HTTP/2.0" } else { "HTTP/1.1" };
        let mut used = BTreeSet::new();
        for line in &nginx.seen()[before..] {
            let (head, connection) = line.rsplit_once(' ').unwrap();
            assert!(head.ends_with(version), "{line} {ca} {http}");
            used.insert(connection.to_owned());
        }
        assert!(used.len() < 2 * WAYS.len(), "connections are kept: {used:?}");
        assert!(used.is_disjoint(&used_before), "{used:?} after {used_before:?}, {ca} {http}");
        used_before.append(&mut used);
    }
    reload("foreign.pem", "1.1");
    for way in WAYS {
        assert_eq!(way.send(&gateway, &way.request(&get("/"))).status, 502, "{way:?}: nobody is believed");
    }
}
