//! Brings the accounts of another system into a realm: rows in, batches out, each with the point behind it.
//!
//! ```text
//! column   the columns, and what a bad row is told
//! row      what a row says, judged as `user add` judges
//! batch    what becomes of each row of a batch
//! wrap     argon2id over hashes that are quickly tried
//! ```

mod batch;
mod column;
mod row;
mod wrap;

use std::{collections::HashSet, io, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;
use tokio::time::sleep;

pub use self::{
    batch::Item,
    column::{BadRow, Column},
    row::{AccountRow, RawRow, Row, Says},
    wrap::Wrapped,
};
use super::{AdminError, AdminService, accounts::check_kind, companies::check_realm};
use crate::{
    domain::{RealmName, Timestamp},
    rules::realm::Realm,
    state::account::{
        LegacyId, PasswordKey,
        import::{
            Batch, Claim, Counts, FormatCount, ImportError, ImportKind, Point, Progress, find, formats, sealed_count,
            unfinished,
        },
        password::Reading,
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

/// Names that a trial remembers, at most, to find those that stand twice.
const SEEN_MAX: usize = 8_000_000;

/// What becomes of a row whose name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The import stops before it.
    #[default]
    Stop,
    /// The account stays as it is.
    Skip,
    /// The account becomes what the row says.
    Update,
}

/// How an import is to go.
#[derive(Clone)]
pub struct Options {
    /// What becomes of a row whose name is taken.
    pub on_conflict: OnConflict,
    /// Whether bad rows are left out, rather than the import stopped before them.
    pub skips_bad: bool,
    /// What the accounts are said to come from.
    pub source: String,
    /// How hashes are to be read.
    pub reading: Reading,
}

/// Why an import stopped before a row. Everything before that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The row is bad.
    Bad(BadRow),
    /// Its name is taken.
    Conflict(BadRow),
}

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

/// Why an import came to nothing, or not to its end.
#[derive(Debug, Error)]
pub enum ImportFailure {
    /// The file's fault.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// Another file, or one that has changed.
    #[error(
        "an import into realm '{realm}' was cut short after {rows} rows, and this file does not begin with these: give \
         the same file, or say --restart to begin anew with this one. Nothing was changed"
    )]
    OtherFile {
        /// The realm.
        realm: RealmName,
        /// The rows that were imported.
        rows: u64,
    },
    /// It cannot be done.
    #[error(transparent)]
    Refused(#[from] AdminError),
    /// The store's fault, or somebody else's.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// What there is to know about a migration.
#[derive(Debug)]
pub struct MigrationStatus {
    /// Accounts by realm, source and format.
    pub formats: Vec<FormatCount>,
    /// Imports that did not reach the end of their file: realm, kind and how far they are.
    pub unfinished: Vec<(String, String, Progress)>,
}

/// An import on its way.
pub struct Importer<'a> {
    admin: &'a AdminService,
    realm: &'a Realm,
    kind: ImportKind,
    options: Options,
    /// What seals; a trial may be without.
    key: Option<PasswordKey>,
    /// The right to write; `None` for a trial.
    claim: Option<Claim>,
    /// Digests of the names that a trial has seen: it writes nothing that would tell.
    seen: HashSet<u64>,
}

impl AdminService {
    /// Accounts by realm, source and format, and imports that are not finished.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn migration_status(&self) -> Result<MigrationStatus, AdminError> {
        Ok(MigrationStatus { formats: formats(&self.store).await?, unfinished: unfinished(&self.store).await? })
    }

    /// Accounts whose hash is sealed, and waits to be wrapped.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn sealed_accounts(&self) -> Result<u64, AdminError> {
        Ok(sealed_count(&self.store).await?)
    }

    /// How far the import of a kind into a realm is, if there ever was one.
    ///
    /// # Errors
    /// Fails when the realm has no accounts of the kind, or when the store is out of reach or damaged.
    pub async fn import_progress(&self, realm: &Realm, kind: ImportKind) -> Result<Option<Progress>, AdminError> {
        check_import(realm, kind)?;
        Ok(find(&self.store, &realm.name, kind).await?)
    }

    /// An import that goes on at `point`; `seen` is how far it was when that was decided. Another process that works
    /// on the same one ends.
    ///
    /// # Errors
    /// Fails when somebody else began meanwhile, or when the store is out of reach or damaged.
    pub async fn import<'a>(
        &'a self,
        (realm, kind): (&'a Realm, ImportKind),
        options: Options,
        (seen, point): (Option<&Progress>, &Point),
    ) -> Result<Importer<'a>, ImportFailure> {
        let key = self.vault.make_password_key().await.map_err(AdminError::from)?;
        let now = self.clock.now();
        let claim = Claim::take(&self.store, (&realm.name, kind), seen, point, now).await?;
        let (key, claim, seen) = (Some(key), Some(claim), HashSet::new());
        Ok(Importer { admin: self, realm, kind, options, key, claim, seen })
    }

    /// An import that writes nothing, and says what would become of each row.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn try_import<'a>(
        &'a self,
        (realm, kind): (&'a Realm, ImportKind),
        options: Options,
    ) -> Result<Importer<'a>, ImportFailure> {
        let key = self.vault.password_key().await.map_err(AdminError::from)?;
        Ok(Importer { admin: self, realm, kind, options, key, claim: None, seen: HashSet::new() })
    }
}

/// Refuses a kind that the realm's contract does not have.
///
/// # Errors
/// Says what the realm has.
pub fn check_import(realm: &Realm, kind: ImportKind) -> Result<(), AdminError> {
    match kind {
        ImportKind::Accounts(kind) => check_kind(realm, kind),
        ImportKind::Companies => check_realm(realm),
    }
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

    /// Whether a trial has seen the name, which it now has.
    fn seen_before(&mut self, name: &str) -> bool {
        if self.claim.is_some() || self.seen.len() == SEEN_MAX {
            return false;
        }
        let digest = digest(&SHA256, name.as_bytes());
        let bytes = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        !self.seen.insert(u64::from_be_bytes(*bytes))
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
