//! How far each chain had come, written down in the store: a chain that ends before its anchor was cut, and one that
//! has something else there was rewritten.

use std::time::Duration;

use super::super::{Query, Row, Store, StoreError, Transaction, Turn, composed, query};
use crate::{
    domain::{Timestamp, TrustedNow},
    observe::audit::{ChainId, ChainKey, Mac, Purpose, encode},
};

/// How long an anchor of a gateway's chain stays after it was set last.
pub const ANCHORS_KEPT: Duration = Duration::from_hours(400 * 24);

/// How far a chain has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The chain.
    pub chain: ChainId,
    /// The gateway's host; empty for the store's own chain.
    pub gateway: String,
    /// Where its file is; empty for the store's own chain.
    pub file: String,
    /// The position of its last entry, from one on.
    pub line: i64,
    /// The code of that entry.
    pub mac: Mac,
    /// Events that had happened by then, written or not.
    pub events: i64,
    /// Whether nothing follows.
    pub ended: bool,
}

/// An anchor as the store has it. An attacker who changed the store may have written anything into it.
#[derive(Clone, Debug)]
pub struct AnchorRow {
    /// What it says.
    pub anchor: Anchor,
    /// When it was written.
    pub at: Timestamp,
    /// Which key its code was made with.
    pub key: String,
    mac_of_anchor: Mac,
}

impl AnchorRow {
    /// Whether who wrote it had the key.
    #[must_use]
    pub fn is_genuine(&self, key: &ChainKey) -> bool {
        self.anchor.code(key, self.at) == self.mac_of_anchor
    }
}

impl Anchor {
    fn code(&self, key: &ChainKey, at: Timestamp) -> Mac {
        let (line, events, at) = (self.line.to_be_bytes(), self.events.to_be_bytes(), at.as_millis().to_be_bytes());
        let parts = [
            Some(self.gateway.as_bytes()),
            Some(self.file.as_bytes()),
            Some(&line[..]),
            Some(&events[..]),
            Some(&at[..]),
            Some(if self.ended { &[1] } else { &[0] }),
        ];
        key.code(Purpose::Anchor, self.chain, &self.mac, &encode(&parts))
    }
}

/// Writes an anchor down, durably. One that is further stays.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn set_anchor(store: &Store, key: &ChainKey, anchor: &Anchor, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    set_in(&mut transaction, key, anchor, now).await?;
    transaction.commit().await
}

pub(super) async fn set_in(
    transaction: &mut Transaction,
    key: &ChainKey,
    anchor: &Anchor,
    now: Timestamp,
) -> Result<(), StoreError> {
    bound(composed(set_statement(1)), key, anchor, now).execute(transaction).await?;
    Ok(())
}

/// Writes an anchor down, whose parameters begin at this number.
pub(super) fn set_statement(first: u32) -> String {
    let parameters: Vec<_> = (first..first + 10).map(|number| format!("${number}")).collect();
    format!(
        "INSERT INTO audit_anchors AS known (chain, gateway, file, line, mac, events, ended, at, chain_key, code) \
         VALUES ({}) \
         ON CONFLICT (chain) DO UPDATE SET gateway = excluded.gateway, file = excluded.file, line = excluded.line, \
             mac = excluded.mac, events = excluded.events, ended = excluded.ended, at = excluded.at, \
             chain_key = excluded.chain_key, code = excluded.code \
         WHERE known.line <= excluded.line",
        parameters.join(", ")
    )
}

pub(super) fn bound(statement: Query, key: &ChainKey, anchor: &Anchor, now: Timestamp) -> Query {
    statement
        .bind(&anchor.chain.bytes()[..])
        .bind(&anchor.gateway)
        .bind(&anchor.file)
        .bind(anchor.line)
        .bind(&anchor.mac.bytes()[..])
        .bind(anchor.events)
        .bind(anchor.ended)
        .bind(now.as_millis())
        .bind(key.id())
        .bind(&anchor.code(key, now).bytes()[..])
}

/// All anchors, the store's own among them.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn anchors(store: &Store) -> Result<Vec<AnchorRow>, StoreError> {
    query("SELECT * FROM audit_anchors ORDER BY at, chain").all(store).await?.iter().map(read).collect()
}

/// Forgets at most `limit` anchors of gateways' chains that nothing was added to since `kept` ago; answers how many.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn forget_anchors(store: &Store, now: TrustedNow, kept: Duration, limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM audit_anchors WHERE chain IN \
                     (SELECT chain FROM audit_anchors WHERE at < $1 AND chain <> $2 ORDER BY at LIMIT $3)";
    let statement = query(statement).bind(now.cutoff(kept).as_millis());
    statement.bind(&ChainId::STORE.bytes()[..]).bind(limit).execute(store).await
}

fn read(row: &Row) -> Result<AnchorRow, StoreError> {
    let corrupt = || StoreError::corrupt("an anchor of the audit log does not have the shape it should have");
    let chain: &[u8] = row.get("chain")?;
    let mac = |name| Ok::<_, StoreError>(Mac::from_bytes(row.get(name)?));
    Ok(AnchorRow {
        anchor: Anchor {
            chain: ChainId::of(chain.try_into().map_err(|_| corrupt())?),
            gateway: row.get("gateway")?,
            file: row.get("file")?,
            line: row.get("line")?,
            mac: mac("mac")?.ok_or_else(corrupt)?,
            events: row.get("events")?,
            ended: row.get("ended")?,
        },
        at: Timestamp::from_millis(row.get("at")?),
        key: row.get("chain_key")?,
        mac_of_anchor: mac("code")?.ok_or_else(corrupt)?,
    })
}
