//! What requests read of an issuer's task, without a lock.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwap;

use crate::{domain::Timestamp, state::keys::jwk::PublicJwk};

/// In place of a time where there is none: before every time.
const NEVER: i64 = i64::MIN;

/// Until when the keys of an issuer are good. Cloning is cheap, reading costs one load.
#[derive(Clone, Debug)]
pub struct GoodUntil(Arc<AtomicI64>);

impl GoodUntil {
    /// Whether the keys that the sink was told last are good at `now`, even if nobody refreshes them any more.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        now.as_millis() < self.0.load(Ordering::Acquire)
    }

    /// `None` where there are no keys.
    pub(super) fn set(&self, until: Option<Timestamp>) {
        self.0.store(until.map_or(NEVER, Timestamp::as_millis), Ordering::Release);
    }
}

/// What the task tells requests.
#[derive(Debug)]
pub(super) struct Shared {
    /// The keys in force.
    pub(super) keys: ArcSwap<Vec<PublicJwk>>,
    pub(super) good_until: GoodUntil,
    /// Before this an unknown key asks in vain. In milliseconds.
    ask_from: AtomicI64,
}

impl Shared {
    /// Whether an unknown key may lead to a fetch, or one is under way: a storm of forged keys ends here.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        now.as_millis() >= self.ask_from.load(Ordering::Acquire)
    }

    /// From when on it may; `None` for at once.
    pub(super) fn set_ask_from(&self, from: Option<Timestamp>) {
        self.ask_from.store(from.map_or(NEVER, Timestamp::as_millis), Ordering::Release);
    }
}

impl Default for Shared {
    /// There are no keys, and whoever needs one may ask.
    fn default() -> Self {
        let good_until = GoodUntil(Arc::new(AtomicI64::new(NEVER)));
        Self { keys: ArcSwap::default(), good_until, ask_from: AtomicI64::new(NEVER) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_in_the_cooldown_ends_before_the_task() {
        let shared = Shared::default();
        let at = Timestamp::from_secs;
        assert!(shared.may_ask(at(0)));
        shared.set_ask_from(Some(at(30)));
        assert!(!shared.may_ask(at(29)) && shared.may_ask(at(30)));
        shared.set_ask_from(None);
        assert!(shared.may_ask(at(0)));
    }

    #[test]
    fn keys_are_good_until_a_time_or_not_at_all() {
        let good_until = Shared::default().good_until;
        let at = Timestamp::from_secs;
        assert!(!good_until.holds(at(0)) && !good_until.holds(Timestamp::from_millis(i64::MIN)));
        good_until.set(Some(at(30)));
        assert!(good_until.clone().holds(at(29)) && !good_until.holds(at(30)));
    }
}
