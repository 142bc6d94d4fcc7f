//! Refused logins above a rate are not lines of their own: a flood would push everything else out of the log. They are
//! summed by reason and address, a line for each 10 seconds.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// What is summed together.
const WINDOW: Duration = Duration::from_secs(10);

/// Refusals of one reason from one address within [`WINDOW`] that have lines of their own.
const LINES_MAX: u64 = 10;

/// Pairs of a reason and an address that are counted apart; beyond that addresses are summed too.
const KEYS_MAX: usize = 4096;

/// Reasons are few, and each is a word of ours: what all addresses have in common is bounded by their number.
type Key = (&'static str, Option<IpAddr>);

/// Refusals of one reason that have no line of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// Why.
    pub(super) reason: &'static str,
    /// From where; `None` for many addresses.
    pub(super) client: Option<IpAddr>,
    /// How many.
    pub(super) events: u64,
}

/// The present window.
#[derive(Debug)]
pub(super) struct Sums {
    since: Instant,
    /// Refusals of each key, those with lines of their own among them.
    seen: HashMap<Key, u64>,
}

impl Sums {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, seen: HashMap::new() }
    }

    /// Counts a refusal. True where it gets a line of its own.
    pub(super) fn has_line(&mut self, reason: &'static str, client: IpAddr) -> bool {
        let key = (reason, Some(client));
        let is_counted_apart = self.seen.contains_key(&key) || self.seen.len() < KEYS_MAX;
        let seen = self.seen.entry(if is_counted_apart { key } else { (reason, None) }).or_default();
        *seen += 1;
        *seen <= LINES_MAX
    }

    /// Refusals that wait for their line.
    pub(super) fn waiting(&self) -> u64 {
        self.seen.values().map(|seen| seen.saturating_sub(LINES_MAX)).sum()
    }

    /// What was summed, when the window is over, or `at_once`.
    pub(super) fn due(&mut self, now: Instant, at_once: bool) -> Vec<Sum> {
        if !at_once && now.saturating_duration_since(self.since) < WINDOW {
            return vec![];
        }
        self.since = now;
        let sum = |((reason, client), seen): (Key, u64)| Sum { reason, client, events: seen.saturating_sub(LINES_MAX) };
        let mut sums: Vec<_> = self.seen.drain().map(sum).filter(|sum| sum.events > 0).collect();
        sums.sort_by_key(|sum| (sum.reason, sum.client));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, SystemClock};

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn what_is_above_the_rate_is_one_line_a_window() {
        let start = SystemClock.instant();
        let mut sums = Sums::new(start);
        let lines = (0..100).filter(|_| sums.has_line("wrong", address(1))).count();
        assert_eq!(lines, 10);
        assert!(sums.has_line("wrong", address(2)) && sums.has_line("locked", address(1)));
        assert_eq!(sums.waiting(), 90);
        assert_eq!(sums.due(start + WINDOW / 2, false), []);
        assert_eq!(sums.due(start + WINDOW, false), [Sum { reason: "wrong", client: Some(address(1)), events: 90 }]);
        assert!(sums.has_line("wrong", address(1)), "another window");
        assert_eq!((sums.waiting(), sums.due(start + WINDOW, true)), (0, vec![]));
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_counted_whole() {
        let mut sums = Sums::new(SystemClock.instant());
        let flood = 100_000;
        let lines = (0..flood).filter(|n| sums.has_line("wrong", address(*n))).count();
        assert!(lines <= KEYS_MAX + 10 && sums.seen.len() <= KEYS_MAX + 1);
        let summed: u64 = sums.due(SystemClock.instant(), true).iter().map(|sum| sum.events).sum();
        assert_eq!(lines as u64 + summed, u64::from(flood));
    }
}
