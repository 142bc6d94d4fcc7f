//! Guessing is slow: failed logins are counted, per account name and address and per address.
//!
//! A name is only ever throttled for the address that failed, so a stranger cannot lock the owner out.
//! It makes no difference whether the account exists, so a throttled answer tells nothing.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest;
use thiserror::Error;

use crate::{
    domain::{AccountName, RealmName, Timestamp},
    rules::limit::{ClientKey, Windows},
};

/// How many failures are borne, and for how long they are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// Failures for a realm's account name from one address after which it is throttled; default 5, and the
    /// contracts promise no fewer.
    pub name_failures: u32,
    /// Failures from one address, whatever the name, after which it is throttled; default 30, and the contracts
    /// promise no fewer.
    pub address_failures: u32,
    /// How long failures count, from the first one; default 60 s.
    pub window: Duration,
    /// Names remembered, and addresses remembered, at most (each; at least 1); default 65,536. What is over it
    /// pushes out the oldest.
    pub entries_max: usize,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self { name_failures: 5, address_failures: 30, window: Duration::from_mins(1), entries_max: 65_536 }
    }
}

/// Too many failures; the wait is over when the window of the first one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Throttled {
    /// For this name from this address.
    #[error("too many failures for this name from this address")]
    Name {
        /// How long to wait; more than zero.
        retry_after: Duration,
    },
    /// From this address.
    #[error("too many failures from this address")]
    Address {
        /// How long to wait; more than zero.
        retry_after: Duration,
    },
}

/// The failed logins of one gateway. Shared between threads as it is.
///
/// Whoever checks a password calls [`Throttle::check`] before the hash, so that none is spent for a
/// throttled attempt, **and again after it**, before the answer is chosen: guesses sent side by side all
/// pass the first check, but only those that finish before the limit is reached learn anything. What the
/// second check refuses is answered as throttled, right or wrong, and not recorded.
///
/// An address stands for its [client](ClientKey).
#[derive(Debug)]
pub struct Throttle {
    settings: ThrottleSettings,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    names: Windows,
    addresses: Windows,
}

impl Throttle {
    /// One that has seen no failure.
    #[must_use]
    pub fn new(settings: ThrottleSettings) -> Self {
        Self { settings, tables: Mutex::default() }
    }

    /// Whether another attempt may be made `now`; the name is looked at first.
    ///
    /// # Errors
    /// When as many failures as are borne were recorded in a window that has not ended.
    pub fn check(
        &self,
        realm: &RealmName,
        name: &AccountName,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), Throttled> {
        let ThrottleSettings { name_failures, address_failures, window, .. } = self.settings;
        let (name, address) = keys(realm, name, address);
        let tables = self.tables();
        if let Some(retry_after) = tables.names.wait(name, name_failures, now, window) {
            return Err(Throttled::Name { retry_after });
        }
        match tables.addresses.wait(address, address_failures, now, window) {
            Some(retry_after) => Err(Throttled::Address { retry_after }),
            None => Ok(()),
        }
    }

    /// Counts a wrong secret or an unknown name.
    pub fn record_failure(&self, realm: &RealmName, name: &AccountName, address: IpAddr, now: Timestamp) {
        let ThrottleSettings { window, entries_max, .. } = self.settings;
        let (name, address) = keys(realm, name, address);
        let mut tables = self.tables();
        tables.names.count(name, now, window, entries_max);
        tables.addresses.count(address, now, window, entries_max);
    }

