//! When a refused login is answered: at one deadline for all of a realm, so that the time tells neither whether an
//! account exists nor how its secret is kept.
//!
//! The deadline counts from when the secret's turn for a hash has come; the wait before that is the same for all. It is
//! as long as the slowest kind of hash takes that the realm has, measured here, and a little more. Where an old system
//! is asked before the hash, what that takes comes on top, for those too about whom it does not need to be asked. A
//! timer waits for it: the thread that hashed has gone on to the next, and an unknown name costs one hash of today's
//! and no more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    domain::{Clock, RealmName},
    state::account::{Credentials, password::todays_cost_class},
};

/// Kinds of hashes that are told apart in a realm, at most. One more counts as the one that was measured first.
const CLASSES_MAX: usize = 64;

/// The part by which one measurement moves what is known of a kind. What lies nine times as often below as above the
/// measurements stays where it is: nine in ten take no longer (frugal streaming, Ma, Muthukrishnan and Sandler 2014).
const STEP: u32 = 200;

/// What comes on top for the work around the hash: one part in eight.
const SLACK: u32 = 8;

/// How long a refusal waits, at most: a machine that stood still must not hold up clients for long.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What hashes take in each realm. Shared between threads as it is.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Arc<dyn Clock>,
    realms: Mutex<HashMap<RealmName, Costs>>,
}

/// What the logins of a realm take.
#[derive(Debug, Default)]
struct Costs {
    hashes: Vec<Cost>,
    /// Asking the old system.
    asking: Option<Cost>,
}

/// What one kind of work takes.
#[derive(Debug)]
struct Cost {
    class: Box<str>,
    takes: Duration,
}

impl Cost {
    fn measured(&mut self, took: Duration) {
        let step = self.takes / STEP;
        self.takes = if took > self.takes { self.takes + step * 9 } else { self.takes.saturating_sub(step) };
    }
}

impl Pace {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, realms: Mutex::default() }
    }

    /// What a wrong secret costs, by its kind: for an account, or for a name that nobody has.
    pub(super) fn class_of(credentials: Option<&Credentials>) -> Box<str> {
        credentials.map_or_else(todays_cost_class, |credentials| credentials.cost_class().into())
    }

    /// One of this kind took so long.
    pub(super) fn measured(&self, realm: &RealmName, class: &str, took: Duration) {
        let mut realms = self.realms();
        let costs = &mut of(&mut realms, realm).hashes;
        let known = costs.iter().position(|cost| *cost.class == *class);
        match known.or((costs.len() >= CLASSES_MAX).then_some(0)).and_then(|at| costs.get_mut(at)) {
            Some(cost) => cost.measured(took),
            None => costs.push(Cost { class: class.into(), takes: took }),
        }
    }

    /// An old system has answered a question about a login of this realm after so long.
    pub(super) fn asked(&self, realm: &RealmName, took: Duration) {
        let mut realms = self.realms();
        match &mut of(&mut realms, realm).asking {
            Some(cost) => cost.measured(took),
            asking => *asking = Some(Cost { class: "asking".into(), takes: took }),
        }
    }

    /// Waits until a login of this realm may be refused whose turn came then.
    pub(super) async fn wait(&self, realm: &RealmName, started: Instant) {
        let passed = self.clock.instant().saturating_duration_since(started);
        tokio::time::sleep(self.deadline(realm).saturating_sub(passed)).await;
    }

    /// How long after its turn came a login of this realm is refused.
    fn deadline(&self, realm: &RealmName) -> Duration {
        let realms = self.realms();
        let Some(costs) = realms.get(realm) else { return Duration::ZERO };
        let slowest = costs.hashes.iter().map(|cost| cost.takes).max().unwrap_or_default();
        let takes = slowest + costs.asking.as_ref().map_or(Duration::ZERO, |asking| asking.takes);
        (takes + takes / SLACK).min(WAIT_MAX)
    }

    fn realms(&self) -> MutexGuard<'_, HashMap<RealmName, Costs>> {
        // Every change of it is whole.
        self.realms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a realm. The config names the realms, so there are few.
fn of<'a>(realms: &'a mut HashMap<RealmName, Costs>, realm: &RealmName) -> &'a mut Costs {
    realms.entry(realm.clone()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{HandClock, Timestamp};

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn realm(name: &str) -> RealmName {
        name.parse().unwrap()
    }

    fn pace() -> Pace {
        Pace::new(Arc::new(HandClock::new(Timestamp::from_secs(0))))
    }

    #[test]
    fn the_slowest_kind_of_the_realm_gives_the_deadline() {
        let pace = pace();
        assert_eq!(pace.deadline(&realm("apis")), Duration::ZERO);
        pace.measured(&realm("apis"), "fast", 20 * MILLISECOND);
        pace.measured(&realm("apis"), "slow", 240 * MILLISECOND);
        pace.measured(&realm("sws"), "fast", 20 * MILLISECOND);
        assert_eq!(pace.deadline(&realm("apis")), 270 * MILLISECOND);
        assert_eq!(pace.deadline(&realm("sws")), Duration::from_micros(22_500));
        pace.asked(&realm("sws"), 60 * MILLISECOND);
        assert_eq!(pace.deadline(&realm("sws")), 90 * MILLISECOND, "what asking an old system takes comes on top");
        pace.measured(&realm("sws"), "stalled", Duration::from_secs(600));
        assert_eq!(pace.deadline(&realm("sws")), WAIT_MAX);
    }

    #[test]
    fn nine_in_ten_take_no_longer_and_one_that_stalls_moves_little() {
        let pace = pace();
        let realm = realm("apis");
        let deadline = || pace.deadline(&realm).as_millis();
        // From 20 to 39 ms, each as often, in an order without a pattern.
        for n in 0..4_000 {
            pace.measured(&realm, "hash", (20 + n * 7 % 20) * MILLISECOND);
        }
        let steady = deadline();
        assert!((40..48).contains(&steady), "{steady} ms: nine in ten take 37 ms at most");
        pace.measured(&realm, "hash", Duration::from_secs(60));
        assert!(deadline() <= steady * 9 / 8);
        // The machine is faster now.
        for _ in 0..400 {
            pace.measured(&realm, "hash", 10 * MILLISECOND);
        }
        assert!(deadline() < 14, "{} ms", deadline());
    }

    #[test]
    fn the_kinds_are_bounded() {
        let pace = pace();
        for n in 0..10 * CLASSES_MAX {
            pace.measured(&realm("apis"), &n.to_string(), MILLISECOND);
        }
        assert_eq!(pace.realms()[&realm("apis")].hashes.len(), CLASSES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_waits_for_what_is_left_of_the_deadline() {
        let clock = Arc::new(HandClock::new(Timestamp::from_secs(0)));
        let pace = Pace::new(Arc::clone(&clock) as _);
        pace.measured(&realm("apis"), "hash", 80 * MILLISECOND);
        for (passed, left) in [(0, 90), (80, 10), (90, 0), (500, 0)] {
            let started = clock.instant();
            clock.pass(passed * MILLISECOND);
            let begun = tokio::time::Instant::now();
            pace.wait(&realm("apis"), started).await;
            assert_eq!(begun.elapsed(), left * MILLISECOND, "{passed} ms had passed");
        }
    }
}
