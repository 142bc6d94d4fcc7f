//! What an old system may answer, and what is never a yes.

use super::{config, let_in, login, metric, start, users};
use crate::support::{Contract, Odd, OldSystem, PATIENCE, Upstream, wait_until};

const GOOD: &str = r#"{"tokenValido":"687f8b1325da9d0d54c3f046","usuario":{"id":9,"username":"odd"}}"#;

#[test]
fn only_the_contracts_own_yes_lets_anybody_in() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    let elsewhere = OldSystem::start(&users(1));
    let gateway =
        start(&config(&old, &upstream, "mode = \"lead\"", "rate = 1000\ntimeout = \"8s\"\nconnect_timeout = \"8s\"\n"));
    let json = "application/json";
    let odd = [
        Odd::Answers(200, json, r#"{"error":1,"message":"Credenciales inválidas"}"#.into()),
        Odd::Answers(200, json, r#"{"msg":"credential inactive"}"#.into()),
        Odd::Answers(200, "text/html", "<html>687f8b1325da9d0d54c3f046</html>".into()),
        Odd::Answers(200, "text/html", GOOD.into()),
        Odd::Answers(200, json, r#"{"tokenValido":"a","tokenValido":"b","usuario":{"id":9,"username":"odd"}}"#.into()),
        Odd::Answers(200, json, r#"{"tokenValido":"","usuario":{"id":9,"username":"odd"}}"#.into()),
        Odd::Answers(201, json, GOOD.into()),
        Odd::Answers(500, json, GOOD.into()),
        Odd::Answers(200, json, format!("{}{}", GOOD, " ".repeat(17 << 10))),
        Odd::Redirects(elsewhere.url()),
        Odd::CutOff,
        Odd::Hangs,
    ];
    for (at, odd) in odd.into_iter().enumerate() {
        old.set_odd("odd", odd.clone());
        let answer = login(&gateway, "odd", &format!("secret {at}"));
        assert!(!let_in(&answer), "{odd:?}: {}", answer.text());
        // Between two of them it is well: none of these makes it count as away for long.
        assert!(let_in(&login(&gateway, "user0", "right 0")), "{odd:?}");
    }
    assert!(elsewhere.asked().is_empty(), "no redirect is followed");
    let users = gateway.command("user list --realm sws --output json", "").json();
    assert_eq!(users.as_array().unwrap().len(), 1, "nothing was learnt of it: {users:#}");
    old.set_odd("odd", Odd::Answers(200, json, GOOD.into()));
    assert!(let_in(&login(&gateway, "odd", "the right one")), "and this is how a yes looks");
    let asked = old.asked();
    let asked = asked.iter().find(|asked| asked.name == "user0").unwrap();
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, serde_json::json!({ "username": "user0", "password": "right 0" }));
    assert!(asked.headers["x-client"].starts_with("127."), "{:?}", asked.headers);
}

#[test]
fn a_system_that_says_yes_to_nobody_is_closed() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    // The first question is about a name of 24 characters that nobody has.
    let names = "[verifiers.old.names]\nalphabet = \"x\"\nprefix = \"user\"\n";
    old.set_odd(&format!("user{}", "x".repeat(20)), Odd::Answers(200, "application/json", GOOD.into()));
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", &format!("rate = 1000\n{names}")));
    for secret in ["right 0", "wrong"] {
        assert_eq!(login(&gateway, "userx", secret).status, 503, "nobody's word counts");
    }
    gateway.process.event("an old system says yes to a name and a password that nobody has; it is closed");
    assert_eq!(old.asked().len(), 1, "it is not asked any more");
    assert!(metric(&gateway, "portero_verifier_believed{verifier=\"old\"} ") < 0.5);
}

#[test]
fn what_the_old_system_cannot_have_given_out_is_not_asked() {
    let (old, upstream) = (OldSystem::start(&users(1)), Upstream::start());
    let syntax = "rate = 1000\n[verifiers.old.names]\nalphabet = \"a-z0-9\"\nmax_length = 8\n[verifiers.old.secrets]\nprefix = \"right \"\n";
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", syntax));
    for (name, secret) in [("user-0", "right 0"), ("USER0", "right 0"), ("user00000", "right 0"), ("user0", "wrong 0")]
    {
        let answer = login(&gateway, name, secret);
        assert_eq!((answer.status, answer.json()["error"].as_i64()), (200, Some(1)), "{name}");
    }
    assert!(old.asked().is_empty());
    assert!(let_in(&login(&gateway, "user0", "right 0")));
    // The account is the one that the old system knows, with its number and its name.
    let users = gateway.command("user list --realm sws --output json", "").json();
    assert_eq!((&users[0]["name"], &users[0]["legacy_id"]), (&"user0".into(), &1.into()), "{users:#}");
    let refused = login(&gateway, "user0", "right 1");
    assert_eq!(refused.json()["error"], 1);
    let asked = old.asked().len();
    assert_eq!(login(&gateway, "user0", "right 1").json()["error"], 1);
    assert_eq!(old.asked().len(), asked, "a refusal is remembered for a moment");
    let remembered = "portero_verifier_questions_total{outcome=\"remembered\",verifier=\"old\"}";
    wait_until(remembered, PATIENCE, || metric(&gateway, remembered) >= 1.0);
    assert!(Contract::Sws.token_of(&refused).is_none());
}
