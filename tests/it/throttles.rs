//! Throttles that outlive the process, and that a stranger cannot turn against an owner.

use std::{net::Ipv4Addr, thread};

use serde_json::{Value, json};

use crate::support::{
    Config, Connection, Contract, Database, Gateway, PATIENCE, Request, Response, Upstream, own_address, wait_until,
};

/// Windows of a second for a name and an address, so that soon only the cap over all addresses counts.
const SHORT_WINDOWS: &str = "[throttle]\nwindow = \"1s\"\nname_tries = 10";

pub(crate) fn from(gateway: &Gateway, source: Ipv4Addr, request: &Request) -> Response {
    Connection::open_from(source, gateway.front).send(request)
}

/// Five wrong logins.
#[track_caller]
pub(crate) fn fail(gateway: &Gateway, source: Ipv4Addr, request: &Request) {
    for _ in 0..5 {
        assert_eq!(from(gateway, source, request).status, 401);
    }
}

fn retry_after(answer: &Response) -> Option<u64> {
    answer.header("Retry-After").map(|wait| wait.parse().unwrap())
}

/// Waits until this source is refused by the cap: its own window is a second, and a turn is six minutes.
#[track_caller]
fn comes_to_be_capped(gateway: &Gateway, source: Ipv4Addr, request: &Request) -> Response {
    let mut last = None;
    wait_until("the cap refuses it", PATIENCE, || {
        let answer = from(gateway, source, request);
        let capped = answer.status == 429 && retry_after(&answer) > Some(1);
        last = Some(answer);
        capped
    });
    last.unwrap()
}

fn standing(gateway: &Gateway, name: &str) -> Value {
    gateway.api_get(&format!("/limits?realm=apis&name={name}"))["standing"][0].clone()
}

#[test]
fn a_restart_forgets_no_throttle() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let (stranger, owner) = (own_address(), own_address());
    fail(&gateway, stranger, &Contract::Apis.login_with("wrong"));
    // What was counted last is written when it ends.
    gateway.process.signal("TERM");
    let Gateway { process, folder, .. } = gateway;
    process.finish();
    let gateway = Gateway::run(folder);
    let right = Contract::Apis.login_with(Contract::Apis.secret());
    let refused = from(&gateway, stranger, &right);
    assert!(refused.status == 429 && retry_after(&refused).is_some_and(|wait| (1..=60).contains(&wait)), "{refused:?}");
    assert_eq!(from(&gateway, owner, &right).status, 200);
    let mut store = Database::of(&gateway);
    let readable = "SELECT count(*) FROM throttles WHERE CAST(subject AS TEXT) LIKE '%admin%'";
    assert_eq!(store.count(readable), 0);
    assert!(store.count("SELECT count(*) FROM throttles WHERE length(subject) = 16") > 0);
}

/// It takes as long as a batch does, 5 s at most.
#[test]
fn a_crash_forgets_no_more_than_the_last_batch() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let stranger = own_address();
    fail(&gateway, stranger, &Contract::Apis.login_with("wrong"));
    let mut store = Database::of(&gateway);
    let written = "SELECT count(*) FROM throttles WHERE kind = 'pair' AND failures = 5";
    wait_until("the batch is written", PATIENCE, || store.count(written) == 1);
    drop(store);
    let gateway = gateway.kill_and_restart();
    let right = Contract::Apis.login_with(Contract::Apis.secret());
    assert_eq!(from(&gateway, stranger, &right).status, 429);
}

/// A client that is disabled is told so before any hash, so that a flood costs the test no hashes. It counts as any
/// other failure does.
#[test]
fn strangers_from_two_hundred_addresses_do_not_lock_the_owner_out() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).text("[throttle]\nwindow = \"1s\"").start();
    let (owner, contract) = (own_address(), Contract::Become);
    let (right, wrong) = (contract.login_with(contract.secret()), contract.login_with("wrong"));
    let id = contract.name();
    assert_eq!(from(&gateway, owner, &right).status, 200);
    gateway.command(&format!("client disable --realm become --id {id}"), "").succeeded();
    let strangers: Vec<_> = (0..200).map(|_| own_address()).collect();
    // Many at once: all of them are to have failed before the next turn.
    thread::scope(|scope| {
        let (gateway, wrong) = (&gateway, &wrong);
        for some in strangers.chunks(20) {
            scope.spawn(move || {
                for &stranger in some {
                    for _ in 0..5 {
                        let told = from(gateway, stranger, wrong);
                        assert_eq!((told.status, &told.json()["msg"]), (200, &json!("credential inactive")));
                    }
                }
            });
        }
    });
    gateway.command(&format!("client enable --realm become --id {id}"), "").succeeded();
    // Every one of them is held by now, and the next turn is half a minute away.
    let mut passed = 0;
    for &stranger in &strangers {
        let answer = from(&gateway, stranger, &right);
        passed += usize::from(answer.status == 200);
        assert!(answer.status == 429 || passed == 1, "{answer:?}");
    }
    assert!(passed <= 1, "{passed}");
    // The owner is there, wherever he was before; and his first five failures elsewhere are his own.
    for _ in 0..3 {
        assert_eq!(from(&gateway, owner, &right).status, 200);
    }
    assert_eq!(from(&gateway, own_address(), &right).status, 200);
    // A restart forgets neither.
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    process.finish();
    let gateway = Gateway::run(folder);
    assert_eq!(from(&gateway, owner, &right).status, 200);
    assert_eq!(from(&gateway, strangers[0], &right).status, 429);
}

