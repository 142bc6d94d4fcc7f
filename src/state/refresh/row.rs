//! A refresh token, as a row of the store.

use uuid::Uuid;

use crate::{
    domain::{KeyId, PrincipalId, SessionId, Timestamp},
    state::store::{Row, StoreError, Transaction, query},
};

/// A refresh token, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The session that it continues.
    pub session: SessionId,
    /// The client that may use it.
    pub client: PrincipalId,
    /// What the session was granted; an exchange may ask for less.
    pub scopes: Vec<String>,
    /// The principal's epoch at the login: a raised one ends the family.
    pub epoch: u32,
    /// The key of the login's refresh token: its holder may have begun the family, so its revocation ends the
    /// family.
    pub key: KeyId,
    /// Exchanges since the login.
    pub generation: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it stays unused.
    pub expires_at: Timestamp,
    /// When its family ends, used or not: with the session's first refresh token.
    pub ends_at: Timestamp,
    /// When it was exchanged.
    pub spent_at: Option<Timestamp>,
}

pub(super) const COLUMNS: &str =
    "session, client, scope, epoch, key, generation, created_at, expires_at, ends_at, spent_at, successor";

pub(super) fn read(row: &Row) -> Result<Successor, StoreError> {
    let time = |column| row.get(column).map(Timestamp::from_millis);
    Ok(Successor {
        session: SessionId::from_uuid(uuid(row, "session")?),
        client: PrincipalId::from_uuid(uuid(row, "client")?),
        scopes: row.get::<&str>("scope")?.split_whitespace().map(str::to_owned).collect(),
        epoch: row.get("epoch")?,
        key: KeyId::from_text(row.get("key")?),
        generation: row.get("generation")?,
        created_at: time("created_at")?,
        expires_at: time("expires_at")?,
        ends_at: time("ends_at")?,
        spent_at: row.get::<Option<i64>>("spent_at")?.map(Timestamp::from_millis),
    })
}

pub(super) fn uuid(row: &Row, column: &str) -> Result<Uuid, StoreError> {
    let bytes: &[u8] = row.get(column)?;
    Uuid::from_slice(bytes).map_err(|_| StoreError::corrupt("a refresh token's owner is not 16 bytes"))
}

/// Writes a token down; its successor when it is spent already.
pub(super) async fn insert(
    transaction: &mut Transaction,
    hash: &[u8],
    token: &Successor,
    successor: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    let statement = "\
        INSERT INTO refresh_tokens \
        (hash, session, client, scope, epoch, key, generation, created_at, expires_at, ends_at, spent_at, successor) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    query(statement)
        .bind(hash)
        .bind(&token.session.uuid().as_bytes()[..])
        .bind(&token.client.uuid().as_bytes()[..])
        .bind(token.scopes.join(" "))
        .bind(token.epoch)
        .bind(token.key.as_str())
        .bind(token.generation)
        .bind(token.created_at.as_millis())
        .bind(token.expires_at.as_millis())
        .bind(token.ends_at.as_millis())
        .bind(token.spent_at.map(Timestamp::as_millis))
        .bind(successor)
        .execute(transaction)
        .await?;
    Ok(())
}
