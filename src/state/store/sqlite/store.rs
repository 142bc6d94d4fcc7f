//! The store in a file of SQLite.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, Row, Sqlite, SqliteConnection, SqlitePool, Transaction,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::time::{sleep, timeout};

use super::{
    ChangeWatch, Found,
    connections::{Connections, Writer},
    missing, open,
    place::{CALL_DEADLINE, StoreFiles},
    presence,
};
use crate::state::store::error::{self, StoreError, Trouble};

/// Connections of one process that read the store, beside the one that writes.
const READERS_MAX: u32 = 4;

/// How long a call waits for a free connection before the store counts as out of reach.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the closing of all connections may take: one that hangs ends with the process.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// The same for a store that is known to hang.
const CLOSE_DEADLINE_HANGING: Duration = Duration::from_millis(500);

/// How often the journal is tried to be emptied when somebody reads it.
const CHECKPOINT_ATTEMPTS_MAX: u32 = 20;

/// Between two of these attempts: logins go on meanwhile.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(25);

/// An open store. Cloning is cheap: all clones share the connections.
#[derive(Clone, Debug)]
pub(in crate::state::store) struct SqliteStore {
    pub(super) connections: Connections,
    pub(in crate::state::store) shared: Arc<Shared>,
}

/// What all handles of one open store share.
#[derive(Debug)]
pub(in crate::state::store) struct Shared {
    pub(in crate::state::store) place: Arc<StoreFiles>,
    pub(in crate::state::store) options: SqliteConnectOptions,
    /// Every pool that is open. Those of handles that were given up are taken out.
    pub(super) pools: Mutex<Vec<SqlitePool>>,
    /// Held open until the store is closed, see [`open::Opened`].
    pub(super) anchor: tokio::sync::Mutex<Option<SqliteConnection>>,
}

impl SqliteStore {
    /// Opens the store that is there, and brings its schema up to date. Several processes may do so at once.
    pub(in crate::state::store) async fn open(path: &Path) -> Result<Self, StoreError> {
        if !presence::has_database(path)? {
            return Err(missing(path, Found::Nothing));
        }
        let opened = open::open(path).await?;
        let (options, place) = (opened.options, opened.place);
        let writer = pool(&open::writing(&options), &place, 1);
        let pool = pool(&options, &place, READERS_MAX);
        let shared = Shared {
            place: Arc::clone(&place),
            options,
            pools: Mutex::new(vec![writer.clone(), pool.clone()]),
            anchor: tokio::sync::Mutex::new(Some(opened.anchor)),
        };
        let connections = Connections { pool, writer: Writer::of(writer), place, insists: false };
        Ok(Self { connections, shared: Arc::new(shared) })
    }

    /// Makes a store where there is none. One that another process made meanwhile is left as it is.
    pub(in crate::state::store) async fn make(path: &Path) -> Result<(), StoreError> {
        if presence::has_database(path)? { Ok(()) } else { open::make(path).await }
    }

