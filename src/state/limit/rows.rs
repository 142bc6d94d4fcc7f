//! The throttle's tables in the store: `throttles`, what each process has counted, and `known_addresses`. All names and
//! addresses in them are keyed hashes.
//!
//! Their times are the store's: of a server, its own clock's, so that gateways whose clocks differ mean the same.

use std::time::Duration;

use super::{
    batch::{Batch, Foreign},
    known::{KNOWN_FOR, KNOWN_MAX, Known},
    settings::{Table, ThrottleSettings},
    throttle::Attempt,
};
use crate::{
    domain::{Timestamp, TrustedNow},
    rules::limit::{Changed, Origin, Share},
    state::store::{Row, Store, StoreError, Transaction, Turn, composed, query},
};

/// Rows that one statement writes.
const ROWS_AT_ONCE: usize = 128;

/// How long what has ended stays: longer than clocks may differ.
const ENDED_KEPT: Duration = Duration::from_mins(10);

/// Where a page of other processes' rows begins: behind this one.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    written_at: Timestamp,
    origin: Vec<u8>,
    kind: String,
    slot: i64,
}

impl Cursor {
    /// Before all rows that were written from then on.
    pub(super) const fn at(written_at: Timestamp) -> Self {
        Self { written_at, origin: vec![], kind: String::new(), slot: -1 }
    }
}

/// The store's time: the server's, and that of this process's clock where the store is a file.
pub(super) async fn time(store: &Store, local: Timestamp) -> Result<Timestamp, StoreError> {
    if !store.is_shared() {
        return Ok(local);
    }
    let now = query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").value::<i64>(store).await?;
    now.map(Timestamp::from_millis).ok_or(StoreError::corrupt("the server does not tell its time"))
}

/// Between this process's clock and the store's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset(i64);

impl Offset {
    pub(super) const fn between(local: Timestamp, stored: Timestamp) -> Self {
        Self(stored.as_millis().saturating_sub(local.as_millis()))
    }

    const fn stored(self, local: Timestamp) -> i64 {
        local.as_millis().saturating_add(self.0)
    }

    const fn local(self, stored: i64) -> Timestamp {
        Timestamp::from_millis(stored.saturating_sub(self.0))
    }
}

/// Writes a batch, as one. It says how things are, so it may be written again.
pub(super) async fn write(
    store: &Store,
    origin: Origin,
    batch: &Batch,
    settings: &ThrottleSettings,
    (now, offset): (Timestamp, Offset),
) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Throttles).await?;
    for shares in batch.shares.chunks(ROWS_AT_ONCE) {
        write_shares(&mut transaction, origin, shares, settings, (now, offset)).await?;
    }
    write_known(&mut transaction, &batch.known, offset).await?;
    transaction.commit().await
}

async fn write_shares(
    transaction: &mut Transaction,
    origin: Origin,
    shares: &[(Table, Changed)],
    settings: &ThrottleSettings,
    (now, offset): (Timestamp, Offset),
) -> Result<(), StoreError> {
    let statement = format!(
        "INSERT INTO throttles (origin, kind, slot, subject, failures, passes, started_at, cleared_at, ends_at, written_at) \
         VALUES {} ON CONFLICT (origin, kind, slot) DO UPDATE SET subject = excluded.subject, \
         failures = excluded.failures, passes = excluded.passes, started_at = excluded.started_at, \
         cleared_at = excluded.cleared_at, ends_at = excluded.ends_at, written_at = excluded.written_at",
        places(shares.len(), 10)
    );
    let mut insert = composed(statement);
    for (table, Changed { slot, key, share }) in shares {
        insert = insert
            .bind(origin)
            .bind(table.name())
            .bind(*slot)
            .bind(key.to_be_bytes())
            .bind(share.failures)
            .bind(share.passes)
            .bind(offset.stored(share.start))
            .bind(share.cleared.map(|cleared| offset.stored(cleared)))
            .bind(offset.stored(share.end(settings.bounds(*table).window)))
            .bind(now.as_millis());
    }
    insert.execute(transaction).await.map(drop)
}

/// `($1, $2), ($3, $4)`: so many rows of so many parameters.
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let numbers: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", numbers.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

