//! What the store remembers of the civil clock, and the trusted time that follows from it
//! ([`TrustedTime`]).
//!
//! All processes of a store share one row. Each holds its own clocks against each other; a suspension has a number, so
//! that the end of one, by 24 hours in step or by an operator's word, is seen by the others.

mod kept;
mod pruned;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub(in crate::state) use pruned::prune;
pub use pruned::{Pruned, pruned_in};

use serde_json::json;

use super::store::{self, Action, AuditedStore, Entry, Store, StoreError, Target, Transaction, Turn, query};
use crate::domain::{
    Clock, Suspended, Timestamp, TrustedNow, TrustedTime,
    trusted_time::{Doubt, Reading, Record, Suspension},
};

/// Attempts to read both clocks at one moment; the scheduler may come in between.
const READ_ATTEMPTS_MAX: u32 = 4;

/// How far apart the monotonic readings before and after the civil one may be.
const READ_SPREAD_MAX: Duration = Duration::from_secs(1);

/// How often a gateway writes the latest time seen down. What a process signed after that it signed within this.
pub const KEEP_EVERY: Duration = Duration::from_secs(60);

/// The row of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What a process begins with.
    pub record: Record,
    /// The number of the last suspension.
    episode: i64,
    /// The number of the last suspension that has ended.
    settled: i64,
    /// What was dropped.
    pub pruned: Pruned,
}

/// How a suspension ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Both clocks ran in step for long enough.
    InStep,
    /// An operator confirmed the clock, or another process saw both run in step.
    Elsewhere,
}

/// The clocks of a process, held against each other. Cloning shares them.
#[derive(Clone, Debug)]
pub struct TrustedClock {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    time: TrustedTime,
    /// The number of the suspension that goes on, as the store has it.
    episode: Option<i64>,
    /// The doubts of this process that the store knows of.
    stored_doubts: u64,
}

impl TrustedClock {
    /// The trusted time of a store. It writes nothing: a command does not run long enough to be a witness.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn open(store: &Store, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Ok(Self::begin(read(store).await?.as_ref(), clock))
    }

    /// The trusted time of a store with this row; of a new store without one.
    #[must_use]
    pub fn begin(row: Option<&Row>, clock: Arc<dyn Clock>) -> Self {
        let time = TrustedTime::start(row.map(|row| &row.record), reading(&*clock));
        let episode = row.filter(|row| row.record.suspension.is_some()).map(|row| row.episode);
        Self { clock, state: Arc::new(Mutex::new(State { time, episode, stored_doubts: 0 })) }
    }

    /// The civil and the monotonic clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The time by which something irreversible may be done.
    ///
    /// # Errors
    /// That it must wait, and why.
    pub fn now(&self) -> Result<TrustedNow, Suspended> {
        self.state().time.observe(reading(&*self.clock))
    }

    /// The time for what ends after a while, such as an old secret: see [`TrustedTime::witnessed`].
    #[must_use]
    pub fn witnessed(&self) -> Timestamp {
        self.state().time.witnessed(reading(&*self.clock))
    }

    /// A time that is not after the true one, as far as anybody knows: for what should rather look too old.
    #[must_use]
    pub fn no_later(&self) -> Timestamp {
        let at = reading(&*self.clock);
        let mut state = self.state();
        let observed = state.time.observe(at);
        let reference = state.time.record(at).reference;
        observed.map_or(at.civil.min(reference), TrustedNow::earliest)
    }

    /// Writes down what was seen; reads what other processes, and the operator, know of the suspension. Answers how
    /// the suspension ended, if it did by what was read.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn keep(&self, store: &Store) -> Result<Option<Settled>, StoreError> {
        let mut transaction = store.begin(Turn::Clock).await?;
        let row = read_in(&mut transaction).await?;
        let next = self.next(row.as_ref());
        write(&mut transaction, &next.row).await?;
        transaction.commit().await?;
        let mut state = self.state();
        (state.episode, state.stored_doubts) = (next.episode, next.doubts);
        Ok(next.settled)
    }

    /// Whether the store says that the suspension which goes on has ended: a look that writes nothing.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn is_settled(&self, store: &Store) -> Result<bool, StoreError> {
        let row = read(store).await?;
        let state = self.state();
        Ok(row.is_some_and(|row| state.episode.is_some_and(|episode| row.settled >= episode)))
    }

    /// What the row should be, given what it is.
    fn next(&self, row: Option<&Row>) -> Next {
        let at = reading(&*self.clock);
        let mut state = self.state();
        let mut observed = state.time.observe(at);
        let mut settled = None;
        // A doubt that came after the last writing is another suspension, whatever was said of the one before.
        let is_new = state.time.doubts() != state.stored_doubts;
        let ended = |episode| row.is_some_and(|row| row.settled >= episode);
        if observed.is_err() && !is_new && state.episode.is_some_and(ended) {
            state.time.confirm(at);
            observed = state.time.observe(at);
            settled = Some(Settled::Elsewhere);
        }
        let record = state.time.record(at);
        let mut next = row.copied().unwrap_or(Row { record, episode: 0, settled: 0, pruned: Pruned::default() });
        let mut episode = state.episode;
        if observed.is_err() {
            if is_new || next.episode <= next.settled {
                next.episode = next.episode.max(next.settled) + 1;
                episode = Some(next.episode);
            }
            // The reference stays: what is seen now is recorded apart.
            next.record.suspension = record.suspension;
        } else {
            next.record.lag = record.lag;
            next.record.reference = next.record.reference.max(record.reference);
            if let Some(episode) = episode.take() {
                settled = settled.or(Some(Settled::InStep));
                next.settled = next.settled.max(episode);
                next.record.reference = record.reference;
            }
            // Another process may be in doubt still.
            next.record.suspension = next.record.suspension.filter(|_| next.settled < next.episode);
        }
        Next { row: next, settled, episode, doubts: state.time.doubts() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is one assignment or leaves it more doubtful than it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be written, and what is known when it was.
struct Next {
    row: Row,
    settled: Option<Settled>,
    episode: Option<i64>,
    doubts: u64,
}

/// The row, if a gateway has written one.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn read(store: &Store) -> Result<Option<Row>, StoreError> {
    read_in(store).await
}

/// The latest civil time by which any process may have issued something, a suspension included; `now` at least.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn latest_seen(store: &Store, now: Timestamp) -> Result<Timestamp, StoreError> {
    let Some(Row { record, .. }) = read(store).await? else { return Ok(now) };
    let apart = record.suspension.map_or(now, |suspension| suspension.apart_latest);
    let seen = record.reference.max(apart);
    // It is written down now and then only. Where the clock is not behind it, the clock says it better.
    Ok(if seen > now { seen.plus(KEEP_EVERY) } else { now })
}

