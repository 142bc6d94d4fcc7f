//! Strangers who flood: the old system hears no more of them than it may, and users go on.

use std::time::Instant;

use super::{config, let_in, login, start, users};
use crate::support::{Connection, Contract, OldSystem, PATIENCE, Upstream, own_address, wait_until};

/// Logins of strangers, from so many addresses.
const STRANGERS: (usize, usize) = (300, 3);

/// Questions a second.
const RATE: u64 = 40;

#[test]
#[expect(clippy::disallowed_methods, reason = "how much it was asked is held against real time")]
fn strangers_reach_the_old_system_no_more_often_than_it_may_be_asked_and_users_go_on() {
    let users = users(4);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let bounds = format!("rate = {RATE}\nconcurrency = 4\nqueue = 64\nwait = \"20s\"\n");
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", &bounds));
    let started = Instant::now();
    let addresses: Vec<_> = (0..STRANGERS.1).map(|_| own_address()).collect();
    let flood: Vec<_> = (0..STRANGERS.0)
        .map(|at| {
            let mut stranger = Connection::open_from(addresses[at % STRANGERS.1], gateway.front);
            let request = Contract::Sws.login_as(&format!("stranger{at}"), &format!("garbage {at}"));
            stranger.write(request.bytes()).unwrap();
            stranger
        })
        .collect();
    for (name, password) in &users {
        let answer = login(&gateway, name, password);
        assert!(let_in(&answer), "{name}: {} {}", answer.status, answer.text());
    }
    let (mut refused, mut later) = (0, 0);
    for mut stranger in flood {
        let answer = stranger.receive();
        assert!(!let_in(&answer));
        match answer.status {
            200 if answer.json()["error"] == 1 => refused += 1,
            503 if answer.header("Retry-After").is_some() && answer.json()["error"] == 3 => later += 1,
            _ => panic!("{}: {}", answer.status, answer.text()),
        }
    }
    assert_eq!(refused + later, STRANGERS.0);
    assert!(later > 0, "a full queue says so");
    let asked = old.asked().len() as u64;
    let most = RATE * (started.elapsed().as_secs() + 1) + 1;
    assert!(asked <= most, "{asked} of {most}");
}

#[test]
fn the_same_login_is_asked_about_once_at_a_time() {
    let users = users(1);
    let (old, upstream) = (OldSystem::start(&users), Upstream::start());
    let gateway = start(&config(&old, &upstream, "mode = \"lead\"", "rate = 1\n"));
    // The first question proves the old system, and takes the first turn: these wait for the second one together.
    let same: Vec<_> = (0..16)
        .map(|_| {
            let mut client = Connection::open_from(own_address(), gateway.front);
            client.write(Contract::Sws.login_as(&users[0].0, &users[0].1).bytes()).unwrap();
            client
        })
        .collect();
    let mut tokens = vec![];
    for mut client in same {
        tokens.extend(Contract::Sws.token_of(&client.receive()));
    }
    assert_eq!(tokens.len(), 16, "each has tokens");
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 16, "of its own");
    wait_until("one question for all", PATIENCE, || old.asked().len() <= 4);
}
