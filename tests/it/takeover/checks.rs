//! Tokens of the old system that it is asked about.

use super::{config, let_in, login, metric, start, users};
use crate::support::{
    CHECK, Config, Connection, Contract, Gateway, Odd, OldSystem, PATIENCE, Request, Upstream, get, own_address,
    wait_until,
};

/// A config that has the old system asked about its tokens.
fn asking(old: &OldSystem, upstream: &Upstream, step: &str, tokens: &str) -> Config {
    let table = format!(
        "rate = 1000\n[verifiers.old.tokens]\nurl = \"{}\"\nsend = \"bearer\"\nname = \"username\"\n\
         active = \"active\"\nalphabet = \"0-9a-f\"\nmin_length = 24\nmax_length = 24\n{tokens}",
        old.check_url()
    );
    config(old, upstream, &format!("mode = \"{step}\""), &table)
}

/// A token of the old system's for each of its users.
fn tokens(old: &OldSystem, users: &[(String, String)]) -> Vec<String> {
    let token = |(name, password): &(String, String)| {
        Contract::Sws.token_of(&Connection::open(old.address).send(&Contract::Sws.login_as(name, password))).unwrap()
    };
    users.iter().map(token).collect()
}

fn outcome(outcome: &str) -> String {
    format!("portero_verifier_token_questions_total{{outcome=\"{outcome}\",verifier=\"old\"}}")
}

#[test]
fn a_token_that_the_old_system_knows_opens_what_its_account_opens_until_it_is_revoked_there() {
    let users = users(2);
    let (mut old, upstream) = (OldSystem::start(&users), Upstream::start());
    let gateway = start(&asking(&old, &upstream, "observe", "max_age = \"1s\"\nrate = 1000"));
    let held = tokens(&old, &users);
    assert_eq!(gateway.status("/sws", &held[0]), 401, "nobody knows the account yet");
    for (name, password) in &users {
        assert!(let_in(&login(&gateway, name, password)));
    }
    wait_until("the accounts are learnt", PATIENCE, || gateway.status("/sws", &held[0]) == 200);
    let received = upstream.received();
    assert_eq!((received.header("x-auth-name"), received.header("x-auth-legacy-id")), (Some("user0"), Some("1")));
    assert_eq!(gateway.status("/apis", &held[0]), 401, "of another realm's route");
    wait_until("both", PATIENCE, || gateway.status("/sws", &held[1]) == 200);

    // What it was never given out costs no question, and a refusal is remembered.
    let asked = old.checked().len();
    for token in ["short", "687f8b1325da9d0d0000000g", "687f8b1325da9d0d000000000"] {
        assert_eq!(gateway.status("/sws", token), 401);
    }
    for _ in 0..3 {
        assert_eq!(gateway.status("/sws", "687f8b1325da9d0dffffffff"), 401);
    }
    let since = old.checked().split_off(asked);
    let of = |token: &str| since.iter().filter(|(_, asked)| asked == token).count();
    assert_eq!((of("short"), of("687f8b1325da9d0dffffffff")), (0, 1), "{since:?}");

    old.revoke(&held[0]);
    gateway.wait_until_refused("it ends", "/sws", &held[0]);
    // While the old system is away nobody can say: that is no refusal, and lets nobody in.
    old.stop();
    wait_until("its word has ended", PATIENCE, || gateway.status_at_once("/sws", &held[1]) == 503);
    old.resume();
    wait_until("it is asked again", PATIENCE, || gateway.status("/sws", &held[1]) == 200);
    gateway.command("user disable --realm sws --username user1", "").succeeded();
    gateway.wait_until_refused("a disabled account's ends", "/sws", &held[1]);
    for token in &held {
        assert!(!gateway.process.written().contains(token.as_str()), "a token stands in the log");
    }
}

#[test]
fn a_yes_is_asked_for_once_and_counts_for_max_age_and_tokens_that_ended_here_stay_ended() {
    let users = users(1);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let gateway = start(&asking(&old, &upstream, "lead", "max_age = \"1h\""));
    assert!(let_in(&login(&gateway, &users[0].0, &users[0].1)), "the account is learnt");
    let held = tokens(&old, &users);
    for _ in 0..8 {
        assert_eq!(gateway.status("/sws", &held[0]), 200);
    }
    let asked = old.checked();
    assert_eq!(asked.iter().filter(|(_, token)| *token == held[0]).count(), 1, "{asked:?}");
    assert_eq!(asked.len(), 2, "and one that nobody has, before");
    old.revoke(&held[0]);
    assert_eq!(gateway.status("/sws", &held[0]), 200, "its yes counts until max_age is over: that is the bound");
    let held = tokens(&old, &users);
    assert_eq!(gateway.status("/sws", &held[0]), 200);
    gateway.command("revoke principal --realm sws --name user0", "").succeeded();
    gateway.wait_until_refused("it ends", "/sws", &held[0]);
    // What was counted is written down at the end at the latest.
    let folder = gateway.stop_in_folder();
    let status = folder.command("migration status --output json", "").json();
    let endpoint = &status["endpoints"][0];
    assert_eq!(endpoint["checked_tokens"], serde_json::json!({ "1": 2, "7": 2, "30": 2 }), "{endpoint:#}");
    assert_eq!(endpoint["logins"]["lead/confirmed"]["1"], 1, "{endpoint:#}");
    let breaks = status["would_break"].to_string();
    assert!(
        breaks.contains("the login endpoint of 'old'") && breaks.contains("it said yes 2 times in 1 day"),
        "{breaks}"
    );
    let gateway = Gateway::run(folder);
    assert_eq!(gateway.status("/sws", &held[0]), 401, "nor does the old system's yes bring it back");
}

