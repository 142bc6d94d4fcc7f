//! Accounts whose hash is sealed and waits to be wrapped in argon2id.

use super::super::{
    PasswordHash,
    repository::{bytes, read_id},
};
use crate::{
    domain::PrincipalId,
    state::store::{Store, StoreError, Turn, query},
};

/// Accounts of one page, and of one transaction, at most.
pub const SEALED_AT_ONCE: u32 = 64;

/// At most `limit` accounts with sealed hashes, in the order of their ids, from the one after `after` on.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn sealed_after(
    store: &Store,
    after: Option<PrincipalId>,
    limit: u32,
) -> Result<Vec<(PrincipalId, PasswordHash)>, StoreError> {
    let statement = "SELECT id, password_hash FROM principals \
                     WHERE substr(password_hash, 1, 8) = '$sealed:' AND id > $1 ORDER BY id LIMIT $2";
    let after = after.map(|after| bytes(&after)).unwrap_or_default();
    let rows = query(statement).bind(after).bind(limit).all(store).await?;
    rows.iter().map(|row| Ok((read_id(row)?, PasswordHash::from_stored(row.get("password_hash")?)))).collect()
}

/// How many there are.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn sealed_count(store: &Store) -> Result<u64, StoreError> {
    let statement = "SELECT count(*) FROM principals WHERE substr(password_hash, 1, 8) = '$sealed:'";
    let count: Option<i64> = query(statement).value(store).await?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

/// Puts wrapped hashes in the place of sealed ones that are still there, durably. Whose hash was replaced meanwhile
/// keeps the new one. Answers how many were replaced.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn store_wrapped(
    store: &Store,
    wrapped: &[(PrincipalId, PasswordHash, PasswordHash)],
) -> Result<u64, StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    let mut replaced = 0;
    for (id, sealed, wrapped) in wrapped {
        replaced += query("UPDATE principals SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
            .bind(wrapped.text())
            .bind(bytes(id))
            .bind(sealed.text())
            .execute(&mut transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(replaced)
}
