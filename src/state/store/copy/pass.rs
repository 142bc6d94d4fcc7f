//! A pass: compares all rows, as they were at one moment, with those that the copy has, and carries the differences
//! over.

use super::{
    super::Transaction,
    copying::Copying,
    error::CopyError,
    merge::{self, Pages, Step},
    rows::{Record, Sum},
    source,
    tables::{TABLES, Table},
    target::ROWS_A_TRANSACTION,
};

/// How often a table is read in one pass, at most: for what is stale, for what is missing behind that, and to compare.
const SCANS_MAX: u32 = 4;

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

/// What a pass found.
pub(super) struct Pass {
    pub(super) changed: u64,
    pub(super) tables: Vec<TableSum>,
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
    /// Makes the copy the same as the source is for this transaction.
    pub(super) async fn pass(
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
