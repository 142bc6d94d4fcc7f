//! The token families that a client holds. They are its own: they end with it.
//!
//! The first of them end in the transaction that ends the client. Where there are more, the client is noted there too: its
//! lines exchange no more from then on, and their sessions are revoked in pieces ([`end_more_families`]), by whichever
//! gateway runs, however often that is interrupted.

use sqlx::{Row, SqliteConnection};

use super::{rotate::revoke, uuid};
use crate::{
    domain::{PrincipalId, SessionId, Timestamp},
    state::store::{Store, StoreError},
};

/// Sessions that one transaction revokes, at most, so that no writer waits long for it.
pub(super) const LINES_AT_ONCE: u32 = 1_000;

/// Ends all families that `client` holds, with the access tokens that it got for them: see [`end_families_in`].
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn end_families_of(store: &Store, client: PrincipalId, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    end_families_in(&mut transaction, client, now).await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends all families that `client` holds now, in the transaction that ends the client. None is exchanged any more. Of
/// the first 1,000 the sessions are revoked with it; of the others soon, by a gateway.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn end_families_in(
    connection: &mut SqliteConnection,
    client: PrincipalId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let client = client.uuid().into_bytes();
    // Lines that the client begins later, with a new secret, are none of those.
    let last: i64 =
        sqlx::query_scalar("SELECT coalesce(max(rowid), 0) FROM refresh_tokens").fetch_one(&mut *connection).await?;
    let ending = Ending { client: client.to_vec(), ended: vec![], last };
    if let Some(Ending { client, ended, last }) = end_some(connection, ending, now).await? {
        let statement = "INSERT INTO ending_lines (client, ended, last) VALUES (?, ?, ?) \
                         ON CONFLICT (client) DO UPDATE SET ended = excluded.ended, last = excluded.last";
        sqlx::query(statement).bind(client).bind(ended).bind(last).execute(connection).await?;
    }
    Ok(())
}

/// Goes on with the families of a client that was ended. False when none is left to look after.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn end_more_families(store: &Store, now: Timestamp) -> Result<bool, StoreError> {
    // Without the write lock: it is nearly always empty.
    let due = sqlx::query("SELECT 1 FROM ending_lines LIMIT 1").fetch_optional(store.pool()).await?;
    if due.is_none() {
        return Ok(false);
    }
    let mut transaction = store.begin().await?;
    let due = sqlx::query("SELECT client, ended, last FROM ending_lines LIMIT 1");
    if let Some(row) = due.fetch_optional(&mut *transaction).await? {
        let client: Vec<u8> = row.try_get("client")?;
        let ending = Ending { client: client.clone(), ended: row.try_get("ended")?, last: row.try_get("last")? };
        let statement = match end_some(&mut transaction, ending, now).await? {
            Some(left) => {
                sqlx::query("UPDATE ending_lines SET ended = ?2 WHERE client = ?1").bind(client).bind(left.ended)
            }
            None => sqlx::query("DELETE FROM ending_lines WHERE client = ?").bind(client),
        };
        statement.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// A client whose lines end.
struct Ending {
    client: Vec<u8>,
    /// The last session that was revoked; they go in the order of their ids.
    ended: Vec<u8>,
    /// The last row of `refresh_tokens` when the client was ended.
    last: i64,
}

/// Ends at most `LINES_AT_ONCE` lines; answers what is left to do.
async fn end_some(
    connection: &mut SqliteConnection,
    ending: Ending,
    now: Timestamp,
) -> Result<Option<Ending>, StoreError> {
    // A session that the store does not know any more has ended long ago, with all that it gave.
    let statement = "\
        SELECT session, EXISTS (SELECT 1 FROM sessions WHERE id = line.session) \
            AND NOT EXISTS (SELECT 1 FROM revocations WHERE kind = 'session' AND subject = line.session) AS lives \
        FROM (SELECT DISTINCT session FROM refresh_tokens WHERE client = ? AND session > ? AND rowid <= ? \
              ORDER BY session LIMIT ?) AS line ORDER BY session";
    let query = sqlx::query(statement).bind(&ending.client[..]).bind(&ending.ended[..]).bind(ending.last);
    let rows = query.bind(LINES_AT_ONCE).fetch_all(&mut *connection).await?;
    for row in &rows {
        if row.try_get("lives")? {
            revoke(connection, SessionId::from_uuid(uuid(row, "session")?), now).await?;
        }
    }
    match rows.last() {
        Some(last) if u32::try_from(rows.len()).is_ok_and(|rows| rows >= LINES_AT_ONCE) => {
            Ok(Some(Ending { ended: last.try_get("session")?, ..ending }))
        }
        _ => Ok(None),
    }
}
