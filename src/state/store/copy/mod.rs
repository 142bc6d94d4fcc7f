//! The same store at another place: from a file to a server, back, or to another one of its kind.
//!
//! A copy is made in passes. Each compares all rows, as they were at one moment, with those that the copy has, and
//! carries the differences over; the first one finds the copy empty. When a pass finds little, the move can be brought
//! to its end: changes are held off at the source, the last differences are carried over and everything is compared.
//! Then the source is ended in one commit, and after that the copy becomes a store in another one.
//!
//! In this order, so that a crash in between leaves none to work with, and not two: repeating the command ends
//! it. A change that was acknowledged before the source's end is in the copy, and none is acknowledged there
//! afterwards.
//!
//! - `tables`: what is copied. `rows`: statements and checksums. `merge`: what differs.
//! - `source`: holding changes off, and ending a store. `target`: the copy in the making.

mod merge;
mod rows;
mod source;
mod tables;
mod target;

use std::{path::absolute, sync::Arc, time::Duration};

use serde_json::json;
use thiserror::Error;

use self::{
    merge::{Pages, Step},
    rows::{Record, Sum},
    tables::{TABLES, Table},
    target::{Found, ROWS_A_TRANSACTION},
};
use super::{
    Action, Actor, AuditedStore, Entry, Store, StoreError, StoreSettings, meta::status_in, status::StoreStatus,
    transaction::Transaction,
};
use crate::{domain::Clock, observe::audit::ChainKey};

/// Differences after which a pass is followed by another one, rather than by the last.
const DIFFERENCES_FEW: u64 = 1_000;

/// Passes before the last one, at most: where changes come as fast as they are carried over, the last one has more to
/// do.
const PASSES_MAX: u32 = 20;

/// How often a table is read in one pass, at most: for what is stale, for what is missing behind that, and to compare.
const SCANS_MAX: u32 = 4;

/// Attempts to hold changes off. Others make them all the time, and a file has no queue.
const HOLDS_MAX: u32 = 20;

/// Why nothing was moved, or not to the end. The source goes on as the store unless it says otherwise itself.
#[derive(Debug, Error)]
pub enum CopyError {
    /// What is there is never overwritten.
    #[error("{0} is not empty: a store is copied to a place where none is. Nothing was changed")]
    NotEmpty(String),
    /// A copy was begun there of something else.
    #[error(
        "there is a copy in the making of {0} already: go on with that one, or name another place. Nothing was changed"
    )]
    OtherSource(String),
    /// A store is no copy of itself.
    #[error("both are the same place")]
    SamePlace,
    /// Somebody began later to work on the same copy.
    #[error("another portero store copy has taken over the same copy: this one ends")]
    TakenOver,
    /// The copy is not what was written.
    #[error("table {0} of the copy differs again and again: something else changes it, or its disk is damaged")]
    Differs(&'static str),
    /// The move was begun, and is not at its end.
    #[error("the source has ended already, and the copy is no store yet: repeat the command with --switch")]
    Unfinished,
    /// One of the two.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Rows are compared and carried over.
    Comparing {
        /// Passes are numbered from 1 on.
        pass: u32,
        /// The table.
        table: &'static str,
        /// Rows of all tables that this pass has read.
        rows: u64,
        /// Rows that the source had at its beginning.
        of: u64,
    },
    /// Nobody changes anything at the source: the last pass begins.
    Held,
    /// Everything was compared, and the source has ended.
    Ended,
}

/// The operator who moves a store: its last row in the audit log, which the copy begins its own life with.
#[derive(Clone, Debug)]
pub struct Mover {
    /// The operator.
    pub actor: Actor,
    /// The key of the log's codes, from the store's master key.
    pub key: Arc<ChainKey>,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How often the rows were compared.
    pub passes: u32,
    /// Rows that were written to the copy or removed from it.
    pub changed: u64,
    /// What the copy and its source have, by the last pass.
    pub tables: Vec<TableSum>,
    /// Where the move was brought to its end: how long changes waited at the source.
    pub held: Option<Duration>,
    /// Whether the copy is the store now.
    pub switched: bool,
}

