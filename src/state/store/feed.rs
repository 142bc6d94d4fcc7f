//! Where the changes of others are seen: in the file itself, or in the feed of a server.

use super::{
    change::RevocationColumns,
    error::StoreError,
    postgres::{Page, Position, PostgresStore},
    transaction::{Inner, Transaction},
};

/// Where the changes of others are seen.
pub(in crate::state) enum Changes {
    /// In the file itself, which is read in the order of its rows.
    InFile,
    /// In the feed.
    InFeed(Feed),
}

/// The feed of a PostgreSQL store.
#[derive(Clone, Debug)]
pub(in crate::state) struct Feed(pub(super) PostgresStore);

impl Feed {
    /// Where it ends, in the snapshot of a transaction on the same store.
    pub(in crate::state) async fn head(&self, transaction: &mut Transaction) -> Result<Position, StoreError> {
        match &mut transaction.inner {
            Inner::Postgres(transaction) => self.0.head(transaction).await,
            Inner::Sqlite(_) => Err(StoreError::corrupt("a file has no feed")),
        }
    }

    /// Hands every revocation to `take`, in no order, as they are in the snapshot of a transaction on the same store.
    pub(in crate::state) async fn state(
        &self,
        transaction: &mut Transaction,
        take: impl FnMut(RevocationColumns<'_>) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        match &mut transaction.inner {
            Inner::Postgres(transaction) => transaction.copy_state(take).await,
            Inner::Sqlite(_) => Err(StoreError::corrupt("a file has no feed")),
        }
    }

    /// What follows behind a position.
    pub(in crate::state) async fn after(&self, position: Position, limit: u32) -> Result<Page, StoreError> {
        self.0.after(position, limit).await
    }
}
