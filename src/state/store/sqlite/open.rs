//! Opening the files: a store that is there, and one in the making.

use std::{
    path::{Path, absolute},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};
use tokio::time::timeout;

use super::{
    super::{
        error::{self, StoreError, Trouble},
        migrations::migrations,
    },
    make::{self, Unplaced},
    place::{FileId, StoreFiles, files, is_journal},
};

/// How long a statement waits for another connection's lock: less than a call may take, so that it says why.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// How long SQLite itself waits for the write lock: what is longer waits on a timer, on no thread.
const WRITER_BUSY_TIMEOUT: Duration = Duration::from_millis(2);

/// Pages in the journal from which on they are copied into the database, 16 MiB: pages that many rows of an import
/// change are copied once.
const JOURNAL_PAGES: u32 = 4096;

/// Pages that the writer keeps in memory: those of the indexes that an import goes through without order.
const WRITER_CACHE_KIB: u32 = 8192;

/// Pauses between attempts to switch a file to WAL: SQLite does not wait by itself there.
const WAL_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Attempts to switch a file to WAL: with the pause, about [`BUSY_TIMEOUT`].
const WAL_ATTEMPTS_MAX: u32 = 200;

/// How long the opening or making of a store may take.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);

/// How long its schema may take to be brought up to date: an index on a large table takes minutes.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(3600);

/// Instructions of SQLite's machine between two counts of [`MIGRATION_STEPS`]: less than a millisecond.
const INSTRUCTIONS_A_STEP: i32 = 10_000;

/// Steps that this process took to bring schemas up to date. A process does so once, before anything else.
static MIGRATION_STEPS: AtomicU64 = AtomicU64::new(0);

/// Steps that this process took to bring a store's schema up to date: as long as the number grows, it goes on.
#[must_use]
pub fn migration_steps() -> u64 {
    MIGRATION_STEPS.load(Ordering::Relaxed)
}

/// Bytes that the journal keeps on the disk when it is empty.
const JOURNAL_BYTES_KEPT: &str = "16777216";

/// What made the schema, step by step.
pub(super) static MIGRATIONS: LazyLock<Migrator> = migrations![
    "0001_init",
    "0002_keys",
    "0003_oauth",
    "0004_trusted_time",
    "0005_imported_keys",
    "0006_sessions",
    "0007_throttles",
    "0008_imports",
    "0009_audit",
    "0010_accounts",
    "0011_verifiers",
];

/// An open store's first connection. It stays open until the store is closed, so that its journal stays the same
/// file.
pub(super) struct Opened {
    pub(super) anchor: SqliteConnection,
    pub(super) options: SqliteConnectOptions,
    pub(super) place: Arc<StoreFiles>,
}

/// Opens the store that is at `path`, and brings its schema up to date.
pub(super) async fn open(path: &Path) -> Result<Opened, StoreError> {
    let file = whole(path)?;
    let unreadable = |reason: String| StoreError::Unreadable { path: path.to_owned(), reason };
    let before = FileId::of(&file).map_err(|error| unreadable(error.to_string()))?;
    let options = options(&file);
    let failed = |error| error::open_failed(path.to_owned(), &error);
    let opening = async {
        let mut anchor = options.connect().await.map_err(failed)?;
        if !is_store(&mut anchor).await.map_err(failed)? {
            return Err(unreadable("it holds no store of Portero".to_owned()));
        }
        switch_to_wal(&mut anchor).await.map_err(failed)?;
        let version = version(&mut anchor).await.map_err(failed)?;
        Ok((anchor, version))
    };
    let (mut anchor, version) = in_time(path, opening).await?;
    let deadline = if version < known_version() { MIGRATION_DEADLINE } else { OPEN_DEADLINE };
    if version < known_version() {
        count_steps(&mut anchor).await.map_err(failed)?;
    }
    let migrated = timeout(deadline, migrate(&mut anchor)).await.map_err(|_| hangs(path))?;
    migrated.map_err(|error| error.explained(path))?;
    anchor.lock_handle().await.map_err(failed)?.remove_progress_handler();
    if !is_journal(&files(&file)[1]).unwrap_or(true) {
        // A power cut leaves such a file, and SQLite passes over it. A first write begins it anew; where another
        // process goes on with it, it stays what it is, and is refused. A hole never goes into the database.
        let begin = "PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 0; PRAGMA wal_autocheckpoint = 1000";
        in_time(path, async { sqlx::raw_sql(begin).execute(&mut anchor).await.map_err(failed) }).await?;
    }
    let place = StoreFiles::of(&file).map_err(|error| unreadable(error.to_string()))?;
    if before.is_none() || place.database() != before {
        return Err(unreadable("it was replaced while it was opened: try again".to_owned()));
    }
    Ok(Opened { anchor, options, place: Arc::new(place) })
}

