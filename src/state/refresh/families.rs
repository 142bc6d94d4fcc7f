//! The token families that a client holds. They are its own: they end with it.
//!
//! The first of them end in the transaction that ends the client. Where there are more, the client is noted there too:
//! its lines exchange no more from then on, and their sessions are revoked in pieces ([`end_more_families`]), by
//! whichever gateway runs, however often that is interrupted.

use super::{rotate::revoke, row::uuid};
use crate::{
    domain::{PrincipalId, SessionId, Timestamp},
    state::store::{Store, StoreError, Transaction, Turn, query},
};

/// Sessions that one transaction revokes, at most, so that no writer waits long for it.
pub(super) const LINES_AT_ONCE: u32 = 1_000;

/// Ends all families that `client` holds, with the access tokens that it got for them: see [`end_families_in`].
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn end_families_of(store: &Store, client: PrincipalId, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Client(client)).await?;
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
    transaction: &mut Transaction,
    client: PrincipalId,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Exchanges that run are done, and none begins.
    transaction.wait_for(Turn::Client(client)).await?;
    let client = client.uuid().into_bytes();
    // Lines that the client begins later, with a new secret, are none of those.
    let last = query("SELECT coalesce(max(rowid), 0) FROM refresh_tokens").one(&mut *transaction).await?.first()?;
    let ending = Ending { client: client.to_vec(), ended: vec![], last };
    if let Some(Ending { client, ended, last }) = end_some(transaction, ending, now).await? {
        let statement = "INSERT INTO ending_lines (client, ended, last) VALUES ($1, $2, $3) \
                         ON CONFLICT (client) DO UPDATE SET ended = excluded.ended, last = excluded.last";
        query(statement).bind(client).bind(ended).bind(last).execute(transaction).await?;
    }
    Ok(())
}

/// Goes on with the families of a client that was ended. False when none is left to look after.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn end_more_families(store: &Store, now: Timestamp) -> Result<bool, StoreError> {
    // Without the write lock: it is nearly always empty.
    let due = query("SELECT 1 FROM ending_lines LIMIT 1").optional(store).await?;
    if due.is_none() {
        return Ok(false);
    }
    let mut transaction = store.begin(Turn::Upkeep).await?;
    let due = query("SELECT client, ended, last FROM ending_lines LIMIT 1");
    if let Some(row) = due.optional(&mut transaction).await? {
        let client: Vec<u8> = row.get("client")?;
        let ending = Ending { client: client.clone(), ended: row.get("ended")?, last: row.get("last")? };
        let last = ending.last;
        // Where the client was ended once more meanwhile, all of that is due.
        let statement = match end_some(&mut transaction, ending, now).await? {
            Some(left) => query("UPDATE ending_lines SET ended = $3 WHERE client = $1 AND last = $2")
                .bind(client)
                .bind(last)
                .bind(left.ended),
            None => query("DELETE FROM ending_lines WHERE client = $1 AND last = $2").bind(client).bind(last),
        };
        statement.execute(&mut transaction).await?;
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
async fn end_some(transaction: &mut Transaction, ending: Ending, now: Timestamp) -> Result<Option<Ending>, StoreError> {
    // A session that the store does not know any more has ended long ago, with all that it gave.
    let statement = "\
        SELECT session, EXISTS (SELECT 1 FROM sessions WHERE id = line.session) \
            AND NOT EXISTS (SELECT 1 FROM revocations WHERE kind = 'session' AND subject = line.session) AS lives \
        FROM (SELECT DISTINCT session FROM refresh_tokens WHERE client = $1 AND session > $2 AND rowid <= $3 \
              ORDER BY session LIMIT $4) AS line ORDER BY session";
    let statement = query(statement).bind(&ending.client[..]).bind(&ending.ended[..]).bind(ending.last);
    let rows = statement.bind(LINES_AT_ONCE).all(&mut *transaction).await?;
    for row in &rows {
        if row.get("lives")? {
            revoke(transaction, SessionId::from_uuid(uuid(row, "session")?), now).await?;
        }
    }
    match rows.last() {
        Some(last) if u32::try_from(rows.len()).is_ok_and(|rows| rows >= LINES_AT_ONCE) => {
            Ok(Some(Ending { ended: last.get("session")?, ..ending }))
        }
        _ => Ok(None),
    }
}
