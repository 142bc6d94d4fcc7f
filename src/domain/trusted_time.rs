//! Time for what cannot be undone.
//!
//! The civil clock may be wrong: set by hand, read from a dead battery, restored with a virtual machine. Checking
//! `exp` by it is harmless, since a wrong verdict ends with the wrong clock. Pruning a revocation, retiring a key or
//! wiping its material does not. [`TrustedTime`] holds the civil clock against the monotonic one and against the
//! latest time that the store remembers. While they agree it makes a [`TrustedNow`], which everything irreversible
//! takes as its argument. When they disagree it is *suspended*, until they have agreed for [`IN_STEP_MIN`] or an
//! operator confirms the clock.
//!
//! ```text
//!             a step of more than STEP_MAX, or a start outside [reference, reference + ABSENCE_MAX]
//!   trusted ───────────────────────────────────────────────────────────────────────────────────────► suspended
//!      ▲                                                                                                 │
//!      └──────────────────────── IN_STEP_MIN in step, or an operator's word ─────────────────────────────┘
//! ```
//!
//! On Linux the monotonic clock stands still while the machine sleeps and is slewed together with the civil one. So a
//! sleep looks like a step forward, which is the safe reading, and NTP's slewing is no step at all.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::Timestamp;

/// How far the civil clock may run away from the monotonic one within [`IN_STEP_MIN`]. Leap seconds and the small
/// steps of time daemons stay below it; steps that add up do not.
pub const STEP_MAX: Duration = Duration::from_secs(60);

/// How far after the latest time seen a start may be. Longer absences are suspended like a clock that is ahead.
pub const ABSENCE_MAX: Duration = Duration::from_hours(24);

/// How long a restart may take during a suspension: after a longer one the clocks begin anew to run in step.
pub const RESTART_MAX: Duration = Duration::from_mins(10);

/// How long both clocks must run in step before a doubt ends by itself.
pub const IN_STEP_MIN: Duration = Duration::from_hours(24);

/// Both clocks, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The civil time.
    pub civil: Timestamp,
    /// The monotonic time.
    pub monotonic: Instant,
}

/// A time by which something irreversible may be done. Only [`TrustedTime`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedNow {
    civil: Timestamp,
    earliest: Timestamp,
}

impl TrustedNow {
    /// The civil time.
    #[must_use]
    pub const fn civil(self) -> Timestamp {
        self.civil
    }

    /// The earliest that it can be: the civil time without the absences and small steps that no process witnessed. What
    /// ended before this has ended, even if the clock is ahead by all of them.
    #[must_use]
    pub const fn earliest(self) -> Timestamp {
        self.earliest
    }

    /// What ended before this has ended for longer than `kept`.
    #[must_use]
    pub fn cutoff(self, kept: Duration) -> Timestamp {
        self.earliest.minus(kept)
    }
}

/// Why the civil clock is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It stepped forward against the monotonic clock; or the machine slept.
    SteppedForward,
    /// It stepped back against the monotonic clock.
    SteppedBack,
    /// At the start it was more than [`ABSENCE_MAX`] after the latest time seen.
    StartedAhead,
    /// At the start it was before the latest time seen.
    StartedBehind,
}

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SteppedForward, Self::SteppedBack, Self::StartedAhead, Self::StartedBehind];

    /// The word in the store, in logs and in health.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SteppedForward => "stepped_forward",
            Self::SteppedBack => "stepped_back",
            Self::StartedAhead => "started_ahead",
            Self::StartedBehind => "started_behind",
        }
    }

    /// The doubt that `name` names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|doubt| doubt.name() == name)
    }
}

/// There is no trusted time now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// Why.
    pub doubt: Doubt,
    /// Since when, by the civil clock of that moment.
    pub since: Timestamp,
    /// How long both clocks must still run in step.
    pub left: Duration,
}

impl fmt::Display for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.doubt {
            Doubt::SteppedForward => "stepped forward, or the machine slept",
            Doubt::SteppedBack => "stepped back",
            Doubt::StartedAhead => "was more than a day after the latest time seen when the gateway started",
            Doubt::StartedBehind => "was before the latest time seen when the gateway started",
        };
        write!(f, "the civil clock is in doubt: it {what}")
    }
}

impl std::error::Error for Suspended {}

/// A suspension, as the store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Why; of several doubts the last.
    pub doubt: Doubt,
    /// Since when, by the civil clock of that moment.
    pub since: Timestamp,
    /// How long both clocks have run in step since the last doubt.
    pub run: Duration,
    /// The last civil time seen. It never becomes the reference.
    pub apart: Timestamp,
    /// The latest civil time seen.
    pub apart_latest: Timestamp,
}

/// What outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The latest civil time seen while both clocks ran in step.
    pub reference: Timestamp,
    /// By how much the reference may be ahead of the true time.
    pub lag: Duration,
    /// The suspension that goes on.
    pub suspension: Option<Suspension>,
}

/// Holds the clocks against each other. Pure: readings go in, verdicts come out.
#[derive(Clone, Debug)]
pub struct TrustedTime {
    /// Where both clocks were when they began to run in step.
    anchor: Reading,
    /// The earliest that it can have been then.
    earliest: Timestamp,
    reference: Timestamp,
    suspension: Option<Suspension>,
    /// How long the clocks had run in step before the anchor, in an earlier process.
    run_before: Duration,
    /// Doubts that came up in this process.
    doubts: u64,
    /// The last time that nobody doubted, and the monotonic time then.
    witnessed: Reading,
}

