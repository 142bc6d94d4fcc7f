//! `deploy/nginx.conf`.

use super::{Pair, SOME, end, knows_its_clients, leave, sharing_a_store};
use crate::support::{Connection, Contract, Front, Gateway, Load, PATIENCE, get, wait_until};

#[test]
fn nginx_tells_the_gateways_who_the_client_is() {
    knows_its_clients(Front::nginx);
}

#[test]
fn a_gateway_that_is_taken_out_of_nginx_loses_no_request_when_it_stops() {
    let (places, [first, _second], upstream) = sharing_a_store();
    let front = Front::nginx(places);
    let token = Contract::Sws.token_of(&front.send(&Contract::Sws.login_with(Contract::Sws.secret()))).unwrap();
    let load = Load::start(front.address, &token);
    let goes_on = || {
        let until_now = load.exchanges();
        wait_until("requests are answered", PATIENCE, || load.exchanges() > until_now + 100);
    };
    goes_on();
    front.take_first_out(places[0]);
    leave(&first);
    // What it gave that one just before has its answer, too.
    goes_on();
    end(first);
    goes_on();
    let done = load.stop();
    assert!(done.failures.is_empty(), "of {}: {:#?}", done.exchanges, done.failures);
    drop(upstream);
}

#[test]
fn nginx_takes_the_next_gateway_where_one_is_gone_and_each_as_soon_as_it_is_back() {
    let Pair { places, gateways: [first, second], upstreams } = Pair::start();
    let front = Front::nginx(places);
    leave(&first);
    let first = end(first);
    assert!(front.answers(SOME).iter().all(|name| name == "two"));
    leave(&second);
    let second = end(second);
    let mut nobody = Connection::open(front.address);
    // It may be closed by now.
    let _ = nobody.write(get("/public").bytes());
    nobody.is_closed();
    let _first = Gateway::run(first);
    assert!(front.answers(SOME).iter().all(|name| name == "one"));
    let _second = Gateway::run(second);
    let names = front.answers(SOME);
    assert!(["one", "two"].iter().all(|name| names.iter().any(|answer| answer == name)), "{names:?}");
    drop(upstreams);
}
