//! The way to the server is encrypted, and leads to nobody else.

use std::fs;

use super::fleet::Fleet;
use crate::support::{Authority, Contract, Folder, Gateway, Postgres, portero};

/// The folder of a gateway with these lines more in `[store]`, beside the certificates of the test.
fn folder(fleet: &Fleet, certificates: &Folder, lines: &str) -> Folder {
    let folder = fleet.folder(&fleet.postgres.url());
    for name in ["authority.pem", "other.pem"] {
        fs::copy(certificates.file(name), folder.file(name)).unwrap();
    }
    let config = fs::read_to_string(folder.config()).unwrap();
    fs::write(folder.config(), format!("{config}\n{lines}\n")).unwrap();
    folder
}

#[test]
fn a_server_is_reached_through_tls_and_one_with_another_certificate_is_not() {
    let fleet = Fleet::without_gateways(Postgres::start(), |config| config);
    let certificates = Folder::new();
    let (authority, other) = (Authority::new(), Authority::new());
    authority.write(&certificates, "authority");
    other.write(&certificates, "other");
    authority.issue(&certificates, "server", "127.0.0.1");
    fleet.postgres.require_tls(&certificates.file("server.pem"), &certificates.file("server.key"));

    let gateway = Gateway::run(folder(&fleet, &certificates, "tls = \"verify-full\"\nca = \"authority.pem\""));
    let token = gateway.login(Contract::Sws);
    assert_eq!(gateway.try_revoke(&token), 200);
    gateway.comes_to_refuse("/sws", &token);
    let of_portero = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'portero'";
    assert!(fleet.postgres.count(&format!("SELECT count(*) {of_portero} AND ssl")) > 1, "logins, the feed, notices");
    assert_eq!(fleet.postgres.count(&format!("SELECT count(*) {of_portero} AND NOT ssl")), 0);

    let is_refused = |lines: &str, because: &str| {
        let folder = folder(&fleet, &certificates, lines);
        let ran = portero(&["run", "--config", &folder.config()], "");
        assert!(ran.code == 2 && ran.stderr.contains(because), "{lines}: {ran:?}");
    };
    is_refused("tls = \"verify-full\"\nca = \"other.pem\"", "certificate");
    // Without `ca`, public authorities alone are trusted.
    is_refused("tls = \"verify-full\"", "certificate");
    is_refused("tls = \"off\"", "a connection without TLS");
    authority.issue(&certificates, "elsewhere", "db.example.com");
    fleet.postgres.require_tls(&certificates.file("elsewhere.pem"), &certificates.file("elsewhere.key"));
    is_refused("tls = \"verify-full\"\nca = \"authority.pem\"", "certificate");
}
