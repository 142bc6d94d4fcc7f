//! Refresh tokens that rotate (RFC 9700 section 4.14.2): every exchange spends one and makes its
//! successor, so that a session has one line of descent. A token that is used again long after it was
//! spent was copied: its whole session is revoked.
//!
//! An answer may be lost on its way. For a grace, a spent token therefore gives its successor once
//! more, the same one, as long as that is unspent. The store keeps the successor only sealed under a
//! key that the spent token is needed for: who reads the store can use none of them.

mod families;
mod rotate;
mod secret;

use std::time::Duration;

use uuid::Uuid;

use super::{
    clock,
    revocation::log,
    store::{Row, Store, StoreError, Transaction, composed, query},
};
use crate::domain::{KeyId, PrincipalId, Secret, SessionId, Timestamp, TrustedNow};

pub use families::{end_families_in, end_families_of, end_more_families};
pub use rotate::{RotationOutcome, Terms, accuse, spend};
pub use secret::is_rotating;

/// How long a spent token may be used again, unless the config says otherwise.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(10);

/// Exchanges of one session, at most: it bounds the rows that a client can make.
pub const EXCHANGES_MAX: u32 = 100_000;

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

/// What is known of a token that was exchanged here, or made by an exchange.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, token: &Secret) -> Result<Option<Successor>, StoreError> {
    let statement = format!("SELECT {COLUMNS} FROM refresh_tokens WHERE hash = $1");
    let row = composed(statement).bind(secret::hash(token)).optional(store).await?;
    row.as_ref().map(read).transpose()
}

/// The client that a session is bound to, since its refresh token was exchanged here.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn client_of(store: &Store, session: SessionId) -> Result<Option<PrincipalId>, StoreError> {
    let statement = "SELECT client FROM refresh_tokens WHERE session = $1 LIMIT 1";
    let row = query(statement).bind(&session.uuid().as_bytes()[..]).optional(store).await?;
    row.map(|row| uuid(&row, "client").map(PrincipalId::from_uuid)).transpose()
}

/// Whether a session is revoked, by whatever process, or about to be with the client that holds its family.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn is_revoked(store: &Store, session: SessionId) -> Result<bool, StoreError> {
    rotate::is_revoked(store, session).await
}

/// Drops at most `limit` tokens whose family has ended; answers how many. As long as the session's first
/// token is accepted somewhere, it is remembered that it was exchanged.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn prune(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM refresh_tokens WHERE hash IN \
                     (SELECT hash FROM refresh_tokens WHERE ends_at < $1 ORDER BY ends_at LIMIT $2) RETURNING ends_at";
    clock::prune(store, statement, now.cutoff(log::EXPIRED_KEPT), limit).await
}

const COLUMNS: &str =
    "session, client, scope, epoch, key, generation, created_at, expires_at, ends_at, spent_at, successor";

fn read(row: &Row) -> Result<Successor, StoreError> {
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

fn uuid(row: &Row, column: &str) -> Result<Uuid, StoreError> {
    let bytes: &[u8] = row.get(column)?;
    Uuid::from_slice(bytes).map_err(|_| StoreError::corrupt("a refresh token's owner is not 16 bytes"))
}

/// Writes a token down; its successor when it is spent already.
async fn insert(
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

#[cfg(test)]
mod tests;