async fn write_known(transaction: &mut Transaction, known: &[Known], offset: Offset) -> Result<(), StoreError> {
    for Known { name, address, seen, .. } in known {
        query(
            "INSERT INTO known_addresses (name, address, seen_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name, address) DO UPDATE SET seen_at = excluded.seen_at \
             WHERE known_addresses.seen_at < excluded.seen_at",
        )
        .bind(name.to_be_bytes())
        .bind(address.to_be_bytes())
        .bind(offset.stored(*seen))
        .execute(&mut *transaction)
        .await?;
        query(
            "DELETE FROM known_addresses WHERE name = $1 AND address NOT IN \
             (SELECT address FROM known_addresses WHERE name = $1 ORDER BY seen_at DESC, address LIMIT $2)",
        )
        .bind(name.to_be_bytes())
        .bind(KNOWN_MAX)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// What other processes have written behind a cursor and what has not ended: at most so many rows. Answers where the
/// next page begins; `None` where this was the last one.
pub(super) async fn read_others(
    store: &Store,
    origin: Origin,
    cursor: &Cursor,
    limit: u32,
    (now, offset): (Timestamp, Offset),
) -> Result<(Vec<Foreign>, Option<Cursor>), StoreError> {
    let rows = query(
        "SELECT origin, kind, slot, subject, failures, passes, started_at, cleared_at, written_at FROM throttles \
         WHERE (written_at, origin, kind, slot) > ($1, $2, $3, $4) AND origin <> $5 AND ends_at > $6 \
         ORDER BY written_at, origin, kind, slot LIMIT $7",
    )
    .bind(cursor.written_at.as_millis())
    .bind(cursor.origin.clone())
    .bind(cursor.kind.as_str())
    .bind(cursor.slot)
    .bind(origin)
    .bind(now.as_millis())
    .bind(limit)
    .all(store)
    .await?;
    let foreign = rows.iter().map(|row| read(row, offset)).collect::<Result<Vec<_>, _>>()?;
    let next = rows.last().filter(|_| rows.len() >= limit as usize).map(cursor_behind).transpose()?;
    Ok((foreign.into_iter().flatten().collect(), next))
}

fn cursor_behind(row: &Row) -> Result<Cursor, StoreError> {
    Ok(Cursor {
        written_at: Timestamp::from_millis(row.get("written_at")?),
        origin: row.get("origin")?,
        kind: row.get("kind")?,
        slot: row.get("slot")?,
    })
}

/// A share; `None` of a kind that only a newer version counts.
fn read(row: &Row, offset: Offset) -> Result<Option<Foreign>, StoreError> {
    let kind: &str = row.get("kind")?;
    let Some(table) = Table::ALL.into_iter().find(|table| table.name() == kind) else { return Ok(None) };
    let (origin, subject): (&[u8], &[u8]) = (row.get("origin")?, row.get("subject")?);
    let share = Share {
        start: offset.local(row.get("started_at")?),
        failures: row.get("failures")?,
        passes: row.get("passes")?,
        cleared: row.get::<Option<i64>>("cleared_at")?.map(|cleared| offset.local(cleared)),
    };
    Ok(Some(Foreign { table, origin: sixteen(origin)?, key: u128::from_be_bytes(sixteen(subject)?), share }))
}

fn sixteen(bytes: &[u8]) -> Result<[u8; 16], StoreError> {
    bytes.try_into().map_err(|_| StoreError::corrupt("a throttle's subject is not 16 bytes"))
}

/// The addresses that the owner of an attempt's name has used, as the throttle remembers them; the last one first.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn known_addresses(store: &Store, attempt: &Attempt, now: Timestamp) -> Result<Vec<u128>, StoreError> {
    let rows = query(
        "SELECT address FROM known_addresses WHERE name = $1 AND seen_at > $2 ORDER BY seen_at DESC, address LIMIT $3",
    )
    .bind(attempt.name().to_be_bytes())
    .bind(now.minus(KNOWN_FOR).as_millis())
    .bind(KNOWN_MAX)
    .all(store)
    .await?;
    rows.iter().map(|row| Ok(u128::from_be_bytes(sixteen(row.first()?)?))).collect()
}

/// Removes what has ended for long enough, at most so many rows of each table, by this process's clock and by the
/// store's. Answers how many rows it removed.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn prune(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let stored = time(store, now.civil()).await?;
    let cutoff = |kept| now.cutoff(kept).min(stored.minus(kept)).as_millis();
    let mut transaction = store.begin(Turn::Throttles).await?;
    let ended = query(
        "DELETE FROM throttles WHERE (origin, kind, slot) IN \
         (SELECT origin, kind, slot FROM throttles WHERE ends_at < $1 ORDER BY ends_at LIMIT $2)",
    );
    let ended = ended.bind(cutoff(ENDED_KEPT)).bind(limit).execute(&mut transaction).await?;
    let forgotten = query(
        "DELETE FROM known_addresses WHERE (name, address) IN \
         (SELECT name, address FROM known_addresses WHERE seen_at < $1 ORDER BY seen_at LIMIT $2)",
    );
    let forgotten = forgotten.bind(cutoff(KNOWN_FOR)).bind(limit).execute(&mut transaction).await?;
    transaction.commit().await?;
    Ok(ended.max(forgotten))
}
