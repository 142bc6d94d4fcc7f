//! A gateway starts while the server of its store is away: by the store's snapshot on its disk.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use serde_json::json;

use super::fleet::Fleet;
use crate::support::{
    Contract, Gateway, PATIENCE, Postgres, Process, Ran, SmallDisk, command_at, get, portero, wait_until,
};

const STANDS_IN: &str =
    "the store is away; its snapshot on this disk stands in for it until it is too old or the store is back";
const IS_THERE: &str = "the store is there; the gateway started by its snapshot works with it from now on";

/// What a snapshot begins with that no other has.
const HEADER_BYTES: usize = 88;

/// Revocations that take more than one block of 4 KiB.
const FOR_A_BLOCK: u64 = 200;

/// One gateway that writes a snapshot, which may be used for so long.
fn with_snapshot(max_staleness: &str, more: &str) -> Fleet {
    let mut fleet = Fleet::without_gateways(Postgres::start(), |config| config);
    fleet.store = format!("max_staleness = \"{max_staleness}\"\nsnapshot = \"snapshot\"\n{more}");
    fleet.start(1);
    fleet
}

impl Gateway {
    /// Waits until so many revocations are in its snapshot, as `portero check` finds it.
    #[track_caller]
    fn has_on_disk(&self, revocations: u64) {
        wait_until("it is on the disk", PATIENCE, || {
            let found = self.command("check --output json", "").json();
            found["snapshot"]["revocations"].as_u64().is_some_and(|found| found >= revocations)
        });
    }

    /// Ends it at once, and tries to start it again; it must end by itself.
    #[track_caller]
    fn does_not_start(&self, why: &str) {
        has_ended_away(&portero(&["run", "--config", &self.folder.config()], ""), why);
    }
}

/// It ended as a gateway does whose store is away, and said why its snapshot was of no use.
#[track_caller]
fn has_ended_away(ran: &Ran, why: &str) {
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("cannot be reached"), "{}", ran.stderr);
    assert!(ran.stdout.contains(why), "'{why}' is not in:\n{}", ran.stdout);
}

#[test]
fn a_gateway_that_starts_without_the_store_serves_by_its_snapshot_and_heals() {
    let mut fleet = with_snapshot("10m", "");
    let gateway = fleet.gateways.pop().unwrap();
    let (good, of_apis) = (gateway.login(Contract::Sws), gateway.login_apis());
    let [first, second] = [(); 2].map(|()| gateway.login(Contract::Sws));
    // The base has one of them, and the journal the other one.
    assert_eq!(gateway.try_revoke(&first), 200);
    gateway.has_on_disk(1);
    assert_eq!(gateway.try_revoke(&second), 200);
    gateway.has_on_disk(2);
    let file = gateway.folder.file("snapshot");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let metrics = gateway.ask("/metrics").text();
    assert!(metrics.lines().any(|line| line.starts_with("portero_store_snapshot_timestamp_seconds 1")), "{metrics}");

    fleet.postgres.stop();
    let gateway = gateway.kill_and_restart();
    let said = gateway.process.event(STANDS_IN);
    let left = said["left_seconds"].as_u64().unwrap();
    assert!((1..600).contains(&left), "{said}");
    for revoked in [&first, &second] {
        assert_eq!(gateway.status("/sws", revoked), 401);
    }
    assert_eq!((gateway.status("/sws", &good), gateway.status("/apis", &of_apis.access)), (200, 200));
    assert_eq!((gateway.send(&get("/public")).status, gateway.ask("/health/ready").status), (200, 200));
    gateway.cannot_log_in();
    assert_eq!(gateway.try_revoke(&good), 503);
    // What was started so may be killed and started so.
    let gateway = gateway.kill_and_restart();
    assert_eq!((gateway.status("/sws", &good), gateway.status("/sws", &first)), (200, 401));

    fleet.postgres.start_again();
    gateway.heals();
    gateway.process.event(IS_THERE);
    let new = gateway.login(Contract::Sws);
    assert_eq!((gateway.status("/sws", &new), gateway.status("/sws", &good)), (200, 200));
    assert_eq!(gateway.status("/sws", &second), 401);
    assert_eq!(gateway.try_revoke(&good), 200);
    gateway.comes_to_refuse("/sws", &good);
    gateway.has_on_disk(3);
}

