//! The server, its disk or the network fails, or a gateway is stopped.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use super::fleet::Fleet;
use crate::support::{Connection, Contract, Gateway, PATIENCE, Postgres, RawUpstream, get, wait_until};

/// A fleet whose gateways have two routes more: one that serves all the same when it is stale, and one whose answers
/// begin and do not end.
fn with_streams() -> (Fleet, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let endless = RawUpstream::start(move |stream| {
        if stream.read() {
            stream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
            // Until the test is over.
            let _ = held.lock().unwrap().recv();
        }
    });
    let fleet = Fleet::soon_stale(Postgres::start(), 4, |config| {
        config
            .route("kept", "/kept", "accept = [\"sws\"]\nstale = \"serve\"")
            .upstream("endless", &[endless.address])
            .route("endless", "/endless", "accept = [\"sws\"]\nupstream = \"endless\"")
    });
    (fleet, release)
}

#[test]
fn gateways_that_are_cut_off_serve_until_the_bound_refuse_from_then_on_and_heal() {
    let (fleet, _held) = with_streams();
    let [whole, cut, silent, stopped] = &fleet.gateways[..] else { panic!("four gateways") };
    let good = whole.login(Contract::Sws);
    // The first exchange of a gateway is the first that ends.
    let mut stream = Connection::open(cut.front);
    stream.write(get("/endless").bearer(&good).bytes()).unwrap();
    assert_eq!(stream.receive_head().unwrap().status, 200);
    let revoked = whole.login(Contract::Sws);
    fleet.all_take(&revoked);

    let mut waiting: Vec<_> = (0..8).map(|_| Connection::open(stopped.front)).collect();
    for connection in &mut waiting {
        assert_eq!(connection.send(&get("/sws").bearer(&revoked)).status, 200);
    }
    fleet.links[1].cut();
    fleet.links[2].drop_silently();
    stopped.process.signal("STOP");
    wait_until("every thread has stopped", PATIENCE, || stopped.process.is_stopped());
    for connection in &mut waiting {
        connection.write(get("/sws").bearer(&revoked).bytes()).unwrap();
    }
    assert_eq!(whole.try_revoke(&revoked), 200, "one of four is enough");
    assert_eq!(whole.status("/sws", &revoked), 401);

    // Without the store nobody logs in. What is checked goes on.
    cut.cannot_log_in();
    for gateway in [cut, silent] {
        gateway.becomes_stale(&good);
        assert!([401, 503].contains(&gateway.status_at_once("/sws", &revoked)));
        assert_eq!(gateway.status("/kept", &good), 200, "its route says so");
        gateway.cannot_log_in();
    }
    stream.rest().map_or_else(
        |error| assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "still open"),
        |rest| assert_eq!(rest, b"begun"),
    );
    // The partition of some is no matter of the others.
    assert_eq!((whole.status("/sws", &good), whole.try_login().status), (200, 200));
    silent.command(&format!("stale serve --for 30m --admin {}", silent.admin), "").succeeded();
    assert_eq!(silent.status("/sws", &good), 200, "an operator's word");
    silent.command(&format!("stale refuse --admin {}", silent.admin), "").succeeded();
    assert_eq!(silent.status_at_once("/sws", &good), 503);

    // By now it was stopped for longer than the bound.
    stopped.process.signal("CONT");
    for connection in &mut waiting {
        assert!([401, 503].contains(&connection.receive().status), "nothing was decided by what it knew then");
    }
    fleet.links[1].heal();
    fleet.links[2].heal();
    fleet.heals();
    fleet.all_refuse(&revoked);
    fleet.all_take(&good);
}

