//! What is not known any more: revocations, and families of refresh tokens, that were dropped. What ended before them
//! is refused, even if the civil clock is set back to when it held.
//!
//! They may have been dropped by a clock that was ahead. Once an operator has confirmed that it is right again, that
//! refuses only what was issued before: what is issued from then on was never dropped.

use std::time::Duration;

use crate::{
    domain::Timestamp,
    state::store::{Row, Store, StoreError, Transaction, Turn, query},
};

/// Times in tokens are whole seconds, rounded down.
const ISSUED_WITHIN: Duration = Duration::from_secs(1);

/// What [`Pruned::to_numbers`] has.
pub(in crate::state) const NUMBERS: usize = 3;

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Since the last confirmation: nothing that was dropped ended at this or later.
    before: Option<Timestamp>,
    /// The same, until the last confirmation.
    confirmed_before: Option<Timestamp>,
    /// When an operator confirmed the clock, the last time.
    confirmed_at: Option<Timestamp>,
}

impl Pruned {
    /// Whether something that was issued and ends then may be one that was dropped.
    #[must_use]
    pub fn covers(&self, issued_at: Timestamp, ends_at: Timestamp) -> bool {
        let is_before = |pruned: Option<Timestamp>| pruned.is_some_and(|pruned| ends_at < pruned);
        let is_confirmed = self.confirmed_at.is_none_or(|at| issued_at.plus(ISSUED_WITHIN) > at);
        is_before(self.before) || (is_before(self.confirmed_before) && !is_confirmed)
    }

    /// As it is when something that ended at `end` is dropped too.
    #[must_use]
    pub fn and(self, end: Timestamp) -> Self {
        let before = end.plus(Duration::from_millis(1));
        Self { before: self.before.max(Some(before)), ..self }
    }

    /// As it is when the operator confirms the clock.
    #[must_use]
    pub fn confirmed(self, at: Timestamp) -> Self {
        let confirmed_before = self.confirmed_before.max(self.before);
        Self { before: None, confirmed_before, confirmed_at: Some(at) }
    }

    /// What memory dropped, and what the store did.
    #[must_use]
    pub fn with_stored(self, stored: Self) -> Self {
        let own = match stored.confirmed_at {
            Some(at) if self.confirmed_at != Some(at) => self.confirmed(at),
            _ => self,
        };
        Self {
            before: own.before.max(stored.before),
            confirmed_before: own.confirmed_before.max(stored.confirmed_before),
            ..own
        }
    }

    /// As numbers; times are in milliseconds.
    pub(in crate::state) fn to_numbers(self) -> [Option<i64>; NUMBERS] {
        [self.before, self.confirmed_before, self.confirmed_at].map(|at| at.map(Timestamp::as_millis))
    }

    /// Read back.
    pub(in crate::state) fn from_numbers(numbers: [Option<i64>; NUMBERS]) -> Self {
        let [before, confirmed_before, confirmed_at] = numbers.map(|at| at.map(Timestamp::from_millis));
        Self { before, confirmed_before, confirmed_at }
    }

    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        let instant = |name| Ok::<_, StoreError>(row.get::<Option<i64>>(name)?.map(Timestamp::from_millis));
        Ok(Self {
            before: instant("pruned_before")?,
            confirmed_before: instant("confirmed_pruned_before")?,
            confirmed_at: instant("confirmed_at")?,
        })
    }

    pub(super) async fn write(self, transaction: &mut Transaction) -> Result<(), StoreError> {
        let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
        let statement = "UPDATE clock SET pruned_before = $1, confirmed_pruned_before = $2, confirmed_at = $3";
        let statement = query(statement).bind(millis(self.before)).bind(millis(self.confirmed_before));
        statement.bind(millis(self.confirmed_at)).execute(transaction).await?;
        Ok(())
    }
}

/// What was dropped from the store; in the transaction that relies on it.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn pruned_in(transaction: &mut Transaction) -> Result<Pruned, StoreError> {
    let row = query("SELECT * FROM clock").optional(transaction).await?;
    row.as_ref().map_or(Ok(Pruned::default()), Pruned::read)
}

/// Runs a statement that drops at most `limit` rows that ended before `cutoff`, and returns their ends. Notes them in
/// the same transaction: a gateway that starts later must know what it cannot know. Answers how many.
pub(in crate::state) async fn prune(
    store: &Store,
    statement: &'static str,
    cutoff: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let mut transaction = store.begin(Turn::Clock).await?;
    let statement = query(statement).bind(cutoff.as_millis()).bind(limit);
    let ends: Vec<i64> = statement.values(&mut transaction).await?;
    let Some(last) = ends.iter().max() else { return Ok(0) };
    let pruned = pruned_in(&mut transaction).await?.and(Timestamp::from_millis(*last));
    pruned.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(ends.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn only_what_ended_before_what_was_dropped_is_covered() {
        let pruned = Pruned::default();
        assert!(!pruned.covers(at(0), at(0)));
        let pruned = pruned.and(at(50)).and(at(20));
        assert!(pruned.covers(at(0), at(50)) && pruned.covers(at(1_000), at(50)));
        assert!(!pruned.covers(at(0), at(51)));
    }

    #[test]
    fn what_was_issued_after_a_confirmation_is_not_covered_by_what_was_dropped_before() {
        let pruned = Pruned::default().and(at(1_000)).confirmed(at(100));
        assert!(pruned.covers(at(98), at(500)));
        for issued in [99, 100, 101] {
            let covers = pruned.covers(at(issued), at(500));
            assert_eq!(covers, issued < 100, "{issued}: it may have been issued in the second that it names");
        }
        // What is dropped from then on was issued at any time.
        let pruned = pruned.and(at(200));
        assert!(pruned.covers(at(150), at(200)) && !pruned.covers(at(150), at(201)));
        // The next confirmation takes in all of that.
        let pruned = pruned.confirmed(at(300));
        assert!(pruned.covers(at(150), at(999)) && !pruned.covers(at(300), at(310)));
    }

    #[test]
    fn memory_takes_over_what_the_store_says_and_keeps_its_own() {
        let stored = Pruned::default().and(at(10));
        let memory = Pruned::default().and(at(900)).with_stored(stored);
        assert!(memory.covers(at(800), at(900)));
        let stored = stored.confirmed(at(800));
        let memory = memory.with_stored(stored);
        assert!(!memory.covers(at(800), at(900)) && memory.covers(at(700), at(900)));
        let memory = memory.and(at(850)).with_stored(stored);
        assert!(memory.covers(at(800), at(850)), "the same confirmation says nothing about what is dropped later");
        assert!(memory.with_stored(Pruned::default()).covers(at(800), at(850)));
    }
}
