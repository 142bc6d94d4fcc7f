use std::collections::HashMap;

use proptest::prelude::*;

use super::{super::settings::NAME_WINDOW, *};

const WINDOW: Duration = Duration::from_mins(1);

fn realm() -> RealmName {
    "sws".parse().unwrap()
}

fn name(name: &str) -> AccountName {
    AccountName { business: String::new(), name: name.into() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + secs)
}

fn throttle(settings: ThrottleSettings) -> Arc<Throttle> {
    Throttle::new(settings)
}

fn attempt(throttle: &Throttle, account: &str, address: &str) -> Attempt {
    throttle.attempt(&realm(), &name(account), ip(address), true)
}

fn fail(throttle: &Throttle, times: u32, account: &str, address: &str, now: i64) {
    for _ in 0..times {
        throttle.record_failure(&attempt(throttle, account, address), at(now));
    }
}

fn check(throttle: &Throttle, account: &str, address: &str, now: i64) -> Result<(), Held> {
    throttle.check(&mut attempt(throttle, account, address), at(now))
}

fn held_by_name(retry_after: Duration) -> Result<(), Held> {
    Err(Throttled::Name { retry_after }.into())
}

#[test]
fn the_sixth_attempt_after_five_failures_waits_for_the_first_ones_window() {
    let throttle = throttle(ThrottleSettings::default());
    fail(&throttle, 1, "admin", "192.0.2.1", 0);
    fail(&throttle, 3, "admin", "192.0.2.1", 50);
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 50), Ok(()));
    fail(&throttle, 1, "admin", "192.0.2.1", 50);
    let retry_after = Duration::from_secs(10);
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 50), held_by_name(retry_after));
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 60), Ok(()));
    fail(&throttle, 1, "admin", "192.0.2.1", 60);
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 60), Ok(()));
}

#[test]
fn others_are_not_throttled_with_it() {
    let throttle = throttle(ThrottleSettings::default());
    fail(&throttle, 5, "admin", "192.0.2.1", 0);
    assert!(check(&throttle, "admin", "192.0.2.1", 0).is_err());
    assert_eq!(check(&throttle, "Admin", "192.0.2.1", 0), Ok(()));
    assert_eq!(check(&throttle, "admin", "192.0.2.2", 0), Ok(()));
    let other = "apis".parse().unwrap();
    let mut elsewhere = throttle.attempt(&other, &name("admin"), ip("192.0.2.1"), true);
    assert_eq!(throttle.check(&mut elsewhere, at(0)), Ok(()));
    let business = AccountName { business: "a".into(), name: "dmin".into() };
    let mut in_business = throttle.attempt(&realm(), &business, ip("192.0.2.1"), true);
    assert_eq!(throttle.check(&mut in_business, at(0)), Ok(()));
}

#[test]
fn an_address_is_throttled_whatever_the_names() {
    let throttle = throttle(ThrottleSettings::default());
    for account in 0..30 {
        assert_eq!(check(&throttle, "new", "192.0.2.1", 1), Ok(()));
        fail(&throttle, 1, &account.to_string(), "192.0.2.1", 1);
    }
    let retry_after = Duration::from_secs(58);
    assert_eq!(check(&throttle, "new", "192.0.2.1", 3), Err(Throttled::Address { retry_after }.into()));
    assert_eq!(check(&throttle, "new", "192.0.2.2", 3), Ok(()));
}

#[test]
fn success_clears_the_name_and_not_the_address() {
    let throttle = throttle(ThrottleSettings { address_failures: 6, ..ThrottleSettings::default() });
    fail(&throttle, 5, "admin", "192.0.2.1", 0);
    throttle.record_success(&attempt(&throttle, "admin", "192.0.2.1"), at(0));
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 0), Ok(()));
    fail(&throttle, 1, "admin", "192.0.2.1", 0);
    assert!(matches!(check(&throttle, "admin", "192.0.2.1", 0), Err(Held::Throttled(Throttled::Address { .. }))));
}

