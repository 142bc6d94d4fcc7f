//! Failed logins at several gateways.

use serde_json::Value;

use super::fleet::Fleet;
use crate::{
    support::{Contract, Gateway, PATIENCE, Postgres, own_address, wait_until},
    throttles::{fail, from},
};

fn shared() -> Fleet {
    Fleet::on(Postgres::start(), 2, |config| config.text("[throttle]\nshared = true"))
}

/// Failures that a gateway knows of, for the account of `apis` from an address.
fn failures(gateway: &Gateway, address: std::net::Ipv4Addr) -> Value {
    let listed = gateway.api_get(&format!("/limits?realm=apis&name=admin&address={address}"));
    let rows = listed["standing"].as_array().unwrap();
    rows.iter().find(|row| row["kind"] == "name_and_address").unwrap()["failures"].clone()
}

#[test]
fn what_fails_at_one_gateway_counts_at_every_other_and_so_does_an_end() {
    let fleet = shared();
    let [one, other] = &fleet.gateways[..] else { panic!("two gateways") };
    let (stranger, spread) = (own_address(), own_address());
    let (wrong, right) = (Contract::Apis.login_with("wrong"), Contract::Apis.login_with(Contract::Apis.secret()));
    fail(one, stranger, &wrong);
    wait_until("the other one has heard of it", PATIENCE, || failures(other, stranger) == 5);
    assert_eq!(from(other, stranger, &right).status, 429);
    assert_eq!(from(other, own_address(), &right).status, 200);

    // Some here and some there add up.
    for gateway in [one, other, one, other, one] {
        assert_eq!(from(gateway, spread, &wrong).status, 401);
    }
    for gateway in [one, other] {
        wait_until("they add up", PATIENCE, || failures(gateway, spread) == 5);
        assert_eq!(from(gateway, spread, &right).status, 429);
    }

    // An operator ends it at one of them.
    other.asked("limits clear --realm apis --name admin").succeeded();
    for address in [stranger, spread] {
        assert_eq!(from(other, address, &right).status, 200);
        wait_until("the first one has heard of it", PATIENCE, || failures(one, address) == 0);
        assert_eq!(from(one, address, &right).status, 200);
    }
}

#[test]
fn a_right_login_at_one_gateway_ends_what_was_counted_at_all() {
    let fleet = shared();
    let [one, other] = &fleet.gateways[..] else { panic!("two gateways") };
    let owner = own_address();
    let (wrong, right) = (Contract::Apis.login_with("wrong"), Contract::Apis.login_with(Contract::Apis.secret()));
    for _ in 0..4 {
        assert_eq!(from(one, owner, &wrong).status, 401);
    }
    wait_until("the other one has heard of it", PATIENCE, || failures(other, owner) == 4);
    assert_eq!(from(other, owner, &right).status, 200);
    wait_until("the first one has heard of it", PATIENCE, || failures(one, owner) == 0);
    fail(one, owner, &wrong);
}

#[test]
fn while_the_store_is_away_failures_are_counted_and_arrive_afterwards() {
    let fleet = shared();
    let [one, other] = &fleet.gateways[..] else { panic!("two gateways") };
    let stranger = own_address();
    let wrong = Contract::Apis.login_with("wrong");
    fail(one, stranger, &wrong);
    fleet.links[0].cut();
    one.process.event("failed logins cannot be written down; they are counted in memory meanwhile");
    // What it knows holds, whatever the store does.
    assert_eq!(from(one, stranger, &wrong).status, 429);
    fleet.links[0].heal();
    wait_until("the other one has heard of it", PATIENCE, || failures(other, stranger) == 5);
}

#[test]
fn a_killed_gateway_comes_back_with_what_all_have_counted() {
    let mut fleet = shared();
    let stranger = own_address();
    let wrong = Contract::Apis.login_with("wrong");
    let last = fleet.gateways.pop().unwrap();
    fail(&last, stranger, &wrong);
    wait_until("the other one has heard of it", PATIENCE, || failures(&fleet.gateways[0], stranger) == 5);
    let back = last.kill_and_restart();
    assert_eq!(failures(&back, stranger), 5);
    assert_eq!(from(&back, stranger, &wrong).status, 429);
}

/// It takes as long as a batch does where nothing is shared, 5 s at most.
#[test]
fn without_the_word_each_gateway_counts_by_itself() {
    let fleet = Fleet::of(2);
    let [one, other] = &fleet.gateways[..] else { panic!("two gateways") };
    let stranger = own_address();
    fail(one, stranger, &Contract::Apis.login_with("wrong"));
    let written = "SELECT count(*) FROM throttles WHERE kind = 'pair' AND failures = 5";
    wait_until("it is written down", PATIENCE, || fleet.postgres.count(written) == 1);
    assert_eq!(failures(other, stranger), 0);
    fail(other, stranger, &Contract::Apis.login_with("wrong"));
}
