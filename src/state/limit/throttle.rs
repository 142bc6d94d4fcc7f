//! Guessing is slow: failed logins are counted, per account name and address, per address, and per name over all
//! addresses.
//!
//! | counted by | from which on | for how long | what is refused |
//! |---|---|---|---|
//! | a name and an address | 5 failures | a minute | the name from that address |
//! | an address | 30 failures | a minute | every name from that address |
//! | a name | 100 failures | an hour | the name, from addresses that its owner never used and that failed 5 times themselves; one at a time of these is let pass, by a [draw](crate::rules::limit::Draw) |
//!
//! So a stranger cannot lock the owner out: the first two are about his own address, and the third one leaves alone
//! every address that the owner has used, and the first failures of every other one. It makes no difference whether the
//! account exists, so a throttled answer tells nothing.
//!
//! Everything is counted in memory. `exchange` writes it to the store, and reads what others have counted.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use thiserror::Error;

use super::{
    capped::CappedNames,
    key::{Subjects, ThrottleKey},
    known::KnownAddresses,
    settings::{Table, ThrottleSettings},
};
use crate::{
    domain::{AccountName, RealmName, Timestamp},
    rules::limit::{ClientKey, Windows},
};

/// Too many failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Throttled {
    /// For this name from this address; or for this name from all addresses, and it is not this one's turn.
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

/// Why an attempt is not made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Held {
    /// There were too many failures.
    #[error(transparent)]
    Throttled(#[from] Throttled),
    /// It depends on whether the owner has used this address: [`Throttle::learn`] what the store knows, and ask again.
    #[error("the store must be asked whether the address is known")]
    Unlearned,
}

/// Somebody who wants to log in. [`Throttle::attempt`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    subjects: Subjects,
    /// What takes part in the draw: an address, or the network of an IPv6 site.
    drawer: u128,
    /// Whether the cap over all addresses counts for it.
    guessable: bool,
    /// Whether it was drawn.
    drawn: bool,
}

impl Attempt {
    /// What the name is remembered as.
    pub(super) const fn name(&self) -> u128 {
        self.subjects.name
    }
}

/// The failed logins that a gateway knows of. Shared between threads as it is.
///
/// A check of a password calls [`Throttle::check`] before the hash, so that none is spent for a
/// throttled attempt, **and again after it**, before the answer is chosen: guesses sent side by side all
/// pass the first check, but only those that finish before the limit is reached learn anything. What the
/// second check refuses is answered as throttled, right or wrong, and not recorded.
///
/// An address stands for its [client](ClientKey).
#[derive(Debug)]
pub struct Throttle {
    pub(super) settings: ThrottleSettings,
    /// Another one until the store's is known: what is counted meanwhile is forgotten then.
    pub(super) key: ArcSwap<ThrottleKey>,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) pairs: Windows,
    addresses: Windows,
    pub(super) names: Windows,
    spent: Windows,
    pub(super) capped: CappedNames,
    pub(super) known: KnownAddresses,
}

impl Throttle {
    /// One that has seen no failure.
    #[must_use]
    pub fn new(settings: ThrottleSettings) -> Arc<Self> {
        let key = ArcSwap::from_pointee(ThrottleKey::generate());
        Arc::new(Self { settings, key, tables: Mutex::default() })
    }

    /// Counts under this key from now on. What was counted under another one is forgotten.
    pub(super) fn begin_under(&self, key: ThrottleKey) {
        let mut tables = self.tables();
        if !self.key.load().is_same(&key) {
            self.key.store(Arc::new(key));
            *tables = Tables::default();
        }
    }

    /// Somebody who wants to log in as `name`. `guessable` says whether the secret that he presents is of the kind that
    /// people choose: one that Portero made is no guess, and no cap is needed against it.
    #[must_use]
    pub fn attempt(&self, realm: &RealmName, name: &AccountName, address: IpAddr, guessable: bool) -> Attempt {
        let subjects = self.key.load().subjects(realm, name, address);
        Attempt { subjects, drawer: ClientKey::of(address).network(), guessable, drawn: false }
    }

    /// Whether the attempt may be made `now`; the name and the address are looked at first. One that was drawn once is
    /// not drawn again.
    ///
    /// # Errors
    /// When as many failures as are allowed were recorded in a window that has not ended; or when that depends on what
    /// the store knows.
    pub fn check(&self, attempt: &mut Attempt, now: Timestamp) -> Result<(), Held> {
        let Subjects { name, address, pair } = attempt.subjects;
        let mut tables = self.tables();
        let voided = tables.names.cleared(name);
        if let Some(retry_after) = tables.pairs.wait(pair, &self.settings.bounds(Table::Pair), now, voided) {
            return Err(Throttled::Name { retry_after }.into());
        }
        if let Some(retry_after) = tables.addresses.wait(address, &self.settings.bounds(Table::Address), now, None) {
            return Err(Throttled::Address { retry_after }.into());
        }
        if !attempt.guessable || attempt.drawn {
            return Ok(());
        }
        let lot = |turn| self.key.load().lot(name, turn, attempt.drawer);
        attempt.drawn = tables.check_cap(&self.settings, attempt, now, lot)?;
        Ok(())
    }

