//! Facts about the store itself.

use super::{
    Store, StoreError, Turn,
    epoch_floor::{EPOCH_FLOOR, floor_after_restore},
    query::{Target, query},
    status::{self, StoreStatus},
};
use crate::domain::Timestamp;

impl Store {
    /// The fact `name` about the store itself, if it was ever set.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        meta_in(self, name).await
    }

    /// Sets the fact `name`, durably, in its turn: it is not lost to who revises it.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.revise_meta(name, |_| Some(value.to_owned())).await
    }

    /// Says that a server's database was restored from a backup: epochs are raised above all that the lost one can have
    /// had. Answers the floor.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn note_restored(&self, now: Timestamp) -> Result<i64, StoreError> {
        let mut transaction = self.begin(Turn::Epochs).await?;
        let floor = epoch_floor_in(&mut transaction).await?;
        let highest = query("SELECT coalesce(max(epoch), 0) FROM principals").one(&mut transaction).await?;
        let raised = floor_after_restore(floor, highest.first()?, now);
        set_meta_in(&mut transaction, EPOCH_FLOOR, raised.to_string().as_bytes()).await?;
        transaction.commit().await?;
        Ok(raised)
    }

    /// Sets the fact `name` if it was never set, durably; answers what it is now. Of two processes
    /// that start together, both see the same value.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn meta_or_insert(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut transaction = self.begin(Turn::Meta(name)).await?;
        query("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(value)
            .execute(&mut transaction)
            .await?;
        let present = meta_in(&mut transaction, name).await?;
        transaction.commit().await?;
        present.ok_or(StoreError::corrupt("a fact that was just set is not there"))
    }

    /// Changes the fact `name`, durably, in its turn: of several processes that do so at once, each sees what
    /// the one before it left. `revise` is given what it is, and answers what it is to be; `None` leaves it.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn revise_meta(
        &self,
        name: &str,
        revise: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin(Turn::Meta(name)).await?;
        let present = meta_in(&mut transaction, name).await?;
        let Some(value) = revise(present.as_deref()) else { return transaction.rollback().await };
        set_meta_in(&mut transaction, name, &value).await?;
        transaction.commit().await
    }
}

/// The fact `name`, by itself or in a transaction.
pub(in crate::state) async fn meta_in<'a>(
    on: impl Into<Target<'a>>,
    name: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = query("SELECT value FROM meta WHERE name = $1").bind(name).optional(on).await?;
    row.map(|row| row.first()).transpose()
}

/// Sets the fact `name`, by itself or in a transaction.
pub(in crate::state) async fn set_meta_in<'a>(
    on: impl Into<Target<'a>>,
    name: &str,
    value: &[u8],
) -> Result<(), StoreError> {
    let statement = "INSERT INTO meta (name, value) VALUES ($1, $2) \
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    query(statement).bind(name).bind(value).execute(on).await?;
    Ok(())
}

/// The least epoch to which an account's is raised; 0 in a store that was never restored.
pub(in crate::state) async fn epoch_floor_in<'a>(on: impl Into<Target<'a>>) -> Result<i64, StoreError> {
    let Some(floor) = meta_in(on, EPOCH_FLOOR).await? else { return Ok(0) };
    let floor = std::str::from_utf8(&floor).ok().and_then(|floor| floor.parse().ok());
    floor.ok_or(StoreError::corrupt("the least epoch is no number"))
}

/// The status of the store, by itself or in a transaction.
pub(super) async fn status_in<'a>(on: impl Into<Target<'a>>) -> Result<StoreStatus, StoreError> {
    let mut status = StoreStatus::default();
    for row in query(status::ROWS).all(on).await? {
        status.see(row.get("name")?, row.get("value")?);
    }
    Ok(status)
}
