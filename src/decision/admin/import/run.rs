//! Imports the rows of a file, batch after batch, each with the point behind it.

use std::{collections::HashSet, io, time::Duration};

use tokio::time::sleep;

use super::{
    batch::{self, Item},
    column::BadRow,
    importer::{ImportFailure, Importer, Stopped},
    row::{RawRow, Says},
};
use crate::{
    domain::Timestamp,
    state::account::{
        LegacyId,
        import::{Batch, Counts, ImportError, Point},
    },
};

/// Bytes of the file that one transaction brings, at most, beyond its first row.
const BATCH_BYTES_MAX: u64 = 1 << 20;

/// How long a batch may hold SQLite's one write lock: a login beside it waits that long at most, more or less.
const LOCK_TIME: Duration = Duration::from_millis(20);

/// Rows of a batch, at least, however slow the disk is: a batch costs a commit.
const ROWS_MIN: usize = 64;

/// Between two batches the lock is free for this part of what the batch took, within the bounds. SQLite has no queue: a
/// login that waits to write must find the lock free some time.
const PAUSE_PART: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A row, or why a line is not one; with the bytes of the file up to its end.
pub type RowOfFile = (u64, Result<RawRow, BadRow>);

/// The rows of a file.
pub trait Rows {
    /// The next row; `None` at the file's end.
    ///
    /// # Errors
    /// Fails when the file cannot be read, or holds a row without an end.
    fn next_row(&mut self) -> io::Result<Option<RowOfFile>>;

    /// SHA-256 of the file's first bytes. They only ever grow.
    fn digest_of_first(&mut self, bytes: u64) -> [u8; 32];
}

impl Importer<'_> {
    /// Imports the rows to the end of the file, or until one stops it. `report` is told how far it is, and of each bad
    /// row.
    ///
    /// # Errors
    /// Fails when the file or the store does, or when somebody else takes the import over. What it was told of is in
    /// the store.
    pub async fn run(
        &mut self,
        rows: &mut dyn Rows,
        point: &mut Point,
        report: &mut dyn FnMut(&Point, &[BadRow]),
    ) -> Result<Option<Stopped>, ImportFailure> {
        let mut pending = None;
        let rows_max = batch::rows_max(self.kind, self.options.on_conflict);
        let mut rows_next = ROWS_MIN.min(rows_max);
        let mut free_until = self.admin.clock.instant();
        loop {
            let now = self.admin.clock.now();
            let (items, has_ended) = self.fill(rows, &mut pending, rows_next, now)?;
            // Rows are read while the lock is free.
            sleep(free_until.saturating_duration_since(self.admin.clock.instant())).await;
            let began = self.admin.clock.instant();
            let mut batch = match &self.claim {
                Some(claim) => Batch::begin(&self.admin.store, claim, point).await,
                None => Batch::look(&self.admin.store, &self.realm.name).await,
            }
            .map_err(ImportError::from)?;
            let writes = self.claim.is_some();
            let outcome = self.batch(&mut batch, &items, now, writes).await?;
            add(&mut point.counts, outcome.counts);
            point.rows += outcome.rows as u64;
            let finished_at = (has_ended && outcome.stopped.is_none()).then_some(now);
            let behind = outcome.rows.checked_sub(1).and_then(|last| items.get(last)).map(|item| item.end);
            if let Some(bytes) = behind {
                point.bytes = bytes;
                point.sha256 = rows.digest_of_first(bytes);
            }
            let raised = batch.finish(point, finished_at).await?;
            self.admin.apply_raised(&raised);
            report(point, &outcome.bad);
            if outcome.stopped.is_some() || finished_at.is_some() {
                return Ok(outcome.stopped);
            }
            let ended = self.admin.clock.instant();
            let took = ended.saturating_duration_since(began);
            rows_next = rows_in_time(items.len(), took, rows_max);
            free_until = ended + (took / PAUSE_PART).clamp(PAUSE_MIN, PAUSE_MAX);
        }
    }

    /// Reads a batch, and whether the file has ended with it. A name, a number or an id that stands twice begins
    /// another batch, so that the second row finds what the first one made. What was read for that waits in `pending`.
    fn fill(
        &self,
        rows: &mut dyn Rows,
        pending: &mut Option<Item>,
        rows_max: usize,
        now: Timestamp,
    ) -> io::Result<(Vec<Item>, bool)> {
        let mut items: Vec<Item> = vec![];
        let (mut names, mut numbers, mut ids) = (HashSet::new(), HashSet::new(), HashSet::new());
        loop {
            let item = match pending.take() {
                Some(item) => item,
                None => match rows.next_row()? {
                    Some((end, raw)) => {
                        let row = raw.and_then(|raw| raw.judge(self.realm, self.kind, &self.options.reading, now));
                        Item { end, row }
                    }
                    None => return Ok((items, true)),
                },
            };
            let is_new = item.row.as_ref().map_or(true, |row| match &row.says {
                Says::Company(name, ..) => names.insert((String::new(), name.clone())),
                Says::Account(row) => {
                    let is_new_number = match row.new.legacy_id {
                        LegacyId::Given(number) => numbers.insert(number),
                        LegacyId::None | LegacyId::Next => true,
                    };
                    let is_new_id = !row.has_id || ids.insert(row.new.id);
                    let name = (row.new.name.business.clone(), row.new.name.name.clone());
                    names.insert(name) && is_new_number && is_new_id
                }
            });
            let begins = items.first().map_or(item.end, |first| first.end);
            if !is_new || items.len() == rows_max || item.end - begins > BATCH_BYTES_MAX {
                *pending = Some(item);
                return Ok((items, false));
            }
            items.push(item);
        }
    }
}

/// How many rows the next batch takes, where one of `rows` took so long: as many as [`LOCK_TIME`] has room for. It
/// grows to the double at most, since a short batch is mostly its commit.
fn rows_in_time(rows: usize, took: Duration, rows_max: usize) -> usize {
    let of_time = LOCK_TIME.as_nanos().saturating_mul(rows as u128) / took.as_nanos().max(1);
    let of_time = usize::try_from(of_time).unwrap_or(usize::MAX);
    of_time.min(rows.saturating_mul(2)).max(ROWS_MIN).min(rows_max)
}

fn add(sum: &mut Counts, counts: Counts) {
    sum.made += counts.made;
    sum.updated += counts.updated;
    sum.unchanged += counts.unchanged;
    sum.skipped += counts.skipped;
    sum.bad += counts.bad;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ROWS_MIN, rows_in_time};

    #[test]
    fn a_batch_takes_what_its_time_has_room_for() {
        let millis = Duration::from_millis;
        assert_eq!(rows_in_time(500, millis(20), 1_000), 500);
        assert_eq!(rows_in_time(500, millis(40), 1_000), 250);
        assert_eq!(rows_in_time(500, millis(5), 10_000), 1_000, "it doubles at most");
        assert_eq!(rows_in_time(900, millis(10), 1_000), 1_000);
        assert_eq!(rows_in_time(500, Duration::from_secs(9), 1_000), ROWS_MIN);
        assert_eq!(rows_in_time(0, Duration::ZERO, 1_000), ROWS_MIN);
        assert_eq!(rows_in_time(1, millis(1), 1), 1, "a bound of one stays one");
    }
}
