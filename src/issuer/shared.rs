//! What requests read of an issuer's task, without a lock.

use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;

use crate::{
    domain::Timestamp,
    state::keys::{ValidUntil, jwk::PublicJwk},
};

/// In place of a time where there is none: before every time.
const NEVER: i64 = i64::MIN;

/// What the task tells requests.
#[derive(Debug)]
pub(super) struct Shared {
    /// The keys in force.
    pub(super) keys: ArcSwap<Vec<PublicJwk>>,
    pub(super) valid_until: ValidUntil,
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
    /// There are no keys, and the first that needs one may ask.
    fn default() -> Self {
        Self { keys: ArcSwap::default(), valid_until: ValidUntil::default(), ask_from: AtomicI64::new(NEVER) }
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
}
