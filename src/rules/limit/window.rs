//! Failures counted by key, each in a window of its own, in bounded memory.
//!
//! Several processes may count for one key. Each has a [`Share`] of its own, which it alone changes, and what restrains
//! is the sum of all shares whose windows have not ended. So a share may arrive late, twice or in any order: its last
//! state counts, and counts once.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use crate::domain::Timestamp;

/// Processes that count for one key, beside this one, at most: those that ended too, until their windows have.
const SHARES_MAX: usize = 64;

/// Entries that are looked at, at most, to find one that makes room.
const FILED_AGAIN_MAX: usize = 8;

/// A process that counts, by a number that is new at each start.
pub type Origin = [u8; 16];

/// What is allowed, for how long it is remembered, and of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Failures in a window from which on the key is restrained.
    pub failures_max: u32,
    /// How long failures count, from the first one.
    pub window: Duration,
    /// Keys remembered, at most; at least 1.
    pub entries_max: usize,
}

/// What one process has counted for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The first failure of the window.
    pub start: Timestamp,
    /// The failures since then.
    pub failures: u32,
    /// The attempts since then that were let pass although the key is restrained.
    pub passes: u32,
    /// Every share of the key that began before this is void.
    pub cleared: Option<Timestamp>,
}

impl Share {
    /// When it no longer matters.
    #[must_use]
    pub fn end(&self, window: Duration) -> Timestamp {
        self.cleared.map_or(self.start, |cleared| cleared.max(self.start)).plus(window)
    }
}

/// A share of this process that changed, with the place that is its own for as long as the key is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Below [`Bounds::entries_max`], or little above.
    pub slot: u32,
    /// What was counted for.
    pub key: u128,
    /// The share.
    pub share: Share,
}

/// Windows of failures by key; a key is 128 bits, however long the name is.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    by_key: HashMap<u128, Entry>,
    /// The same entries by their failures and their end: what restrains least is first.
    by_weight: BTreeSet<(u32, Timestamp, u128)>,
    /// The same entries by their end.
    by_end: BTreeSet<(Timestamp, u128)>,
    /// Entries whose own share changed since it was last taken.
    changed: HashSet<u128>,
    /// Slots of entries that are gone.
    free: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    own: Option<Share>,
    others: Vec<(Origin, Share)>,
    slot: u32,
    /// What it is filed under.
    weight: u32,
    end: Option<Timestamp>,
}

impl Entry {
    fn shares(&self) -> impl Iterator<Item = &Share> {
        self.own.iter().chain(self.others.iter().map(|(_, share)| share))
    }

    fn cleared(&self, voided: Option<Timestamp>) -> Option<Timestamp> {
        self.shares().filter_map(|share| share.cleared).chain(voided).max()
    }

    /// The shares that count, each with what is left of its window.
    fn counting(
        &self,
        now: Timestamp,
        window: Duration,
        voided: Option<Timestamp>,
    ) -> impl Iterator<Item = (Duration, &Share)> {
        let cleared = self.cleared(voided);
        self.shares()
            .filter(move |share| cleared.is_none_or(|cleared| share.start >= cleared))
            .filter_map(move |share| Some((rest(share.start, now, window)?, share)))
    }
}

/// What is left of a window; `None` when it has ended.
///
/// One that starts in the future has its whole length left: another thread read the clock a little later.
/// If it starts further ahead than that, the clock was set back and it has ended, so that nobody waits until
/// the clock is there again.
fn rest(start: Timestamp, now: Timestamp, window: Duration) -> Option<Duration> {
    let rest = window.checked_sub(now.since(start))?;
    (!rest.is_zero() && start.since(now) < window).then_some(rest)
}

impl Windows {
    /// How long the key is restrained; `None` when fewer failures count than are allowed. Shares that began before
    /// `voided` do not.
    #[must_use]
    pub fn wait(&self, key: u128, bounds: &Bounds, now: Timestamp, voided: Option<Timestamp>) -> Option<Duration> {
        let entry = self.by_key.get(&key)?;
        let counting = || entry.counting(now, bounds.window, voided);
        let mut failures = counting().fold(0, |sum: u32, (_, share)| sum.saturating_add(share.failures));
        if failures < bounds.failures_max {
            return None;
        }
        let mut counting: Vec<_> = counting().collect();
        // It is free when so many windows have ended that fewer are left.
        counting.sort_unstable_by_key(|(rest, _)| *rest);
        let mut wait = None;
        for (rest, share) in counting {
            if failures < bounds.failures_max {
                break;
            }
            failures = failures.saturating_sub(share.failures);
            wait = Some(rest);
        }
        wait
    }

