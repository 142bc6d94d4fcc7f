//! Time as an argument: code that needs the time takes a [`Clock`] or a [`Timestamp`], so that
//! every expiry rule can be tested at any instant. `clippy.toml` bans the ambient clocks elsewhere.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A point in civil time: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch (a JWT's `NumericDate`); saturates far outside any calendar.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Seconds since the Unix epoch with their fraction, as Prometheus has them.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.since(Self(0)).as_secs_f64()
    }

    /// This instant moved into the future, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This instant moved into the past, saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The time from `earlier` to this instant; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Where the time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The civil time.
    fn now(&self) -> Timestamp;

    /// A monotonic reading, for measuring how long something took.
    fn instant(&self) -> Instant;

    /// The time since the machine started, while it slept included (`CLOCK_BOOTTIME`).
    fn since_boot(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's civil clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(millis(since_epoch))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn since_boot(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
    }
}

/// Clocks that a test moves: time passes on both, and steps on the civil one alone.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct HandClock {
    civil: std::sync::atomic::AtomicI64,
    passed: std::sync::atomic::AtomicU64,
    start: Instant,
}

#[cfg(test)]
impl HandClock {
    pub(crate) fn new(civil: Timestamp) -> Self {
        Self { civil: civil.0.into(), passed: 0.into(), start: SystemClock.instant() }
    }

    /// Lets time pass: both clocks run in step.
    pub(crate) fn pass(&self, time: Duration) {
        self.passed.fetch_add(time.as_millis().try_into().unwrap(), std::sync::atomic::Ordering::SeqCst);
        self.step(millis(time));
    }

    /// Lets the civil clock step by so many milliseconds.
    pub(crate) fn step(&self, millis: i64) {
        self.civil.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(test)]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.civil.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.passed.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn since_boot(&self) -> Duration {
        // It was on for a while already.
        Duration::from_millis(self.passed.load(std::sync::atomic::Ordering::SeqCst)) + Duration::from_secs(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_on_both_sides_of_the_epoch() {
        assert_eq!(Timestamp::from_millis(1_999).as_secs(), 1);
        assert_eq!(Timestamp::from_millis(-1).as_secs(), -1);
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.plus(Duration::MAX), end);
        assert_eq!(Timestamp::from_millis(0).since(end), Duration::ZERO);
    }
}