    /// Begins a transaction that holds the write lock from the start, so that what it reads cannot
    /// change before it writes. Dropping it rolls back.
    pub(in crate::state::store) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.connections.begin_writing().await?)
    }

    /// A transaction that reads what was there at one moment.
    pub(in crate::state::store) async fn begin_reading(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.connections.begin().await?)
    }

    /// The connections, for single statements and for reads.
    pub(in crate::state::store) const fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Opens all connections now, so that none has to be opened by path later.
    pub(in crate::state::store) async fn open_all(&self) -> Result<(), StoreError> {
        let mut held = vec![];
        for _ in 0..READERS_MAX {
            held.push(self.connections.acquire().await?);
        }
        self.begin().await?.rollback().await?;
        Ok(())
    }

    /// The same store through a connection of its own, for who must not wait behind logins. It is asked even while
    /// the store is known not to answer: somebody must find out when it does again.
    pub(in crate::state::store) fn apart(&self) -> Self {
        let pool = pool(&self.shared.options, &self.shared.place, 1);
        let mut pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| !pool.is_closed());
        pools.push(pool.clone());
        let place = Arc::clone(&self.shared.place);
        let connections = Connections { writer: Writer::of(pool.clone()), pool, place, insists: true };
        Self { connections, shared: Arc::clone(&self.shared) }
    }

    /// Another handle in the place of one that was got from [`Store::apart`] and hangs. `None` when too many that
    /// hang were given up already: then the same one is to be asked again.
    pub(in crate::state::store) fn instead(&self) -> Option<Self> {
        let permit = Arc::clone(&self.shared.place.abandoned).try_acquire_owned().ok()?;
        let hung = self.connections.pool.clone();
        tokio::spawn(async move {
            // It comes back when what it waits for does.
            hung.close().await;
            drop(permit);
        });
        Some(self.apart())
    }

    /// A watch that tells when anyone, in this process or another, committed a change.
    pub(in crate::state::store) async fn watch(&self) -> Result<ChangeWatch, StoreError> {
        ChangeWatch::open(self.shared.options.clone(), Arc::clone(&self.shared.place)).await
    }

    /// What stands in the way of every call, as far as it is known. The watch looks after the files.
    pub(in crate::state::store) fn trouble(&self) -> Option<Trouble> {
        self.shared.place.trouble()
    }

    /// Asserts that the files are those that were opened: what was written before this returned `Ok` is in the file
    /// that the path names. To be asked before a write is acknowledged.
    pub(in crate::state::store) async fn confirm(&self) -> Result<(), StoreError> {
        Ok(self.shared.place.verify().await?)
    }

    /// Runs several calls as one, which may take as long as one.
    pub(in crate::state::store) async fn within<T, E: From<StoreError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let call = self.shared.place.begin();
        let late = |_| StoreError::from(sqlx::Error::from(self.shared.place.hang(call)));
        timeout(CALL_DEADLINE, work).await.map_err(late)?
    }

    /// Finds out whether a store that did not answer does again, a writer too. For a handle of its own
    /// ([`Store::apart`]).
    pub(in crate::state::store) async fn recheck(&self) -> Result<(), StoreError> {
        if self.shared.place.is_hanging() {
            // Nothing is written, but who holds the write lock and hangs is still in the way of others.
            self.connections.begin_writing().await?.rollback().await?;
            self.shared.place.answers();
        }
        Ok(())
    }

    /// Calls that came back since the store was opened: as long as the number grows, the store does not hang.
    pub(in crate::state::store) fn calls(&self) -> u64 {
        self.shared.place.calls()
    }

    /// Empties the journal, so that nothing of what was deleted or replaced before is found in it. False when
    /// somebody reads it all the time: it is to be tried again later.
    pub(in crate::state::store) async fn empty_journal(&self) -> Result<bool, StoreError> {
        for attempt in 1..=CHECKPOINT_ATTEMPTS_MAX {
            let mut borrowed = Borrowed(Some(self.connections.acquire().await?));
            // It holds the write lock while it waits for readers, so it does not wait.
            let call = self.shared.place.begin();
            let emptied = timeout(CALL_DEADLINE, truncate(&mut borrowed)).await;
            let emptied = emptied.unwrap_or_else(|_| Err(self.shared.place.hang(call).into()))?;
            drop(borrowed.0.take());
            if emptied {
                // The database has changed: from here on this is how it looks.
                self.shared.place.verify().await?;
                return Ok(true);
            }
            if attempt < CHECKPOINT_ATTEMPTS_MAX {
                sleep(CHECKPOINT_PAUSE).await;
            }
        }
        Ok(false)
    }

    /// Closes all connections. The last process to do so leaves one file, without `-wal` and `-shm`. What hangs
    /// is not waited for longer than 5 seconds. Where the files are not those that were opened, nothing is touched.
    pub(in crate::state::store) async fn close(&self) {
        if !self.shared.place.is_hanging() {
            // What it finds is what counts, and one that hangs finds nothing.
            let _ = timeout(CLOSE_DEADLINE_HANGING, self.shared.place.verify()).await;
        }
        if self.shared.place.trouble_found().is_some() {
            return self.leave().await;
        }
        let closing = async {
            let pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for pool in pools {
                pool.close().await;
            }
            if let Some(anchor) = self.shared.anchor.lock().await.take() {
                // SQLite empties the journal when the last connection ends, and says nothing of what fails there.
                let _ = anchor.close().await;
            }
        };
        let deadline = if self.shared.place.is_hanging() { CLOSE_DEADLINE_HANGING } else { CLOSE_DEADLINE };
        let _ = timeout(deadline, closing).await;
    }
}

impl SqliteStore {
    /// Leaves all connections open until the process ends: SQLite writes the journal into the database when the last
    /// one is closed, and then deletes the file that has the journal's name.
    async fn leave(&self) {
        std::mem::forget(self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner).clone());
        std::mem::forget(
            timeout(CLOSE_DEADLINE_HANGING, self.shared.anchor.lock()).await.map(|mut anchor| anchor.take()),
        );
    }
}

fn pool(options: &SqliteConnectOptions, place: &Arc<StoreFiles>, connections_max: u32) -> SqlitePool {
    let place = Arc::clone(place);
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection that is open is on the right file for ever; a new one goes by the path.
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            let place = Arc::clone(&place);
            Box::pin(async move { open::keep_ours(connection, &place).await })
        })
        // SQLite itself takes back a transaction whose writing fails (a full disk). The driver does not hear of it, and
        // would begin none on that connection ever again.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        // The driver would log a slow acquire; the store's errors are reported by who meets them.
        .acquire_slow_threshold(Duration::MAX)
        .connect_lazy_with(options.clone())
}

/// A connection whose patience with locks is changed for a while. It is closed unless it is taken out again: nobody
/// else may get it as it is then, wherever its user stopped.
struct Borrowed(Option<PoolConnection<Sqlite>>);

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

/// Empties the journal if nobody is in the way at this moment.
async fn truncate(borrowed: &mut Borrowed) -> Result<bool, sqlx::Error> {
    let Some(connection) = &mut borrowed.0 else { return Ok(false) };
    sqlx::query("PRAGMA busy_timeout = 0").execute(&mut **connection).await?;
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut **connection).await;
    let patience = AssertSqlSafe(format!("PRAGMA busy_timeout = {}", open::BUSY_TIMEOUT.as_millis()));
    sqlx::query(patience).execute(&mut **connection).await?;
    match row {
        Err(error) if error::is_busy(&error) => Ok(false),
        row => Ok(row?.try_get::<i64, _>(0)? == 0),
    }
}
