//! How old what is known of a shared store may be.
//!
//! A gateway is *fresh* at the moment at which a round begins in which it wrote itself down on the server and then read
//! the feed to its end: whatever was acknowledged before that moment is in force here. Its *age* is the time since
//! then, by the clock that runs on while the machine sleeps or by the civil clock, whichever says more: one of them may
//! have been stopped, or set. Every decision about a token looks at it, so that a process that was stopped for an hour
//! refuses before anything else of it runs.
//!
//! A file is no shared store: its writers are on this machine, and nothing here ever ages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::domain::{Clock, SystemClock, Timestamp};

/// Never confirmed, or not lifted.
const NEVER: u64 = 0;

/// What `[store]` says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StalenessSettings {
    /// `store.max_staleness`: from which age on a token is refused. `None` for a store that does not age.
    pub max: Option<Duration>,
    /// `store.stale`, where a route does not say its own.
    pub action: StaleAction,
    /// How far the civil clock may be apart from the server's: the least `leeway` of any issuer.
    pub clock_leeway: Duration,
}

/// What becomes of checked requests when nothing was heard of the store for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StaleAction {
    /// 503: nobody knows who was revoked meanwhile.
    #[default]
    Refuse,
    /// They go on by what was known last.
    Serve,
}

impl StalenessSettings {
    /// The oldest state that decides, unless the config says otherwise.
    pub const MAX: Duration = Duration::from_secs(120);
}

impl Default for StalenessSettings {
    fn default() -> Self {
        Self { max: None, action: StaleAction::Refuse, clock_leeway: Duration::from_secs(30) }
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    civil: Timestamp,
    boot: Duration,
}

impl Moment {
    /// The moment at which the clocks said this.
    #[must_use]
    pub const fn new(civil: Timestamp, since_boot: Duration) -> Self {
        Self { civil, boot: since_boot }
    }

    /// The civil time.
    #[must_use]
    pub const fn civil(&self) -> Timestamp {
        self.civil
    }

    /// The time since the machine started.
    #[must_use]
    pub const fn since_boot(&self) -> Duration {
        self.boot
    }
}

/// How old what is known of the store is.
#[derive(Debug)]
pub struct Freshness {
    settings: StalenessSettings,
    clock: Arc<dyn Clock>,
    /// When it was fresh last: milliseconds since the machine started, or [`NEVER`].
    boot: AtomicU64,
    /// The civil time less that, in milliseconds.
    offset: AtomicI64,
    /// Until when an operator lets traffic go on: milliseconds since the machine started, or [`NEVER`].
    lifted_until: AtomicU64,
    /// Whether this gateway began with a clock that is apart from the server's, and has it still.
    clock_apart: AtomicBool,
}

impl Default for Freshness {
    fn default() -> Self {
        Self::new(StalenessSettings::default(), Arc::new(SystemClock))
    }
}

impl Freshness {
    /// Nothing was confirmed yet.
    #[must_use]
    pub fn new(settings: StalenessSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings,
            clock,
            boot: NEVER.into(),
            offset: 0.into(),
            lifted_until: NEVER.into(),
            clock_apart: false.into(),
        }
    }

    /// What is to be done with checked requests when it is stale, unless their route says otherwise.
    #[must_use]
    pub const fn action(&self) -> StaleAction {
        self.settings.action
    }

    /// The age from which on it is stale; `None` where nothing ages.
    #[must_use]
    pub const fn max(&self) -> Option<Duration> {
        self.settings.max
    }

    /// How far the civil clock may be apart from the server's.
    #[must_use]
    pub const fn clock_leeway(&self) -> Duration {
        self.settings.clock_leeway
    }

