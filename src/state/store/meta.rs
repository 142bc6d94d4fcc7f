//! Facts about the store that are changed by what they were.

use super::{Store, StoreError};

impl Store {
    /// Changes the fact `name`, durably, under the write lock: of several processes that do so at once, each sees what
    /// the one before it left. `revise` is given what it is, and answers what it shall be; `None` leaves it.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn revise_meta(
        &self,
        name: &str,
        revise: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let present = sqlx::query_scalar("SELECT value FROM meta WHERE name = ?").bind(name);
        let present: Option<Vec<u8>> = present.fetch_optional(&mut *transaction).await?;
        let Some(value) = revise(present.as_deref()) else { return Ok(()) };
        let statement = "INSERT INTO meta (name, value) VALUES (?, ?) \
                         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        sqlx::query(statement).bind(name).bind(value).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}
