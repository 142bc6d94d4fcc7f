//! The copy in the making. Until it is a store, a row of `meta` says what it is a copy of, and who works on it.
//!
//! Every transaction looks whether that is this process still. So of two that copy into one place the later one goes
//! on, and the earlier one changes nothing any more; and one that was killed leaves nothing that anybody must clear
//! away.

use super::{
    super::{
        AuditedStore, Change, Entry, Store, StoreError, StoreSettings, Transaction, Turn,
        meta::{meta_in, set_meta_in, status_in},
        query::{Query, query},
        status::{self, COPYING_FROM},
    },
    error::CopyError,
    rows::Record,
    tables::{TABLES, Table},
};
use crate::domain::{id::hex, random};

/// Rows that one transaction changes, at most.
pub(super) const ROWS_A_TRANSACTION: usize = 1_000;

/// A copy in the making, opened by the one who works on it.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) store: Store,
    mark: String,
}

/// What is at the place of the copy.
#[derive(Debug)]
pub(super) enum Found {
    /// A copy in the making.
    Copy(Copy),
    /// A store that was brought to its end before.
    Store(Store),
}

/// Makes an empty copy of `from` where nothing is, or goes on with one that was begun.
pub(super) async fn open(settings: &StoreSettings, from: &str) -> Result<Found, CopyError> {
    Store::make_alone(settings).await?;
    let store = Store::open_as_it_stands(settings).await?;
    match claim(&store, from).await {
        Ok(Some(mark)) => Ok(Found::Copy(Copy { store, mark })),
        Ok(None) => Ok(Found::Store(store)),
        Err(error) => {
            store.close().await;
            Err(error)
        }
    }
}

/// Writes down who works on the copy. `None` for a store that has something in it, and is no copy in the making.
async fn claim(store: &Store, from: &str) -> Result<Option<String>, CopyError> {
    let mut transaction = store.begin(Turn::Meta(COPYING_FROM)).await?;
    let status = status_in(&mut transaction).await?;
    if let Some(to) = status.moved_to {
        return Err(StoreError::Moved { to }.into());
    }
    match status.copying {
        Some(mark) if status::source_of(&mark) != from => {
            return Err(CopyError::OtherSource(status::source_of(&mark).to_owned()));
        }
        None if !is_empty(&mut transaction).await? => return Ok(None),
        _ => {}
    }
    let mark = format!("{} {from}", hex(&random::bytes::<8>()));
    set_meta_in(&mut transaction, COPYING_FROM, mark.as_bytes()).await?;
    transaction.commit().await?;
    Ok(Some(mark))
}

/// Whether nothing is in it but what its schema brings.
async fn is_empty(transaction: &mut Transaction) -> Result<bool, StoreError> {
    for table in &TABLES {
        let rows: i64 = table.count().one(&mut *transaction).await?.first()?;
        // The revision of the keys.
        if rows > i64::from(table.name == "meta") {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Copy {
    /// Removes rows, and adds others, in transactions that are durable when this returns.
    pub(super) async fn apply(&self, table: &Table, stale: &[Record], missing: &[Record]) -> Result<(), CopyError> {
        for keys in stale.chunks(ROWS_A_TRANSACTION) {
            self.run(table.removals(keys)).await?;
        }
        for records in missing.chunks(ROWS_A_TRANSACTION) {
            self.run(table.insertions(records)).await?;
        }
        Ok(())
    }

    async fn run(&self, statements: impl Iterator<Item = Query>) -> Result<(), CopyError> {
        let mut transaction = self.begin().await?;
        for statement in statements {
            statement.execute(&mut transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn begin(&self) -> Result<Transaction, CopyError> {
        let mut transaction = self.store.begin(Turn::Meta(COPYING_FROM)).await?;
        let mark = meta_in(&mut transaction, COPYING_FROM).await?;
        if mark.as_deref() == Some(self.mark.as_bytes()) { Ok(transaction) } else { Err(CopyError::TakenOver) }
    }

    /// Lets the numbers that a server counts up begin behind those that are there.
    pub(super) async fn count_on(&self) -> Result<(), CopyError> {
        let mut transaction = self.begin().await?;
        for (table, column) in TABLES.iter().filter_map(|table| Some((table.name, table.counted?))) {
            // What ends a client's lines ends those up to a number, whether its row is there still or not.
            let last = if table == "refresh_tokens" { "(SELECT max(last) FROM ending_lines)" } else { "0" };
            let statement = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), \
                               greatest((SELECT max({column}) FROM {table}), {last}, 1))"
            );
            // A file counts on by itself.
            Query::composed_of("SELECT 1".to_owned(), statement).all(&mut transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Makes a store of it, durably. Those that follow one that is there read it anew.
    pub(super) async fn finish(&self, audited: &AuditedStore, entry: Entry) -> Result<(), CopyError> {
        let mut transaction = audited.begin(Turn::Meta(COPYING_FROM)).await?;
        let mark = meta_in(&mut transaction, COPYING_FROM).await?;
        if mark.as_deref() != Some(self.mark.as_bytes()) {
            return Err(CopyError::TakenOver);
        }
        query("DELETE FROM meta WHERE name = $1").bind(COPYING_FROM).execute(&mut transaction).await?;
        transaction.tell(Change::Keys);
        Ok(transaction.commit(entry).await?)
    }
}