impl TrustedTime {
    /// Begins with what the store remembers. A store that remembers nothing is new: there is nothing in it that a wrong
    /// clock could end too early.
    #[must_use]
    pub fn start(record: Option<&Record>, at: Reading) -> Self {
        let Record { reference, lag, suspension } =
            record.copied().unwrap_or(Record { reference: at.civil, lag: Duration::ZERO, suspension: None });
        let earliest = reference.minus(lag).min(at.civil);
        let witnessed = match &suspension {
            Some(suspension) => reference.plus(suspension.run),
            None if is_within(at.civil, reference, ABSENCE_MAX) => at.civil,
            None => reference,
        };
        let witnessed = Reading { civil: witnessed, ..at };
        let run_before = Duration::ZERO;
        let mut time = Self { anchor: at, earliest, reference, suspension, run_before, doubts: 0, witnessed };
        if let Some(suspension) = &mut time.suspension {
            // A restart neither ends a suspension nor, where the clock went on as it was, its run in step.
            if is_within(at.civil, suspension.apart, RESTART_MAX) {
                time.run_before = suspension.run;
            } else {
                time.doubts += 1;
                suspension.run = Duration::ZERO;
                suspension.doubt = start_doubt(at.civil, suspension.apart);
            }
            suspension.apart = at.civil;
            suspension.apart_latest = suspension.apart_latest.max(at.civil);
        } else if !is_within(at.civil, reference, ABSENCE_MAX) {
            time.doubt(start_doubt(at.civil, reference), at);
        }
        time
    }

    /// The trusted time of this reading.
    ///
    /// # Errors
    /// That there is none, and why.
    pub fn observe(&mut self, at: Reading) -> Result<TrustedNow, Suspended> {
        let elapsed = at.monotonic.saturating_duration_since(self.anchor.monotonic);
        let expected = self.anchor.civil.plus(elapsed);
        if at.civil.since(expected) > STEP_MAX {
            self.doubt(Doubt::SteppedForward, at);
        } else if expected.since(at.civil) > STEP_MAX {
            self.doubt(Doubt::SteppedBack, at);
        }
        let elapsed = at.monotonic.saturating_duration_since(self.anchor.monotonic);
        if let Some(suspension) = &mut self.suspension {
            suspension.run = self.run_before.saturating_add(elapsed);
            suspension.apart = at.civil;
            suspension.apart_latest = suspension.apart_latest.max(at.civil);
            if suspension.run < IN_STEP_MIN {
                let Suspension { doubt, since, run, .. } = *suspension;
                return Err(Suspended { doubt, since, left: IN_STEP_MIN.saturating_sub(run) });
            }
            self.trust(at);
        } else if elapsed >= IN_STEP_MIN {
            self.trust(at);
        }
        self.reference = self.reference.max(at.civil);
        self.witnessed = at;
        let earliest = self.earliest.plus(at.monotonic.saturating_duration_since(self.anchor.monotonic));
        Ok(TrustedNow { civil: at.civil, earliest: earliest.min(at.civil) })
    }

    /// The time, for what ends after a while and must end neither early nor late by a wrong clock: the civil time while
    /// it is trusted. During a suspension it is the last trusted time, and what the monotonic clock has counted since.
    pub fn witnessed(&mut self, at: Reading) -> Timestamp {
        match self.observe(at) {
            Ok(now) => now.civil(),
            Err(_) => self.witnessed.civil.plus(at.monotonic.saturating_duration_since(self.witnessed.monotonic)),
        }
    }

    /// Takes an operator's word for it that the civil clock is right.
    pub fn confirm(&mut self, at: Reading) {
        self.trust(at);
    }

    /// What the store should remember, as of the last observation. Where there is a suspension, `reference` and `lag`
    /// are those of the time before it.
    #[must_use]
    pub fn record(&self, at: Reading) -> Record {
        let elapsed = at.monotonic.saturating_duration_since(self.anchor.monotonic);
        let lag = self.reference.since(self.earliest.plus(elapsed));
        Record { reference: self.reference, lag, suspension: self.suspension }
    }

    /// How many doubts have come up in this process: another number is another doubt.
    #[must_use]
    pub const fn doubts(&self) -> u64 {
        self.doubts
    }

    fn trust(&mut self, at: Reading) {
        // Where nothing was suspended the reference only grows; an ended suspension begins anew.
        self.reference = if self.suspension.is_some() { at.civil } else { self.reference.max(at.civil) };
        (self.anchor, self.earliest, self.suspension, self.run_before) = (at, at.civil, None, Duration::ZERO);
    }

    fn doubt(&mut self, doubt: Doubt, at: Reading) {
        let before = self.suspension;
        self.suspension = Some(Suspension {
            doubt,
            since: before.map_or(at.civil, |before| before.since),
            run: Duration::ZERO,
            apart: at.civil,
            apart_latest: before.map_or(at.civil, |before| before.apart_latest.max(at.civil)),
        });
        (self.anchor, self.run_before) = (at, Duration::ZERO);
        self.doubts += 1;
    }
}

/// Whether a start at `civil` fits to what was last seen: not before it, and not longer after it than `absence_max`.
fn is_within(civil: Timestamp, seen: Timestamp, absence_max: Duration) -> bool {
    seen.since(civil) <= STEP_MAX && civil.since(seen) <= absence_max
}

fn start_doubt(civil: Timestamp, seen: Timestamp) -> Doubt {
    if civil < seen { Doubt::StartedBehind } else { Doubt::StartedAhead }
}

/// The trusted time of a store that is new at this civil time.
#[cfg(test)]
pub(crate) fn trusted(civil: Timestamp) -> TrustedNow {
    let at = Reading { civil, monotonic: super::Clock::instant(&super::SystemClock) };
    TrustedTime::start(None, at).observe(at).unwrap()
}

#[cfg(test)]
mod tests;
