//! A route in shadow mode, before a real upstream.

use serde_json::json;

use crate::support::{Config, Connection, Contract, Request, Upstream, get};

const SHADOW: &str = "accept = [\"apis\"]\nrequire.roles = [\"ROOT\"]\nmode = \"shadow\"";

#[test]
fn denials_are_let_through_counted_and_logged() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).route("trial", "/trial", SHADOW).route(
        "open",
        "/open",
        "accept = [\"apis\"]\nmode = \"shadow\"",
    );
    let gateway = config.start();
    assert_eq!(gateway.process.event("a route is in shadow mode")["route"], "trial");
    let token = gateway.login(Contract::Apis);
    let reaches = |request: Request| {
        let answer = gateway.send(&request.header("X-Auth-Subject", "made up"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        upstream.received()
    };
    let unknown = reaches(get("/trial"));
    assert_eq!(unknown.header("x-auth-subject"), None, "what a client sends under the name goes anyway");
    assert_eq!(reaches(get("/trial").bearer("garbage")).header("x-auth-subject"), None);
    let known = reaches(get("/trial").bearer(&token));
    assert_eq!(known.header("x-auth-name"), Some("admin"), "who lacks a role has proven who they are");

    gateway.api("/revocations/token", &json!({ "token": token }));
    let revoked = reaches(get("/open").bearer(&token));
    assert_eq!(revoked.header("x-auth-subject"), None, "a revoked token proves nothing");
    assert_eq!(gateway.status("/apis", &token), 401);

    let line = |reason: &str| {
        gateway.process.access_line(reason, |line| line["decision"] == "shadow" && line["reason"] == reason)
    };
    assert_eq!(
        (line("missing_token")["status"].clone(), line("malformed_token")["route"].clone()),
        (json!(200), json!("trial"))
    );
    assert_eq!(line("role_missing")["principal"]["realm"], "apis");
    assert_eq!(line("token_revoked")["principal"]["realm"], "apis", "the log says who would be locked out");
    let metrics = gateway.ask("/metrics").text();
    for (route, reason) in [("trial", "missing_token"), ("trial", "role_missing"), ("open", "token_revoked")] {
        let count = format!(r#"portero_decisions_total{{decision="shadow",reason="{reason}",route="{route}"}} 1"#);
        assert!(metrics.contains(&count), "{count} is not in {metrics}");
    }
}

#[test]
fn a_reload_ends_shadow_mode_for_the_next_request() {
    let upstream = Upstream::start();
    let shadow = Config::standard(upstream.address).route("trial", "/trial", SHADOW);
    let gateway = shadow.start();
    let mut connection = Connection::open(gateway.front);
    assert_eq!(connection.send(&get("/trial")).status, 200);
    shadow.replace("mode = \"shadow\"", "mode = \"enforce\"").write_to(&gateway.folder);
    gateway.process.signal("HUP");
    gateway.process.event("the config was taken over");
    assert_eq!(connection.send(&get("/trial")).status, 401);
}

#[test]
fn check_warns_of_it() {
    let upstream = Upstream::start();
    let folder = crate::support::Folder::new();
    Config::standard(upstream.address).route("trial", "/trial", SHADOW).write_to(&folder);
    let ran = folder.command("check", "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("warning: route 'trial' is in shadow mode") && ran.stdout.contains("revoked"),
        "{ran:?}"
    );
}