#[test]
fn a_snapshot_that_is_not_as_it_was_written_does_not_start_a_gateway() {
    let mut fleet = with_snapshot("1h", "");
    let mut gateway = fleet.gateways.pop().unwrap();
    let (good, revoked) = (gateway.login(Contract::Sws), gateway.login(Contract::Sws));
    gateway.has_on_disk(0);
    let older = fs::read(gateway.folder.file("snapshot")).unwrap();
    assert_eq!(gateway.try_revoke(&revoked), 200);
    gateway.has_on_disk(1);
    // Another history of the same gateway: its start writes a base of its own.
    gateway = gateway.kill_and_restart();
    let file = gateway.folder.file("snapshot");
    wait_until("a base of its own", PATIENCE, || fs::read(&file).unwrap()[..HEADER_BYTES] != older[..HEADER_BYTES]);
    let later = gateway.login(Contract::Sws);
    assert_eq!(gateway.try_revoke(&later), 200);
    gateway.has_on_disk(2);
    fleet.postgres.stop();
    gateway.process.signal("KILL");
    wait_until("it has ended", PATIENCE, || gateway.process.has_ended());
    let whole = fs::read(&file).unwrap();

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let foreign = [&older[..older.len().min(whole.len()) / 2], &whole[older.len().min(whole.len()) / 2..]].concat();
    for (bytes, why) in [
        (&flipped, "is damaged"),
        (&foreign, "is damaged"),
        (&whole[..200].to_vec(), "is not whole"),
        (&vec![0; 500], "is no snapshot"),
    ] {
        fs::write(&file, bytes).unwrap();
        gateway.does_not_start(why);
    }
    fs::remove_file(&file).unwrap();
    gateway.does_not_start("is missing");
    fs::write(&file, &whole).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    gateway.does_not_start("with mode 0600");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let key_file = gateway.folder.file("master.key");
    let key = fs::read(&key_file).unwrap();
    fs::write(&key_file, "00".repeat(32)).unwrap();
    gateway.does_not_start("cannot be opened: master key file");
    fs::write(&key_file, key).unwrap();
    for (shift, why) in [("+7200s", "store.max_staleness only"), ("-7200s", "clock is behind")] {
        let mut shifted = command_at(shift, &["run", "--config", &gateway.folder.config()]);
        has_ended_away(&Process::spawn(&mut shifted, "").finish(), why);
    }

    // A torn end is no harm: it is only older.
    fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    let Gateway { folder, .. } = gateway;
    let gateway = Gateway::run(folder);
    assert_eq!(gateway.process.event(STANDS_IN)["torn"], true);
    assert_eq!((gateway.status("/sws", &good), gateway.status("/sws", &revoked)), (200, 401));
}

#[test]
fn a_gateway_that_started_by_its_snapshot_refuses_at_the_bound_or_serves_as_its_config_says() {
    let mut fleet = with_snapshot("20s", "");
    fleet.store = "max_staleness = \"20s\"\nsnapshot = \"snapshot\"\nstale = \"serve\"".to_owned();
    fleet.start(1);
    let (serves, refuses) = (fleet.gateways.pop().unwrap(), fleet.gateways.pop().unwrap());
    let (good, revoked) = (refuses.login(Contract::Sws), refuses.login(Contract::Sws));
    assert_eq!(refuses.try_revoke(&revoked), 200);
    for gateway in [&refuses, &serves] {
        gateway.has_on_disk(1);
    }
    fleet.postgres.kill();
    let refuses = refuses.kill_and_restart();
    refuses.becomes_stale(&good);
    refuses.cannot_log_in();
    // Its snapshot is not fresher than what it knows: by then that is too old for a start that refuses.
    wait_until("the other one's is too old as well", PATIENCE, || serves.store_age() >= 20.0);
    let serves = serves.kill_and_restart();
    assert_eq!(serves.process.event(STANDS_IN)["left_seconds"], 0);
    assert_eq!((serves.status("/sws", &good), serves.status("/sws", &revoked)), (200, 401));
    refuses.process.signal("KILL");
    wait_until("it has ended", PATIENCE, || refuses.process.has_ended());
    refuses.does_not_start("store.max_staleness only");
    fleet.postgres.start_again();
    serves.heals();
    assert_eq!(serves.status("/sws", &revoked), 401);
}

#[test]
fn on_a_full_disk_the_snapshot_ages_and_nothing_else_notices() {
    let mut fleet = Fleet::without_gateways(Postgres::start(), |config| config);
    fleet.store = "max_staleness = \"10m\"\nsnapshot = \"disk/snapshot\"\n".to_owned();
    let folder = fleet.folder(&fleet.postgres.url());
    let Some(disk) = SmallDisk::at(folder.file("disk"), 256 << 10) else {
        eprintln!("this user may not mount a small disk: not tested");
        return;
    };
    let gateway = Gateway::run(folder);
    let [good, before, later, last] = [(); 4].map(|()| gateway.login(Contract::Sws));
    assert_eq!(gateway.try_revoke(&before), 200);
    gateway.has_on_disk(1);
    let written = || {
        let metrics = gateway.ask("/metrics").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("portero_store_snapshot_timestamp_seconds "));
        line.unwrap().parse::<f64>().unwrap()
    };
    disk.fill();
    // The last block of the file still has room.
    for number in 0..FOR_A_BLOCK {
        gateway.api("/revocations/token", &json!({ "jti": format!("{number:032x}"), "realm": "sws" }));
    }
    assert_eq!(gateway.try_revoke(&later), 200);
    assert_eq!((gateway.status("/sws", &later), gateway.status("/sws", &good)), (401, 200));
    let said = gateway.process.event("the store's snapshot cannot be written");
    assert!(said["error"].as_str().unwrap().contains("No space left"), "{said}");
    // What is there is whole, and as old as its last confirmation says.
    let aged = written();
    let found = gateway.command("check --output json", "").json();
    assert!((1..=FOR_A_BLOCK).contains(&found["snapshot"]["revocations"].as_u64().unwrap()), "{found}");
    assert_eq!(gateway.ask("/health/ready").status, 200);

    disk.free();
    // Bases are half a minute apart.
    wait_until("it is written again", 3 * PATIENCE, || written() > aged);
    gateway.process.event("the store's snapshot is written again");
    gateway.has_on_disk(FOR_A_BLOCK + 2);
    assert_eq!(gateway.try_revoke(&last), 200);
    gateway.has_on_disk(FOR_A_BLOCK + 3);
    fleet.postgres.stop();
    let gateway = gateway.kill_and_restart();
    gateway.process.event(STANDS_IN);
    let statuses = [&good, &before, &later, &last].map(|token| gateway.status("/sws", token));
    assert_eq!(statuses, [200, 401, 401, 401]);
}
