//! Connections to the server, under a deadline: a call that hangs ends, with its connection, and while the server is
//! known to be away nobody waits for it but those who must find out when it is back.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use sqlx::{
    Connection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
};
use tokio::time::{Instant, timeout};

use super::super::error::{
    StoreError, Trouble,
    postgres::{code_of, is_shutdown},
};

/// How long one call may take before it counts as hanging. A login makes few calls, and none after the first that
/// hangs, so that it is answered within 5 seconds.
pub(super) const CALL_DEADLINE: Duration = Duration::from_millis(4_500);

/// How long a call waits for a free connection, or for a new one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);

/// A connection that nobody used for so long is closed: a night's quiet costs the server nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Pieces of a copy, each a row, that must come within [`CALL_DEADLINE`]. A server that is that slow counts as away.
const PIECES_IN_TIME: usize = 1_000;

/// How long the closing of all connections may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// What all handles of one open store know of the server.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Whether the last call found nobody.
    away: AtomicBool,
    /// Whether nobody has looked yet what the store is: a start did without it.
    unopened: AtomicBool,
    /// Calls that came back.
    calls: AtomicU64,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    /// When the server answered last.
    answered: Option<Instant>,
    /// When a call hung last.
    hung: Option<Instant>,
}

impl Reach {
    /// Of a store that nobody has looked at yet. Only who insists reaches it before [`Reach::open`].
    pub(super) fn unopened() -> Self {
        Self { unopened: true.into(), ..Self::default() }
    }

