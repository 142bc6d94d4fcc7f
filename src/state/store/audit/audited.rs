//! A store that knows who changes it: each change has its row in the audit log.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::{Actor, Entry, rows};
use crate::{
    domain::{Clock, SystemClock},
    observe::audit::ChainKey,
    state::store::{
        Store, StoreError, Target, Transaction, Turn, engine::Engine, transaction::Inner, turn::ChangeTurn,
    },
};

/// A store, and who changes it. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct AuditedStore {
    store: Store,
    key: Arc<ChainKey>,
    actor: Arc<Actor>,
    clock: Arc<dyn Clock>,
}

impl AuditedStore {
    /// A store that `actor` changes. `key` is derived from the store's master key.
    #[must_use]
    pub fn new(store: Store, key: Arc<ChainKey>, actor: Actor) -> Self {
        Self { store, key, actor: Arc::new(actor), clock: Arc::new(SystemClock) }
    }

    /// The same, whose rows have the time of this clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The actor that changes it.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Begins a change that has its turn. Dropping it rolls back.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn begin(&self, turn: impl Into<ChangeTurn<'_>>) -> Result<AuditedTransaction, StoreError> {
        let inner = Box::pin(self.store.begin_change(turn.into())).await?;
        Ok(AuditedTransaction { inner, by: self.clone() })
    }

    /// Writes the row of a change that is not one of the store: it is to be in force only once this has returned.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged: then nobody may do it.
    pub async fn note(&self, entry: Entry) -> Result<(), StoreError> {
        self.begin(Turn::Nothing).await?.commit(entry).await
    }
}

/// For reading, the store itself.
impl Deref for AuditedStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// A change under way. It ends with its row, or not at all.
#[derive(Debug)]
pub struct AuditedTransaction {
    inner: Transaction,
    by: AuditedStore,
}

impl AuditedTransaction {
    /// Makes the change durable, together with its row.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged. Nothing of it holds then, unless the connection was lost while
    /// the store committed.
    pub async fn commit(self, entry: Entry) -> Result<(), StoreError> {
        self.commit_all(vec![entry]).await
    }

    /// The same for several things that one transaction did. Where it did none, nothing is committed.
    ///
    /// # Errors
    /// As [`AuditedTransaction::commit`].
    pub async fn commit_all(mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        if entries.is_empty() {
            return self.rollback().await;
        }
        let AuditedStore { key, actor, clock, .. } = &self.by;
        Box::pin(rows::append(&mut self.inner, key, actor, clock.now(), &entries)).await?;
        self.inner.commit().await
    }

    /// Takes one more turn, in the order in which [`ChangeTurn`] lists them.
    ///
    /// # Errors
    /// Fails when the store is out of reach, or others hold it for too long.
    pub(in crate::state) async fn wait_for(&mut self, turn: impl Into<ChangeTurn<'_>>) -> Result<(), StoreError> {
        self.inner.take_turn(turn.into()).await
    }

    /// Has the rows chained under another key from now on: that of the new master key.
    pub(in crate::state) fn chain_under(&mut self, key: Arc<ChainKey>) {
        self.by.key = key;
    }

    /// Ends it without a change, and without a row.
    ///
    /// # Errors
    /// Fails when the store is out of reach.
    pub(in crate::state) async fn rollback(self) -> Result<(), StoreError> {
        self.inner.rollback().await
    }
}

impl Deref for AuditedTransaction {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.inner
    }
}

impl DerefMut for AuditedTransaction {
    fn deref_mut(&mut self) -> &mut Transaction {
        &mut self.inner
    }
}

impl<'a> From<&'a mut AuditedTransaction> for Target<'a> {
    fn from(transaction: &'a mut AuditedTransaction) -> Self {
        Self::Transaction(&mut transaction.inner)
    }
}

impl Store {
    /// Begins a change; only who writes its row may.
    async fn begin_change(&self, turn: ChangeTurn<'_>) -> Result<Transaction, StoreError> {
        Ok(Transaction::new(match &self.engine {
            Engine::Sqlite(sqlite) => Inner::Sqlite(Box::pin(sqlite.begin()).await?),
            Engine::Postgres(postgres) => Inner::Postgres(Box::pin(postgres.begin(turn)).await?),
        }))
    }
}

#[cfg(test)]
impl Store {
    /// The same, changed by a test.
    pub(crate) fn audited(&self) -> AuditedStore {
        let key = Arc::new(ChainKey::derive("test".to_owned(), b"test"));
        AuditedStore::new(self.clone(), key, Actor::gateway("test"))
    }
}
