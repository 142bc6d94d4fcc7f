//! Names above the cap on their tries: who is let pass all the same.

use std::{collections::HashMap, time::Duration};

use super::{known::KNOWN_MAX, settings::NAME_WINDOW};
use crate::{domain::Timestamp, rules::limit::Draw};

/// How long the addresses that the store gave for a name count without being read again.
const LEARNED_FOR: Duration = Duration::from_secs(30);

/// The names that are above their cap.
#[derive(Debug, Default)]
pub(super) struct CappedNames(HashMap<u128, CappedName>);

/// A name above its cap.
#[derive(Debug)]
pub(super) struct CappedName {
    pub(super) draw: Draw,
    learned: Option<Learned>,
    since: Timestamp,
}

#[derive(Debug)]
struct Learned {
    addresses: Vec<u128>,
    at: Timestamp,
}

impl CappedNames {
    /// A name that is above its cap. `passes` were counted for it so far. Those that no longer are (`is_capped`) make
    /// room for it.
    pub(super) fn name(
        &mut self,
        name: u128,
        passes: u32,
        now: Timestamp,
        names_max: usize,
        is_capped: impl Fn(u128) -> bool,
    ) -> &mut CappedName {
        if self.0.len() >= names_max && !self.0.contains_key(&name) {
            self.0.retain(|&other, _| is_capped(other));
        }
        let new = || CappedName { draw: Draw::new(now, passes), learned: None, since: now };
        let capped = self.0.entry(name).or_insert_with(new);
        if now.since(capped.since) >= NAME_WINDOW {
            // Nobody asked for it when it ended.
            *capped = new();
        }
        capped
    }

    /// What is known of a name, if anything is.
    pub(super) fn get_mut(&mut self, name: u128) -> Option<&mut CappedName> {
        self.0.get_mut(&name)
    }

    /// Forgets a name.
    pub(super) fn forget(&mut self, name: u128) {
        self.0.remove(&name);
    }
}

impl CappedName {
    /// Whether the owner has used this address; `None` where the store must be asked first.
    pub(super) fn knows(&self, address: u128, now: Timestamp) -> Option<bool> {
        let learned = self.learned.as_ref()?;
        let is_fresh = learned.at <= now && now.since(learned.at) < LEARNED_FOR;
        is_fresh.then(|| learned.addresses.contains(&address))
    }

    /// Takes over what the store knows, the address used last first.
    pub(super) fn learn(&mut self, mut addresses: Vec<u128>, now: Timestamp) {
        addresses.truncate(KNOWN_MAX as usize);
        self.learned = Some(Learned { addresses, at: now });
    }

    /// The owner has just used this address.
    pub(super) fn note(&mut self, address: u128) {
        if let Some(learned) = &mut self.learned
            && !learned.addresses.contains(&address)
        {
            learned.addresses.insert(0, address);
            learned.addresses.truncate(KNOWN_MAX as usize);
        }
    }
}
