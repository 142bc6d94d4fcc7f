//! How many bad tokens one address may have checked: a signature costs the gateway far more than it
//! costs the client that makes one up.

use std::{
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::Timestamp,
    rules::limit::{Bounds, ClientKey, Windows},
};

/// Addresses remembered, at most; what is over it pushes out what has the fewest bad tokens.
const ADDRESSES_MAX: usize = 65_536;

/// The bounds of bad tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTokenSettings {
    /// Tokens from one address (an IPv6 network of 64 bits) that were refused after their signature was checked,
    /// until no more unknown tokens from it are checked; default 1,000.
    pub bad_tokens: u32,
    /// How long they count, from the first one; default 10 s.
    pub window: Duration,
}

impl Default for BadTokenSettings {
    fn default() -> Self {
        Self { bad_tokens: 1000, window: Duration::from_secs(10) }
    }
}

/// Counts bad tokens by address. Tokens that are remembered as good are never asked about.
#[derive(Debug)]
pub struct BadTokenLimiter {
    settings: BadTokenSettings,
    /// False until the first bad token: until then nothing need be looked up.
    any: AtomicBool,
    addresses: Mutex<Windows>,
}

impl BadTokenLimiter {
    /// A counter that has seen nothing.
    #[must_use]
    pub fn new(settings: BadTokenSettings) -> Self {
        Self { settings, any: AtomicBool::new(false), addresses: Mutex::default() }
    }

    /// Whether another unknown token from `address` is checked `now`.
    #[must_use]
    pub fn allows(&self, address: IpAddr, now: Timestamp) -> bool {
        !self.any.load(Ordering::Acquire)
            || self.addresses().wait(ClientKey::of(address).address(), &self.bounds(), now, None).is_none()
    }

    /// Counts a bad token.
    pub fn record_bad(&self, address: IpAddr, now: Timestamp) {
        self.addresses().count(ClientKey::of(address).address(), &self.bounds(), now, None);
        self.any.store(true, Ordering::Release);
    }

    const fn bounds(&self) -> Bounds {
        let BadTokenSettings { bad_tokens, window } = self.settings;
        Bounds { failures_max: bad_tokens, window, entries_max: ADDRESSES_MAX }
    }

    fn addresses(&self) -> MutexGuard<'_, Windows> {
        // A table that a panic left half changed still bounds what it counts.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_spends_its_own_budget_and_gets_it_back() {
        let bad_tokens = BadTokenLimiter::new(BadTokenSettings { bad_tokens: 2, window: Duration::from_secs(10) });
        let [bad, good, neighbour] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse().unwrap());
        let at = Timestamp::from_secs;
        for second in [0, 1] {
            assert!(bad_tokens.allows(bad, at(second)));
            bad_tokens.record_bad(bad, at(second));
        }
        assert!(!bad_tokens.allows(bad, at(9)));
        assert!(bad_tokens.allows(good, at(9)) && bad_tokens.allows(neighbour, at(9)));
        assert!(bad_tokens.allows(bad, at(10)));
        for _ in 0..2 {
            bad_tokens.record_bad(neighbour, at(20));
        }
        assert!(!bad_tokens.allows("2001:db8::ffff".parse().unwrap(), at(20)), "the same network");
        assert!(bad_tokens.allows("2001:db8:0:1::1".parse().unwrap(), at(20)));
    }
}
