//! The sessions of an account that was deleted: no token of theirs is good any more, so there is time to remove the
//! rows in pieces. What is left to do stands in the store, and survives a crash.

use sqlx::SqliteConnection;

use crate::{
    domain::PrincipalId,
    state::store::{Store, StoreError},
};

/// Sessions that go in the transaction that deletes their account: an ordinary account has fewer.
const AT_ONCE_MAX: u32 = 1_000;

/// Removes the sessions of a principal, within the transaction that deletes it; those above a number later
/// ([`clear_deleted`]).
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn begin_deletion(connection: &mut SqliteConnection, principal: PrincipalId) -> Result<(), StoreError> {
    let principal = principal.uuid().into_bytes();
    if remove(connection, &principal, AT_ONCE_MAX).await? == u64::from(AT_ONCE_MAX) {
        let statement = "INSERT INTO deletions (principal) VALUES (?) ON CONFLICT DO NOTHING";
        sqlx::query(statement).bind(&principal[..]).execute(connection).await?;
    }
    Ok(())
}

/// Removes at most `limit` sessions of a principal that was deleted. False when none is left to look after.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn clear_deleted(store: &Store, limit: u32) -> Result<bool, StoreError> {
    let due = "SELECT principal FROM deletions LIMIT 1";
    // Without the write lock: it is nearly always empty.
    let due: Option<Vec<u8>> = sqlx::query_scalar(due).fetch_optional(store.pool()).await?;
    let Some(principal) = due else { return Ok(false) };
    let mut transaction = store.begin().await?;
    if remove(&mut transaction, &principal, limit).await? < u64::from(limit) {
        let statement = "DELETE FROM deletions WHERE principal = ?";
        sqlx::query(statement).bind(&principal).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

async fn remove(connection: &mut SqliteConnection, principal: &[u8], limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE principal = ? LIMIT ?)";
    Ok(sqlx::query(statement).bind(principal).bind(limit).execute(connection).await?.rows_affected())
}
