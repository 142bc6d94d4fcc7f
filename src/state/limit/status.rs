//! What an operator sees of the throttle, and clears.

use std::{net::IpAddr, time::Duration};

use super::{key::name_of, settings::Table, throttle::Throttle};
use crate::domain::{AccountName, RealmName, Timestamp};

/// What is counted of a name, an address, or both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleStatus {
    /// What it is.
    pub table: Table,
    /// The failures that count.
    pub failures: u32,
    /// From how many on it is restrained.
    pub failures_max: u32,
    /// How long it is; `None` where it is not.
    pub left: Option<Duration>,
}

/// Restraints of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restrained {
    /// Of what kind.
    pub table: Table,
    /// How many there are.
    pub count: usize,
    /// How long the one lasts that lasts longest.
    pub longest: Duration,
}

/// Whom an operator asks about: a name, an address, or both.
#[derive(Clone, Copy, Debug)]
pub struct Whom<'a> {
    /// The name of an account, whether there is one or not.
    pub name: Option<(&'a RealmName, &'a AccountName)>,
    /// A client's address.
    pub address: Option<IpAddr>,
}

/// The kinds of restraints: that an address has had its free failures restrains nobody by itself.
const RESTRAINTS: [Table; 3] = [Table::Pair, Table::Address, Table::Name];

impl Throttle {
    /// How many restraints are in force.
    #[must_use]
    pub fn restrained(&self, now: Timestamp) -> [Restrained; 3] {
        let mut tables = self.tables();
        RESTRAINTS.map(|table| {
            let bounds = self.settings.bounds(table);
            let (count, longest) = match table {
                Table::Pair => tables.pairs.restrained(&bounds, now, |pair| tables.names.cleared(name_of(pair))),
                _ => tables.of(table).restrained(&bounds, now, |_| None),
            };
            Restrained { table, count, longest }
        })
    }

    /// The status of a name, of an address, and of the name from that address.
    #[must_use]
    pub fn status(&self, whom: Whom<'_>, now: Timestamp) -> Vec<ThrottleStatus> {
        let keys = self.keys_of(whom);
        let mut tables = self.tables();
        let voided =
            keys.iter().find(|(table, _)| *table == Table::Name).and_then(|&(_, name)| tables.names.cleared(name));
        let status = keys.into_iter().map(|(table, key)| {
            let bounds = self.settings.bounds(table);
            let voided = voided.filter(|_| table == Table::Pair);
            let windows = tables.of(table);
            ThrottleStatus {
                table,
                failures: windows.failures(key, bounds.window, now, voided),
                failures_max: bounds.failures_max,
                left: windows.wait(key, &bounds, now, voided),
            }
        });
        status.collect()
    }

    /// Forgets what was counted: of a name at every address, and of an address.
    pub fn clear(&self, whom: Whom<'_>, now: Timestamp) {
        let keys = self.keys_of(whom);
        let mut tables = self.tables();
        for (table, key) in keys {
            tables.of(table).clear(key, &self.settings.bounds(table), now);
            if table == Table::Name {
                tables.capped.forget(key);
            }
        }
    }

    fn keys_of(&self, whom: Whom<'_>) -> Vec<(Table, u128)> {
        let name = whom.name.map(|(realm, name)| (Table::Name, self.key.load().name(realm, name)));
        let address = whom.address.map(|address| (Table::Address, self.key.load().address(address)));
        let pair = whom
            .name
            .zip(whom.address)
            .map(|((realm, name), address)| (Table::Pair, self.key.load().subjects(realm, name, address).pair));
        name.into_iter().chain(address).chain(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::state::limit::{settings::ThrottleSettings, throttle::Attempt};

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

    fn attempt(throttle: &Throttle, account: &str, address: &str) -> Attempt {
        throttle.attempt(&realm(), &name(account), ip(address), true)
    }

    fn fail(throttle: &Throttle, times: u32, account: &str, address: &str, now: i64) {
        for _ in 0..times {
            throttle.record_failure(&attempt(throttle, account, address), at(now));
        }
    }

    fn is_free(throttle: &Throttle, account: &str, address: &str, now: i64) -> bool {
        throttle.check(&mut attempt(throttle, account, address), at(now)).is_ok()
    }

    fn throttle() -> Arc<Throttle> {
        Throttle::new(ThrottleSettings::default())
    }

    #[test]
    fn an_operator_frees_a_name_at_every_address() {
        let throttle = throttle();
        for address in 0..20 {
            fail(&throttle, 5, "admin", &format!("198.51.100.{address}"), 0);
        }
        let (realm, name) = (realm(), name("admin"));
        let whom = Whom { name: Some((&realm, &name)), address: Some(ip("198.51.100.1")) };
        let held: Vec<_> = throttle.status(whom, at(1)).iter().map(|status| status.left.is_some()).collect();
        assert_eq!(held, [true, false, true], "the name, the address, both");
        assert_eq!(throttle.restrained(at(1)).map(|restrained| restrained.count), [20, 0, 1]);
        throttle.clear(Whom { address: None, ..whom }, at(1));
        assert!(throttle.status(whom, at(1)).iter().all(|status| status.left.is_none()));
        assert_eq!(throttle.restrained(at(1)).map(|restrained| restrained.count), [0, 0, 0]);
        assert!(["198.51.100.1", "198.51.100.2"].iter().all(|address| is_free(&throttle, "admin", address, 1)));
        // It counts from then on.
        fail(&throttle, 5, "admin", "198.51.100.1", 2);
        assert!(!is_free(&throttle, "admin", "198.51.100.1", 2));
    }

    #[test]
    fn an_operator_frees_an_address() {
        let throttle = throttle();
        for account in 0..30 {
            fail(&throttle, 1, &account.to_string(), "192.0.2.1", 0);
        }
        let whom = Whom { name: None, address: Some(ip("192.0.2.1")) };
        assert_eq!(throttle.status(whom, at(1))[0].failures, 30);
        throttle.clear(whom, at(1));
        assert!(is_free(&throttle, "new", "192.0.2.1", 1));
    }
}
