//! Tokens of an old system that Portero has no key of.

use super::{config, start, users};
use crate::support::{OldSystem, PATIENCE, Upstream, wait_until};

#[test]
fn tokens_of_a_table_open_what_the_realm_opens_until_they_end() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", ""));
    let add = "user add --realm sws --username ana --name Ana --role ADMIN --password-stdin";
    gateway.command(add, "a password\n").succeeded();
    let text = "687f8b1325da9d0d54c3f046";
    let table = format!(
        "{{\"token\":\"{text}\",\"name\":\"ana\"}}\n\
         {{\"token\":\"ended\",\"name\":\"ana\",\"expires_at\":\"2020-01-01T00:00:00Z\"}}\n\
         {{\"token\":\"nobodys\",\"name\":\"nobody\"}}\n"
    );
    let imported = gateway.command("migration tokens --realm sws - --output json", &table).json();
    assert_eq!((&imported["imported"], &imported["without_account"]), (&2.into(), &serde_json::json!([3])));
    wait_until("it opens", PATIENCE, || gateway.status("/sws", text) == 200);
    let received = upstream.received();
    assert_eq!((received.header("x-auth-name"), received.header("x-auth-role")), (Some("ana"), Some("ADMIN")));
    for (path, token) in [("/sws", "ended"), ("/sws", "nobodys"), ("/sws", "other"), ("/apis", text)] {
        assert_eq!(gateway.status(path, token), 401, "{path} {token}");
    }
    // It survives a restart, and ends with its account's tokens.
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status("/sws", text), 200);
    gateway.command("revoke principal --realm sws --name ana", "").succeeded();
    gateway.wait_until_refused("it is refused", "/sws", text);
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status("/sws", text), 401, "nor does it come back");
}

#[test]
fn a_table_that_cannot_be_read_is_refused_by_its_line() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", ""));
    for (line, says) in [
        ("{\"name\":\"a\"}", "-:2: it needs one of token and hash"),
        ("{\"token\":\"hunter2\",\"nome\":\"a\"}", "-:2: no JSON object with token or hash"),
        ("{\"hash\":\"00\",\"name\":\"a\"}", "-:2: hash is not SHA-256"),
        ("{\"token\":\"hunter2\",\"name\":\"a\",\"business\":\"b\"}", "-:2: business is a part"),
        ("{\"token\":\"hunter2\",\"name\":\"a\",\"expires_at\":\"soon\"}", "-:2: expires_at is neither"),
    ] {
        let refused = gateway.command("migration tokens --realm sws -", &format!("\n{line}\n"));
        assert!(refused.code == 1 && refused.stderr.contains(says), "{refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    }
}
