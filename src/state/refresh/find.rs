//! What is known of tokens and sessions, and forgetting what has ended.

use super::{
    rotate,
    row::{COLUMNS, Successor, read, uuid},
    secret,
};
use crate::{
    domain::{PrincipalId, Secret, SessionId, TrustedNow},
    state::{
        clock,
        revocation::log,
        store::{Store, StoreError, composed, query},
    },
};

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