#[test]
fn ipv6_addresses_stand_for_their_64() {
    let throttle = throttle(ThrottleSettings::default());
    fail(&throttle, 5, "admin", "2001:db8:0:1::1", 0);
    assert!(check(&throttle, "admin", "2001:db8:0:1:ffff::2", 0).is_err());
    assert_eq!(check(&throttle, "admin", "2001:db8:0:2::1", 0), Ok(()));
    fail(&throttle, 5, "admin", "::ffff:192.0.2.1", 0);
    assert!(check(&throttle, "admin", "192.0.2.1", 0).is_err());
    assert_eq!(check(&throttle, "admin", "192.0.2.2", 0), Ok(()));
    assert_ne!(ClientKey::of(ip("0.0.0.0")), ClientKey::of(ip("::")));
}

#[test]
fn the_clock_set_back_throttles_for_two_windows_at_most() {
    let throttle = throttle(ThrottleSettings::default());
    fail(&throttle, 5, "admin", "192.0.2.1", 3600);
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 3541), held_by_name(WINDOW));
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 3540), Ok(()));
    fail(&throttle, 5, "admin", "192.0.2.1", 0);
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 0), held_by_name(WINDOW));
    assert_eq!(check(&throttle, "admin", "192.0.2.1", 60), Ok(()));
}

#[test]
fn who_fills_the_table_displaces_no_restraint() {
    let throttle = throttle(ThrottleSettings { entries_max: 8, ..ThrottleSettings::default() });
    fail(&throttle, 5, "admin", "192.0.2.1", 0);
    for flood in 0..250 {
        fail(&throttle, 4, &flood.to_string(), &format!("198.51.100.{flood}"), 1);
    }
    assert!(check(&throttle, "admin", "192.0.2.1", 1).is_err());
    fail(&throttle, 5, "other", "203.0.113.1", 1);
    assert!(check(&throttle, "other", "203.0.113.1", 1).is_err(), "there is room for a newcomer");
}

#[derive(Clone, Debug)]
enum Step {
    Fail(u8),
    Succeed(u8),
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..6).prop_map(Step::Fail),
        1 => (0u8..6).prop_map(Step::Succeed),
        1 => (0u16..40_000).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    /// Against the rule as one would say it: the failures since the first one of the window.
    #[test]
    fn a_name_is_throttled_exactly_when_its_window_is_full(steps in steps()) {
        let settings = ThrottleSettings { address_failures: u32::MAX, name_tries: u32::MAX, ..ThrottleSettings::default() };
        let throttle = throttle(settings);
        let mut windows: HashMap<u8, Vec<Timestamp>> = HashMap::new();
        let mut now = at(0);
        for step in steps {
            match step {
                Step::Wait(millis) => now = now.plus(Duration::from_millis(millis.into())),
                Step::Succeed(who) => {
                    throttle.record_success(&attempt(&throttle, &who.to_string(), "192.0.2.1"), now);
                    windows.remove(&who);
                }
                Step::Fail(who) => {
                    throttle.record_failure(&attempt(&throttle, &who.to_string(), "192.0.2.1"), now);
                    let failures = windows.entry(who).or_default();
                    if failures.first().is_some_and(|&first| now.since(first) >= WINDOW) {
                        failures.clear();
                    }
                    failures.push(now);
                }
            }
            for who in 0..6 {
                let failures = windows.get(&who).map(Vec::as_slice).unwrap_or_default();
                let full = failures.len() >= 5 && now.since(failures[0]) < WINDOW;
                let checked = throttle.check(&mut attempt(&throttle, &who.to_string(), "192.0.2.1"), now);
                let rest = |first| WINDOW.saturating_sub(now.since(first));
                prop_assert_eq!(checked, if full { held_by_name(rest(failures[0])) } else { Ok(()) });
            }
        }
    }
}

