//! Which gateways may join a fleet, and what is made only once.

use std::fs;

use serde_json::Value;

use super::fleet::Fleet;
use crate::support::{Contract, Gateway, Pooler, Pooling, Postgres, Replication, portero};

#[test]
fn ten_gateways_that_start_at_once_make_one_key_a_realm() {
    let mut fleet = Fleet::without_gateways(Postgres::start(), |config| config);
    fleet.start(10);
    let realms = "SELECT count(DISTINCT realm) FROM keys";
    assert!(fleet.postgres.count(realms) >= 5);
    let more_than_one = "SELECT count(*) FROM (SELECT realm FROM keys WHERE state = 'active' GROUP BY realm \
                         HAVING count(*) > 1) AS more";
    assert_eq!(fleet.postgres.count(more_than_one), 0);
    assert_eq!(fleet.postgres.count("SELECT count(*) FROM keys"), fleet.postgres.count(realms));
    for gateway in fleet.gateways.iter().step_by(4) {
        fleet.all_take(&gateway.login(Contract::Sws));
    }
    assert_eq!(fleet.postgres.count("SELECT count(*) FROM gateways"), 10);
}

#[test]
fn a_gateway_without_the_right_key_file_does_not_start_and_says_what_to_copy() {
    let fleet = Fleet::without_gateways(Postgres::start(), |config| config);
    let run = |prepare: &dyn Fn(&std::path::Path)| {
        let folder = fleet.folder(&fleet.postgres.url());
        prepare(&folder.file("master.key"));
        let ran = portero(&["run", "--config", &folder.config()], "");
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("master.key") && ran.stderr.contains("copy"), "{}", ran.stderr);
    };
    run(&|file| fs::remove_file(file).unwrap());
    run(&|file| {
        let mut other: Vec<_> = fs::read(file).unwrap();
        let letter = other.iter_mut().find(|letter| letter.is_ascii_digit()).unwrap();
        *letter = if *letter == b'1' { b'2' } else { b'1' };
        fs::write(file, other).unwrap();
    });
    let keys = fleet.postgres.count("SELECT count(*) FROM keys");
    // A service manager tries that one again.
    let folder = fleet.folder(&fleet.postgres.url());
    fleet.postgres.stop();
    let ran = portero(&["run", "--config", &folder.config()], "");
    assert!(ran.code == 4 && ran.stderr.contains("cannot be reached"), "{ran:?}");
    fleet.postgres.start_again();
    // One that has the key goes on where these failed.
    fleet.command("user list --realm sws", "").succeeded();
    assert_eq!(fleet.postgres.count("SELECT count(*) FROM keys"), keys);
}

#[test]
fn an_address_that_leads_to_a_replica_is_named_at_the_start_and_refused_when_it_moves_there() {
    let fleet = Fleet::soon_stale(Postgres::start(), 2, |config| config);
    let replica = fleet.postgres.replica(Replication::Asynchronous);
    replica.wait_until_it_has_all_of(&fleet.postgres);
    let folder = fleet.folder(&replica.server.url());
    let ran = portero(&["run", "--config", &folder.config()], "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("replica"), "{}", ran.stderr);

    let [first, second] = &fleet.gateways[..] else { panic!("two gateways") };
    let (token, revoked) = (first.login(Contract::Sws), first.login(Contract::Sws));
    fleet.all_take(&revoked);
    fleet.links[1].cut();
    fleet.links[1].lead_to(&replica.server);
    // It reads there what is replicated, and may not: nobody says how old that is.
    replica.link.drop_silently();
    fleet.links[1].heal();
    assert_eq!(first.try_revoke(&revoked), 200);
    second.becomes_stale(&token);
    assert!([401, 503].contains(&second.status_at_once("/sws", &revoked)));
    let said: Value = second.process.event("the store cannot be followed; what is in force stays in force");
    assert!(second.process.written().contains("leads to a replica"), "{said}");

    fleet.links[1].cut();
    fleet.links[1].lead_to(&fleet.postgres);
    fleet.links[1].heal();
    fleet.heals();
    fleet.all_refuse(&revoked);
    fleet.all_take(&token);
}

#[test]
fn a_pooler_may_stand_before_the_server_unless_it_loses_statements_or_leads_elsewhere() {
    let fleet = Fleet::without_gateways(Postgres::start(), |config| config);
    let folder = |url: &str| fleet.folder_with_direct(url, &fleet.postgres.url());
    let pooler = Pooler::before(&fleet.postgres, Pooling::Sessions);
    let gateway = Gateway::run(folder(&pooler.url()));
    let token = gateway.login(Contract::Sws);
    assert_eq!((gateway.status("/sws", &token), gateway.try_revoke(&token)), (200, 200));
    gateway.comes_to_refuse("/sws", &token);

    let is_refused = |url: &str, because: &str| {
        let ran = portero(&["run", "--config", &folder(url).config()], "");
        assert!(ran.code == 2 && ran.stderr.contains(because), "{ran:?}");
    };
    let pooler = Pooler::before(&fleet.postgres, Pooling::Transactions);
    is_refused(&pooler.url(), "loses prepared statements: use PgBouncer 1.21 or later");
    let replica = fleet.postgres.replica(Replication::Asynchronous);
    replica.wait_until_it_has_all_of(&fleet.postgres);
    is_refused(&replica.server.url(), "lead to different databases or servers");
}
