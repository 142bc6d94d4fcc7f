//! One issuer's keys over time, as a machine without I/O: what happened and when it is go in, what to do comes out.
//!
//! ```text
//!            set                    lifetime over             max_stale over
//! Empty ───────────► Fresh ─────────────────────► Stale ───────────────────► Closed
//!   │ snapshot         ▲ ▲           set, or unchanged │                        │
//!   └────────► Stale   │ └──────────────────────────────┘             set       │
//!                      └─────────────────────────────────────────────────────────┘
//! ```
//!
//! Fresh and stale keys are in force alike; the difference is that in `Stale` fetching has failed for a while.
//! The next fetch is due *ahead* of the end of freshness. Failures are retried with growing pauses, and change
//! nothing else: the old keys stand until `max_stale` after the issuer last confirmed them.

use std::{sync::Arc, time::Duration};

use super::settings::Jwks;
use crate::{domain::Timestamp, state::keys::jwk::PublicJwk};

/// The shortest freshness: no answer makes us fetch more often than every 48 s, four fifths of it.
pub const FRESH_MIN: Duration = Duration::from_secs(60);

/// The longest freshness: taking a key out of the set is the only way in which an issuer revokes it,
/// and it must be seen within this time whatever `max-age` says.
pub const FRESH_MAX: Duration = Duration::from_hours(1);

/// The part of the freshness after which the next fetch is due, as a fraction: four fifths.
const AHEAD: (u32, u32) = (4, 5);

/// The pause after the first failure; each further one doubles it.
const RETRY_MIN: Duration = Duration::from_secs(5);

/// The longest pause between failures.
const RETRY_MAX: Duration = Duration::from_mins(5);

/// The keys of a set.
pub(super) type Keys = Arc<Vec<PublicJwk>>;

/// Where an issuer's keys stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There has been no set yet: every token is refused.
    Empty,
    /// The keys are in force, and no fetch is late.
    Fresh { set: Set, until: Timestamp },
    /// The keys are in force, though they should have been confirmed.
    Stale { set: Set, until: Timestamp },
    /// The keys were too old: every token is refused.
    Closed,
}

/// A set and when the issuer confirmed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) keys: Keys,
    /// When the request began whose answer had it: it cannot be older than that.
    pub(super) confirmed_at: Timestamp,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// Time went on.
    Tick,
    /// A snapshot was found.
    Restored(Set),
    /// A token names a key that is not there.
    UnknownKey,
    /// The fetch has ended.
    Fetched(Fetched),
}

/// What came of a fetch. The lifetime is what the answer says of it.
#[derive(Debug)]
pub(super) enum Fetched {
    Set {
        keys: Keys,
        lifetime: Option<Duration>,
    },
    /// 304: what is held is what the issuer has.
    Unchanged {
        lifetime: Option<Duration>,
    },
    Failed,
}

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// Begin a fetch; its end is told as [`Event::Fetched`].
    pub(super) fetch: bool,
    /// These keys are in force from now on, in place of all before; none at all where it is closed.
    pub(super) keys: Option<Keys>,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Machine {
    settings: Jwks,
    state: State,
    /// When the fetch under way began.
    flight: Option<Timestamp>,
    /// When the next fetch begins by itself.
    due: Timestamp,
    /// When a fetch began last that an unknown key asked for.
    asked: Option<Timestamp>,
    /// Fetches that failed since the last that did not.
    failures: u32,
    /// The latest time seen.
    seen: Timestamp,
}

impl Machine {
    /// A machine without keys; its first fetch is due at once.
    pub(super) const fn new(settings: Jwks, now: Timestamp) -> Self {
        Self { settings, state: State::Empty, flight: None, due: now, asked: None, failures: 0, seen: now }
    }

