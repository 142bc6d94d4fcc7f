//! The time is not the same everywhere.

use super::fleet::Fleet;
use crate::support::{Contract, Gateway, Process, command_at};

#[test]
fn a_gateway_whose_clock_is_ten_minutes_ahead_is_not_ready_and_revokes_as_all_do() {
    let fleet = Fleet::of(1);
    let [right] = &fleet.gateways[..] else { panic!("one gateway") };
    let folder = fleet.folder(&fleet.postgres.url());
    let mut ahead = command_at("+600s", &["run", "--config", &folder.config()]);
    let ahead = Gateway::of(Process::spawn(&mut ahead, ""), folder);

    let said = "the civil clock and that of the store's server are apart; expiry is judged by this gateway's own";
    let offset = ahead.process.event(said)["offset_seconds"].as_i64().unwrap();
    assert!((-605..=-595).contains(&offset), "{offset}");
    assert_eq!((ahead.ask("/health/ready").status, right.ask("/health/ready").status), (503, 200));
    let [here, there, good] = [(); 3].map(|()| right.login(Contract::Sws));
    for token in [&here, &there, &good] {
        assert_eq!(ahead.status("/sws", token), 200);
    }
    assert_eq!((right.try_revoke(&here), ahead.try_revoke(&there)), (200, 200));
    for gateway in [right, &ahead] {
        for token in [&here, &there] {
            gateway.comes_to_refuse("/sws", token);
        }
        assert_eq!(gateway.status("/sws", &good), 200);
    }
}
