//! Failed logins, as processes tell each other through a store.

use std::{net::IpAddr, sync::Arc, time::Duration};

use portero::{
    domain::{Clock, SystemClock},
    state::{
        limit::{
            self, Attempt, Exchange, Held, KNOWN_MAX, NAME_WINDOW, Table, Throttle, ThrottleKey, ThrottleSettings, Whom,
        },
        store::{Store, StoreSettings},
    },
};

use super::{Gateways, named, on_both_stores, realm, trusted};

const STRANGER: &str = "192.0.2.1";

/// A process on the store: the key is the store's, and everything else its own.
struct Process {
    throttle: Arc<Throttle>,
    exchange: Exchange,
}

impl Process {
    async fn start(store: &Store) -> Self {
        Self::with(store, ThrottleSettings { shared: true, ..ThrottleSettings::default() }).await
    }

    async fn with(store: &Store, settings: ThrottleSettings) -> Self {
        let throttle = Throttle::new(settings);
        Self::over(store, throttle).await
    }

    async fn over(store: &Store, throttle: Arc<Throttle>) -> Self {
        let exchange = Exchange::new(store.clone(), Arc::clone(&throttle), Arc::new(SystemClock));
        exchange.begin_under(ThrottleKey::new(&[7; 32])).await.unwrap();
        Self { throttle, exchange }
    }

    async fn both(gateways: &Gateways) -> [Self; 2] {
        [Self::start(gateways.store()).await, Self::start(gateways.other()).await]
    }

    fn attempt(&self, address: &str) -> Attempt {
        self.throttle.attempt(&realm(), &named("admin"), address.parse().unwrap(), true)
    }

    fn fail(&self, times: u32) {
        for _ in 0..times {
            self.throttle.record_failure(&self.attempt(STRANGER), SystemClock.now());
        }
    }

    fn failures(&self) -> u32 {
        let (realm, name) = (realm(), named("admin"));
        let whom = Whom { name: Some((&realm, &name)), address: Some(STRANGER.parse::<IpAddr>().unwrap()) };
        let status = self.throttle.status(whom, SystemClock.now());
        status.iter().find(|status| status.table == Table::Pair).unwrap().failures
    }

    async fn exchange(&self) {
        self.exchange.run_once().await.unwrap();
    }
}

#[test]
fn processes_add_up_what_each_has_counted_and_a_repeated_batch_counts_once() {
    on_both_stores(async |gateways| {
        let [one, other] = Process::both(gateways).await;
        one.fail(3);
        other.fail(2);
        for _ in 0..3 {
            one.exchange().await;
            other.exchange().await;
        }
        one.exchange().await;
        assert_eq!((one.failures(), other.failures()), (5, 5));
        assert!(matches!(one.throttle.check(&mut one.attempt(STRANGER), SystemClock.now()), Err(Held::Throttled(_))));
        // A third one begins with all of that, and adds its own.
        let third = Process::start(gateways.store()).await;
        assert_eq!(third.failures(), 5);
        third.fail(1);
        third.exchange().await;
        one.exchange().await;
        assert_eq!((one.failures(), third.failures()), (6, 6));
    });
}

#[test]
fn a_name_has_one_cap_at_all_processes_and_an_address_its_free_failures_once() {
    on_both_stores(async |gateways| {
        // The sixth failure of an address within the minute is the cap's matter here.
        let settings = ThrottleSettings { name_failures: 6, shared: true, ..ThrottleSettings::default() };
        let [one, other] =
            [Process::with(gateways.store(), settings).await, Process::with(gateways.other(), settings).await];
        for (process, network) in [(&one, 51), (&other, 52)] {
            for address in 0..10 {
                for _ in 0..5 {
                    let attempt = process.attempt(&format!("198.{network}.100.{address}"));
                    process.throttle.record_failure(&attempt, SystemClock.now());
                }
            }
        }
        for process in [&one, &other, &one] {
            process.exchange().await;
        }
        for process in [&one, &other] {
            let [mut here, mut there] = ["198.51.100.1", "198.52.100.1"].map(|address| process.attempt(address));
            let now = SystemClock.now();
            assert_eq!(process.throttle.check(&mut here, now), Err(Held::Unlearned));
            process.throttle.learn(&here, vec![], now);
            for attempt in [&mut here, &mut there] {
                let held = process.throttle.check(attempt, now);
                assert!(matches!(held, Err(Held::Throttled(_))), "{held:?}");
            }
            // The owner has logged in from there.
            process.throttle.note_login(&there, now);
            assert_eq!(process.throttle.check(&mut there, now), Ok(()));
            assert_eq!(process.throttle.check(&mut process.attempt("203.0.113.1"), SystemClock.now()), Ok(()));
        }
    });
}