/// Makes a store at `path`, whole and on the disk. One that is there by then stays as it is.
pub(super) async fn make(path: &Path) -> Result<(), StoreError> {
    let file = whole(path)?;
    let failed = |error| make::failed(path, &error);
    let new = Unplaced::beside(&file).map_err(failed)?;
    let options = options(&new.path);
    let database = |error| error::open_failed(path.to_owned(), &error);
    let making = async {
        let mut connection = options.connect().await.map_err(database)?;
        switch_to_wal(&mut connection).await.map_err(database)?;
        migrate(&mut connection).await.map_err(|error| error.explained(path))?;
        // The last connection leaves one file.
        connection.close().await.map_err(database)
    };
    in_time(path, making).await?;
    match new.place(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

/// One more connection to an open store; never one to another file.
pub(super) async fn connect(
    options: &SqliteConnectOptions,
    place: &Arc<StoreFiles>,
) -> Result<SqliteConnection, sqlx::Error> {
    place.verify().await?;
    let mut connection = options.connect().await?;
    keep_ours(&mut connection, place).await?;
    Ok(connection)
}

/// Refuses a connection that was opened just when another file took the path. To close it would write our journal
/// into that file, so it stays as it is until the process ends.
pub(in crate::state::store) async fn keep_ours(
    connection: &mut SqliteConnection,
    place: &Arc<StoreFiles>,
) -> Result<(), sqlx::Error> {
    let verified = place.verify().await;
    if matches!(place.trouble_found(), Some(Trouble::Missing | Trouble::Replaced)) {
        let none = SqliteConnectOptions::new().in_memory(true).connect().await?;
        std::mem::forget(std::mem::replace(connection, none));
    }
    verified
}

/// Whether a database was made by Portero, in whatever version.
pub(super) async fn is_store(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let tables =
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('_sqlx_migrations', 'meta', 'keys')";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut *connection).await?;
    Ok(tables == 3)
}

/// Refuses a store that a newer version wrote.
pub(super) async fn check_version(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    match version(connection).await? {
        Some(version) if Some(version) > known_version() => Err(StoreError::TooNew { path: path.to_owned(), version }),
        _ => Ok(()),
    }
}

/// The last migration of a store.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(connection).await
}

/// The last migration of this version.
fn known_version() -> Option<i64> {
    MIGRATIONS.iter().map(|migration| migration.version).max()
}

/// Ends what hangs while a store is opened or made.
pub(super) async fn in_time<T>(
    path: &Path,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(OPEN_DEADLINE, work).await.map_err(|_| hangs(path))?
}

fn hangs(path: &Path) -> StoreError {
    StoreError::Unreadable { path: path.to_owned(), reason: Trouble::Unresponsive.reason().to_owned() }
}

/// Absolute, since SQLite reads special meanings into `file:…`, `:memory:` and an empty name.
pub(super) fn whole(path: &Path) -> Result<std::path::PathBuf, StoreError> {
    absolute(path).map_err(|error| StoreError::Unreadable { path: path.to_owned(), reason: error.to_string() })
}

pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("journal_size_limit", JOURNAL_BYTES_KEPT)
        // What is deleted is overwritten: keys and password hashes leave nothing in free pages.
        .pragma("secure_delete", "ON")
        .thread_name(|id| format!("store-{id}"))
        .disable_statement_logging()
}

/// The same for the connection that writes. It comes back from a lock at once, since the wait for it is not SQLite's.
pub(super) fn writing(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .clone()
        .busy_timeout(WRITER_BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", JOURNAL_PAGES.to_string())
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
}

enum Preparation {
    Connection(sqlx::Error),
    Migration(Box<sqlx::migrate::MigrateError>),
}

impl Preparation {
    fn explained(self, path: &Path) -> StoreError {
        match self {
            Self::Connection(error) => error::open_failed(path.to_owned(), &error),
            Self::Migration(error) => error::migration_failed(path.to_owned(), *error),
        }
    }
}

impl From<sqlx::Error> for Preparation {
    fn from(error: sqlx::Error) -> Self {
        Self::Connection(error)
    }
}

/// Migrates the file under the write lock: the driver's own migrator takes none for SQLite.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), Preparation> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // `run` is not `Send` for a borrowed connection; `run_direct` is the driver's own way around that.
    let migrated = MIGRATIONS.run_direct(None, &mut *transaction, false).await;
    migrated.map_err(|error| Preparation::Migration(Box::new(error)))?;
    transaction.commit().await?;
    Ok(())
}

/// Counts how SQLite gets on with what is asked on this connection.
async fn count_steps(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    connection.lock_handle().await?.set_progress_handler(INSTRUCTIONS_A_STEP, || {
        MIGRATION_STEPS.fetch_add(1, Ordering::Relaxed);
        true
    });
    Ok(())
}

/// Switches the file to WAL, which it then keeps.
async fn switch_to_wal(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut attempts = 1;
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await {
            Err(error) if error::is_busy(&error) && attempts < WAL_ATTEMPTS_MAX => {
                attempts += 1;
                tokio::time::sleep(WAL_RETRY_PAUSE).await;
            }
            other => return other.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use crate::state::store::migrations::assert_whole;

    #[test]
    fn every_migration_is_built_in() {
        assert_whole("sqlite", &MIGRATIONS);
    }
}