    /// Takes in what happened.
    pub(super) fn step(&mut self, event: Event, now: Timestamp) -> Effects {
        self.rewind(now);
        let before = self.keys().cloned();
        let mut wanted = false;
        match event {
            Event::Tick => {}
            // From the future it cannot be; how old it is cannot be told then.
            Event::Restored(set) if set.confirmed_at > now || self.state != State::Empty => {}
            Event::Restored(set) => {
                let until = set.confirmed_at.plus(self.settings.max_stale);
                self.state = State::Stale { set, until };
            }
            Event::UnknownKey => wanted = self.ask_from().is_none_or(|from| now >= from),
            Event::Fetched(fetched) => self.landed(fetched, now),
        }
        self.grow_old(now);
        let fetch = self.flight.is_none() && (wanted || now >= self.due);
        if fetch {
            self.flight = Some(now);
            self.asked = if wanted { Some(now) } else { self.asked };
        }
        let after = self.keys().cloned();
        Effects { fetch, keys: (before != after).then(|| after.unwrap_or_default()) }
    }

    /// Where the keys stand.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// The set in force.
    pub(super) const fn set(&self) -> Option<&Set> {
        match &self.state {
            State::Fresh { set, .. } | State::Stale { set, .. } => Some(set),
            State::Empty | State::Closed => None,
        }
    }

    /// When the keys in force stop to be, if nothing confirms them; `None` where there are none.
    pub(super) fn valid_until(&self) -> Option<Timestamp> {
        self.set().map(|set| set.confirmed_at.plus(self.settings.max_stale))
    }

    /// Whether a fetch is under way.
    pub(super) const fn in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// From when on an unknown key may ask for a fetch; `None` for at once.
    pub(super) fn ask_from(&self) -> Option<Timestamp> {
        self.asked.map(|asked| asked.plus(self.settings.cooldown))
    }

    /// Fetches that failed since the last that did not.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    fn keys(&self) -> Option<&Keys> {
        self.set().map(|set| &set.keys)
    }

    fn landed(&mut self, fetched: Fetched, now: Timestamp) {
        let Some(started) = self.flight.take() else { return };
        let (keys, lifetime) = match fetched {
            Fetched::Set { keys, lifetime } => (Some(keys), lifetime),
            // What was to be confirmed may have become too old meanwhile.
            Fetched::Unchanged { lifetime } => (self.keys().cloned(), lifetime),
            Fetched::Failed => (None, None),
        };
        let Some(keys) = keys else {
            self.failures = self.failures.saturating_add(1);
            self.due = now.plus(pause(self.failures));
            return;
        };
        let lifetime = lifetime.unwrap_or(self.settings.refresh).clamp(FRESH_MIN, FRESH_MAX);
        let lifetime = lifetime.min(self.settings.max_stale);
        self.failures = 0;
        self.due = started.plus(lifetime * AHEAD.0 / AHEAD.1);
        self.state = State::Fresh { set: Set { keys, confirmed_at: started }, until: started.plus(lifetime) };
    }

    fn grow_old(&mut self, now: Timestamp) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Fresh { set, until } if now >= until => {
                let until = set.confirmed_at.plus(self.settings.max_stale);
                State::Stale { set, until }
            }
            state => state,
        };
        if matches!(self.state, State::Stale { until, .. } if now >= until) {
            self.state = State::Closed;
        }
    }

    /// The civil clock may be set back. Everything moves with it: what was held is as old as before,
    /// and no wait becomes longer.
    fn rewind(&mut self, now: Timestamp) {
        let back = self.seen.since(now);
        self.seen = now;
        if back.is_zero() {
            return;
        }
        self.due = self.due.minus(back);
        self.flight = self.flight.map(|flight| flight.minus(back));
        self.asked = self.asked.map(|asked| asked.minus(back));
        if let State::Fresh { set, until } | State::Stale { set, until } = &mut self.state {
            set.confirmed_at = set.confirmed_at.minus(back);
            *until = until.minus(back);
        }
    }
}

/// The pause after so many failures.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    RETRY_MIN.checked_mul(doubled).map_or(RETRY_MAX, |pause| pause.min(RETRY_MAX))
}
