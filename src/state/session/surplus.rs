//! The sessions without expiry above [`ENDLESS_MAX`] that an earlier version left: those that have ended go, a few at a
//! time. Those whose tokens live stay, so that each can be listed and revoked; their number does not grow.

use super::{ENDED, ENDLESS_MAX, endless};
use crate::state::store::{Store, StoreError, Turn, composed, query};

/// How far the sessions were looked through. It begins before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    principal: Vec<u8>,
    /// The last row of this principal that was looked at; `None` when it is done with.
    row: Option<i64>,
}

/// Looks at the next principal, or at the next `rows` sessions of one that has too many. `None` at the end: the next
/// time begins anew. Nothing is locked unless there is something to remove.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn trim(store: &Store, from: Trimmed, rows: u32) -> Result<Option<Trimmed>, StoreError> {
    let Trimmed { principal, row } = from;
    let Some(row) = row else {
        let next =
            "SELECT principal FROM sessions WHERE expires_at IS NULL AND principal > $1 ORDER BY principal LIMIT 1";
        let next: Option<Vec<u8>> = query(next).bind(principal).value(store).await?;
        let Some(principal) = next else { return Ok(None) };
        let has_too_many = endless(store, &principal, ENDLESS_MAX + 1).await? > ENDLESS_MAX;
        return Ok(Some(Trimmed { principal, row: has_too_many.then_some(i64::MIN) }));
    };
    let statement = format!(
        "SELECT number, {ENDED} AS ended FROM (SELECT rowid AS number, * FROM sessions \
             WHERE principal = $1 AND expires_at IS NULL AND rowid > $2 ORDER BY rowid LIMIT $3) AS old ORDER BY number"
    );
    let looked_at = composed(statement).bind(&principal[..]).bind(row).bind(rows).all(store).await?;
    let mut ended = vec![];
    let mut last = None;
    for row in &looked_at {
        let number: i64 = row.get("number")?;
        last = Some(number);
        if row.get("ended")? {
            ended.push(number);
        }
    }
    if !ended.is_empty() {
        let mut transaction = store.begin(Turn::Upkeep).await?;
        // What has ended stays ended. Those that an account may have are kept, so that they are listed as revoked.
        let surplus = endless(&mut transaction, &principal, ENDLESS_MAX + rows).await?.saturating_sub(ENDLESS_MAX);
        for number in ended.into_iter().take(surplus.try_into().unwrap_or(usize::MAX)) {
            let statement = "DELETE FROM sessions WHERE rowid = $1 AND principal = $2";
            query(statement).bind(number).bind(&principal[..]).execute(&mut transaction).await?;
        }
        transaction.commit().await?;
    }
    Ok(Some(Trimmed { principal, row: last }))
}