/// The fifth failure of an address is more than a minute before its next attempt, so that only the cap counts.
const TURN: i64 = 36;

/// A name above its cap: from 20 addresses, 5 failures each.
fn capped(name: &str) -> Arc<Throttle> {
    let throttle = throttle(ThrottleSettings::default());
    for address in 0..20 {
        fail(&throttle, 5, name, &format!("198.51.100.{address}"), 0);
    }
    throttle
}

/// Asks, and tells the throttle what the store knows where it asks for that.
fn check_knowing(throttle: &Throttle, account: &str, address: &str, known: &[&str], now: i64) -> Result<(), Held> {
    let mut attempt = attempt(throttle, account, address);
    match throttle.check(&mut attempt, at(now)) {
        Err(Held::Unlearned) => {
            let known = known.iter().map(|address| throttle.key.load().address(ip(address))).collect();
            throttle.learn(&attempt, known, at(now));
            assert!(throttle.has_learned(&attempt, at(now)));
            throttle.check(&mut attempt, at(now))
        }
        other => other,
    }
}

#[test]
fn above_the_cap_known_addresses_and_first_failures_are_not_touched() {
    let throttle = capped("admin");
    // An address that failed in the hour, as strangers do, and that the owner has used.
    fail(&throttle, 5, "admin", "192.0.2.1", 1);
    assert_eq!(check_knowing(&throttle, "admin", "192.0.2.1", &["192.0.2.1"], 70), Ok(()));
    // Each new address has its own five failures, whatever others do.
    for failures in 0..5 {
        assert_eq!(check(&throttle, "admin", "203.0.113.9", 70), Ok(()), "{failures}");
        fail(&throttle, 1, "admin", "203.0.113.9", 70);
    }
    // It has its turn once, since nobody else asks, and no more.
    assert!(check_knowing(&throttle, "admin", "203.0.113.9", &["192.0.2.1"], 140).is_ok());
    assert!(check_knowing(&throttle, "admin", "203.0.113.9", &["192.0.2.1"], 140).is_err());
    // Other names are not touched either.
    assert_eq!(check(&throttle, "other", "198.51.100.1", 140), Ok(()));
}

