//! The lines of refresh tokens that a client holds. They are its own: they end with it.

use sqlx::SqliteConnection;

use super::{rotate::revoke, uuid};
use crate::{
    domain::{PrincipalId, SessionId, Timestamp},
    state::store::{Store, StoreError},
};

/// Sessions that one transaction revokes, at most, so that no writer waits long for it.
pub(super) const LINES_AT_ONCE: u32 = 1_000;

/// Ends all lines that `client` holds: their sessions are revoked, with the access tokens that it got for them. They are
/// on the disk when this returns; gateways follow.
pub async fn end_lines_of(store: &Store, client: PrincipalId, now: Timestamp) -> Result<(), StoreError> {
    loop {
        let mut transaction = store.begin().await?;
        let ended = end_some_lines_of(&mut transaction, client, now).await?;
        transaction.commit().await?;
        if ended < LINES_AT_ONCE {
            return Ok(());
        }
    }
}

/// Ends at most `LINES_AT_ONCE` lines that `client` holds, in the transaction that ends the client. Answers how many;
/// where it is that many, there may be more.
pub async fn end_some_lines_of(
    connection: &mut SqliteConnection,
    client: PrincipalId,
    now: Timestamp,
) -> Result<u32, StoreError> {
    // A session that the store does not know any more has ended long ago, with all that it gave.
    let statement = "SELECT DISTINCT session FROM refresh_tokens AS line WHERE client = ? \
                     AND EXISTS (SELECT 1 FROM sessions WHERE id = line.session) \
                     AND NOT EXISTS (SELECT 1 FROM revocations WHERE kind = 'session' AND subject = line.session) \
                     LIMIT ?";
    let query = sqlx::query(statement).bind(&client.uuid().as_bytes()[..]).bind(LINES_AT_ONCE);
    let rows = query.fetch_all(&mut *connection).await?;
    for row in &rows {
        let session = SessionId::from_uuid(uuid(row, "session")?);
        revoke(connection, session, now).await?;
    }
    Ok(u32::try_from(rows.len()).unwrap_or(LINES_AT_ONCE))
}