/// The same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSum {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of all values in the order of the keys.
    pub sha256: String,
}

/// A store and its copy, both open.
#[derive(Debug)]
pub struct Copying {
    from: Store,
    /// The same, for transactions that last.
    reading: Store,
    copy: target::Copy,
    origin: String,
    to: String,
}

/// What [`begin`] found.
#[derive(Debug)]
pub enum Begun {
    /// There is something to do.
    Copying(Box<Copying>),
    /// The source has moved there, and the copy is the store.
    Moved,
}

/// Opens the store and its copy; makes the copy where there is none.
///
/// # Errors
/// Fails when there is something else at the place of the copy, or when one of both cannot be opened.
pub async fn begin(from: &StoreSettings, to: &StoreSettings) -> Result<Begun, CopyError> {
    let (from_address, to_address) = (address(from)?, address(to)?);
    if from_address == to_address {
        return Err(CopyError::SamePlace);
    }
    let source = Store::open_as_it_stands(from).await?;
    let begun = begin_with(&source, to, &from_address, &to_address).await;
    match begun {
        Ok(Some(copy)) => {
            let reading = source.apart();
            Ok(Begun::Copying(Box::new(Copying { from: source, reading, copy, origin: from_address, to: to_address })))
        }
        Ok(None) => {
            source.close().await;
            Ok(Begun::Moved)
        }
        Err(error) => {
            source.close().await;
            Err(error)
        }
    }
}

async fn begin_with(
    source: &Store,
    to: &StoreSettings,
    from_address: &str,
    to_address: &str,
) -> Result<Option<target::Copy>, CopyError> {
    let has_moved = has_moved(status_in(source).await?, to_address)?;
    match target::open(to, from_address).await? {
        Found::Copy(copy) => Ok(Some(copy)),
        Found::Store(store) => {
            store.close().await;
            if has_moved { Ok(None) } else { Err(CopyError::NotEmpty(to_address.to_owned())) }
        }
    }
}

/// Whether a source has ended for this copy. One that has ended for another, or is a copy itself, is refused.
fn has_moved(standing: StoreStatus, to: &str) -> Result<bool, StoreError> {
    if standing.moved_to.as_deref() == Some(to) {
        return Ok(true);
    }
    standing.refuse().map(|()| false)
}

/// What names the place everywhere on this machine; without a password.
///
/// # Errors
/// Fails where the working directory is gone.
pub fn address(settings: &StoreSettings) -> Result<String, StoreError> {
    match settings {
        StoreSettings::Sqlite(path) => match absolute(path) {
            Ok(whole) => Ok(format!("sqlite:{}", whole.display())),
            Err(error) => Err(StoreError::Unreadable { path: path.clone(), reason: error.to_string() }),
        },
        StoreSettings::Postgres(_) => Ok(settings.place()),
    }
}

/// What a pass found.
struct Pass {
    changed: u64,
    tables: Vec<TableSum>,
}

/// What is told on the way.
struct Reporter<'a> {
    pass: u32,
    /// Rows of the tables before this one.
    rows: u64,
    of: u64,
    report: &'a mut dyn FnMut(Progress),
}

impl Reporter<'_> {
    fn at(&mut self, table: &'static str, rows: u64) {
        let rows = self.rows + rows;
        (self.report)(Progress::Comparing { pass: self.pass, table, rows, of: self.of.max(rows) });
    }
}

