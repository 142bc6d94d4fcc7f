//! Another process takes over, while the server of the store is away or comes back.

use std::path::Path;

use super::fleet::Fleet;
use crate::support::{Contract, Gateway, Postgres};

#[test]
fn an_upgrade_that_cannot_be_written_down_is_refused_and_leaves_everything_as_it_was() {
    let mut fleet = Fleet::without_gateways(Postgres::start(), |config| config);
    fleet.store = "max_staleness = \"10m\"\nsnapshot = \"snapshot\"".to_owned();
    let folder = fleet.folder(&fleet.postgres.url());
    let gateway = Gateway::run_with_successors(Path::new(env!("CARGO_BIN_EXE_portero")), folder);
    let (pid, [good, revoked]) = (gateway.serving_pid(), [(); 2].map(|()| gateway.login(Contract::Sws)));
    assert_eq!(gateway.try_revoke(&revoked), 200);
    assert_eq!((gateway.status("/sws", &good), gateway.status("/sws", &revoked)), (200, 401));

    fleet.postgres.stop();
    let refused = gateway.asked("upgrade --timeout 1m");
    assert!(refused.code == 2 && refused.stderr.contains("the store is out of reach"), "{refused:?}");
    assert_eq!(gateway.serving_pid(), pid, "no process was started");
    assert_eq!((gateway.status("/sws", &good), gateway.status("/sws", &revoked)), (200, 401));
    gateway.cannot_log_in();

    fleet.postgres.start_again();
    gateway.heals();
    gateway.asked("upgrade").succeeded();
    assert_ne!(gateway.serving_pid(), pid);
    gateway.heals();
    assert_eq!((gateway.status("/sws", &good), gateway.status("/sws", &revoked)), (200, 401));
}
