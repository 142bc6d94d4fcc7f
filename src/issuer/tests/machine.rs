//! The machine alone: every transition, and when it fetches.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{Algorithm, KeyId, Timestamp},
    issuer::{
        machine::{Effects, Event, FRESH_MAX, FRESH_MIN, Fetched, Keys, Machine, Set, State},
        settings::Jwks,
    },
    state::keys::jwk::PublicJwk,
};

/// A machine and the time in it, in seconds.
struct Bench {
    machine: Machine,
    now: i64,
}

fn keys(id: &str) -> Keys {
    Arc::new(vec![PublicJwk { id: Some(KeyId::from_text(id)), algorithm: Algorithm::EdDsa, public: vec![7; 32] }])
}

fn jwks() -> Jwks {
    Jwks {
        refresh: Duration::from_secs(100),
        max_stale: Duration::from_secs(1000),
        cooldown: Duration::from_secs(30),
        ..Jwks::new("https://issuer.example.com/jwks".parse().unwrap())
    }
}

impl Bench {
    fn new() -> Self {
        Self { machine: Machine::new(jwks(), Timestamp::from_secs(0)), now: 0 }
    }

    /// One that fetched the keys `a` at 0, fresh for 100 s.
    fn fresh() -> Self {
        let mut bench = Self::new();
        assert!(bench.at(0, Event::Tick).fetch);
        assert_eq!(bench.set("a", None).keys, Some(keys("a")));
        bench
    }

    fn at(&mut self, now: i64, event: Event) -> Effects {
        self.now = now;
        self.machine.step(event, Timestamp::from_secs(now))
    }

    fn set(&mut self, id: &str, lifetime: Option<u64>) -> Effects {
        let lifetime = lifetime.map(Duration::from_secs);
        self.at(self.now, Event::Fetched(Fetched::Set { keys: keys(id), lifetime }))
    }

    fn failed(&mut self) -> Effects {
        self.at(self.now, Event::Fetched(Fetched::Failed))
    }

    /// The second at which a fetch begins by itself, of those up to `until`.
    fn fetches_at(&mut self, until: i64) -> Option<i64> {
        (self.now..=until).find(|&second| self.at(second, Event::Tick).fetch)
    }

    fn state(&self) -> (&'static str, Option<i64>) {
        match self.machine.state() {
            State::Empty => ("empty", None),
            State::Fresh { until, .. } => ("fresh", Some(until.as_secs())),
            State::Stale { until, .. } => ("stale", Some(until.as_secs())),
            State::Closed => ("closed", None),
        }
    }

    fn valid_until(&self) -> Option<i64> {
        self.machine.valid_until().map(Timestamp::as_secs)
    }
}

const NOTHING: Effects = Effects { fetch: false, keys: None };

#[test]
fn it_begins_empty_and_fetches_at_once_and_once() {
    let mut bench = Bench::new();
    assert_eq!((bench.state(), bench.valid_until()), (("empty", None), None));
    assert_eq!(bench.at(0, Event::Tick), Effects { fetch: true, keys: None });
    assert_eq!(bench.at(1, Event::Tick), NOTHING);
    assert_eq!(bench.at(1, Event::UnknownKey), NOTHING, "it joins the fetch under way");
    assert_eq!(bench.at(5000, Event::Tick), NOTHING, "however long it takes");
}

#[test]
fn a_set_is_fresh_from_when_it_was_asked_for() {
    let mut bench = Bench::new();
    bench.at(0, Event::Tick);
    bench.now = 3;
    assert_eq!(bench.set("a", None), Effects { fetch: false, keys: Some(keys("a")) });
    assert_eq!((bench.state(), bench.valid_until()), (("fresh", Some(100)), Some(1000)));
}

#[test]
fn it_fetches_ahead_of_the_end() {
    let mut bench = Bench::fresh();
    assert_eq!(bench.fetches_at(100), Some(80));
    assert_eq!(bench.set("a", None), NOTHING, "the same keys are not told again");
    assert_eq!((bench.state(), bench.valid_until()), (("fresh", Some(180)), Some(1080)));
    assert_eq!(bench.fetches_at(1000), Some(160));
    assert_eq!(bench.set("b", None).keys, Some(keys("b")));
}