#[test]
fn a_server_that_stops_crashes_or_hangs_costs_no_checked_request_before_the_bound() {
    let fleet = Fleet::of(2);
    let good = fleet.gateways[0].login(Contract::Sws);
    for (fault, heal) in [
        (Postgres::stop as fn(&Postgres), Postgres::start_again as fn(&Postgres)),
        (Postgres::kill, Postgres::start_again),
        (Postgres::freeze, Postgres::thaw),
        (|postgres| assert!(postgres.terminate_connections() > 0), |_| {}),
    ] {
        let revoked = fleet.gateways[0].login(Contract::Sws);
        assert_eq!(fleet.gateways[0].try_revoke(&revoked), 200);
        fleet.all_refuse(&revoked);
        fault(&fleet.postgres);
        for gateway in &fleet.gateways {
            assert_eq!((gateway.status("/sws", &good), gateway.status("/sws", &revoked)), (200, 401));
        }
        heal(&fleet.postgres);
        fleet.heals();
        fleet.all_refuse(&revoked);
        fleet.all_take(&good);
    }
}

#[test]
fn a_server_that_stays_away_makes_every_gateway_stale_until_it_is_back() {
    let fleet = Fleet::soon_stale(Postgres::start(), 2, |config| config);
    let good = fleet.gateways[0].login(Contract::Sws);
    fleet.postgres.kill();
    for gateway in &fleet.gateways {
        gateway.becomes_stale(&good);
        gateway.cannot_log_in();
    }
    fleet.postgres.start_again();
    fleet.heals();
    fleet.all_take(&good);
}

#[test]
fn connections_that_are_lost_without_a_word_are_not_waited_for_one_after_the_other() {
    let mut fleet = Fleet::without_gateways(Postgres::start(), |config| config);
    fleet.connections = 16;
    fleet.start(1);
    let [gateway] = &fleet.gateways[..] else { panic!("one gateway") };
    let good = gateway.login(Contract::Sws);
    let revoke = || gateway.try_revoke(&gateway.login(Contract::Sws));
    // As many connections at once as it may have: each revocation takes its time, and they wait for each other at the
    // audit log: three round trips and the commit.
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'portero'";
    wait_until("as many as it may have", PATIENCE, || {
        fleet.links[0].delay(Duration::ZERO);
        let tokens: Vec<_> = (0..16).map(|_| gateway.login(Contract::Sws)).collect();
        fleet.links[0].delay(Duration::from_millis(20));
        thread::scope(|scope| {
            for token in &tokens {
                scope.spawn(|| gateway.try_revoke(token));
            }
        });
        fleet.postgres.count(connections) > 12
    });
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'";
    let before = fleet.postgres.count(listening);
    assert!(before > 0);
    fleet.links[0].delay(Duration::ZERO);
    fleet.links[0].lose();
    // Twelve that are waited for one after the other take 48 seconds.
    wait_until("one revocation works", PATIENCE, || gateway.try_login().status == 200 && revoke() == 200);
    for number in 0..8 {
        assert_eq!(revoke(), 200, "revocation {number} after it");
    }
    assert_eq!(gateway.status("/sws", &good), 200);
    // The connection that listens was lost, too, and nobody told the server. It takes seconds to notice that, because a
    // quiet one looks the same.
    wait_until("it listens again", PATIENCE, || fleet.postgres.count(listening) > before);
}

#[test]
fn a_full_disk_takes_no_revocation_back_that_it_acknowledged() {
    let Some(postgres) = Postgres::start_on_small_disk() else {
        eprintln!("this user may not mount a small disk: not tested");
        return;
    };
    let fleet = Fleet::on(postgres, 2, |config| config);
    let [first, second] = &fleet.gateways[..] else { panic!("two gateways") };
    let good = first.login(Contract::Sws);
    let tokens: Vec<_> = (0..20).map(|_| first.login(Contract::Sws)).collect();
    fleet.postgres.fill_disk();
    let acknowledged: Vec<_> = tokens.iter().filter(|token| first.try_revoke(token) == 200).collect();
    assert_eq!((first.status("/sws", &good), second.status("/sws", &good)), (200, 200), "nothing checked writes");
    fleet.postgres.free_disk();
    fleet.postgres.wait_until_ready();
    fleet.heals();
    let new = Gateway::run(fleet.folder(&fleet.postgres.url()));
    for token in acknowledged {
        fleet.all_refuse(token);
        assert_eq!(new.status("/sws", token), 401);
    }
    fleet.all_take(&good);
}
