//! How many accounts have which hash, and where they came from.

use super::{super::password::format_of, Progress};
use crate::{
    domain::RealmName,
    state::store::{Query, Row, Store, StoreError, query},
};

/// Accounts of one realm, one source and one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatCount {
    /// Their realm.
    pub realm: RealmName,
    /// The import that brought them; `None` for those that were made here.
    pub source: Option<String>,
    /// How their hashes were made.
    pub format: &'static str,
    /// Whether these are sealed, and wait to be wrapped.
    pub sealed: bool,
    /// Whether they are wrapped, and wait for their owners' next login.
    pub wrapped: bool,
    /// How many.
    pub accounts: u64,
}

/// Counts the accounts, by realm, source and format.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn formats(store: &Store) -> Result<Vec<FormatCount>, StoreError> {
    let statement = Query::of(
        "SELECT realm, source, substr(password_hash, 2, instr(substr(password_hash, 2), '$') - 1) AS word, \
         count(*) AS accounts FROM principals LEFT JOIN account_sources ON account = id GROUP BY 1, 2, 3",
        "SELECT realm, source, split_part(password_hash, '$', 2) AS word, count(*) AS accounts \
         FROM principals LEFT JOIN account_sources ON account = id GROUP BY 1, 2, 3",
    );
    // Nobody waits for a reading transaction, and it may take longer than a change.
    let mut reading = store.begin_reading().await?;
    let rows = statement.all(&mut reading).await?;
    reading.commit().await?;
    counts(&rows)
}

/// Counts those with another hash than Portero's own, by realm and format. They stand in an index of their own, which
/// is all that this reads.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn foreign_formats(store: &Store) -> Result<Vec<FormatCount>, StoreError> {
    let statement = Query::of(
        "SELECT realm, NULL AS source, substr(password_hash, 2, instr(substr(password_hash, 2), '$') - 1) AS word, \
         count(*) AS accounts FROM principals WHERE substr(password_hash, 1, 10) <> '$argon2id$' GROUP BY 1, 3",
        "SELECT realm, NULL::text AS source, split_part(password_hash, '$', 2) AS word, count(*) AS accounts \
         FROM principals WHERE substr(password_hash, 1, 10) <> '$argon2id$' GROUP BY 1, 3",
    );
    counts(&statement.all(store).await?)
}

fn counts(rows: &[Row]) -> Result<Vec<FormatCount>, StoreError> {
    let mut counts = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    counts.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut merged: Vec<FormatCount> = vec![];
    for count in counts {
        match merged.last_mut().filter(|last| key(last) == key(&count)) {
            // `$2a$` and `$2b$` are one format.
            Some(last) => last.accounts += count.accounts,
            None => merged.push(count),
        }
    }
    Ok(merged)
}

fn key(count: &FormatCount) -> (&str, Option<&str>, &str, bool, bool) {
    (count.realm.as_str(), count.source.as_deref(), count.format, count.sealed, count.wrapped)
}

fn read(row: &Row) -> Result<FormatCount, StoreError> {
    let realm: &str = row.get("realm")?;
    let word: &str = row.get("word")?;
    Ok(FormatCount {
        realm: realm.parse().map_err(|_| StoreError::corrupt("an account's realm is no realm's name"))?,
        source: row.get("source")?,
        format: format_of(word),
        sealed: word.starts_with("sealed:"),
        wrapped: word.starts_with("wrapped:"),
        accounts: row.get::<i64>("accounts")?.unsigned_abs(),
    })
}

/// Imports that were begun and did not reach the end of their file, each with its realm and kind.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn unfinished(store: &Store) -> Result<Vec<(String, String, Progress)>, StoreError> {
    let rows = query("SELECT * FROM imports WHERE finished_at IS NULL ORDER BY realm, kind").all(store).await?;
    rows.iter().map(|row| Ok((row.get("realm")?, row.get("kind")?, Progress::read(row)?))).collect()
}
