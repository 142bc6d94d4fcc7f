//! Which servers are left alone, against a model that remembers everything.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    ClientRoute, Eject, Failure, Pool, PoolSettings, Server, ServerLease, ServerSettings,
    recent_successes::{TICK_MS, WINDOW_MS},
};
use crate::{
    domain::{Clock, SystemClock},
    observe::metrics::Metrics,
    per_thread::Spread,
};

const FAILURES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(3600);

fn pool(servers: usize, percent: u32) -> Pool {
    pool_with(servers, percent, PAUSE)
}

fn pool_with(servers: usize, percent: u32, pause: Duration) -> Pool {
    let server = |at: usize| ServerSettings {
        name: format!("10.0.0.{at}:80").into(),
        host: format!("10.0.0.{at}").into(),
        port: 80,
        weight: 1,
    };
    let settings = PoolSettings {
        eject: Eject { failures: FAILURES, pause },
        eject_max_percent: percent,
        ..PoolSettings::new("crm", (0..servers).map(server).collect())
    };
    Pool::new(settings, Metrics::new().unwrap().upstream("crm", &[])).unwrap()
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum End {
    Answered,
    Failed,
    Unreachable,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![3 => Just(End::Answered), 5 => Just(End::Failed), 1 => Just(End::Unreachable)]
}

/// A good response or a failure, as the model writes it down.
struct Noted {
    server: usize,
    pair: u64,
    at: u64,
    end: End,
}

fn turn_at(server: &Spread<Server>, pair: u64, now: std::time::Instant) -> Option<ServerLease> {
    let mut turn = Server::take(server, now)?;
    turn.set_client_route(ClientRoute::of(pair));
    Some(turn)
}

proptest! {
    /// Whatever clients do in whatever order: a server is left alone only after so many failures in a row; for failures
    /// after sending only where nobody else had a good response, and never so that too few are left.
    #[test]
    fn nobody_is_left_alone_for_what_one_client_does(
        servers in 1..6_usize,
        percent in prop::sample::select(vec![0_u32, 34, 50, 100]),
        events in prop::collection::vec((0..6_usize, 1..4_u64, end(), 0..2_000_u64), 1..120),
    ) {
        let pool = pool(servers, percent);
        let (start, mut at, mut noted) = (SystemClock.instant(), 0, Vec::<Noted>::new());
        let all = pool.servers();
        // Time begins with the first request.
        drop(pool.pick(start, &[], |_| 0));
        for (server, pair, end, pause) in events {
            at += pause;
            let (now, index) = (start + Duration::from_millis(at), server % servers);
            let healthy = || all.iter().filter(|server| server.is_healthy()).count();
            let (was_healthy, before) = (all[index].is_healthy(), healthy());
            let Some(mut turn) = turn_at(&all[index], pair, now) else { continue };
            match end {
                End::Answered => turn.answered(now),
                End::Failed => pool.failed(&mut turn, Failure::AfterSending, now),
                End::Unreachable => pool.failed(&mut turn, Failure::Unreachable, now),
            }
            drop(turn);
            let in_row = noted.iter().rev().filter(|noted| noted.server == index)
                .take_while(|noted| !matches!(noted.end, End::Answered))
                .filter(|noted| !matches!(end, End::Unreachable) || matches!(noted.end, End::Unreachable))
                .count() + 1;
            let witness = |window: u64| noted.iter().any(|noted| {
                noted.server == index && noted.pair != pair && at - noted.at <= window && matches!(noted.end, End::Answered)
            });
            let enough = in_row >= usize::try_from(FAILURES).unwrap();
            let is_out = was_healthy && !all[index].is_healthy();
            match end {
                End::Answered => prop_assert!(!is_out),
                End::Unreachable => prop_assert_eq!(is_out, was_healthy && enough),
                End::Failed if is_out => {
                    prop_assert!(enough && !witness(WINDOW_MS - 2 * TICK_MS) && before > 1);
                    let suspected = all.iter().filter(|server| server.is_suspected()).count();
                    prop_assert!(suspected * 100 <= servers * percent as usize);
                }
                End::Failed => {
                    let suspected = all.iter().filter(|server| server.is_suspected()).count();
                    let bounded = (suspected + 1) * 100 > servers * percent as usize || before <= 1;
                    prop_assert!(!was_healthy || !enough || bounded || witness(WINDOW_MS + TICK_MS));
                }
            }
            noted.push(Noted { server: index, pair, at, end });
            // While any server is out for what a client may have done, somebody can be asked.
            let asked = pool.pick(now, &[], |_| 0);
            prop_assert!(asked.is_some() || all.iter().all(|server| !server.is_healthy() && !server.is_suspected()));
        }
    }
}

/// What a request's client does where a server is tried again.
#[derive(Clone, Copy, Debug)]
enum Tried {
    /// It has a response.
    Answered,
    /// The server has its connection, and then nothing is heard: the client owes its body.
    Held,
    /// The same, and then the client leaves.
    Left,
    /// There is no connection.
    Unreachable,
}

proptest! {
    /// With a short pause, so that trials are reached: whatever clients do with theirs, a server with which a
    /// connection is made again is back with that, however it was lost.
    #[test]
    fn nobody_keeps_a_server_out_that_can_be_reached(
        requests in prop::collection::vec((prop_oneof![
            1 => Just(Tried::Answered), 5 => Just(Tried::Held), 2 => Just(Tried::Left), 2 => Just(Tried::Unreachable),
        ], 1..200_u64), 1..80),
    ) {
        let pause = Duration::from_millis(100);
        let (pool, start, mut at) = (pool_with(1, 50, pause), SystemClock.instant(), 0);
        let server = &pool.servers()[0];
        drop(pool.pick(start, &[], |_| 0));
        for _ in 0..FAILURES {
            pool.failed(&mut turn_at(server, 1, start).unwrap(), Failure::Unreachable, start);
        }
        prop_assert!(!server.is_healthy());
        let mut open = vec![];
        for (tried, passed) in requests {
            at += passed;
            let now = start + Duration::from_millis(at);
            let Some(mut turn) = pool.pick(now, &[], |_| 0) else { continue };
            if matches!(tried, Tried::Unreachable) {
                pool.failed(&mut turn, Failure::Unreachable, now);
                continue;
            }
            turn.connected(now);
            prop_assert!(server.is_healthy(), "a connection was made");
            match tried {
                Tried::Answered => turn.answered(now),
                Tried::Held => open.push(turn),
                Tried::Left | Tried::Unreachable => {}
            }
        }
    }
}

#[test]
fn a_trial_whose_client_owes_its_body_keeps_nobody_else_from_one() {
    let pause = Duration::from_millis(100);
    let (pool, start) = (pool_with(2, 50, pause), SystemClock.instant());
    let server = &pool.servers()[0];
    drop(pool.pick(start, &[], |_| 0));
    for _ in 0..FAILURES {
        pool.failed(&mut turn_at(server, 1, start).unwrap(), Failure::AfterSending, start);
    }
    assert!(server.is_suspected());
    let later = start + pause;
    let mut first = turn_at(server, 1, later).unwrap();
    first.connected(later);
    assert!(server.is_suspected(), "that it can be reached was never in doubt");
    assert!(turn_at(server, 2, later).is_none(), "one trial at a time");
    drop(first.held().unwrap());
    let later = later + Duration::from_millis(1);
    let mut second = turn_at(server, 2, later).unwrap();
    assert!(turn_at(server, 3, later).is_none());
    drop(first);
    assert!(turn_at(server, 3, later).is_none(), "it was given back before");
    second.answered(later);
    assert!(server.is_healthy() && second.held().is_none());
}

#[test]
fn who_is_out_for_what_a_client_may_have_done_is_asked_again_rather_than_nobody() {
    let (pool, now) = (pool(2, 50), SystemClock.instant());
    let [suspected, other] = &pool.servers()[..] else { panic!("two servers") };
    for _ in 0..FAILURES {
        pool.failed(&mut turn_at(suspected, 1, now).unwrap(), Failure::AfterSending, now);
    }
    assert!(suspected.is_suspected() && pool.pick(now, &[], |_| 0).unwrap().server().number() != suspected.number());
    for _ in 0..FAILURES {
        pool.failed(&mut turn_at(other, 1, now).unwrap(), Failure::Unreachable, now);
    }
    let mut last = pool.pick(now, &[], |_| 0).unwrap();
    assert_eq!(last.server().number(), suspected.number());
    last.answered(now);
    assert!(suspected.is_healthy(), "it is back with its first answer");
}
