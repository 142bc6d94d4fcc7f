//! Another server takes over: a replica that has everything, one that lacks the last transactions, or an older state.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use super::{fleet::Fleet, together::key_id};
use crate::support::{Config, Connection, Contract, Gateway, Link, PATIENCE, Postgres, Replication, get, wait_until};

impl Fleet {
    /// Moves the address of the store to another server, for these gateways.
    fn move_to(&self, postgres: &Postgres, places: impl IntoIterator<Item = usize>) {
        for place in places {
            self.links[place].cut();
            self.links[place].lead_to(postgres);
            self.links[place].heal();
        }
    }

    /// A gateway that knows nothing but what this server has.
    fn new_gateway(&self, postgres: &Postgres) -> Gateway {
        Gateway::run(self.folder(&postgres.url()))
    }
}

const WRITTEN_AGAIN: &str = "revocations that the store did not know any more were written again";

#[test]
fn a_synchronous_replica_that_takes_over_has_every_revocation_that_was_acknowledged() {
    let fleet = Fleet::of(2);
    let replica = fleet.postgres.replica(Replication::Synchronous);
    let [first, second] = &fleet.gateways[..] else { panic!("two gateways") };
    let good = first.login(Contract::Sws);
    let tokens: Vec<_> = (0..24).map(|_| second.login(Contract::Sws)).collect();
    let is_over = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            let until_it_dies = tokens.iter().take_while(|_| !is_over.load(Ordering::Relaxed));
            until_it_dies.filter(|token| first.try_revoke(token) == 200).collect::<Vec<_>>()
        });
        first.comes_to_refuse("/sws", &tokens[12]);
        fleet.postgres.kill();
        is_over.store(true, Ordering::Relaxed);
        revoking.join().unwrap()
    });
    assert!(acknowledged.len() >= 12);
    let promoted = replica.promote();
    fleet.move_to(&promoted, [0, 1]);
    fleet.heals();
    let new = fleet.new_gateway(&promoted);
    for token in acknowledged {
        fleet.all_refuse(token);
        assert_eq!(new.status("/sws", token), 401);
    }
    fleet.all_take(&good);
    assert_eq!(new.status("/sws", &good), 200);
}

#[test]
fn an_asynchronous_replica_that_takes_over_is_told_what_living_gateways_have_seen() {
    let fleet = Fleet::of(2);
    let replica = fleet.postgres.replica(Replication::Asynchronous);
    let [first, second] = &fleet.gateways[..] else { panic!("two gateways") };
    let good = first.login(Contract::Sws);
    let token = first.login(Contract::Sws);
    let (of_apis, content) = (first.login_apis(), second.login_apis());
    replica.wait_until_it_has_all_of(&fleet.postgres);

    // The rest never comes to the replica.
    replica.link.cut();
    assert_eq!(first.try_revoke(&token), 200);
    first.api("/revocations/principal", &json!({ "realm": "apis", "name": "admin" }));
    for gateway in [first, second] {
        gateway.comes_to_refuse("/sws", &token);
        gateway.comes_to_refuse("/apis", &of_apis.access);
        gateway.comes_to_refuse("/apis", &content.access);
    }
    let after = second.login_apis();
    fleet.postgres.kill();
    let promoted = replica.promote();
    fleet.move_to(&promoted, [0, 1]);
    wait_until("it is written again", PATIENCE, || {
        fleet.gateways.iter().any(|gateway| gateway.process.written().contains(WRITTEN_AGAIN))
    });
    fleet.heals();
    let new = fleet.new_gateway(&promoted);
    for gateway in fleet.gateways.iter().chain([&new]) {
        assert_eq!((gateway.status("/sws", &token), gateway.status("/sws", &good)), (401, 200));
        for tokens in [&of_apis, &content] {
            assert_eq!(gateway.status("/apis", &tokens.access), 401);
        }
        // The account's epoch is not behind what is revoked.
        let tokens = gateway.login_apis();
        for other in fleet.gateways.iter().chain([&new]) {
            assert_eq!(other.decides("/apis", &tokens.access).0, 200);
        }
    }
    assert_eq!(second.status("/apis", &after.access), 200, "what was given out meanwhile stays good");
}

#[test]
fn what_a_gateway_acknowledged_and_did_not_read_back_is_not_lost_either() {
    let fleet = Fleet::of(1);
    let replica = fleet.postgres.replica(Replication::Asynchronous);
    // It writes through one link, and follows through another.
    let (writes, follows) = (Link::to(&fleet.postgres), Link::to(&fleet.postgres));
    let gateway = Gateway::run(fleet.folder_with_direct(&writes.url(), &follows.url()));
    let (token, good) = (gateway.login(Contract::Sws), gateway.login(Contract::Sws));
    replica.wait_until_it_has_all_of(&fleet.postgres);
    replica.link.cut();
    follows.drop_silently();
    assert_eq!(gateway.try_revoke(&token), 200);
    fleet.postgres.kill();
    let promoted = replica.promote();
    for link in [&writes, &follows] {
        link.cut();
        link.lead_to(&promoted);
        link.heal();
    }
    gateway.process.event(WRITTEN_AGAIN);
    gateway.heals();
    fleet.move_to(&promoted, [0]);
    for other in [&gateway, &fleet.gateways[0], &fleet.new_gateway(&promoted)] {
        other.comes_to_refuse("/sws", &token);
        assert_eq!(other.status("/sws", &good), 200);
    }
}