    /// Now: to be read before a round begins, and given to [`confirm`](Self::confirm) when it has ended.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { civil: self.clock.now(), boot: self.clock.since_boot() }
    }

    /// Everything that was acknowledged before `began` is in force.
    pub fn confirm(&self, began: Moment) {
        let boot = millis(began.boot).max(1);
        // The offset first: a reader of the new time with the old offset takes the state for older than it is, or sees
        // it as old as the other clock says.
        self.offset.store(began.civil.as_millis() - i64::try_from(boot).unwrap_or(i64::MAX), Ordering::Release);
        self.boot.store(boot, Ordering::Release);
    }

    /// How old what is known is; `None` where nothing ages, or nothing was confirmed yet.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.settings.max?;
        let boot = self.boot.load(Ordering::Acquire);
        (boot != NEVER).then(|| self.age_since(boot))
    }

    /// How long it has been too old to decide by; `None` while it is not, or an operator has lifted it.
    #[inline]
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        let max = self.settings.max?;
        let boot = self.boot.load(Ordering::Acquire);
        let stale_for = if boot == NEVER { Some(Duration::ZERO) } else { self.age_since(boot).checked_sub(max) };
        stale_for.filter(|_| millis(self.clock.since_boot()) >= self.lifted_until.load(Ordering::Acquire))
    }

    fn age_since(&self, boot: u64) -> Duration {
        let civil = i64::try_from(boot).unwrap_or(i64::MAX).saturating_add(self.offset.load(Ordering::Acquire));
        let by_civil = self.clock.now().since(Timestamp::from_millis(civil));
        self.clock.since_boot().saturating_sub(Duration::from_millis(boot)).max(by_civil)
    }

    /// Says whether this gateway began with a civil clock that is apart from the server's, and has it still.
    pub fn set_clock_apart(&self, apart: bool) {
        self.clock_apart.store(apart, Ordering::Release);
    }

    /// Whether it does: it takes no requests before others do.
    #[must_use]
    pub fn is_clock_apart(&self) -> bool {
        self.clock_apart.load(Ordering::Acquire)
    }

    /// Lets checked requests go on for so long, however old what is known becomes: an operator's word.
    pub fn lift(&self, time: Duration) {
        self.lifted_until.store(millis(self.clock.since_boot() + time), Ordering::Release);
    }

    /// How long an operator's word still holds; `None` where no operator's word holds.
    #[must_use]
    pub fn lifted_for(&self) -> Option<Duration> {
        let until = Duration::from_millis(self.lifted_until.load(Ordering::Acquire));
        until.checked_sub(self.clock.since_boot()).filter(|left| !left.is_zero())
    }
}

/// 584 million years of them.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::HandClock;

    const MAX: Duration = Duration::from_secs(120);
    const MOMENT: Duration = Duration::from_millis(1);

    fn freshness() -> (Arc<HandClock>, Freshness) {
        let clock = Arc::new(HandClock::new(Timestamp::from_secs(1_000)));
        let settings = StalenessSettings { max: Some(MAX), ..StalenessSettings::default() };
        (Arc::clone(&clock), Freshness::new(settings, clock))
    }

    #[test]
    fn nothing_is_decided_before_the_first_round_and_after_the_bound() {
        let (clock, freshness) = freshness();
        assert!(freshness.stale_for().is_some() && freshness.age().is_none());
        let began = freshness.moment();
        clock.pass(Duration::from_secs(5));
        freshness.confirm(began);
        assert_eq!(freshness.age(), Some(Duration::from_secs(5)), "what counts is when the round began");
        clock.pass(MAX.saturating_sub(Duration::from_secs(5) + MOMENT));
        assert_eq!(freshness.stale_for(), None);
        clock.pass(MOMENT);
        assert_eq!(freshness.stale_for(), Some(Duration::ZERO));
        freshness.confirm(freshness.moment());
        assert_eq!(freshness.stale_for(), None);
    }

    #[test]
    fn either_clock_alone_makes_it_stale_and_neither_makes_it_fresh() {
        let (clock, freshness) = freshness();
        freshness.confirm(freshness.moment());
        clock.step(-3_600_000);
        clock.pass(MAX);
        assert!(freshness.stale_for().is_some(), "the civil clock was set back");
        let (clock, freshness) = self::freshness();
        freshness.confirm(freshness.moment());
        clock.step(i64::try_from(MAX.as_millis()).unwrap());
        assert!(freshness.stale_for().is_some(), "the machine may have been stopped without its clock noticing");
    }

    #[test]
    fn an_operators_word_holds_for_its_time() {
        let (clock, freshness) = freshness();
        freshness.lift(Duration::from_secs(60));
        assert_eq!(freshness.stale_for(), None);
        assert_eq!(freshness.lifted_for(), Some(Duration::from_secs(60)));
        clock.pass(Duration::from_secs(60));
        assert!(freshness.stale_for().is_some() && freshness.lifted_for().is_none());
    }

    #[test]
    fn a_store_of_ones_own_does_not_age() {
        assert_eq!((Freshness::default().stale_for(), Freshness::default().age()), (None, None));
    }
}
