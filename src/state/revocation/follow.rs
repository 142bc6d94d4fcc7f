//! Following what others revoke: another process on the same file, or another gateway on the same server.
//!
//! A file is its own log: rows are read in the order in which they were committed. On a server the state is read once,
//! in one snapshot with the end of the feed, and the feed is followed from there. Where the feed has another history
//! than the one that was read (a restored backup, a replica that was promoted without the last transactions), the state
//! is read once more, and what is in force stays in force.

use super::{
    cursor::{Cursor, Taken},
    log::{self, Record},
};
use crate::state::store::{Canary, Change, Changes, Feed, Position, RevocationColumns, Store, StoreError};

/// Records that are read at once.
const BATCH: u32 = 10_000;

/// What came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// The last record that came.
    pub last: Option<Record>,
    /// Whether there was anything at all: a record, or another change that the feed told of.
    pub anything: bool,
    /// Revocations of nothing, in their order.
    pub canaries: Vec<Canary>,
    /// Whether the store has another history than the one that was followed: what it lacks is to be written again.
    pub is_another_history: bool,
}

/// How far the revocations of a store were read.
#[derive(Debug)]
pub struct RevocationReader {
    /// The handle that it reads by.
    store: Store,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The number of the last row that was read.
    Log { seen: i64 },
    /// What was read of the feed.
    Feed { feed: Feed, cursor: Cursor },
}

impl RevocationReader {
    /// Follows a store from its beginning.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let source = match store.changes() {
            Changes::InFile => Source::Log { seen: 0 },
            Changes::InFeed(feed) => Source::Feed { feed, cursor: Cursor::default() },
        };
        Self { store, source }
    }

    /// Follows a store from this position on: what came before is known.
    #[must_use]
    pub fn from(store: Store, position: Position) -> Self {
        let source = match store.changes() {
            Changes::InFile => Source::Log { seen: 0 },
            Changes::InFeed(feed) => Source::Feed { feed, cursor: Cursor::at(position) },
        };
        Self { store, source }
    }

    /// Reads by another handle of the same store.
    pub fn read_by(&mut self, store: Store) {
        self.store = store;
    }

    /// How far the feed was read; `None` without a feed, and before anything was read.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        match &self.source {
            Source::Log { .. } => None,
            Source::Feed { cursor, .. } => cursor.position(),
        }
    }

    /// Hands everything that was not seen yet to `apply`, in the order in which it was committed.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged. What was handed over stays so, and the rest comes the next
    /// time.
    pub async fn catch_up(&mut self, mut apply: impl FnMut(&[Record]) + Send) -> Result<Caught, StoreError> {
        let mut caught = Caught::default();
        match &mut self.source {
            Source::Log { seen } => loop {
                let (records, last) = log::since(&self.store, *seen, BATCH).await?;
                let Some(newest) = records.last() else { return Ok(caught) };
                caught.last = Some(*newest);
                caught.anything = true;
                apply(&records);
                *seen = last;
            },
            Source::Feed { feed, cursor } => loop {
                let Some(position) = cursor.position() else {
                    let some = |records: &[Record]| {
                        caught.last = records.last().copied().or(caught.last);
                        apply(records);
                    };
                    cursor.took_state(read_state(&self.store, feed, some).await?);
                    caught.anything = true;
                    continue;
                };
                match cursor.take(feed.after(position, BATCH).await?) {
                    Taken::Resync => {}
                    Taken::End { is_another } => {
                        caught.is_another_history = is_another;
                        return Ok(caught);
                    }
                    Taken::Changes(changes) => {
                        let records = log::of_changes(&changes)?;
                        caught.last = records.last().copied().or(caught.last);
                        caught.anything = true;
                        apply(&records);
                        caught.canaries.extend(changes.iter().filter_map(|change| match change {
                            Change::Canary(canary) => Some(*canary),
                            _ => None,
                        }));
                    }
                }
            },
        }
    }
}

/// Reads all that is revoked, and where the feed ended at that moment. At most [`BATCH`] records of it wait here.
async fn read_state(
    store: &Store,
    feed: &Feed,
    mut apply: impl FnMut(&[Record]) + Send,
) -> Result<Position, StoreError> {
    let mut reading = store.begin_reading().await?;
    let head = feed.head(&mut reading).await?;
    let mut records = Vec::with_capacity(BATCH as usize);
    let take = |columns: RevocationColumns<'_>| {
        let record = log::of_columns(columns);
        records.push(record.ok_or(StoreError::corrupt("a revocation does not have the shape it should have"))?);
        if records.len() == records.capacity() {
            apply(&records);
            records.clear();
        }
        Ok(())
    };
    feed.state(&mut reading, take).await?;
    apply(&records);
    reading.commit().await?;
    Ok(head)
}
