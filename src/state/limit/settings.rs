//! How many failures are allowed, and what they are counted by.

use std::time::Duration;

use crate::rules::limit::Bounds;

/// How long tries count for the cap over all addresses, from the first one.
pub const NAME_WINDOW: Duration = Duration::from_hours(1);

/// Failures of an address for a name, in [`NAME_WINDOW`], that the cap never touches: the contracts promise them.
pub const FREE_FAILURES: u32 = 5;

/// How many failures are allowed, and for how long they are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// Failures for a realm's account name from one address after which it is throttled; default 5, and the
    /// contracts promise no fewer.
    pub name_failures: u32,
    /// Failures from one address, whatever the name, after which it is throttled; default 30, and the contracts
    /// promise no fewer.
    pub address_failures: u32,
    /// How long these failures count, from the first one; default 60 s.
    pub window: Duration,
    /// Failures for a name from all addresses, in [`NAME_WINDOW`], above which addresses that the owner never used take
    /// turns; default 100.
    pub name_tries: u32,
    /// Whether gateways on one PostgreSQL store add up what each has counted; default false.
    pub shared: bool,
    /// Names remembered, and addresses remembered, at most (each; at least 1); default 65,536. What is over it
    /// pushes out what restrains least.
    pub entries_max: usize,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self {
            name_failures: 5,
            address_failures: 30,
            window: Duration::from_mins(1),
            name_tries: 100,
            shared: false,
            entries_max: 65_536,
        }
    }
}

impl ThrottleSettings {
    pub(super) const fn bounds(&self, table: Table) -> Bounds {
        let (failures_max, window) = match table {
            Table::Pair => (self.name_failures, self.window),
            Table::Address => (self.address_failures, self.window),
            Table::Name => (self.name_tries, NAME_WINDOW),
            Table::Spent => (FREE_FAILURES, NAME_WINDOW),
        };
        Bounds { failures_max, window, entries_max: self.entries_max }
    }

    /// How often an address that the owner never used is let pass above the cap.
    pub(super) fn turn_length(&self) -> Duration {
        NAME_WINDOW / self.name_tries.max(1)
    }
}

/// What failures are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A name and an address.
    Pair,
    /// An address.
    Address,
    /// A name, over all addresses.
    Name,
    /// A name and an address, for as long as the cap counts: which address has had the failures that are free.
    Spent,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pair, Self::Address, Self::Name, Self::Spent];

    /// The word in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Address => "address",
            Self::Name => "name",
            Self::Spent => "spent",
        }
    }
}
