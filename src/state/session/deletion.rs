//! The sessions of an account that was deleted: no token of theirs is good any more, so there is time to remove the
//! rows in pieces. What is left to do stands in the store, and survives a crash.

use crate::{
    domain::PrincipalId,
    state::store::{Store, StoreError, Transaction, Turn, query},
};

/// Sessions that go in the transaction that deletes their account: an ordinary account has fewer.
const AT_ONCE_MAX: u32 = 1_000;

/// Removes the sessions of a principal, within the transaction that deletes it; those above a number later
/// ([`clear_deleted`]).
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn begin_deletion(transaction: &mut Transaction, principal: PrincipalId) -> Result<(), StoreError> {
    // Another process that deletes some of them does so in another order.
    transaction.wait_for(Turn::Upkeep).await?;
    let principal = principal.uuid().into_bytes();
    if remove(transaction, &principal, AT_ONCE_MAX).await? == u64::from(AT_ONCE_MAX) {
        let statement = "INSERT INTO deletions (principal) VALUES ($1) ON CONFLICT DO NOTHING";
        query(statement).bind(&principal[..]).execute(transaction).await?;
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
    let due: Option<Vec<u8>> = query(due).value(store).await?;
    let Some(principal) = due else { return Ok(false) };
    let mut transaction = store.begin(Turn::Upkeep).await?;
    if remove(&mut transaction, &principal, limit).await? < u64::from(limit) {
        let statement = "DELETE FROM deletions WHERE principal = $1";
        query(statement).bind(&principal).execute(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

async fn remove(transaction: &mut Transaction, principal: &[u8], limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE principal = $1 LIMIT $2)";
    query(statement).bind(principal).bind(limit).execute(transaction).await
}