    /// The failures that count for a key.
    #[must_use]
    pub fn failures(&self, key: u128, window: Duration, now: Timestamp, voided: Option<Timestamp>) -> u32 {
        self.sum(key, window, now, voided, |share| share.failures)
    }

    /// The attempts that were let pass although the key is restrained.
    #[must_use]
    pub fn passes(&self, key: u128, window: Duration, now: Timestamp) -> u32 {
        self.sum(key, window, now, None, |share| share.passes)
    }

    /// Since when failures count for a key, as far as somebody cleared it.
    #[must_use]
    pub fn cleared(&self, key: u128) -> Option<Timestamp> {
        self.by_key.get(&key)?.cleared(None)
    }

    /// Counts a failure in this process's share. False where there is no room for the key: every other one is
    /// restrained.
    pub fn count(&mut self, key: u128, bounds: &Bounds, now: Timestamp, voided: Option<Timestamp>) -> bool {
        self.change(key, bounds, now, voided, |share| share.failures = share.failures.saturating_add(1))
    }

    /// Counts an attempt that is let pass although the key is restrained.
    pub fn count_pass(&mut self, key: u128, bounds: &Bounds, now: Timestamp) -> bool {
        self.change(key, bounds, now, None, |share| share.passes = share.passes.saturating_add(1))
    }

    /// Makes every share that began before `now` void, in this process and, where they hear of it, in others. It is
    /// remembered for a window.
    pub fn clear(&mut self, key: u128, bounds: &Bounds, now: Timestamp) {
        if !self.has_room(key, bounds, now) {
            // An operator's word comes before a restraint. A client that proves a secret has an entry already.
            if let Some(&(_, _, least)) = self.by_weight.first() {
                self.forget(least);
            }
        }
        let entry = self.entry(key);
        entry.own = Some(Share { start: now, failures: 0, passes: 0, cleared: Some(now) });
        self.changed.insert(key);
        self.file(key, bounds, now);
    }

    /// Takes over what another process has counted.
    pub fn merge(&mut self, key: u128, origin: Origin, share: Share, bounds: &Bounds, now: Timestamp) {
        let end = share.end(bounds.window);
        if end <= now || !self.has_room(key, bounds, now) {
            return;
        }
        let window = bounds.window;
        let entry = self.entry(key);
        if let Some((_, known)) = entry.others.iter_mut().find(|(known, _)| *known == origin) {
            *known = share;
        } else {
            if entry.others.len() >= SHARES_MAX {
                entry.others.retain(|(_, share)| share.end(window) > now);
            }
            if entry.others.len() < SHARES_MAX {
                entry.others.push((origin, share));
            }
        }
        self.file(key, bounds, now);
    }

    /// The shares of this process that changed since they were last taken: at most so many, those with the most
    /// failures first.
    #[must_use]
    pub fn take_changed(&mut self, at_most: usize) -> Vec<Changed> {
        let weight = |key: &u128| self.by_key.get(key).map_or(0, |entry| entry.weight);
        let mut keys: Vec<_> = self.changed.iter().copied().collect();
        if keys.len() > at_most {
            keys.sort_unstable_by_key(|key| std::cmp::Reverse(weight(key)));
            keys.truncate(at_most);
        }
        let taken = keys.into_iter().filter_map(|key| {
            self.changed.remove(&key);
            let entry = self.by_key.get(&key)?;
            Some(Changed { slot: entry.slot, key, share: entry.own? })
        });
        taken.collect()
    }

    /// Counts a share as changed again: what was taken did not arrive, as far as anybody knows.
    pub fn give_back(&mut self, key: u128) {
        if self.by_key.contains_key(&key) {
            self.changed.insert(key);
        }
    }

    /// How many keys are restrained, and the longest time that one of them is. `voided` says from when on shares of a
    /// key count.
    #[must_use]
    pub fn restrained(
        &self,
        bounds: &Bounds,
        now: Timestamp,
        voided: impl Fn(u128) -> Option<Timestamp>,
    ) -> (usize, Duration) {
        let heavy = self.by_weight.range((bounds.failures_max, Timestamp::from_millis(i64::MIN), 0)..);
        let waits = heavy.filter_map(|&(_, _, key)| self.wait(key, bounds, now, voided(key)));
        waits.fold((0, Duration::ZERO), |(count, longest), wait| (count + 1, longest.max(wait)))
    }