    /// Counts a wrong secret or an unknown name.
    pub fn record_failure(&self, attempt: &Attempt, now: Timestamp) {
        let Subjects { name, address, pair } = attempt.subjects;
        let mut tables = self.tables();
        let voided = tables.names.cleared(name);
        tables.pairs.count(pair, &self.settings.bounds(Table::Pair), now, voided);
        tables.addresses.count(address, &self.settings.bounds(Table::Address), now, None);
        if attempt.guessable {
            tables.spent.count(pair, &self.settings.bounds(Table::Spent), now, voided);
            tables.names.count(name, &self.settings.bounds(Table::Name), now, None);
        }
    }

    /// Forgets the failures of a name from this address, since its owner is there. The address's own
    /// failures stand: else one right password among many wrong ones would clear them. So do those of the name from all
    /// addresses: else every login of the owner would give strangers another hundred.
    pub fn record_success(&self, attempt: &Attempt, now: Timestamp) {
        let pair = attempt.subjects.pair;
        let mut tables = self.tables();
        for table in [Table::Pair, Table::Spent] {
            let bounds = self.settings.bounds(table);
            let windows = tables.of(table);
            if windows.failures(pair, bounds.window, now, None) > 0 {
                windows.clear(pair, &bounds, now);
            }
        }
    }

    /// Notes that the owner has logged in from this address: the cap does not touch it from now on.
    pub fn note_login(&self, attempt: &Attempt, now: Timestamp) {
        let mut tables = self.tables();
        tables.known.note(&attempt.subjects, now);
        if let Some(capped) = tables.capped.get_mut(attempt.subjects.name) {
            capped.note(attempt.subjects.address);
        }
    }

    /// Whether nothing has to be learned for the attempt: somebody else did so meanwhile.
    #[must_use]
    pub fn has_learned(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let Subjects { name, address, .. } = attempt.subjects;
        self.tables().capped.get_mut(name).is_none_or(|capped| capped.knows(address, now).is_some())
    }

    /// Takes over from which addresses the store knows the owner of the attempt's name.
    pub fn learn(&self, attempt: &Attempt, known: Vec<u128>, now: Timestamp) {
        if let Some(capped) = self.tables().capped.get_mut(attempt.subjects.name) {
            capped.learn(known, now);
        }
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        // Nothing below leaves a table half changed in a way that matters more than losing the throttle would.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    pub(super) const fn of(&mut self, table: Table) -> &mut Windows {
        match table {
            Table::Pair => &mut self.pairs,
            Table::Address => &mut self.addresses,
            Table::Name => &mut self.names,
            Table::Spent => &mut self.spent,
        }
    }

    /// Looks at the cap over all addresses; answers whether the attempt was drawn.
    fn check_cap(
        &mut self,
        settings: &ThrottleSettings,
        attempt: &Attempt,
        now: Timestamp,
        lot: impl FnOnce(u64) -> u64,
    ) -> Result<bool, Held> {
        let Subjects { name, address, pair } = attempt.subjects;
        let (bounds, spent) = (settings.bounds(Table::Name), settings.bounds(Table::Spent));
        let Some(left) = self.names.wait(name, &bounds, now, None) else {
            self.capped.forget(name);
            return Ok(false);
        };
        let failures = self.spent.failures(pair, spent.window, now, self.names.cleared(name));
        if failures < spent.failures_max || self.known.is_pending(pair) {
            return Ok(false);
        }
        let (names, passes) = (&self.names, self.names.passes(name, bounds.window, now));
        let is_capped = |name| names.wait(name, &bounds, now, None).is_some();
        let capped = self.capped.name(name, passes, now, settings.entries_max, is_capped);
        if capped.knows(address, now).ok_or(Held::Unlearned)? {
            return Ok(false);
        }
        match capped.draw.ask(attempt.drawer, passes, settings.turn_length(), now, lot) {
            Ok(()) => {
                self.names.count_pass(name, &bounds, now);
                Ok(true)
            }
            Err(wait) => Err(Throttled::Name { retry_after: wait.min(left) }.into()),
        }
    }
}

#[cfg(test)]
mod tests;
