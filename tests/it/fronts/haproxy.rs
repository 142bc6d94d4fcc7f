//! `deploy/haproxy.cfg`.

use std::fs;

use super::{Pair, SOME, end, knows_its_clients, leave, sharing_a_store};
use crate::support::{Contract, Front, Gateway, Load, PATIENCE, get, wait_until};

const SERVERS: [&str; 2] = ["gateway-1", "gateway-2"];

#[test]
fn haproxy_tells_the_gateways_who_the_client_is() {
    knows_its_clients(Front::haproxy);
}

#[test]
fn a_gateway_that_stops_behind_haproxy_loses_no_request() {
    let (places, [first, second], _upstream) = sharing_a_store();
    let front = Front::haproxy(places);
    for server in SERVERS {
        front.wait_for(server, true);
    }
    let token = Contract::Sws.token_of(&front.send(&Contract::Sws.login_with(Contract::Sws.secret()))).unwrap();
    let load = Load::start(front.address, &token);
    let goes_on = || {
        let until_now = load.exchanges();
        wait_until("requests are answered", PATIENCE, || load.exchanges() > until_now + 100);
    };
    goes_on();
    leave(&first);
    front.wait_for(SERVERS[0], false);
    goes_on();
    let folder = end(first);
    goes_on();
    let again = Gateway::run(folder);
    front.wait_for(SERVERS[0], true);
    goes_on();
    leave(&second);
    front.wait_for(SERVERS[1], false);
    // What it gave that one just before has its answer, too.
    goes_on();
    end(second);
    goes_on();
    let done = load.stop();
    assert!(done.failures.is_empty(), "of {}: {:#?}", done.exchanges, done.failures);
    drop(again);
}

#[test]
fn haproxy_leaves_a_gateway_alone_that_is_not_ready_and_none_when_none_is() {
    let pair = Pair::start();
    let front = Front::haproxy(pair.places);
    let stores = pair.gateways.each_ref().map(|gateway| gateway.folder.file("portero.db"));
    let away = stores.each_ref().map(|store| store.with_extension("away"));

    fs::rename(&stores[0], &away[0]).unwrap();
    front.wait_for(SERVERS[0], false);
    only(&front, "two");
    fs::rename(&stores[1], &away[1]).unwrap();
    front.wait_for(SERVERS[1], false);
    let names = front.answers(SOME);
    assert!(["one", "two"].iter().all(|name| names.iter().any(|answer| answer == name)), "{names:?}");
    for gateway in &pair.gateways {
        assert_eq!(gateway.ask("/health/ready").status, 503);
    }
    fs::rename(&away[0], &stores[0]).unwrap();
    front.wait_for(SERVERS[0], true);
    only(&front, "one");
    assert_eq!(front.send(&get("/sws")).status, 401);
}

/// Waits until this one alone is asked: a check that a busy machine delays for a second takes it out, too, for a
/// moment.
fn only(front: &Front, name: &str) {
    wait_until("the ready one alone is asked", PATIENCE, || front.answers(SOME).iter().all(|answer| answer == name));
}
