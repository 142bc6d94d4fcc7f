//! What is wrong with `server.listen`.

use std::fs;

use tempfile::TempDir;

use super::{check, read};
use crate::edge::listen::{Listen, tls::Certificate};

/// A folder with two certificates and their keys, for `a.test` and `b.test`.
fn folder() -> TempDir {
    let folder = crate::memory::new_folder();
    for name in ["a", "b"] {
        let made = rcgen::generate_simple_self_signed(vec![format!("{name}.test")]).unwrap();
        fs::write(folder.path().join(format!("{name}.crt")), made.cert.pem()).unwrap();
        fs::write(folder.path().join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    folder
}

/// The rest of `server.listen = [{ address = "127.0.0.1:1"` in that folder, whose path `DIR` stands for.
fn listen(folder: &TempDir, rest: &str) -> String {
    let path = folder.path().to_str().unwrap();
    format!("server.listen = [{{ address = \"127.0.0.1:1\"{rest} }}]").replace("DIR", path)
}

const A: &str = "{ certificate = \"DIR/a.crt\", key = \"DIR/a.key\" }";
const B: &str = "{ certificate = \"DIR/b.crt\", key = \"DIR/b.key\", names = [\"*.test\"] }";

fn listens(text: &str) -> Vec<Listen> {
    read(text).map_err(|report| report.to_string()).unwrap().server.listen
}

#[test]
fn a_table_says_how_it_listens() {
    let folder = folder();
    let read =
        listens(&listen(&folder, &format!(", tls = [{A}, {B}], client_ca = \"DIR/a.crt\", proxy_protocol = true")));
    let [Listen { tls: Some(tls), proxy_protocol: true, .. }] = &read[..] else { panic!("{read:?}") };
    let names = tls.certificates().iter().flat_map(Certificate::names).map(ToString::to_string);
    assert_eq!(names.collect::<Vec<_>>(), ["a.test", "*.test"]);
}

#[test]
fn only_where_and_how_it_listens_needs_a_restart() {
    let folder = folder();
    let settings = |rest: &str| super::read(&listen(&folder, rest)).map_err(|report| report.to_string()).unwrap();
    let secured = settings(&format!(", tls = [{A}]"));
    assert_eq!(secured.files.len(), 2);
    for (rest, keys) in [
        (format!(", tls = [{B}]"), vec![]),
        (format!(", tls = [{A}], client_ca = \"DIR/b.crt\""), vec![]),
        (format!(", tls = [{A}], proxy_protocol = true"), vec!["server.listen"]),
        (String::new(), vec!["server.listen"]),
    ] {
        assert_eq!(secured.restart_only_changes(&settings(&rest)), keys, "{rest}");
    }
}

#[test]
fn what_a_listener_cannot_have_is_said() {
    let folder = folder();
    let path = folder.path().to_str().unwrap();
    let report = |rest: &str| super::report(&listen(&folder, rest)).replace(path, "DIR");
    for (rest, expected) in [
        (", tsl = []", "unknown key; did you mean 'tls'?"),
        (", tls = []", "tls: must name at least one certificate; leave it out to listen without TLS"),
        (", client_ca = \"DIR/a.crt\"", "client_ca: stands beside 'tls', which this listener does not have"),
        (&format!(", tls = [{A}], client_certificate = \"optional\""), "client_certificate: stands beside 'client_ca'"),
        (
            &format!(", tls = [{A}], client_ca = \"DIR/a.crt\", client_certificate = \"maybe\""),
            "client_certificate: 'maybe' is not known here; known: required, optional",
        ),
        (&format!(", tls = [{A}], client_ca = \"DIR/a.key\""), "client_ca: 'DIR/a.key' has no usable authority in PEM"),
        (", tls = [{ certificate = \"DIR/a.crt\" }]", "tls[0].key: missing; add it, for example key = \"tls/api.key\""),
        (
            ", tls = [{ certificate = \"DIR/a.key\", key = \"DIR/a.key\" }]",
            "tls[0].certificate: 'DIR/a.key' has no certificate in PEM",
        ),
        (
            ", tls = [{ certificate = \"DIR/a.crt\", key = \"DIR/b.key\" }]",
            "tls[0].key: 'DIR/b.key' has a key that does not fit the certificate",
        ),
        (", tls = [{ certificate = \"DIR/x\", key = \"DIR/a.key\" }]", "'DIR/x' cannot be read: No such file"),
        (&format!(", tls = [{A}, {A}]"), "tls: 'a.test' has two certificates; give each its own 'names'"),
        (&format!(", tls = [{}]", B.replace("*.test", "x:1")), "names[0]: 'x:1' is not a host name without a port"),
        (", proxy_protocol = 1", "proxy_protocol: expected true or false"),
    ] {
        let report = report(rest);
        assert!(report.contains(expected) && report.lines().count() == 1, "{rest}\n{report}");
    }
    check(&[
        (
            "server.listen = [{}]",
            "1:18: server.listen[0].address: missing; add it, for example address = \"0.0.0.0:8443\"",
        ),
        ("server.listen = [1]", "1:18: server.listen[0]: expected a string, found 1"),
        (
            "server.connections_per_address = 0",
            "1:34: server.connections_per_address: expected an integer from 1 to 1000000, found 0",
        ),
    ]);
}
