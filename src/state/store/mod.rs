//! The disk: one SQLite file with everything that must survive. What a call returned `Ok` for is
//! on the disk (`synchronous = FULL`). SQLite runs on threads of its own, so that no call blocks
//! the runtime; nothing here is ever called while a request is checked.

mod error;
mod meta;
pub mod private_file;
mod watch;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf, absolute},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

pub use error::StoreError;
pub use watch::ChangeWatch;

/// Connections of one process to the store: one writes at a time, the others read beside it.
const CONNECTIONS_MAX: u32 = 4;

/// How long a statement waits for another connection's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call waits for a free connection before the store counts as out of reach.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pauses between attempts to switch a file to WAL: SQLite does not wait by itself there.
const WAL_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Attempts to switch a file to WAL: with the pause, about [`BUSY_TIMEOUT`].
const WAL_ATTEMPTS_MAX: u32 = 250;

/// Built in; cargo sees a change of one, but a new one only once this file is touched.
static MIGRATIONS: Migrator = sqlx::migrate!("src/state/store/migrations");

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The database file. It is made, with mode 0600, when it does not exist; its folder must.
    pub path: PathBuf,
}

/// An open store. Cloning is cheap: all clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    options: SqliteConnectOptions,
}

impl Store {
    /// Opens the store, makes it when there is none, and brings its schema up to date. Several
    /// processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] or [`StoreError::TooNew`]; the store is then as it was.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let path = &settings.path;
        create_private(path).await?;
        let options = connect_options(path)?;
        prepare(&options).await.map_err(|error| match error {
            Preparation::Connection(error) => error::open_failed(path.clone(), &error),
            Preparation::Migration(error) => error::migration_failed(path.clone(), *error),
        })?;
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // The driver would log a slow acquire; the store's errors are reported by who meets them.
            .acquire_slow_threshold(Duration::MAX)
            .connect_lazy_with(options.clone());
        Ok(Self { pool, options })
    }

    /// Begins a transaction that holds the write lock from the start, so that what it reads cannot
    /// change before it writes. Dropping it rolls back.
    pub async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// The connections, for reads outside a transaction.
    pub(in crate::state) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// The fact `name` about the store itself, if it was ever set.
    pub async fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM meta WHERE name = ?").bind(name);
        Ok(value.fetch_optional(&self.pool).await?)
    }

    /// Sets the fact `name`, durably.
    pub async fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let statement = "INSERT INTO meta (name, value) VALUES (?, ?) \
                         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        sqlx::query(statement).bind(name).bind(value).execute(&self.pool).await?;
        Ok(())
    }

    /// Sets the fact `name` if it was never set, durably; answers what it is now. Of two processes
    /// that start together, both see the same value.
    pub async fn meta_or_insert(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(value)
            .execute(&mut *transaction)
            .await?;
        let present = sqlx::query_scalar("SELECT value FROM meta WHERE name = ?").bind(name);
        let present = present.fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(present)
    }

    /// The same store through a connection of its own, for who must not wait behind logins.
    #[must_use]
    pub fn apart(&self) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .acquire_slow_threshold(Duration::MAX)
            .connect_lazy_with(self.options.clone());
        Self { pool, options: self.options.clone() }
    }

    /// A watch that tells when anyone, in this process or another, committed a change.
    pub async fn watch(&self) -> Result<ChangeWatch, StoreError> {
        ChangeWatch::open(self.options.clone()).await
    }

    /// Closes all connections. The last process to do so leaves one file, without `-wal` and `-shm`.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

enum Preparation {
    Connection(sqlx::Error),
    Migration(Box<sqlx::migrate::MigrateError>),
}

impl From<sqlx::Error> for Preparation {
    fn from(error: sqlx::Error) -> Self {
        Self::Connection(error)
    }
}

/// Makes the file with mode 0600 if there is none; SQLite gives `-wal` and `-shm` the same mode.
///
/// A file that exists is not opened here: closing it would drop the POSIX locks that this process
/// may hold on it already (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
async fn create_private(path: &Path) -> Result<(), StoreError> {
    let made = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await;
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unreadable {
            path: path.to_owned(),
            reason: match error.kind() {
                ErrorKind::NotFound => "its folder does not exist: make it first".to_owned(),
                ErrorKind::PermissionDenied => "its folder is not writable by portero's user".to_owned(),
                _ => error.to_string(),
            },
        }),
    }
}

fn connect_options(path: &Path) -> Result<SqliteConnectOptions, StoreError> {
    // Absolute, since SQLite reads special meanings into `file:…`, `:memory:` and an empty name.
    let file =
        absolute(path).map_err(|error| StoreError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
    Ok(SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .thread_name(|id| format!("store-{id}"))
        .disable_statement_logging())
}

/// Switches the file to WAL, which it then keeps, and migrates it under the write lock: the
/// driver's own migrator takes none for SQLite.
async fn prepare(options: &SqliteConnectOptions) -> Result<(), Preparation> {
    let mut connection = options.connect().await?;
    switch_to_wal(&mut connection).await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // `run` is not `Send` for a borrowed connection; `run_direct` is the driver's own way around that.
    let migrated = MIGRATIONS.run_direct(None, &mut *transaction, false).await;
    migrated.map_err(|error| Preparation::Migration(Box::new(error)))?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

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
mod tests;
