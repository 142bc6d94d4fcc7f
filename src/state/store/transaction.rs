//! A transaction of either engine. On PostgreSQL it collects what the feed is to tell other gateways, and writes that
//! right before it commits.

use super::{
    change::Change,
    error::StoreError,
    postgres,
    turn::{ChangeTurn, Turn},
};

/// A transaction. Dropping it rolls back.
#[derive(Debug)]
pub struct Transaction {
    pub(super) inner: Inner,
    /// What the feed will tell other gateways, where there is a feed.
    changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) enum Inner {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(postgres::Transaction),
}

impl Transaction {
    pub(super) const fn new(inner: Inner) -> Self {
        Self { inner, changes: vec![] }
    }

    /// Takes one more turn, of a kind that [`Turn`] lists after those that it has.
    pub(in crate::state) async fn wait_for(&mut self, turn: Turn<'_>) -> Result<(), StoreError> {
        self.take_turn(turn.into()).await
    }

    /// The same for any turn.
    pub(super) async fn take_turn(&mut self, turn: ChangeTurn<'_>) -> Result<(), StoreError> {
        match &mut self.inner {
            // It has the only one there is.
            Inner::Sqlite(_) => Ok(()),
            Inner::Postgres(postgres) => Box::pin(postgres.lock(turn)).await,
        }
    }

    /// Has the feed tell other gateways of a change, once it is committed.
    pub(in crate::state) fn tell(&mut self, change: Change) {
        // SQLite's log of revocations is its own feed.
        if matches!(self.inner, Inner::Postgres(_)) {
            self.changes.push(change);
        }
    }

    /// Ends it without a change, and without losing its connection as the dropping of it does on PostgreSQL.
    pub(in crate::state) async fn rollback(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Sqlite(transaction) => Ok(transaction.rollback().await?),
            Inner::Postgres(transaction) => transaction.rollback().await,
        }
    }

    /// Makes it durable: it is on the disk when this returns.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged. Nothing of it holds then, unless the connection was lost while
    /// the store committed.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Sqlite(transaction) => Ok(Box::pin(transaction.commit()).await?),
            Inner::Postgres(transaction) => Box::pin(transaction.commit(&self.changes)).await,
        }
    }
}