    /// Forgets the failures of a name from this address, since its owner is there. The address's own
    /// failures stand: else one right password among many wrong ones would clear them.
    pub fn record_success(&self, realm: &RealmName, name: &AccountName, address: IpAddr) {
        let (name, _) = keys(realm, name, address);
        self.tables().names.forget(name);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Nothing below leaves a table half changed in a way that matters more than losing the throttle would.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of a name from an address, and of the address.
fn keys(realm: &RealmName, name: &AccountName, address: IpAddr) -> (u128, u128) {
    let address = ClientKey::of(address).address();
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&address.to_be_bytes());
    // Each part but the last with its length, so that no two names are the same bytes.
    for part in [realm.as_str(), &name.business] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.update(name.name.as_bytes());
    let mut head = [0; 16];
    head.copy_from_slice(&context.finish().as_ref()[..16]);
    (u128::from_be_bytes(head), address)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

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

    fn fail(throttle: &Throttle, times: u32, account: &str, address: &str, now: i64) {
        for _ in 0..times {
            throttle.record_failure(&realm(), &name(account), ip(address), at(now));
        }
    }

    fn check(throttle: &Throttle, account: &str, address: &str, now: i64) -> Result<(), Throttled> {
        throttle.check(&realm(), &name(account), ip(address), at(now))
    }

    #[test]
    fn the_sixth_attempt_after_five_failures_waits_for_the_first_ones_window() {
        let throttle = Throttle::new(ThrottleSettings::default());
        fail(&throttle, 1, "admin", "192.0.2.1", 0);
        fail(&throttle, 3, "admin", "192.0.2.1", 50);
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 50), Ok(()));
        fail(&throttle, 1, "admin", "192.0.2.1", 50);
        let retry_after = Duration::from_secs(10);
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 50), Err(Throttled::Name { retry_after }));
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 60), Ok(()));
        fail(&throttle, 1, "admin", "192.0.2.1", 60);
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 60), Ok(()));
    }

    #[test]
    fn others_are_not_throttled_with_it() {
        let throttle = Throttle::new(ThrottleSettings::default());
        fail(&throttle, 5, "admin", "192.0.2.1", 0);
        assert!(check(&throttle, "admin", "192.0.2.1", 0).is_err());
        assert_eq!(check(&throttle, "Admin", "192.0.2.1", 0), Ok(()));
        assert_eq!(check(&throttle, "admin", "192.0.2.2", 0), Ok(()));
        let other = "apis".parse().unwrap();
        assert_eq!(throttle.check(&other, &name("admin"), ip("192.0.2.1"), at(0)), Ok(()));
        let business = AccountName { business: "a".into(), name: "dmin".into() };
        assert_eq!(throttle.check(&realm(), &business, ip("192.0.2.1"), at(0)), Ok(()));
    }

    #[test]
    fn an_address_is_throttled_whatever_the_names() {
        let throttle = Throttle::new(ThrottleSettings::default());
        for account in 0..30 {
            assert_eq!(check(&throttle, "new", "192.0.2.1", 1), Ok(()));
            fail(&throttle, 1, &account.to_string(), "192.0.2.1", 1);
        }
        let retry_after = Duration::from_secs(58);
        assert_eq!(check(&throttle, "new", "192.0.2.1", 3), Err(Throttled::Address { retry_after }));
        assert_eq!(check(&throttle, "new", "192.0.2.2", 3), Ok(()));
    }

    #[test]
    fn success_clears_the_name_and_not_the_address() {
        let throttle = Throttle::new(ThrottleSettings { address_failures: 6, ..ThrottleSettings::default() });
        fail(&throttle, 5, "admin", "192.0.2.1", 0);
        throttle.record_success(&realm(), &name("admin"), ip("192.0.2.1"));
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 0), Ok(()));
        fail(&throttle, 1, "admin", "192.0.2.1", 0);
        assert!(matches!(check(&throttle, "admin", "192.0.2.1", 0), Err(Throttled::Address { .. })));
    }

    #[test]
    fn ipv6_addresses_stand_for_their_64() {
        let throttle = Throttle::new(ThrottleSettings::default());
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
        let throttle = Throttle::new(ThrottleSettings::default());
        fail(&throttle, 5, "admin", "192.0.2.1", 3600);
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 3541), Err(Throttled::Name { retry_after: WINDOW }));
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 3540), Ok(()));
        fail(&throttle, 5, "admin", "192.0.2.1", 0);
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 0), Err(Throttled::Name { retry_after: WINDOW }));
        assert_eq!(check(&throttle, "admin", "192.0.2.1", 60), Ok(()));
    }

    #[test]
    fn what_has_ended_goes_first_then_the_oldest() {
        let throttle = Throttle::new(ThrottleSettings { entries_max: 2, ..ThrottleSettings::default() });
        fail(&throttle, 5, "a", "192.0.2.1", 0);
        fail(&throttle, 5, "b", "192.0.2.1", 1);
        fail(&throttle, 1, "b", "192.0.2.1", 2);
        fail(&throttle, 5, "c", "192.0.2.1", 3);
        assert_eq!(check(&throttle, "a", "192.0.2.1", 3), Ok(()), "the oldest was pushed out");
        assert!(check(&throttle, "b", "192.0.2.1", 3).is_err());
        fail(&throttle, 1, "d", "192.0.2.1", 61);
        assert!(check(&throttle, "c", "192.0.2.1", 61).is_err(), "b had ended and made room");
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
            let throttle = Throttle::new(ThrottleSettings { address_failures: u32::MAX, ..ThrottleSettings::default() });
            let mut windows: HashMap<u8, Vec<Timestamp>> = HashMap::new();
            let (mut now, address) = (at(0), ip("192.0.2.1"));
            for step in steps {
                match step {
                    Step::Wait(millis) => now = now.plus(Duration::from_millis(millis.into())),
                    Step::Succeed(who) => {
                        throttle.record_success(&realm(), &name(&who.to_string()), address);
                        windows.remove(&who);
                    }
                    Step::Fail(who) => {
                        throttle.record_failure(&realm(), &name(&who.to_string()), address, now);
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
                    let checked = throttle.check(&realm(), &name(&who.to_string()), address, now);
                    let rest = |first| Throttled::Name { retry_after: WINDOW.saturating_sub(now.since(first)) };
                    prop_assert_eq!(checked, if full { Err(rest(failures[0])) } else { Ok(()) });
                }
            }
        }
    }
}