    fn sum(
        &self,
        key: u128,
        window: Duration,
        now: Timestamp,
        voided: Option<Timestamp>,
        part: impl Fn(&Share) -> u32,
    ) -> u32 {
        let Some(entry) = self.by_key.get(&key) else { return 0 };
        entry.counting(now, window, voided).fold(0, |sum: u32, (_, share)| sum.saturating_add(part(share)))
    }

    fn change(
        &mut self,
        key: u128,
        bounds: &Bounds,
        now: Timestamp,
        voided: Option<Timestamp>,
        change: impl FnOnce(&mut Share),
    ) -> bool {
        if !self.has_room(key, bounds, now) {
            return false;
        }
        let entry = self.entry(key);
        let cleared = entry.cleared(voided);
        let goes_on = |share: &Share| {
            rest(share.start, now, bounds.window).is_some() && cleared.is_none_or(|cleared| share.start >= cleared)
        };
        let mut share = entry.own.filter(goes_on).unwrap_or(Share {
            start: now,
            failures: 0,
            passes: 0,
            cleared: entry.own.and_then(|share| share.cleared),
        });
        let is_empty = share.failures == 0 && share.passes == 0;
        share.start = if is_empty { now } else { share.start.min(now) };
        // The clock of the gateway that cleared it may be a little ahead.
        if let Some(cleared) = cleared.filter(|cleared| cleared.since(now) < bounds.window) {
            share.start = share.start.max(cleared);
        }
        change(&mut share);
        entry.own = Some(share);
        self.changed.insert(key);
        self.file(key, bounds, now);
        true
    }

    /// The key's entry, a new one where the key has no entry yet.
    fn entry(&mut self, key: u128) -> &mut Entry {
        let next = u32::try_from(self.by_key.len()).unwrap_or(u32::MAX);
        let free = &mut self.free;
        self.by_key.entry(key).or_insert_with(|| Entry { slot: free.pop().unwrap_or(next), ..Entry::default() })
    }

    /// Files an entry under what it is now.
    fn file(&mut self, key: u128, bounds: &Bounds, now: Timestamp) {
        let Some(entry) = self.by_key.get_mut(&key) else { return };
        if let Some(end) = entry.end {
            self.by_weight.remove(&(entry.weight, end, key));
            self.by_end.remove(&(end, key));
        }
        let end = entry.shares().map(|share| share.end(bounds.window)).max().unwrap_or(now);
        let failures = entry.counting(now, bounds.window, None);
        entry.weight = failures.fold(0, |sum: u32, (_, share)| sum.saturating_add(share.failures));
        entry.end = Some(end);
        self.by_weight.insert((entry.weight, end, key));
        self.by_end.insert((end, key));
    }

    fn forget(&mut self, key: u128) {
        let Some(entry) = self.by_key.remove(&key) else { return };
        if let Some(end) = entry.end {
            self.by_weight.remove(&(entry.weight, end, key));
            self.by_end.remove(&(end, key));
        }
        self.changed.remove(&key);
        self.free.push(entry.slot);
    }

    /// Whether there is room for the key. What has ended makes room, then what restrains least: never a restraint in
    /// force.
    fn has_room(&mut self, key: u128, bounds: &Bounds, now: Timestamp) -> bool {
        if self.by_key.contains_key(&key) {
            return true;
        }
        self.forget_ended(bounds.window, now);
        if self.by_key.len() < bounds.entries_max.max(1) {
            return true;
        }
        for _ in 0..FILED_AGAIN_MAX {
            let Some(&(filed, _, least)) = self.by_weight.first() else { return true };
            // What counts may have changed since it was filed: a window of another process ended, or the clock moved.
            self.file(least, bounds, now);
            let weight = self.by_key.get(&least).map_or(0, |entry| entry.weight);
            if weight < bounds.failures_max && weight <= filed {
                self.forget(least);
                return true;
            }
            if weight == filed {
                return false;
            }
        }
        false
    }

    fn forget_ended(&mut self, window: Duration, now: Timestamp) {
        while let Some(&(_, key)) = self.by_end.first().filter(|(end, _)| *end <= now) {
            self.forget(key);
        }
        // The clock was set back.
        while let Some(&(_, key)) = self.by_end.last().filter(|(end, _)| end.since(now) >= window.saturating_mul(2)) {
            self.forget(key);
        }
    }
}

#[cfg(test)]
mod tests;
