//! The first step: the old system answers, and Portero looks on.

use super::{config, let_in, login, metric, start, users};
use crate::support::{
    Connection, Contract, Odd, OldSystem, PATIENCE, Request, Upstream, own_address, post, wait_until,
};

fn compared(outcome: &str) -> String {
    format!("portero_verifier_comparisons_total{{outcome=\"{outcome}\",verifier=\"old\"}}")
}

#[test]
fn the_old_answer_goes_to_the_client_as_it_is() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    let bounds = "timeout = \"8s\"\nconnect_timeout = \"8s\"\n";
    let gateway = start(&config(&old, &upstream, "mode = \"observe\"", bounds));
    old.set_odd("odd", Odd::Answers(418, "text/html", "<p>¿qué?</p>".into()));
    for request in [
        Contract::Sws.login_as("user0", "right 0"),
        Contract::Sws.login_as("user0", "wrong"),
        Contract::Sws.login_as("odd", "any"),
        post("/api/Session/GetToken?a=b", "no json").header("X-Client", "10.0.0.1").header("X-Own", "1"),
    ] {
        let direct = Connection::open(old.address).send(&request);
        let relayed = Connection::open_from(own_address(), gateway.front).send(&request);
        assert_eq!((relayed.status, relayed.text()), (direct.status, direct.text()));
        for (name, value) in &direct.headers {
            // Each message has a date and a connection of its own.
            if !["date", "connection"].contains(&&*name.to_ascii_lowercase()) {
                let has = |(other, given): &(String, String)| other.eq_ignore_ascii_case(name) && given == value;
                assert!(relayed.headers.iter().any(has), "{name}: {value} in {:?}", relayed.headers);
            }
        }
    }
    let asked = old.asked();
    // A probe may have come after it.
    let last = asked.iter().rfind(|asked| asked.body == "no json").unwrap();
    assert_eq!(last.target, "/api/Session/GetToken?a=b");
    assert_eq!(last.headers["x-own"], "1");
    assert!(last.headers["x-client"].starts_with("127."), "the client's own word is not believed");
    old.set_odd("slow", Odd::Hangs);
    assert_eq!(login(&gateway, "slow", "any").status, 504);
    let mut old = old;
    old.stop();
    assert_eq!(login(&gateway, "user0", "right 0").status, 502);
}

#[test]
fn a_secret_is_learnt_only_of_a_yes_to_exactly_that() {
    let users = users(2);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let gateway = start(&config(&old, &upstream, "mode = \"observe\"", "rate = 1000\n"));
    // The old system reads another member than Portero does: its yes is about somebody else.
    let body = r#"{"username":"user1","password":"mine","Username":"user0","Password":"right 0"}"#;
    let answer = Connection::open_from(own_address(), gateway.front).send(&post("/api/Session/GetToken", body));
    assert!(let_in(&answer), "the old system's answer is the client's all the same");
    wait_until("it is not learnt", PATIENCE, || metric(&gateway, &compared("not_learnt")) >= 1.0);
    let all_compared = || {
        let metrics = gateway.ask("/metrics").text();
        let lines = metrics.lines().filter(|line| line.starts_with("portero_verifier_comparisons_total"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    // It says that it is a form: an old system that believes that reads something else.
    let body = r#"{"username":"user1","password":"right 1"}"#;
    for types in
        [&["application/x-www-form-urlencoded"][..], &["application/json", "application/x-www-form-urlencoded"]]
    {
        let request = Request::new("POST", "/api/Session/GetToken").body(body);
        let request = types.iter().fold(request, |request, value| request.header("Content-Type", *value));
        let before = all_compared();
        assert!(let_in(&Connection::open_from(own_address(), gateway.front).send(&request)));
        wait_until("it is compared", PATIENCE, || all_compared() > before);
    }
    assert!(!let_in(&login(&gateway, "user1", "wrong")));
    let accounts = || gateway.command("user list --realm sws --output json", "").json().as_array().unwrap().len();
    assert_eq!(accounts(), 0);
    assert!(let_in(&login(&gateway, "user1", "right 1")));
    wait_until("it is learnt", PATIENCE, || metric(&gateway, &compared("learnt")) >= 1.0);
    assert_eq!(accounts(), 1);
    // No session is written, and nothing is counted against anybody.
    let sessions = gateway.command("session list --realm sws --name user1 --output json", "").json();
    assert_eq!(sessions.as_array().unwrap().len(), 0, "{sessions:#}");
    // From the second time on both answers are compared.
    assert!(let_in(&login(&gateway, "user1", "right 1")));
    wait_until("they are alike", PATIENCE, || metric(&gateway, &compared("same")) >= 1.0);
    let observed = gateway.process.event("a login was observed");
    assert_eq!(observed["verifier"], "old", "{observed}");
    let written = gateway.process.written();
    for secret in ["right 1", "right 0", "mine", "687f8b1325da9d0d"] {
        assert!(!written.contains(secret), "a secret stands in the log: {secret}");
    }
}

#[test]
fn what_was_observed_stands_in_the_audit_log_as_that() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    old.set_odd("odd", Odd::Answers(418, "text/html", "<p>¿qué?</p>".into()));
    let config = config(&old, &upstream, "mode = \"observe\"", "rate = 1000\n").text("[audit]\nfile = \"audit.log\"\n");
    let gateway = start(&config);
    let lines = || {
        let told = gateway.command("audit tail --output json", "");
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let logins = told.stdout.lines().map(read).filter(|entry| entry["event"] == "login");
        logins.map(|login| (login["outcome"].clone(), login["reason"].clone())).collect::<Vec<_>>()
    };
    let null = serde_json::Value::Null;
    for (at, (name, password, reason)) in
        [("user0", "right 0", null), ("user0", "wrong", "invalid_credentials".into()), ("odd", "any", "unclear".into())]
            .into_iter()
            .enumerate()
    {
        login(&gateway, name, password);
        wait_until("its line", PATIENCE, || lines().len() > at);
        assert_eq!(lines()[at], ("observed".into(), reason), "{name} {password}");
    }
}
