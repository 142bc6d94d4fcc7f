//! What one gateway does, the others know.

use std::{collections::HashSet, thread};

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::fleet::Fleet;
use crate::support::{Connection, Contract, PATIENCE, Postgres, Request, wait_until};

#[test]
fn what_one_gives_every_other_takes_and_what_one_revokes_every_other_refuses() {
    let fleet = Fleet::of(2);
    let [first, second] = &fleet.gateways[..] else { panic!("two gateways") };
    for (one, other) in [(first, second), (second, first)] {
        let [token, by_command, in_session] = [(); 3].map(|()| one.login(Contract::Sws));
        for token in [&token, &by_command, &in_session] {
            assert_eq!(other.decides("/sws", token).0, 200, "at once");
        }
        assert_eq!(other.try_revoke(&token), 200);
        assert_eq!(other.status("/sws", &token), 401, "the next request");
        one.comes_to_refuse("/sws", &token);
        fleet.command("revoke token", &by_command).succeeded();
        fleet.all_refuse(&by_command);

        fleet.all_take(&in_session);
        let sessions = one.api_get("/sessions?realm=sws&name=admin");
        for session in sessions.as_array().unwrap() {
            one.api("/revocations/session", &json!({ "id": session["id"] }));
        }
        fleet.all_refuse(&in_session);
        let token = one.login(Contract::Sws);
        fleet.all_take(&token);
        one.api("/revocations/principal", &json!({ "realm": "sws", "name": "admin" }));
        fleet.all_refuse(&token);

        let token = other.login(Contract::Sws);
        fleet.all_take(&token);
        one.api("/revocations/key", &json!({ "id": key_id(&token) }));
        fleet.all_refuse(&token);
        let new = other.login(Contract::Sws);
        assert_ne!(key_id(&new), key_id(&token));
        fleet.all_take(&new);
    }
}

#[test]
fn every_gateway_measures_how_long_a_revocation_takes() {
    let fleet = Fleet::of(2);
    for gateway in &fleet.gateways {
        let measured = || gateway.metric("portero_revocation_propagation_seconds") > 0.0;
        wait_until("a canary was refused", PATIENCE, measured);
    }
    assert_eq!(fleet.postgres.count("SELECT count(*) FROM revocations"), 0, "it is a revocation of nothing");
}

#[test]
fn a_revocation_arrives_where_no_notice_does_and_where_every_byte_is_late() {
    let fleet = Fleet::of(2);
    fleet.postgres.execute("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC");
    let [first, second] = &fleet.gateways[..] else { panic!("two gateways") };
    for delay in [0, 100] {
        fleet.links[1].delay(std::time::Duration::from_millis(delay));
        let token = first.login(Contract::Sws);
        assert_eq!(second.decides("/sws", &token).0, 200);
        assert_eq!(first.try_revoke(&token), 200);
        second.comes_to_refuse("/sws", &token);
        assert_eq!(second.ask("/health/ready").status, 200);
    }
}

#[test]
fn what_a_gateway_acknowledged_holds_when_it_ends_in_the_next_moment() {
    let mut fleet = Fleet::of(3);
    let good = fleet.gateways[0].login(Contract::Sws);
    for signal in ["KILL", "TERM"] {
        let last = fleet.gateways.pop().unwrap();
        let token = last.login(Contract::Sws);
        fleet.all_take(&token);
        assert_eq!(last.try_revoke(&token), 200);
        last.process.signal(signal);
        fleet.all_refuse(&token);
        fleet.all_take(&good);
        last.process.finish();
    }
    // Only of the one that was killed nobody knows that it has gone.
    wait_until("the other one's row is gone", PATIENCE, || fleet.postgres.count("SELECT count(*) FROM gateways") == 2);
    fleet.heals();
}

#[test]
fn one_name_that_is_added_many_times_at_once_is_one_account() {
    let fleet = Fleet::of(2);
    let added = fleet.at_once("user add --realm sws --username same --password-stdin", "secret-of-same", 6);
    let mut codes: Vec<_> = added.iter().map(|ran| ran.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 1, 1, 1, 1, 1], "{added:?}");
    assert_eq!(fleet.postgres.count("SELECT count(*) FROM principals WHERE name = 'same'"), 1);
    for gateway in &fleet.gateways {
        let answer = gateway.send(&Contract::Sws.login_as("same", "secret-of-same"));
        fleet.all_take(&Contract::Sws.token_of(&answer).unwrap());
    }
}

#[test]
fn a_refresh_token_that_many_use_at_two_gateways_at_once_has_one_line_of_descent() {
    let fleet = Fleet::on(Postgres::start(), 2, |config| {
        config
            .text("[realms.oauth]\ndialect = \"oauth\"\n[oauth]\nrefresh_grace = \"5m\"\n[passwords]\nhash_queue = 256")
    });
    let (id, secret) = ("one", "a-secret-of-one");
    fleet.command(&format!("client add --realm oauth --id {id} --scope read --password-stdin"), secret).succeeded();
    let exchange = |token: &str| {
        Request::new("POST", "/oauth/token")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
            .body(format!("grant_type=refresh_token&refresh_token={token}"))
    };
    let token = fleet.gateways[0].login_apis().refresh;
    let clients: Vec<_> = (0..64)
        .map(|number| {
            let mut connection = Connection::open(fleet.gateways[number % 2].front);
            let request = exchange(&token);
            thread::spawn(move || connection.send_until_available(&request))
        })
        .collect();
    let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let text = |member: &str| {
        answers.iter().map(|answer| answer.json()[member].as_str().unwrap().to_owned()).collect::<HashSet<_>>()
    };
    assert_eq!(text("refresh_token").len(), 1);
    for access in text("access_token") {
        for gateway in &fleet.gateways {
            assert_eq!(gateway.decides("/apis", &access).0, 200);
        }
    }
    let lines = "SELECT count(*) FROM refresh_tokens WHERE generation = (SELECT max(generation) FROM refresh_tokens)";
    assert_eq!(fleet.postgres.count(lines), 1);
}

/// The `kid` of a token.
pub(super) fn key_id(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}