/// It waits for windows of a second.
#[test]
fn a_name_without_account_is_capped_like_any_other_and_known_addresses_are_not() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).text(SHORT_WINDOWS).start();
    let (owner, contract) = (own_address(), Contract::Apis);
    assert_eq!(from(&gateway, owner, &contract.login_with(contract.secret())).status, 200);
    let mut answers = vec![];
    for name in ["admin", "nobody"] {
        let (wrong, strangers) = (contract.login_as(name, "wrong"), [own_address(), own_address()]);
        for stranger in strangers {
            fail(&gateway, stranger, &wrong);
        }
        let capped = strangers.map(|stranger| comes_to_be_capped(&gateway, stranger, &wrong));
        answers.push(capped.map(|answer| (answer.status, answer.text())));
        let standing = standing(&gateway, name);
        assert_eq!((&standing["kind"], &standing["failures"]), (&json!("name"), &json!(10)));
        // A new address has its own failures.
        assert_eq!(from(&gateway, own_address(), &wrong).status, 401);
    }
    assert_eq!(answers[0], answers[1]);
    // The owner mistypes from an address that he has used: his own five failures count, and no cap.
    let (wrong, right) = (contract.login_with("wrong"), contract.login_with(contract.secret()));
    for _ in 0..2 {
        fail(&gateway, owner, &wrong);
        wait_until("his own window ends", PATIENCE, || from(&gateway, owner, &right).status == 200);
    }
}

#[test]
fn an_operator_sees_restraints_and_ends_them() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let stranger = own_address();
    let (wrong, right) = (Contract::Apis.login_with("wrong"), Contract::Apis.login_with(Contract::Apis.secret()));
    fail(&gateway, stranger, &wrong);
    assert_eq!(from(&gateway, stranger, &right).status, 429);
    let listed = gateway.asked("limits list --output json").json();
    let count = |listed: &Value, kind: &str| {
        let rows = listed["restraints"].as_array().unwrap();
        rows.iter().find(|row| row["kind"] == kind).unwrap()["count"].clone()
    };
    assert_eq!(count(&listed, "name_and_address"), 1);
    let of_name = format!("limits list --realm apis --name admin --address {stranger}");
    let shown = gateway.asked(&of_name);
    assert!(shown.stdout.contains("name and address  5 of 5"), "{}", shown.stdout);

    gateway.asked("limits clear --realm apis --name admin").succeeded();
    assert_eq!(count(&gateway.asked("limits list --output json").json(), "name_and_address"), 0);
    assert_eq!(from(&gateway, stranger, &right).status, 200);
    // It is on the disk: a crash does not bring it back.
    let gateway = gateway.kill_and_restart();
    assert_eq!(from(&gateway, stranger, &right).status, 200);

    let stranger = own_address();
    // Longer than any secret: it costs no hash, so that all of them are refused within one window.
    let endless = "x".repeat(1025);
    for number in 0..30 {
        let unknown = Contract::Maxpoint.login_as(&format!("client-{number}"), &endless);
        assert_eq!(from(&gateway, stranger, &unknown).status, 401);
    }
    assert_eq!(from(&gateway, stranger, &right).status, 429);
    gateway.asked(&format!("limits clear --address {stranger}")).succeeded();
    assert_eq!(from(&gateway, stranger, &right).status, 200);

    for (words, said) in [
        ("limits clear", "say whose restraints end"),
        ("limits clear --realm nowhere --name admin", "the config has no realm 'nowhere'"),
    ] {
        let refused = gateway.asked(words);
        assert!(refused.code != 0 && refused.stderr.contains(said), "{words}: {}", refused.stderr);
    }
}

#[test]
fn a_new_master_key_forgets_no_throttle() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let stranger = own_address();
    fail(&gateway, stranger, &Contract::Apis.login_with("wrong"));
    gateway.command("key reseal", "").succeeded();
    let Gateway { process, folder, .. } = gateway;
    process.signal("TERM");
    process.finish();
    let gateway = Gateway::run(folder);
    let right = Contract::Apis.login_with(Contract::Apis.secret());
    assert_eq!(from(&gateway, stranger, &right).status, 429);
}
