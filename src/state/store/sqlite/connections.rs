//! The store's connections, under a deadline: a call that hangs ends, and one that is known to be in vain is not
//! made.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{Stream, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Either, Execute, Executor, SqlStr, Sqlite, SqlitePool, Transaction,
    pool::PoolConnection,
    sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, Sleep, sleep, timeout, timeout_at},
};

use super::{
    super::error,
    open::BUSY_TIMEOUT,
    place::{CALL_DEADLINE, Call, StoreFiles},
};

/// Between two attempts to get the write lock that another process holds. SQLite has no queue for it, and its own
/// pauses grow to 100 ms: a login beside an import would mostly wait for nothing.
const LOCK_RETRY_PAUSE: Duration = Duration::from_millis(1);

/// Connections to the store. A query may be given to a reference of it, as to a pool.
#[derive(Clone)]
pub(in crate::state) struct Connections {
    pub(in crate::state::store) pool: SqlitePool,
    pub(super) writer: Writer,
    pub(super) place: Arc<StoreFiles>,
    /// Whether it tries even while the store is known to hang: who must find out when it answers again.
    pub(super) insists: bool,
}

/// The one connection of a process that writes, and the queue before it: who came first writes first.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) pool: SqlitePool,
    turn: Arc<Semaphore>,
}

impl Writer {
    /// Writes through a pool of one connection.
    pub(super) fn of(pool: SqlitePool) -> Self {
        Self { pool, turn: Arc::new(Semaphore::new(1)) }
    }

    /// A transaction that holds the write lock. It gives up before its call's deadline: a queue that is long is no
    /// store that hangs.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        let gives_up_at = Instant::now() + BUSY_TIMEOUT;
        let begun = timeout_at(gives_up_at, async {
            let _turn = self.turn.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
            loop {
                match self.pool.begin_with("BEGIN IMMEDIATE").await {
                    Err(busy) if error::is_busy(&busy) && Instant::now() < gives_up_at => sleep(LOCK_RETRY_PAUSE).await,
                    begun => return begun,
                }
            }
        });
        begun.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

type Step = Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>;

impl Connections {
    /// One connection.
    pub(in crate::state) async fn acquire(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.within(async {
            self.admit(&self.pool).await?;
            self.pool.acquire().await
        })
        .await
    }

    /// A transaction that reads what was there at one moment.
    pub(in crate::state) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.within(async {
            self.admit(&self.pool).await?;
            self.pool.begin().await
        })
        .await
    }

    /// A transaction that holds the write lock from the start.
    pub(super) async fn begin_writing(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.within(async {
            self.admit(&self.writer.pool).await?;
            self.writer.begin().await
        })
        .await
    }

    /// Runs a statement that writes, durably; answers how many rows it changed.
    pub(in crate::state) async fn write(
        &self,
        statement: sqlx::query::Query<'static, Sqlite, SqliteArguments>,
    ) -> Result<u64, sqlx::Error> {
        self.within(async {
            self.admit(&self.writer.pool).await?;
            let mut transaction = self.writer.begin().await?;
            let done = statement.execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(done.rows_affected())
        })
        .await
    }

    /// Refuses what is known to be in vain. Before a connection is opened by path, it looks whether the path still
    /// names the store.
    async fn admit(&self, pool: &SqlitePool) -> Result<(), sqlx::Error> {
        let trouble = if self.insists { self.place.trouble_found() } else { self.place.trouble() };
        if let Some(trouble) = trouble {
            return Err(trouble.into());
        }
        if pool.num_idle() == 0 && pool.size() < pool.options().get_max_connections() {
            self.place.verify().await?;
        }
        Ok(())
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        let call = self.place.begin();
        let done = timeout(CALL_DEADLINE, work).await.map_err(|_| self.place.hang(call))?;
        self.place.called();
        done
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("insists", &self.insists).finish_non_exhaustive()
    }
}

impl<'p> Executor<'p> for &'_ Connections {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'p: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let connections = self.clone();
        let inner = self.pool.fetch_many(query);
        let place = Arc::clone(&self.place);
        Box::pin(Rows {
            admitting: Some(Box::pin(async move { connections.admit(&connections.pool).await })),
            inner,
            deadline: Box::pin(sleep(CALL_DEADLINE)),
            moved: false,
            call: place.begin(),
            place: Some(place),
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<SqliteRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let connections = self.clone();
        Box::pin(async move {
            let fetching = async {
                connections.admit(&connections.pool).await?;
                connections.pool.fetch_optional(query).await
            };
            connections.within(fetching).await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, Result<SqliteStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let connections = self.clone();
        Box::pin(async move {
            let preparing = async {
                connections.admit(&connections.pool).await?;
                connections.pool.prepare_with(sql, parameters).await
            };
            connections.within(preparing).await
        })
    }
}

/// A query's rows. The deadline is that of the next row: a long answer does not hang.
struct Rows<'e> {
    admitting: Option<BoxFuture<'e, Result<(), sqlx::Error>>>,
    inner: BoxStream<'e, Step>,
    deadline: Pin<Box<Sleep>>,
    /// Whether a row came since the deadline was set.
    moved: bool,
    /// Of the next row.
    call: Call,
    /// `None` when it has ended.
    place: Option<Arc<StoreFiles>>,
}

impl Stream for Rows<'_> {
    type Item = Step;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Step>> {
        let Some(place) = self.place.clone() else { return Poll::Ready(None) };
        let polled = match self.poll_admitted(context) {
            Poll::Ready(Ok(())) => self.inner.as_mut().poll_next(context),
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Pending => Poll::Pending,
        };
        match polled {
            Poll::Ready(Some(Ok(row))) => {
                self.moved = true;
                Poll::Ready(Some(Ok(row)))
            }
            Poll::Ready(end) => {
                place.called();
                self.place = None;
                Poll::Ready(end)
            }
            Poll::Pending => {
                if std::mem::take(&mut self.moved) {
                    self.call = place.begin();
                    self.deadline.as_mut().reset(deadline());
                }
                ready!(self.deadline.as_mut().poll(context));
                self.place = None;
                Poll::Ready(Some(Err(place.hang(self.call).into())))
            }
        }
    }
}

impl Rows<'_> {
    fn poll_admitted(&mut self, context: &mut Context<'_>) -> Poll<Result<(), sqlx::Error>> {
        if let Some(admitting) = &mut self.admitting {
            let admitted = ready!(admitting.as_mut().poll(context));
            self.admitting = None;
            admitted?;
        }
        Poll::Ready(Ok(()))
    }
}

fn deadline() -> Instant {
    Instant::now() + CALL_DEADLINE
}