/// Takes an operator's word for it that the civil clock is right: it is the reference, and no suspension goes on.
/// A gateway that runs sees it within a second. Answers what was known before.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn confirm(store: &AuditedStore, now: Timestamp) -> Result<Option<Row>, StoreError> {
    let mut transaction = store.begin(Turn::Clock).await?;
    let row = read_in(&mut transaction).await?;
    let record = Record { reference: now, lag: Duration::ZERO, suspension: None };
    let next = row.map_or(Row { record, episode: 0, settled: 0, pruned: Pruned::default() }, |row| Row {
        record,
        settled: row.episode,
        ..row
    });
    write(&mut transaction, &next).await?;
    next.pruned.confirmed(now).write(&mut transaction).await?;
    let entry = Entry::of(Action::ClockConfirm).to(json!({ "reference": now.as_millis() }));
    let known = row.map(|row| {
        let doubt = row.record.suspension.map(|suspension| suspension.doubt.name());
        json!({ "reference": row.record.reference.as_millis(), "doubt": doubt })
    });
    transaction
        .commit(match known {
            Some(known) => entry.from(known),
            None => entry,
        })
        .await?;
    Ok(row)
}

async fn read_in<'a>(on: impl Into<Target<'a>>) -> Result<Option<Row>, StoreError> {
    let row = query("SELECT * FROM clock").optional(on).await?;
    row.as_ref().map(parse).transpose()
}

fn parse(row: &store::Row) -> Result<Row, StoreError> {
    let instant = |name| Ok::<_, StoreError>(row.get::<Option<i64>>(name)?.map(Timestamp::from_millis));
    let span = |name| Ok::<_, StoreError>(Duration::from_millis(row.get::<i64>(name)?.try_into().unwrap_or(0)));
    let (episode, settled): (i64, i64) = (row.get("episode")?, row.get("settled")?);
    let reference = Timestamp::from_millis(row.get("reference")?);
    let suspension = if episode > settled {
        let doubt = row.get::<Option<&str>>("doubt")?.and_then(Doubt::from_name);
        let apart = instant("apart")?.unwrap_or(reference);
        Some(Suspension {
            doubt: doubt.ok_or(StoreError::corrupt("a suspension of the clock has no reason"))?,
            since: instant("since")?.unwrap_or(apart),
            run: span("run")?,
            apart,
            apart_latest: instant("apart_latest")?.unwrap_or(apart),
        })
    } else {
        None
    };
    let record = Record { reference, lag: span("lag")?, suspension };
    Ok(Row { record, episode, settled, pruned: Pruned::read(row)? })
}

async fn write(transaction: &mut Transaction, row: &Row) -> Result<(), StoreError> {
    let Row { record: Record { reference, lag, suspension }, episode, settled, .. } = row;
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let statement = "\
        INSERT INTO clock (id, reference, lag, episode, settled, doubt, since, run, apart, apart_latest) \
        VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (id) DO UPDATE SET reference = $1, lag = $2, episode = $3, settled = $4, doubt = $5, since = $6, \
        run = $7, apart = $8, apart_latest = $9";
    query(statement)
        .bind(reference.as_millis())
        .bind(millis(*lag))
        .bind(*episode)
        .bind(*settled)
        .bind(suspension.map(|suspension| suspension.doubt.name()))
        .bind(suspension.map(|suspension| suspension.since.as_millis()))
        .bind(suspension.map_or(0, |suspension| millis(suspension.run)))
        .bind(suspension.map(|suspension| suspension.apart.as_millis()))
        .bind(suspension.map(|suspension| suspension.apart_latest.as_millis()))
        .execute(transaction)
        .await?;
    Ok(())
}

/// Both clocks at one moment, as far as the scheduler lets us.
fn reading(clock: &dyn Clock) -> Reading {
    let mut attempts = 1;
    loop {
        let (monotonic, civil) = (clock.instant(), clock.now());
        let spread = clock.instant().saturating_duration_since(monotonic);
        if spread <= READ_SPREAD_MAX || attempts == READ_ATTEMPTS_MAX {
            return Reading { civil, monotonic };
        }
        attempts += 1;
    }
}

#[cfg(test)]
mod tests;