#[test]
fn what_ends_at_one_process_ends_at_all() {
    on_both_stores(async |gateways| {
        let [one, other] = Process::both(gateways).await;
        one.fail(4);
        one.exchange().await;
        other.exchange().await;
        assert_eq!(other.failures(), 4);
        other.throttle.record_success(&other.attempt(STRANGER), SystemClock.now());
        other.exchange().await;
        one.exchange().await;
        assert_eq!((one.failures(), other.failures()), (0, 0));
        one.fail(1);
        one.exchange().await;
        other.exchange().await;
        assert_eq!((one.failures(), other.failures()), (1, 1), "it counts from then on");
    });
}

#[test]
fn a_batch_that_was_lost_arrives_with_the_next_one() {
    on_both_stores(async |gateways| {
        let lost = Store::open(&gateways.settings).await.unwrap();
        let one = Process::start(&lost).await;
        one.fail(5);
        lost.close().await;
        one.exchange.run_once().await.unwrap_err();
        let again = Store::open(&gateways.settings).await.unwrap();
        Process::over(&again, one.throttle).await.exchange().await;
        assert_eq!(Process::start(gateways.other()).await.failures(), 5);
        again.close().await;
    });
}

#[test]
fn the_addresses_that_an_owner_used_last_are_known_and_no_more() {
    on_both_stores(async |gateways| {
        let [one, other] = Process::both(gateways).await;
        let now = SystemClock.now();
        for address in 0..20 {
            let attempt = one.attempt(&format!("198.51.100.{address}"));
            one.throttle.note_login(&attempt, now.plus(Duration::from_secs(address)));
        }
        one.exchange().await;
        let asked = other.attempt(STRANGER);
        let known = limit::known_addresses(gateways.other(), &asked, SystemClock.now()).await.unwrap();
        assert_eq!(known.len(), KNOWN_MAX as usize);
        // One that is used again stays, and each name has its own.
        one.throttle.note_login(&one.attempt("198.51.100.0"), now.plus(Duration::from_hours(25)));
        one.exchange().await;
        let again = limit::known_addresses(gateways.other(), &asked, SystemClock.now()).await.unwrap();
        assert_eq!((again.len(), &again[1..]), (KNOWN_MAX as usize, &known[..15]));
        let nobody = one.throttle.attempt(&realm(), &named("nobody"), STRANGER.parse().unwrap(), true);
        assert!(limit::known_addresses(gateways.store(), &nobody, now).await.unwrap().is_empty());
        let later = now.plus(limit::KNOWN_FOR).plus(Duration::from_hours(26));
        assert!(limit::known_addresses(gateways.store(), &asked, later).await.unwrap().is_empty());
    });
}

#[test]
fn what_has_ended_is_dropped_in_pieces_and_by_a_wrong_clock_nothing() {
    on_both_stores(async |gateways| {
        let one = Process::start(gateways.store()).await;
        one.fail(5);
        one.throttle.note_login(&one.attempt(STRANGER), SystemClock.now());
        one.exchange().await;
        let known = async || {
            limit::known_addresses(gateways.store(), &one.attempt(STRANGER), SystemClock.now()).await.unwrap().len()
        };
        let prune = async |time: Duration, rows: u32| {
            limit::prune(gateways.store(), trusted(SystemClock.now().plus(time)), rows).await.unwrap()
        };
        let an_hour = NAME_WINDOW + Duration::from_mins(11);
        assert_eq!(prune(Duration::ZERO, 10).await, 0);
        if let StoreSettings::Postgres(_) = gateways.settings {
            // The server's clock does not agree.
            assert_eq!(prune(an_hour, 10).await, 0);
            // As if it had been written before.
            let mut connection = gateways.connect().await;
            for (earlier, rows, dropped) in [(12, 10, 2), (60, 1, 1), (0, 10, 1)] {
                let shift = format!("UPDATE throttles SET ends_at = ends_at - {earlier} * 60000");
                sqlx::raw_sql(sqlx::AssertSqlSafe(shift)).execute(&mut connection).await.unwrap();
                assert_eq!(prune(Duration::ZERO, rows).await, dropped, "{earlier}");
            }
        } else {
            assert_eq!(prune(Duration::from_mins(12), 10).await, 2);
            assert_eq!(prune(an_hour, 1).await, 1);
            assert_eq!(prune(an_hour, 10).await, 1);
            assert_eq!(known().await, 1);
            prune(limit::KNOWN_FOR + Duration::from_mins(1), 10).await;
            assert_eq!(known().await, 0);
        }
    });
}

#[test]
fn many_processes_at_once_lose_nothing_and_wait_for_nobody_in_a_circle() {
    on_both_stores(async |gateways| {
        let call = |store: Store, number: usize| async move {
            let process = Process::start(&store).await;
            process.fail(1);
            process.throttle.note_login(&process.attempt(&format!("198.51.100.{number}")), SystemClock.now());
            process.exchange().await;
        };
        gateways.at_once(call).await;
        let last = Process::start(gateways.store()).await;
        assert_eq!(last.failures(), 64);
    });
}
