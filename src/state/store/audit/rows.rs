//! The rows of administrative changes, numbered from one without gaps, each chained to the one before it.

use super::{
    super::{Query, Row, Store, StoreError, Target, Transaction, Turn, composed, query, transaction::Inner},
    actor::Actor,
    anchors::{self, Anchor},
    entry::Entry,
};
use crate::{
    domain::Timestamp,
    observe::audit::{ChainId, ChainKey, Mac, Purpose, encode},
};

/// A row, as the store has it. An attacker who changed the store may have written anything into it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs/audit.md says what each is")]
pub struct AuditRow {
    pub number: i64,
    pub at: Timestamp,
    pub actor_kind: String,
    pub actor: String,
    pub origin: String,
    pub request: Option<String>,
    pub action: String,
    pub kind: Option<String>,
    pub realm: Option<String>,
    pub subject: Option<String>,
    pub old: Option<String>,
    pub new: Option<String>,
    /// Which key the code was made with.
    pub key: String,
    /// The code of the row.
    pub mac: Vec<u8>,
}

impl AuditRow {
    /// The code that the row should have behind one with the code `previous`.
    #[must_use]
    pub fn code(&self, key: &ChainKey, previous: &Mac) -> Mac {
        let (number, at) = (self.number.to_be_bytes(), self.at.as_millis().to_be_bytes());
        let text = |text: &'_ Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        let optional = [&self.request, &self.kind, &self.realm, &self.subject, &self.old, &self.new].map(text);
        let mut parts = vec![
            Some(&number[..]),
            Some(&at[..]),
            Some(self.actor_kind.as_bytes()),
            Some(self.actor.as_bytes()),
            Some(self.origin.as_bytes()),
            Some(self.action.as_bytes()),
        ];
        parts.extend(optional.iter().map(Option::as_deref));
        key.code(Purpose::Row, ChainId::STORE, previous, &encode(&parts))
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.get("number")?,
            at: Timestamp::from_millis(row.get("at")?),
            actor_kind: row.get("actor_kind")?,
            actor: row.get("actor")?,
            origin: row.get("origin")?,
            request: row.get("request")?,
            action: row.get("action")?,
            kind: row.get("kind")?,
            realm: row.get("realm")?,
            subject: row.get("subject")?,
            old: row.get("old_value")?,
            new: row.get("new_value")?,
            key: row.get("chain_key")?,
            mac: row.get("mac")?,
        })
    }
}

/// At most `limit` rows behind the one of number `after`, in their order.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn page(store: &Store, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    let rows = query("SELECT * FROM audit WHERE number > $1 ORDER BY number LIMIT $2").bind(after).bind(limit);
    rows.all(store).await?.iter().map(AuditRow::read).collect()
}

/// The number and the code of the last row that was written, by what the store says of itself.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn head(store: &Store) -> Result<Option<(i64, Mac)>, StoreError> {
    head_in(store.into()).await
}

/// Where the rows' own anchor is gone, the last row stands for it: `portero audit verify` finds what is missing.
async fn head_in(mut on: Target<'_>) -> Result<Option<(i64, Mac)>, StoreError> {
    let corrupt = || StoreError::corrupt("the code of an audit row is not 32 bytes");
    for statement in [
        "SELECT line AS number, mac FROM audit_anchors WHERE chain = $1",
        "SELECT number, mac FROM audit WHERE $1 IS NOT NULL ORDER BY number DESC LIMIT 1",
    ] {
        let on = match &mut on {
            Target::Store(store) => Target::Store(store),
            Target::Transaction(transaction) => Target::Transaction(transaction),
        };
        if let Some(row) = query(statement).bind(&ChainId::STORE.bytes()[..]).optional(on).await? {
            return Ok(Some((row.get("number")?, Mac::from_bytes(row.get("mac")?).ok_or_else(corrupt)?)));
        }
    }
    Ok(None)
}