#[test]
fn above_the_cap_strangers_pass_one_at_a_time_and_the_rest_is_told_when_to_come_again() {
    let throttle = capped("admin");
    let mut passed = vec![];
    // Half an hour in which each of them asks once every 6 seconds.
    for step in 0..300 {
        let now = 70 + step * 6;
        for address in 0..20 {
            let address = format!("198.51.100.{address}");
            match check_knowing(&throttle, "admin", &address, &[], now) {
                Ok(()) => passed.push((now, address)),
                Err(Held::Throttled(Throttled::Name { retry_after })) => {
                    assert!(!retry_after.is_zero() && retry_after <= Duration::from_secs(36));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!((45..=50).contains(&passed.len()), "{}", passed.len());
    let addresses: std::collections::BTreeSet<_> = passed.iter().map(|(_, address)| address).collect();
    assert!(addresses.len() > 10, "all of them are drawn: {addresses:?}");
}

#[test]
fn one_that_was_drawn_stays_so_through_the_checks_of_one_login() {
    let throttle = capped("admin");
    assert!(check_knowing(&throttle, "admin", "198.51.100.1", &[], 70).is_err());
    let mut drawn = attempt(&throttle, "admin", "198.51.100.1");
    let later = 70 + TURN;
    // The store was asked more than 30 s ago.
    assert_eq!(throttle.check(&mut drawn, at(later)), Err(Held::Unlearned));
    throttle.learn(&drawn, vec![], at(later));
    for _ in 0..3 {
        assert_eq!(throttle.check(&mut drawn, at(later)), Ok(()));
    }
    assert!(check(&throttle, "admin", "198.51.100.1", later).is_err(), "its next login");
    // It was right: its address is known now, and the cap stands for all others.
    throttle.record_success(&drawn, at(later));
    throttle.note_login(&drawn, at(later));
    fail(&throttle, 5, "admin", "198.51.100.1", later);
    assert_eq!(check_knowing(&throttle, "admin", "198.51.100.1", &[], later + 61), Ok(()));
    assert!(check_knowing(&throttle, "admin", "198.51.100.2", &[], later + 61).is_err());
}

#[test]
fn what_is_no_guess_is_neither_counted_nor_held_by_the_cap() {
    let throttle = capped("client");
    let no_guess = || throttle.attempt(&realm(), &name("client"), ip("198.51.100.1"), false);
    assert_eq!(throttle.check(&mut no_guess(), at(70)), Ok(()));
    for _ in 0..5 {
        throttle.record_failure(&no_guess(), at(70));
    }
    assert!(throttle.check(&mut no_guess(), at(70)).is_err(), "five a minute hold for it too");
    let client = throttle.key.load().name(&realm(), &name("client"));
    assert_eq!(throttle.tables().names.failures(client, NAME_WINDOW, at(70), None), 100);
}

#[test]
fn a_second_hour_above_the_cap_begins_a_draw_of_its_own() {
    let throttle = capped("admin");
    assert!(check_knowing(&throttle, "admin", "198.51.100.1", &[], 70).is_err());
    // The next hundred come while nobody who is held asks.
    for address in 0..20 {
        fail(&throttle, 5, "admin", &format!("198.51.100.{address}"), 7_200);
    }
    assert!(check_knowing(&throttle, "admin", "198.51.100.1", &[], 7_270).is_err());
    assert!(check_knowing(&throttle, "admin", "198.51.100.1", &[], 7_270 + TURN - 1).is_err());
    assert!(check_knowing(&throttle, "admin", "198.51.100.1", &[], 7_270 + TURN).is_ok());
}

#[test]
fn the_cap_ends_with_its_hour() {
    let throttle = capped("admin");
    assert!(check_knowing(&throttle, "admin", "198.51.100.1", &[], 3_599).is_err());
    assert_eq!(check(&throttle, "admin", "198.51.100.1", 3_600), Ok(()));
}

proptest! {
    /// In plain words: an owner's address is never held by the cap; an address has five failures in the hour that are
    /// not; all others together pass no more than once a turn.
    #[test]
    fn the_cap_holds_strangers_and_nobody_else(steps in proptest::collection::vec((0u8..12, 1i64..40), 1..250)) {
        let settings = ThrottleSettings {
            name_failures: u32::MAX, address_failures: u32::MAX, name_tries: 10, ..ThrottleSettings::default()
        };
        let (throttle, known) = (throttle(settings), ["192.0.2.0", "192.0.2.1"]);
        let turn = 360;
        let (mut now, mut all, mut capped_at, mut turns) = (0, 0, None, std::collections::BTreeSet::new());
        let mut failures: HashMap<u8, u32> = HashMap::new();
        for (who, wait) in steps {
            now += wait;
            if now >= 3_600 {
                break;
            }
            let own = failures.entry(who).or_default();
            let free = all < 10 || *own < 5 || who < 2;
            if all >= 10 && *own >= 5 {
                // The draw begins with the first one whom the cap could hold.
                capped_at.get_or_insert(now);
            }
            match check_knowing(&throttle, "admin", &format!("192.0.2.{who}"), &known, now) {
                Ok(()) if free => {}
                Ok(()) => {
                    let since: i64 = capped_at.unwrap();
                    prop_assert!(now - since >= turn && turns.insert((now - since) / turn));
                }
                Err(_) => {
                    prop_assert!(!free);
                    continue;
                }
            }
            *own += 1;
            all += 1;
            throttle.record_failure(&attempt(&throttle, "admin", &format!("192.0.2.{who}")), at(now));
        }
    }
}