#[test]
fn an_answer_cannot_make_it_fetch_too_often_nor_keep_keys_too_long() {
    for (lifetime, fresh, next) in
        [(0, 60, 48), (59, 60, 48), (61, 61, 49), (500, 500, 400), (u64::MAX / 2000, 1000, 800)]
    {
        let mut bench = Bench::new();
        bench.at(0, Event::Tick);
        bench.set("a", Some(lifetime));
        assert_eq!((bench.state(), bench.valid_until()), (("fresh", Some(fresh)), Some(1000)), "{lifetime}");
        assert_eq!(bench.fetches_at(1000), Some(next), "{lifetime}");
    }
    assert_eq!((FRESH_MIN.as_secs(), FRESH_MAX.as_secs()), (60, 3600));
    let long = Jwks { max_stale: Duration::from_hours(24), ..jwks() };
    let mut bench = Bench { machine: Machine::new(long, Timestamp::from_secs(0)), now: 0 };
    bench.at(0, Event::Tick);
    bench.set("a", Some(86_400));
    assert_eq!(bench.state(), ("fresh", Some(3600)));
}

#[test]
fn unchanged_keys_are_confirmed() {
    let mut bench = Bench::fresh();
    assert_eq!(bench.fetches_at(100), Some(80));
    let lifetime = Some(Duration::from_secs(200));
    assert_eq!(bench.at(81, Event::Fetched(Fetched::Unchanged { lifetime })), NOTHING);
    assert_eq!((bench.state(), bench.valid_until()), (("fresh", Some(280)), Some(1080)));
}

#[test]
fn without_a_set_there_is_nothing_to_be_unchanged() {
    let mut bench = Bench::new();
    bench.at(0, Event::Tick);
    assert_eq!(bench.at(0, Event::Fetched(Fetched::Unchanged { lifetime: None })), NOTHING);
    assert_eq!((bench.state(), bench.machine.failures()), (("empty", None), 1));
}

#[test]
fn old_keys_stand_through_failures_until_max_stale_and_not_longer() {
    let mut bench = Bench::fresh();
    assert_eq!(bench.fetches_at(100), Some(80));
    assert_eq!(bench.failed(), NOTHING);
    assert_eq!(bench.state(), ("fresh", Some(100)));
    assert!(bench.at(99, Event::Tick).keys.is_none());
    // A fetch may be under way while they grow old.
    bench.at(100, Event::Tick);
    assert_eq!((bench.state(), bench.valid_until()), (("stale", Some(1000)), Some(1000)));
    assert_eq!(bench.at(999, Event::Tick).keys, None);
    assert_eq!(bench.at(1000, Event::Tick).keys, Some(Keys::default()), "the sink is told that there are none");
    assert_eq!((bench.state(), bench.valid_until()), (("closed", None), None));
    assert_eq!(bench.at(1001, Event::Tick).keys, None, "once");
}

#[test]
fn fresh_keys_close_at_once_when_time_leapt() {
    let mut bench = Bench::fresh();
    let effects = bench.at(100_000, Event::Tick);
    assert_eq!(effects, Effects { fetch: true, keys: Some(Keys::default()) });
    assert_eq!(bench.state(), ("closed", None));
}

#[test]
fn a_set_opens_what_was_stale_or_closed() {
    for now in [500, 5000] {
        let mut bench = Bench::fresh();
        bench.at(now, Event::Tick);
        assert_eq!(bench.state().0, if now == 500 { "stale" } else { "closed" });
        bench.set("b", None);
        assert_eq!((bench.state(), bench.valid_until()), (("fresh", Some(now + 100)), Some(now + 1000)));
    }
}