impl Copying {
    /// Calls that came back from both: as long as the number grows, neither hangs.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.from.calls() + self.copy.store.calls()
    }

    /// Closes both.
    pub async fn close(&self) {
        self.from.close().await;
        self.copy.store.close().await;
    }

    /// Which master key the keys of the source are sealed under, by its fingerprint.
    ///
    /// # Errors
    /// Fails when the source is out of reach or damaged.
    pub async fn master_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.from.meta("master_key_fingerprint").await
    }

    /// Whether an earlier attempt ended the source: then there is no way but to the move's end.
    ///
    /// # Errors
    /// Fails when the source is out of reach or damaged, or has moved elsewhere.
    pub async fn has_begun_to_move(&self) -> Result<bool, StoreError> {
        has_moved(status_in(&self.from).await?, &self.to)
    }

    /// Copies, and follows what changes meanwhile. With a `mover` it brings the move to its end; without, the source is
    /// the store still, and the copy none to work with. It may be killed at any point and repeated.
    ///
    /// # Errors
    /// Fails when one of both is out of reach, when somebody else works on the copy, or when it is not what was
    /// written.
    pub async fn run(
        &self,
        mover: Option<&Mover>,
        clock: &dyn Clock,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Copied, CopyError> {
        let (mut passes, mut changed) = (0, 0);
        let (pass, has_moved) = loop {
            passes += 1;
            let mut reading = self.reading.begin_reading().await?;
            let has_moved = has_moved(status_in(&mut reading).await?, &self.to)?;
            let pass = self.pass(&mut reading, passes, report).await?;
            reading.commit().await?;
            changed += pass.changed;
            if has_moved || pass.changed <= DIFFERENCES_FEW || passes == PASSES_MAX {
                break (pass, has_moved);
            }
        };
        let Some(mover) = mover else {
            if has_moved {
                return Err(CopyError::Unfinished);
            }
            self.copy.count_on().await?;
            return Ok(Copied { passes, changed, tables: pass.tables, held: None, switched: false });
        };
        let (pass, held) = if has_moved {
            self.copy.count_on().await?;
            (Pass { changed: 0, ..pass }, None)
        } else {
            passes += 1;
            let (pass, held) = self.end_source(passes, clock, report).await?;
            (pass, Some(held))
        };
        let audited = AuditedStore::new(self.copy.store.clone(), Arc::clone(&mover.key), mover.actor.clone());
        let entry = Entry::of(Action::StoreMove).from(json!({ "store": self.origin })).to(json!({ "store": self.to }));
        self.copy.finish(&audited, entry).await?;
        Ok(Copied { passes, changed: changed + pass.changed, tables: pass.tables, held, switched: true })
    }

    /// Carries the last differences over while nobody makes new ones, and ends the source. Answers how long others
    /// waited.
    async fn end_source(
        &self,
        number: u32,
        clock: &dyn Clock,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(Pass, Duration), CopyError> {
        let mut held = self.hold().await?;
        let since = clock.instant();
        let has_moved = has_moved(status_in(&mut held).await?, &self.to)?;
        report(Progress::Held);
        let pass = self.pass(&mut held, number, report).await?;
        self.copy.count_on().await?;
        if !has_moved {
            source::end(&mut held, &self.to).await?;
        }
        held.commit().await?;
        report(Progress::Ended);
        Ok((pass, clock.instant().duration_since(since)))
    }

    async fn hold(&self) -> Result<Transaction, StoreError> {
        let mut attempts = 1;
        loop {
            match source::hold(&self.reading).await {
                Err(error) if error.is_transient() && attempts < HOLDS_MAX => attempts += 1,
                held => return held,
            }
        }
    }

    /// Makes the copy the same as the source is for this transaction.
    async fn pass(
        &self,
        source: &mut Transaction,
        number: u32,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Pass, CopyError> {
        let of = source::rows(source).await?;
        let mut reporter = Reporter { pass: number, rows: 0, of, report };
        let mut pass = Pass { changed: 0, tables: vec![] };
        for table in &TABLES {
            reporter.at(table.name, 0);
            let (changed, sum) = self.table(source, table, &mut reporter).await?;
            reporter.rows += sum.rows;
            pass.changed += changed;
            pass.tables.push(sum);
        }
        Ok(pass)
    }

    /// The same for one table. What is behind the first difference is read again until nothing differs: what was
    /// written is compared too.
    async fn table(
        &self,
        source: &mut Transaction,
        table: &'static Table,
        reporter: &mut Reporter<'_>,
    ) -> Result<(u64, TableSum), CopyError> {
        let first = self.scan(source, table, None, reporter).await?;
        // The source is what it was at one moment, however often it is read.
        let (rows, sha256) = first.sum.finish();
        let (mut changed, mut difference) = (first.changed, first.difference);
        let mut scans = 1;
        while let Some(begins) = difference {
            if scans == SCANS_MAX {
                return Err(CopyError::Differs(table.name));
            }
            let next = self.scan(source, table, Some(begins), reporter).await?;
            scans += 1;
            changed += next.changed;
            difference = next.difference;
        }
        Ok((changed, TableSum { table: table.name, rows, sha256 }))
    }

    /// Reads a table on both sides and carries differences over; again, where an earlier scan found the first
    /// difference behind a row.
    ///
    /// What is stale goes before anything is added: an account may have been deleted and made anew under the same name.
    /// So what is missing waits until all stale rows are gone, as far as it is more than one transaction takes.
    async fn scan(
        &self,
        source: &mut Transaction,
        table: &'static Table,
        again: Option<Before>,
        reporter: &mut Reporter<'_>,
    ) -> Result<Scanned, CopyError> {
        let is_first = again.is_none();
        let mut before = again.unwrap_or_default().0;
        let (mut here, mut there) = (Pages::behind(table, before.as_ref()), Pages::behind(table, before.as_ref()));
        let mut found = Differences { all_stale_gone: !is_first, ..Differences::default() };
        let (mut rows, mut changed, mut is_different, mut was_read) = (0, 0, false, false);
        while !here.is_over() || !there.is_over() {
            let (filled, also) = tokio::join!(here.fill(&mut *source), there.fill(&self.copy.store));
            filled.and(also)?;
            // Into a copy without rows everything may be added at once.
            found.all_stale_gone |= !was_read && there.is_over();
            was_read = true;
            while let Some(step) = merge::next(&mut here, &mut there) {
                rows += u64::from(!matches!(step, Step::Stale(_)));
                match step {
                    Step::Same(record) if !is_different => before = Some(record),
                    Step::Same(_) => {}
                    different => {
                        is_different = true;
                        found.add(table, different);
                    }
                }
            }
            changed += self.carry_over(table, &mut found, false).await?;
            if is_first {
                reporter.at(table.name, rows);
            }
        }
        changed += self.carry_over(table, &mut found, true).await?;
        Ok(Scanned { changed, sum: here.sum, difference: is_different.then_some(Before(before)) })
    }

    /// Writes what fills a transaction, or at the end of a table all there is. Answers how many rows.
    async fn carry_over(&self, table: &Table, found: &mut Differences, is_end: bool) -> Result<u64, CopyError> {
        let full = |records: &[Record]| records.len() >= ROWS_A_TRANSACTION || (is_end && !records.is_empty());
        let stale = if full(&found.stale) || full(&found.missing) { std::mem::take(&mut found.stale) } else { vec![] };
        let may_add = full(&found.missing) && (is_end || found.all_stale_gone);
        let missing = if may_add { std::mem::take(&mut found.missing) } else { vec![] };
        // The next scan finds the rest again.
        found.missing.truncate(ROWS_A_TRANSACTION);
        self.copy.apply(table, &stale, &missing).await?;
        Ok((stale.len() + missing.len()) as u64)
    }
}

/// What a scan found.
struct Scanned {
    /// Rows that were carried over.
    changed: u64,
    /// Of the rows of the source that were read.
    sum: Sum,
    /// Where the first difference was, if there was one.
    difference: Option<Before>,
}

/// The row before the first difference; `None` where the first row differs.
#[derive(Default)]
struct Before(Option<Record>);

/// Rows that are to be removed and added.
#[derive(Default)]
struct Differences {
    /// Keys of the copy that the source does not have so.
    stale: Vec<Record>,
    /// Rows of the source that the copy does not have so.
    missing: Vec<Record>,
    /// Whether nothing is left in the copy that stands in the way of what is missing.
    all_stale_gone: bool,
}

impl Differences {
    fn add(&mut self, table: &Table, step: Step) {
        match step {
            Step::Same(_) => {}
            Step::Missing(record) => self.missing.push(record),
            Step::Stale(record) => self.stale.push(table.key_of(&record).to_vec()),
            Step::Changed(record) => {
                self.stale.push(table.key_of(&record).to_vec());
                self.missing.push(record);
            }
        }
    }
}