    /// It was looked at, and is one to work with.
    pub(super) fn open(&self) {
        self.unopened.store(false, Ordering::Release);
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        let is_out_of_reach = self.unopened.load(Ordering::Acquire) || self.away.load(Ordering::Acquire);
        is_out_of_reach.then_some(Trouble::Unresponsive)
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    fn note<T>(&self, done: &Result<T, sqlx::Error>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // The driver asks a connection that was idle whether it works, and waits for its answer.
        if matches!(done, Err(sqlx::Error::PoolTimedOut)) {
            return self.miss(ACQUIRE_TIMEOUT);
        }
        let is_away = done.as_ref().is_err_and(is_away);
        if !is_away {
            self.times().answered = Some(Instant::now());
        }
        self.away.store(is_away, Ordering::Release);
    }

    fn hang(&self) -> sqlx::Error {
        self.miss(CALL_DEADLINE);
        Trouble::Unresponsive.into()
    }

    /// A call was not answered for so long. That says something of its connection, and nothing of a server that has
    /// answered others since it began.
    fn miss(&self, waited: Duration) {
        let mut times = self.times();
        times.hung = Some(Instant::now());
        if times.answered.is_none_or(|answered| answered.elapsed() >= waited) {
            self.away.store(true, Ordering::Release);
        }
    }

    /// Whether a connection that nobody used for so long may be as dead as one that hung since. A machine that lost its
    /// power, or a firewall that forgot, tells nobody; and each would be waited for in turn.
    fn doubts(&self, idle_for: Duration) -> bool {
        self.times().hung.is_some_and(|hung| idle_for >= hung.elapsed())
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        // Each is written at once.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody answered: what the server itself says is an answer.
pub(super) fn is_away(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
        || code_of(error).is_some_and(|code| is_shutdown(&code))
}

/// Connections with the same options.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    pool: PgPool,
    reach: Arc<Reach>,
    /// Whether it tries even while the server is known to be away.
    insists: bool,
}

impl Connections {
    pub(super) fn new(options: PgConnectOptions, connections_max: u32, reach: &Arc<Reach>, insists: bool) -> Self {
        let known = Arc::clone(reach);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            // The driver would log a slow acquire; the store's errors are reported by who meets them.
            .acquire_slow_threshold(Duration::MAX)
            .test_before_acquire(false)
            .before_acquire(move |connection, waited| {
                let is_doubted = known.doubts(waited.idle_for);
                Box::pin(async move {
                    if !is_doubted {
                        connection.ping().await?;
                    }
                    Ok(!is_doubted)
                })
            })
            .connect_lazy_with(options);
        Self { pool, reach: Arc::clone(reach), insists }
    }

    /// One connection. It is closed, and not used again, unless it is [given back](Borrowed::give_back).
    pub(super) async fn acquire(&self) -> Result<Borrowed, sqlx::Error> {
        if let Some(trouble) = self.reach.trouble().filter(|_| !self.insists) {
            return Err(trouble.into());
        }
        let Ok(acquired) = timeout(CALL_DEADLINE, self.pool.acquire()).await else { return Err(self.reach.hang()) };
        self.reach.note(&acquired);
        Ok(Borrowed { connection: Some(acquired?), reach: Arc::clone(&self.reach) })
    }

    pub(super) async fn execute(&self, query: Query<'static, Postgres, PgArguments>) -> Result<u64, sqlx::Error> {
        let mut borrowed = self.acquire().await?;
        let done = borrowed.execute(query).await;
        borrowed.give_back_unless_lost(&done);
        done
    }

    pub(super) async fn fetch_all(
        &self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut borrowed = self.acquire().await?;
        let rows = borrowed.fetch_all(query).await;
        borrowed.give_back_unless_lost(&rows);
        rows
    }

    pub(super) async fn close(&self) {
        // What hangs ends with the process.
        let _ = timeout(CLOSE_DEADLINE, self.pool.close()).await;
    }
}

/// A connection that somebody works with. Where the work stops half-way, nobody else gets it.
#[derive(Debug)]
pub(super) struct Borrowed {
    connection: Option<PoolConnection<Postgres>>,
    reach: Arc<Reach>,
}

impl Borrowed {
    /// Runs statements as they are, without parameters.
    pub(super) async fn run(&mut self, statements: String) -> Result<(), sqlx::Error> {
        let Self { connection: Some(connection), reach } = self else { return Err(sqlx::Error::PoolClosed) };
        let work = sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut **connection);
        in_time(reach, work).await.map(drop)
    }

    pub(super) async fn execute(&mut self, query: Query<'static, Postgres, PgArguments>) -> Result<u64, sqlx::Error> {
        let Self { connection: Some(connection), reach } = self else { return Err(sqlx::Error::PoolClosed) };
        in_time(reach, query.execute(&mut **connection)).await.map(|done| done.rows_affected())
    }

    /// Hands all that a `COPY … TO STDOUT` sends to `take`, piece by piece. It may take its time, as long as something
    /// comes.
    pub(super) async fn copy_out(
        &mut self,
        statement: &'static str,
        mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Self { connection: Some(connection), reach } = self else { return Err(sqlx::Error::PoolClosed.into()) };
        let mut pieces = in_time(reach, connection.copy_out_raw(statement)).await?;
        loop {
            // Not each piece has a timer of its own: there are very many.
            let some = async {
                for _ in 0..PIECES_IN_TIME {
                    match pieces.try_next().await? {
                        Some(piece) => match take(&piece) {
                            Ok(()) => {}
                            Err(error) => return Ok(Err(error)),
                        },
                        None => return Ok(Ok(true)),
                    }
                }
                Ok(Ok(false))
            };
            if in_time(reach, some).await?? {
                return Ok(());
            }
        }
    }

    pub(super) async fn fetch_all(
        &mut self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let Self { connection: Some(connection), reach } = self else { return Err(sqlx::Error::PoolClosed) };
        in_time(reach, query.fetch_all(&mut **connection)).await
    }

    /// Others may use it: it is in no transaction.
    pub(super) fn give_back(mut self) {
        drop(self.connection.take());
    }

    /// The same after a single statement: what the server refused leaves the connection as it was.
    fn give_back_unless_lost<T>(self, done: &Result<T, sqlx::Error>) {
        if done.as_ref().err().is_none_or(|error| !is_away(error)) {
            self.give_back();
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            // The server rolls back what was not committed.
            connection.close_on_drop();
        }
    }
}

async fn in_time<T>(reach: &Reach, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match timeout(CALL_DEADLINE, work).await {
        Ok(done) => {
            reach.note(&done);
            done
        }
        Err(_) => Err(reach.hang()),
    }
}
