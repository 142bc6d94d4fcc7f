//! Counts by the day: logins by verifier and step, tokens by imported key.

use std::time::Duration;

use crate::{
    domain::{Timestamp, TrustedNow},
    state::store::{Row, Store, StoreError, Turn, query},
};

/// Milliseconds of a day.
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// How long counts are kept.
pub const KEPT: Duration = Duration::from_hours(24 * 90);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Logins: `VERIFIER/STEP/OUTCOME`.
    Login,
    /// Tokens of imported keys: the key's id.
    Token,
    /// An old system's yes about one of its tokens: its name.
    Check,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Token => "token",
            Self::Check => "check",
        }
    }
}

/// So many of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What is counted.
    pub kind: Kind,
    /// Which of them.
    pub what: String,
    /// How many.
    pub count: u64,
}

/// Adds to the counts of the day.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn add(store: &Store, counts: &[Count], now: Timestamp) -> Result<(), StoreError> {
    let mut counts: Vec<_> = counts.iter().collect();
    // Rows that several gateways change at once are taken in one order.
    counts.sort_by(|one, other| (one.kind.name(), &one.what).cmp(&(other.kind.name(), &other.what)));
    let mut transaction = store.begin(Turn::Nothing).await?;
    for count in counts {
        let statement = "INSERT INTO migration_counts (day, kind, what, total) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (day, kind, what) DO UPDATE SET total = migration_counts.total + excluded.total";
        query(statement)
            .bind(day(now))
            .bind(count.kind.name())
            .bind(&count.what)
            .bind(i64::try_from(count.count).unwrap_or(i64::MAX))
            .execute(&mut transaction)
            .await?;
    }
    transaction.commit().await
}

/// What was counted in the last `days` days, today's included, summed by what it was.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn of_days(store: &Store, kind: Kind, days: u32, now: Timestamp) -> Result<Vec<Count>, StoreError> {
    let statement = "SELECT what, CAST(sum(total) AS BIGINT) AS total FROM migration_counts \
                     WHERE kind = $1 AND day > $2 GROUP BY what ORDER BY what";
    let rows = query(statement).bind(kind.name()).bind(day(now) - i64::from(days)).all(store).await?;
    let read = |row: &Row| {
        Ok(Count { kind, what: row.get("what")?, count: u64::try_from(row.get::<i64>("total")?).unwrap_or(0) })
    };
    rows.iter().map(read).collect()
}

/// Drops counts of days that ended more than [`KEPT`] ago, at most `limit`; answers how many.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn prune(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM migration_counts WHERE (day, kind, what) IN \
                     (SELECT day, kind, what FROM migration_counts WHERE day < $1 LIMIT $2)";
    query(statement).bind(day(now.cutoff(KEPT))).bind(limit).execute(store).await
}

const fn day(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MILLIS)
}