#[test]
fn a_key_that_was_revoked_stays_revoked_when_an_older_state_takes_over() {
    let fleet = Fleet::of(2);
    let replica = fleet.postgres.replica(Replication::Asynchronous);
    let [first, second] = &fleet.gateways[..] else { panic!("two gateways") };
    let token = first.login(Contract::Sws);
    replica.wait_until_it_has_all_of(&fleet.postgres);
    replica.link.cut();
    first.api("/revocations/key", &json!({ "id": key_id(&token) }));
    fleet.all_refuse(&token);
    let after = second.login(Contract::Sws);
    fleet.all_take(&after);
    fleet.postgres.kill();
    let promoted = replica.promote();
    fleet.move_to(&promoted, [0, 1]);
    fleet.heals();
    fleet.all_refuse(&token);
    fleet.all_take(&after);
    let new = fleet.new_gateway(&promoted);
    assert_eq!(new.status("/sws", &token), 401);
    assert_ne!(key_id(&new.login(Contract::Sws)), key_id(&token));
    let active = "SELECT count(*) FROM keys WHERE realm = 'sws' AND state = 'active'";
    assert_eq!(promoted.count(active), 1);
}

#[test]
fn a_primary_that_is_cut_off_from_its_synchronous_replica_acknowledges_nothing_and_goes_stale() {
    let fleet = Fleet::soon_stale(Postgres::start(), 2, |config| config);
    let replica = fleet.postgres.replica(Replication::Synchronous);
    let [left, moved] = &fleet.gateways[..] else { panic!("two gateways") };
    let (good, revoked, other) = (left.login(Contract::Sws), left.login(Contract::Sws), left.login(Contract::Sws));
    fleet.all_take(&revoked);
    replica.isolate(&[&fleet.links[1]]);
    let promoted = replica.promote();
    fleet.move_to(&promoted, [1]);
    moved.heals();
    assert_eq!(moved.try_revoke(&revoked), 200);
    assert_eq!(moved.status("/sws", &revoked), 401);
    // The old primary has nobody to commit with.
    assert_ne!(left.try_revoke(&other), 200);
    left.becomes_stale(&good);
    assert!([401, 503].contains(&left.status_at_once("/sws", &revoked)));
    left.cannot_log_in();
    fleet.move_to(&promoted, [0]);
    fleet.heals();
    fleet.all_refuse(&revoked);
    fleet.all_take(&good);
}

#[test]
fn an_older_backup_is_told_what_living_gateways_know() {
    let fleet = Fleet::of(2);
    let [first, second] = &fleet.gateways[..] else { panic!("two gateways") };
    let (good, token) = (first.login(Contract::Sws), first.login(Contract::Sws));
    let operator = fleet.command("admin token add --name ci --role operate --output json", "").json();
    let operator = operator["token"].as_str().unwrap().to_owned();
    let opens = |gateway: &Gateway| {
        let request = get("/api/v1/process").header("Host", "localhost").bearer(&operator);
        Connection::open(gateway.admin).send(&request).status == 200
    };
    wait_until("it opens", PATIENCE, || fleet.gateways.iter().all(opens));
    let data = fleet.postgres.folder().join("data");
    let backup = fleet.postgres.folder().join("backup");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    fleet.postgres.stop();
    copy(&data, &backup);
    fleet.postgres.start_again();
    fleet.heals();
    assert_eq!(second.try_revoke(&token), 200);
    fleet.all_refuse(&token);
    fleet.command("user add --realm sws --username later --password-stdin", "secret-of-later").succeeded();
    fleet.command("admin token revoke --name ci", "").succeeded();
    wait_until("it opens nothing", PATIENCE, || !fleet.gateways.iter().any(opens));

    fleet.postgres.stop();
    fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    fleet.postgres.start_again();
    wait_until("it is written again", PATIENCE, || {
        fleet.gateways.iter().any(|gateway| gateway.process.written().contains(WRITTEN_AGAIN))
    });
    fleet.heals();
    fleet.all_refuse(&token);
    fleet.all_take(&good);
    let new = fleet.new_gateway(&fleet.postgres);
    assert_eq!(new.status("/sws", &token), 401);
    assert!(!fleet.gateways.iter().chain([&new]).any(opens), "an operator's token stays revoked, too");
    let later = Contract::Sws.login_as("later", "secret-of-later");
    assert_eq!(first.send(&later).status, second.send(&later).status);
}

#[test]
fn a_backup_that_nobody_knows_better_ends_newer_tokens_once_it_is_known_to_be_one() {
    let mut fleet = Fleet::of(1);
    let set = |fleet: &Fleet| {
        let words = "user set-password --realm sws --username admin --password-stdin";
        fleet.command(words, Contract::Sws.secret()).succeeded();
    };
    set(&fleet);
    set(&fleet);
    let token = fleet.gateways[0].login(Contract::Sws);
    fleet.gateways.pop().unwrap().stop();
    fleet.links.clear();
    // What an older backup knows.
    fleet.postgres.execute("UPDATE principals SET epoch = 0");
    fleet.postgres.execute("DELETE FROM revocations WHERE kind = 'principal'");
    let restored = fleet.command("store restored --output json", "").json();
    assert!(restored["epoch_floor"].as_i64().unwrap() > 1 << 20, "{restored}");
    fleet.start(1);
    set(&fleet);
    fleet.all_refuse(&token);
    fleet.all_take(&fleet.gateways[0].login(Contract::Sws));
    let on_a_file = Config::new().with_accounts().command("store restored", "");
    assert!(on_a_file.code == 1 && on_a_file.stderr.contains("portero restore"), "{on_a_file:?}");
}
