//! Which clients were given a good response lately, so that one client's failures are told apart from a server's.
//!
//! A failure after a request was sent may be the request's own doing. It speaks against the server only where nobody
//! else was given a good response meanwhile. For that question two different pairs of a client and a route are enough:
//! of any two, one is another than the one that failed.
//!
//! Time is counted in ticks, and a pair is written down once a tick at most, so that good responses cost two reads and
//! next to never a write.

use std::sync::atomic::{AtomicU64, Ordering};

/// How long a pair that stands here is not written again, in milliseconds.
pub(super) const TICK_MS: u64 = 500;

/// How long a good response to somebody else speaks for a server, in milliseconds.
pub(super) const WINDOW_MS: u64 = 5000;

/// A client and the route that it asked for, as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientRoute(u32);

/// The pairs that had a good response last: the tick in the upper half, from 1, and the pair in the lower; 0 for none.
#[derive(Debug, Default)]
pub(super) struct RecentSuccesses([AtomicU64; 2]);

impl ClientRoute {
    /// From a hash of both.
    #[must_use]
    pub const fn of(hash: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        Self((hash ^ (hash >> 32)) as u32)
    }
}

impl RecentSuccesses {
    /// Notes a good response to `pair` at `now`, in milliseconds.
    pub(super) fn note(&self, pair: ClientRoute, now: u64) {
        let tick = tick(now);
        // Its own place, so that one pair never takes two, else that of the pair whose last good response is oldest.
        let [one, other] = &self.0;
        let ((one_noted, one_known), (other_noted, other_known)) = (read(one), read(other));
        let (place, noted) = match (one_known == pair && one_noted != 0, other_known == pair && other_noted != 0) {
            (true, _) => (one, one_noted),
            (_, true) => (other, other_noted),
            _ if one_noted <= other_noted => (one, one_noted),
            _ => (other, other_noted),
        };
        if noted < tick {
            place.store(tick << 32 | u64::from(pair.0), Ordering::Relaxed);
        }
    }

    /// Whether anybody but `pair` had a good response within the window before `now`.
    pub(super) fn has_another(&self, pair: ClientRoute, now: u64) -> bool {
        let since = tick(now.saturating_sub(WINDOW_MS));
        self.0.iter().map(read).any(|(noted, known)| noted >= since && noted != 0 && known != pair)
    }
}

/// From 1; what is above 32 bits after 68 years would be wrong.
fn tick(now: u64) -> u64 {
    (now / TICK_MS + 1).min(u64::from(u32::MAX))
}

fn read(slot: &AtomicU64) -> (u64, ClientRoute) {
    let word = slot.load(Ordering::Relaxed);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let pair = ClientRoute(word as u32);
    (word >> 32, pair)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_pair_is_no_witness_for_itself_however_often_it_is_well() {
        let recent_successes = RecentSuccesses::default();
        assert!(!recent_successes.has_another(ClientRoute(1), 0), "nobody was given anything");
        for now in 0..20_000 {
            recent_successes.note(ClientRoute(1), now);
            assert!(!recent_successes.has_another(ClientRoute(1), now), "{now}");
        }
        assert!(recent_successes.has_another(ClientRoute(2), 20_000));
        assert!(recent_successes.has_another(ClientRoute(2), 20_000 + WINDOW_MS - TICK_MS));
        assert!(!recent_successes.has_another(ClientRoute(2), 20_000 + WINDOW_MS + TICK_MS));
    }

    #[test]
    fn the_loud_do_not_hide_the_quiet() {
        let recent_successes = RecentSuccesses::default();
        for now in 0..20_000 {
            for _ in 0..100 {
                recent_successes.note(ClientRoute(1), now);
            }
            if now % 1000 == 999 {
                recent_successes.note(ClientRoute(2), now);
            }
            assert_eq!(recent_successes.has_another(ClientRoute(1), now), now >= 999, "{now}");
        }
    }

    proptest! {
        /// Against a list of every good response: exact but for the length of a tick.
        #[test]
        fn it_answers_as_a_list_of_all_would(
            responses in prop::collection::vec((0..4_u32, 0..3_000_u64), 0..60),
            asked in 0..4_u32,
            later in 0..8_000_u64,
        ) {
            let recent_successes = RecentSuccesses::default();
            let (mut all, mut now) = (vec![], 0);
            for (pair, pause) in responses {
                now += pause;
                recent_successes.note(ClientRoute(pair), now);
                all.push((pair, now));
            }
            now += later;
            let within = |window: u64| all.iter().any(|&(pair, at)| pair != asked && now - at <= window);
            let seen = recent_successes.has_another(ClientRoute(asked), now);
            prop_assert!(seen || !within(WINDOW_MS - 2 * TICK_MS));
            prop_assert!(!seen || within(WINDOW_MS + TICK_MS));
        }
    }
}