#[test]
fn a_check_that_says_yes_to_everybody_or_nothing_that_counts_lets_nobody_in() {
    let users = users(1);
    for (odd, status) in [
        (Odd::Answers(200, "application/json", r#"{"active":true,"username":"user0"}"#.into()), 503),
        (Odd::Answers(200, "text/html", "<p>hello</p>".into()), 503),
        (Odd::Answers(200, "application/json", r#"{"error":1}"#.into()), 503),
        (Odd::Redirects("http://127.0.0.1:1/".into()), 503),
        (Odd::CutOff, 503),
        (Odd::Answers(401, "application/json", "{}".into()), 401),
    ] {
        let (old, upstream) = (OldSystem::start(&users), Upstream::start());
        let gateway = start(&asking(&old, &upstream, "lead", ""));
        assert!(let_in(&login(&gateway, &users[0].0, &users[0].1)));
        let held = tokens(&old, &users);
        old.set_odd(CHECK, odd.clone());
        assert_eq!(gateway.status_at_once("/sws", &held[0]), status, "{odd:?}");
        // Logins have a check of their own, and go on.
        assert!(let_in(&login(&gateway, &users[0].0, &users[0].1)), "{odd:?}");
        assert_eq!(
            metric(&gateway, &outcome("yes")) > 0.0,
            status == 503 && matches!(odd, Odd::Answers(200, _, ref body) if body.contains("user0"))
        );
    }
}

#[test]
fn the_same_token_is_asked_about_once_at_a_time() {
    let users = users(1);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let gateway = start(&asking(&old, &upstream, "lead", "rate = 1"));
    assert!(let_in(&login(&gateway, &users[0].0, &users[0].1)));
    let held = tokens(&old, &users);
    // The first question proves the check, and takes the first turn: these wait for the second one together.
    let same: Vec<_> = (0..16)
        .map(|_| {
            let mut client = Connection::open_from(own_address(), gateway.front);
            client.write(get("/sws").bearer(&held[0]).bytes()).unwrap();
            client
        })
        .collect();
    for mut client in same {
        assert_eq!(client.receive().status, 200);
    }
    assert_eq!(old.checked().len(), 2, "{:?}", old.checked());
}

#[test]
fn what_the_old_system_vouches_for_is_known_to_introspection_and_ends_by_revocation() {
    let users = users(2);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let config =
        asking(&old, &upstream, "lead", "max_age = \"1h\"").text("[realms.oauth]\ndialect = \"oauth\"").text("[oauth]");
    let gateway = start(&config);
    let add = "client add --realm oauth --id auditor --scope introspect --scope revoke --password-stdin";
    gateway.command(add, "s3cret-auditor").succeeded();
    for (name, password) in &users {
        assert!(let_in(&login(&gateway, name, password)), "the account is learnt");
    }
    let held = tokens(&old, &users);
    let asked = |path: &str, token: &str| {
        let form = format!("token={token}&client_id=auditor&client_secret=s3cret-auditor");
        let request = Request::new("POST", path).header("Content-Type", "application/x-www-form-urlencoded");
        let answer = gateway.send(&request.body(form));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let known = asked("/oauth/introspect", &held[0]);
    assert_eq!((&known["active"], &known["username"]), (&true.into(), &"user0".into()), "{known}");
    assert_eq!(asked("/oauth/introspect", "687f8b1325da9d0dffffffff"), serde_json::json!({ "active": false }));

    asked("/oauth/revoke", &held[0]);
    assert_eq!(gateway.status("/sws", &held[0]), 401, "whatever the old system says");
    assert_eq!(asked("/oauth/introspect", &held[0])["active"], false);

    // An operator says whose it is: nobody is asked.
    assert_eq!(gateway.status("/sws", &held[1]), 200);
    let unsaid = gateway.command("revoke token", &held[1]);
    assert_ne!(unsaid.code, 0, "{unsaid:?}");
    gateway.command("revoke token --realm sws", &held[1]).succeeded();
    gateway.wait_until_refused("it ends", "/sws", &held[1]);
}