#[test]
fn failures_are_retried_with_pauses_that_double_up_to_five_minutes() {
    let mut bench = Bench::new();
    bench.at(0, Event::Tick);
    let mut pauses = vec![];
    for _ in 0..9 {
        let failed_at = bench.now;
        assert_eq!(bench.failed(), NOTHING);
        pauses.push(bench.fetches_at(failed_at + 1000).unwrap() - failed_at);
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!(bench.machine.failures(), 9);
    bench.set("a", None);
    assert_eq!(bench.machine.failures(), 0);
    assert_eq!(bench.fetches_at(100_000).map(|_| bench.failed()), Some(NOTHING));
    let failed_at = bench.now;
    assert_eq!(bench.fetches_at(100_000), Some(failed_at + 5), "the pauses begin anew");
}

#[test]
fn any_number_of_failures_is_counted_and_waited_for() {
    let mut bench = Bench::new();
    bench.at(0, Event::Tick);
    for failure in 1..=100 {
        bench.failed();
        assert_eq!(bench.machine.failures(), failure);
        assert!(bench.at(bench.now + 300, Event::Tick).fetch);
    }
}

#[test]
fn unknown_keys_fetch_once_a_cooldown() {
    let mut bench = Bench::fresh();
    assert!(bench.at(1, Event::UnknownKey).fetch, "the first fetch was not asked for");
    bench.set("a", Some(3000));
    let begun = (1..=100).flat_map(|second| [second; 100]);
    let begun: Vec<_> = begun
        .filter(|&second| {
            let fetch = bench.at(second, Event::UnknownKey).fetch;
            if fetch {
                bench.set("a", Some(3000));
            }
            fetch
        })
        .collect();
    assert_eq!(begun, [31, 61, 91]);
    assert_eq!(bench.machine.ask_from(), Some(Timestamp::from_secs(121)));
}

#[test]
fn unknown_keys_fetch_once_a_cooldown_from_a_server_that_fails_too() {
    let mut bench = Bench::new();
    bench.at(0, Event::Tick);
    bench.failed();
    assert!(bench.at(1, Event::UnknownKey).fetch, "the pause after a failure does not hold it up");
    bench.failed();
    assert_eq!(bench.at(2, Event::UnknownKey), NOTHING);
    assert_eq!(bench.fetches_at(100), Some(11), "it is retried by itself");
    bench.failed();
    assert_eq!(bench.at(30, Event::UnknownKey), NOTHING);
}

#[test]
fn a_snapshot_is_stale_from_its_time_on() {
    let set = |confirmed_at| Set { keys: keys("s"), confirmed_at: Timestamp::from_secs(confirmed_at) };
    let restored = |confirmed_at| {
        let mut bench = Bench { machine: Machine::new(jwks(), Timestamp::from_secs(5000)), now: 5000 };
        let effects = bench.at(5000, Event::Restored(set(confirmed_at)));
        assert!(effects.fetch, "a snapshot is no reason not to ask");
        (effects.keys.is_some(), bench.state(), bench.valid_until())
    };
    assert_eq!(restored(5000), (true, ("stale", Some(6000)), Some(6000)));
    assert_eq!(restored(4001), (true, ("stale", Some(5001)), Some(5001)));
    assert_eq!(restored(4000), (false, ("closed", None), None));
    assert_eq!(restored(5001), (false, ("empty", None), None), "from the future");

    let mut bench = Bench::fresh();
    assert_eq!(bench.at(1, Event::Restored(set(0))), NOTHING, "what was fetched is better");
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_last_longer() {
    let mut bench = Bench::fresh();
    bench.at(50, Event::UnknownKey);
    bench.set("a", None);
    // 10 s later in truth, a day earlier by the clock.
    let day = 86_400;
    bench.at(60, Event::Tick);
    bench.at(60 - day, Event::Tick);
    assert_eq!((bench.state(), bench.valid_until()), (("fresh", Some(150 - day)), Some(1050 - day)));
    assert_eq!(bench.machine.ask_from(), Some(Timestamp::from_secs(80 - day)));
    assert_eq!(bench.fetches_at(1000 - day), Some(130 - day));
    bench.at(-2 * day, Event::Tick);
    bench.now = -2 * day;
    bench.set("b", None);
    assert_eq!(bench.state(), ("fresh", Some(100 - 2 * day)), "the fetch under way moved too");
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut bench = Bench::fresh();
    assert_eq!(bench.set("b", None), NOTHING);
    assert_eq!(bench.failed(), NOTHING);
    assert_eq!((bench.state(), bench.machine.failures()), (("fresh", Some(100)), 0));
}