/// Appends rows in the transaction of their change. Their turn comes last, so that others wait for the commit alone;
/// and it takes few round trips, since all administrative changes wait for each other here.
pub(super) async fn append(
    transaction: &mut Transaction,
    key: &ChainKey,
    actor: &Actor,
    at: Timestamp,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let mut head = hold_head(transaction).await?;
    if head.is_none() {
        // The first row of all: there is nothing yet that could be held but the turn itself.
        transaction.wait_for(Turn::Audit).await?;
        head = hold_head(transaction).await?;
    }
    if head.is_none() {
        head = head_in((&mut *transaction).into()).await?;
    }
    let (mut number, mut previous) = head.unwrap_or((0, Mac::BEGINNING));
    let (last, before) = entries.split_last().ok_or(StoreError::corrupt("a change has no entry"))?;
    for entry in before {
        number += 1;
        let row = chained(number, at, actor, entry, key, &previous);
        previous = row.1;
        bound(query(INSERT), row.0).execute(&mut *transaction).await?;
    }
    number += 1;
    let (row, mac) = chained(number, at, actor, last, key, &previous);
    let anchor = Anchor {
        chain: ChainId::STORE,
        gateway: String::new(),
        file: String::new(),
        line: number,
        mac,
        events: number,
        ended: false,
    };
    match &transaction.inner {
        Inner::Sqlite(_) => {
            bound(query(INSERT), row).execute(&mut *transaction).await?;
            anchors::set_in(transaction, key, &anchor, at).await
        }
        // Both in one round trip.
        Inner::Postgres(_) => {
            let statement = format!("WITH appended AS ({INSERT}) {}", anchors::set_statement(15));
            let statement = bound(composed(statement), row);
            anchors::bound(statement, key, &anchor, at).execute(transaction).await.map(drop)
        }
    }
}

/// The number and the code of the last row, which nobody else adds to before this transaction ends.
async fn hold_head(transaction: &mut Transaction) -> Result<Option<(i64, Mac)>, StoreError> {
    let statement = Query::of(
        "SELECT line, mac FROM audit_anchors WHERE chain = $1",
        "SELECT line, mac FROM audit_anchors WHERE chain = $1 FOR UPDATE",
    );
    let Some(row) = statement.bind(&ChainId::STORE.bytes()[..]).optional(transaction).await? else { return Ok(None) };
    let mac = Mac::from_bytes(row.get("mac")?);
    Ok(Some((row.get("line")?, mac.ok_or(StoreError::corrupt("the code of an audit row is not 32 bytes"))?)))
}

/// A row with its code.
fn chained(
    number: i64,
    at: Timestamp,
    actor: &Actor,
    entry: &Entry,
    key: &ChainKey,
    previous: &Mac,
) -> (AuditRow, Mac) {
    let mut row = row_of(number, at, actor, entry, key);
    let mac = row.code(key, previous);
    row.mac = mac.bytes().to_vec();
    (row, mac)
}

fn row_of(number: i64, at: Timestamp, actor: &Actor, entry: &Entry, key: &ChainKey) -> AuditRow {
    AuditRow {
        number,
        at,
        actor_kind: actor.kind().name().to_owned(),
        actor: actor.name().to_owned(),
        origin: actor.origin().to_owned(),
        request: actor.request().map(str::to_owned),
        action: entry.action.name().to_owned(),
        kind: entry.kind.map(str::to_owned),
        realm: entry.realm.clone(),
        subject: entry.subject.clone(),
        old: entry.old.as_ref().map(ToString::to_string),
        new: entry.new.as_ref().map(ToString::to_string),
        key: key.id().to_owned(),
        mac: vec![],
    }
}

/// Adds a row.
const INSERT: &str = "\
    INSERT INTO audit (number, at, actor_kind, actor, origin, request, action, kind, realm, subject, old_value, \
                       new_value, chain_key, mac) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

fn bound(statement: Query, row: AuditRow) -> Query {
    statement
        .bind(row.number)
        .bind(row.at.as_millis())
        .bind(row.actor_kind)
        .bind(row.actor)
        .bind(row.origin)
        .bind(row.request)
        .bind(row.action)
        .bind(row.kind)
        .bind(row.realm)
        .bind(row.subject)
        .bind(row.old)
        .bind(row.new)
        .bind(row.key)
        .bind(row.mac)
}
