//! A transaction that takes its turn ([`Turn`]) before it reads. It runs at READ COMMITTED: each statement sees what
//! was committed before it, so that one that waited for its turn sees what the one before it left.

use sqlx::{
    Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::{
    super::{
        change::{Change, RevocationColumns},
        error::StoreError,
        turn::ChangeTurn,
    },
    bulk::{self, Rows},
    connections::{Borrowed, Connections},
    feed,
    notices::Notices,
};

/// Bounds of one transaction. They are set in it and end with it, so that a pooler may give the connection to another
/// client afterwards: no statement and no lock is waited for as long as a call may take, and a gateway that is cut off
/// holds nobody up for longer than 5 seconds.
const BOUNDS: &str = "SET LOCAL lock_timeout = '4s'; SET LOCAL statement_timeout = '4s'; \
                      SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// How long the server may take to send a whole table, as its own bound: a gateway that is gone without a word holds
/// its snapshot no longer.
const COPY_TIMEOUT: &str = "1h";

/// A transaction. Dropping it closes its connection, and the server rolls back.
#[derive(Debug)]
pub(in crate::state::store) struct Transaction {
    borrowed: Borrowed,
    notices: Notices,
    /// Whether a statement failed: the server would take a COMMIT then, and roll back without a word.
    failed: bool,
}

impl Transaction {
    /// Begins one that may write, and has its turn.
    pub(super) async fn begin(
        connections: &Connections,
        notices: &Notices,
        turn: ChangeTurn<'_>,
    ) -> Result<Self, StoreError> {
        let lock = turn.lock().map(|(number, shared)| format!("; SELECT {}({number})", function(shared)));
        // Not READ WRITE: a server that is fenced off as read-only is to stay so, and a replica refuses that word with
        // an error of its own.
        let text = format!("BEGIN ISOLATION LEVEL READ COMMITTED; {BOUNDS}{}", lock.unwrap_or_default());
        Self::begin_with(connections, notices, text).await
    }

    /// Begins one that reads what was there at one moment.
    pub(super) async fn begin_reading(connections: &Connections, notices: &Notices) -> Result<Self, StoreError> {
        // A page of a large table may take longer than a change.
        let text = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '60s'".to_owned();
        Self::begin_with(connections, notices, text).await
    }

    /// Begins one beside which nobody changes a row of these tables. EXCLUSIVE conflicts with the lock that every
    /// change takes, and lets others read.
    ///
    /// It waits less for each table than the server waits before it looks for a deadlock (`deadlock_timeout`, a
    /// second): where a change has one table and waits for another, this gives way, and not the change.
    pub(super) async fn begin_alone(
        connections: &Connections,
        notices: &Notices,
        tables: &str,
    ) -> Result<Self, StoreError> {
        let text = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '700ms'; \
             SET LOCAL statement_timeout = '4s'; SET LOCAL idle_in_transaction_session_timeout = '60s'; \
             LOCK TABLE {tables} IN EXCLUSIVE MODE"
        );
        Self::begin_with(connections, notices, text).await
    }

    async fn begin_with(connections: &Connections, notices: &Notices, text: String) -> Result<Self, StoreError> {
        let mut borrowed = connections.acquire().await?;
        borrowed.run(text).await?;
        Ok(Self { borrowed, notices: notices.clone(), failed: false })
    }

    /// Waits for one more turn.
    pub(in crate::state::store) async fn lock(&mut self, turn: ChangeTurn<'_>) -> Result<(), StoreError> {
        if let Some((number, shared)) = turn.lock() {
            let locked = self.borrowed.run(format!("SELECT {}({number})", function(shared))).await;
            self.note(locked)?;
        }
        Ok(())
    }

    pub(in crate::state::store) async fn execute(
        &mut self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let done = self.borrowed.execute(query).await;
        self.note(done)
    }

    pub(in crate::state::store) async fn fetch_all(
        &mut self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let rows = self.borrowed.fetch_all(query).await;
        self.note(rows)
    }

    /// Hands every revocation to `take`, in no order.
    pub(in crate::state::store) async fn copy_state(
        &mut self,
        mut take: impl FnMut(RevocationColumns<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.borrowed.run(format!("SET LOCAL statement_timeout = '{COPY_TIMEOUT}'")).await?;
        let mut rows = Rows::default();
        self.borrowed.copy_out(bulk::STATE, |piece| rows.push(piece, &mut take)).await?;
        Ok(rows.finish()?)
    }

    /// Commits, and has the feed tell of `changes` from that moment on.
    pub(in crate::state::store) async fn commit(mut self, changes: &[Change]) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::corrupt("a transaction goes on after a statement that failed"));
        }
        let mut last = None;
        if !changes.is_empty() {
            let rows = self.borrowed.fetch_all(feed::append(changes)).await?;
            let appended = rows.iter().map(feed::position_of).collect::<Result<Vec<_>, _>>()?;
            last = appended.into_iter().max_by_key(|row| row.seq);
        }
        self.borrowed.run("COMMIT".to_owned()).await?;
        self.borrowed.give_back();
        if let Some(last) = last {
            self.notices.commit(last);
        }
        Ok(())
    }

    /// Ends it without a change.
    pub(in crate::state::store) async fn rollback(mut self) -> Result<(), StoreError> {
        self.borrowed.run("ROLLBACK".to_owned()).await?;
        self.borrowed.give_back();
        Ok(())
    }

    fn note<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        self.failed |= done.is_err();
        Ok(done?)
    }
}

const fn function(shared: bool) -> &'static str {
    if shared { "pg_advisory_xact_lock_shared" } else { "pg_advisory_xact_lock" }
}
