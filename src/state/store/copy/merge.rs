//! Comparing two tables that are both read in the order of their keys.

use std::{cmp::Ordering, collections::VecDeque};

use super::{
    super::{StoreError, query::Target, row::Value},
    rows::{Record, Sum},
    tables::Table,
};

/// Rows that one statement reads.
const PAGE_ROWS: u32 = 1_000;

/// The rows of a table on one side, page by page.
pub(super) struct Pages<'t> {
    table: &'t Table,
    read: VecDeque<Record>,
    /// The key behind which the next page begins.
    last: Option<Record>,
    ended: bool,
    /// Of the rows that were taken.
    pub(super) sum: Sum,
}

/// What the next row is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Both sides have it.
    Same(Record),
    /// The source alone has it.
    Missing(Record),
    /// The target alone has it.
    Stale(Record),
    /// Both have its key, and other values: the source's.
    Changed(Record),
}

impl<'t> Pages<'t> {
    /// Those behind a row, or all.
    pub(super) fn behind(table: &'t Table, row: Option<&Record>) -> Self {
        let last = row.map(|row| table.key_of(row).to_vec());
        Self { table, read: VecDeque::new(), last, ended: false, sum: Sum::default() }
    }

    /// Reads the next page, where none is left.
    pub(super) async fn fill<'a>(&mut self, from: impl Into<Target<'a>>) -> Result<(), StoreError> {
        if !self.read.is_empty() || self.ended {
            return Ok(());
        }
        let rows = self.table.page(self.last.as_deref(), PAGE_ROWS).all(from).await?;
        self.ended = rows.len() < PAGE_ROWS as usize;
        self.read = rows.iter().map(|row| self.table.read(row)).collect::<Result<_, _>>()?;
        if let Some(last) = self.read.back() {
            self.last = Some(self.table.key_of(last).to_vec());
        }
        Ok(())
    }

    /// Whether no row is left.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.read.is_empty()
    }

    /// Whether nobody knows what comes next before a page is read.
    fn is_dry(&self) -> bool {
        self.read.is_empty() && !self.ended
    }

    fn take(&mut self) -> Option<Record> {
        let record = self.read.pop_front()?;
        self.sum.add(&record);
        Some(record)
    }

    fn key(&self) -> Option<&[Value]> {
        self.read.front().map(|record| self.table.key_of(record))
    }
}

/// The next row of both sides. `None` when a page must be read first, or both are over.
pub(super) fn next(source: &mut Pages<'_>, target: &mut Pages<'_>) -> Option<Step> {
    if source.is_dry() || target.is_dry() {
        return None;
    }
    let order = match (source.key(), target.key()) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(source), Some(target)) => source.cmp(target),
    };
    match order {
        Ordering::Less => source.take().map(Step::Missing),
        Ordering::Greater => target.take().map(Step::Stale),
        Ordering::Equal => {
            let (source, target) = (source.take()?, target.take()?);
            Some(if source == target { Step::Same(source) } else { Step::Changed(source) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tables::TABLES, *};

    fn table() -> &'static Table {
        TABLES.iter().find(|table| table.name == "meta").unwrap()
    }

    fn row(name: &str, value: u8) -> Record {
        vec![Value::Text(Some(name.to_owned())), Value::Bytes(Some(vec![value]))]
    }

    fn pages(rows: &[Record], ended: bool) -> Pages<'static> {
        Pages { read: rows.iter().cloned().collect(), ended, ..Pages::behind(table(), None) }
    }

    #[test]
    fn what_is_missing_stale_or_changed_is_found_and_nothing_else() {
        let mut source = pages(&[row("a", 1), row("b", 1), row("d", 1), row("e", 1)], true);
        let mut target = pages(&[row("a", 1), row("c", 1), row("d", 2), row("f", 1)], true);
        let steps: Vec<_> = std::iter::from_fn(|| next(&mut source, &mut target)).collect();
        assert_eq!(
            steps,
            [
                Step::Same(row("a", 1)),
                Step::Missing(row("b", 1)),
                Step::Stale(row("c", 1)),
                Step::Changed(row("d", 1)),
                Step::Missing(row("e", 1)),
                Step::Stale(row("f", 1)),
            ]
        );
        assert!(source.is_over() && target.is_over());
        assert_eq!((source.sum.finish().0, target.sum.finish().0), (4, 4));
    }

    #[test]
    fn nothing_is_said_of_a_row_before_the_other_side_was_read_as_far() {
        let mut source = pages(&[row("a", 1)], true);
        let mut target = pages(&[], false);
        assert_eq!(next(&mut source, &mut target), None);
        target.ended = true;
        assert_eq!(next(&mut source, &mut target), Some(Step::Missing(row("a", 1))));
    }
}
