//! Admin tokens in the store. Each change of them has its row in the audit log, and wakes the gateways.

use serde_json::json;
use thiserror::Error;

use super::{role::AdminRole, token::TokenDigest};
use crate::{
    domain::Timestamp,
    state::store::{
        Action, AuditedStore, AuditedTransaction, Change, ChangeTurn, Entry, Row, Store, StoreError, meta_in, query,
        set_meta_in,
    },
};

/// Tokens that are neither revoked nor forgotten, at most: all of them are in every gateway's memory.
pub const ADMIN_TOKENS_MAX: usize = 256;

/// Characters of a name, at most.
const NAME_CHARS_MAX: usize = 64;

/// What is wrong with a row that Portero never writes.
const SHAPE: &str = "an admin token does not have the shape it should have";

/// The row of `meta` that grows with every change of a token.
const REVISION: &str = "admin_tokens_revision";

/// A token, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// Its name, which stands in the audit log.
    pub name: String,
    /// What is kept of its text.
    pub digest: TokenDigest,
    /// What it may do.
    pub role: AdminRole,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl AdminToken {
    /// Whether it opens anything.
    #[must_use]
    pub fn stands(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Why a token is not made or revoked.
#[derive(Debug, Error)]
pub enum AdminTokenError {
    /// The name cannot be one.
    #[error("'{0}' cannot name an admin token: 1 to 64 of a-z, A-Z, 0-9, '.', '-' and '_', but not 'file'")]
    Name(String),
    /// It is taken: names in the audit log stand for one token each.
    #[error("there is an admin token '{0}' already, or there was one: take another name")]
    Exists(String),
    /// No such token.
    #[error("there is no admin token '{0}' that is not revoked")]
    NotFound(String),
    /// There are as many as there may be.
    #[error("there are {ADMIN_TOKENS_MAX} admin tokens already; revoke one first (portero admin token list)")]
    TooMany,
    /// It would open nothing.
    #[error("an admin token that has ended already is of no use")]
    Ended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a token. It is on the disk when this returns, and every gateway hears of it.
///
/// # Errors
/// [`AdminTokenError`] says why not.
pub async fn insert(store: &AuditedStore, token: &AdminToken) -> Result<(), AdminTokenError> {
    check_name(&token.name)?;
    if !token.stands(token.created_at) {
        return Err(AdminTokenError::Ended);
    }
    let mut transaction = store.begin(ChangeTurn::AdminTokens).await?;
    let named = query("SELECT 1 FROM admin_tokens WHERE name = $1").bind(&token.name);
    if named.optional(&mut transaction).await?.is_some() {
        transaction.rollback().await?;
        return Err(AdminTokenError::Exists(token.name.clone()));
    }
    let active = query("SELECT count(*) FROM admin_tokens WHERE revoked_at IS NULL");
    let active: i64 = active.one(&mut transaction).await?.first()?;
    if usize::try_from(active).is_ok_and(|active| active >= ADMIN_TOKENS_MAX) {
        transaction.rollback().await?;
        return Err(AdminTokenError::TooMany);
    }
    let statement = "INSERT INTO admin_tokens (name, hash, role, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
    query(statement)
        .bind(&token.name)
        .bind(&token.digest.bytes()[..])
        .bind(token.role.name())
        .bind(token.created_at.as_millis())
        .bind(token.expires_at.map(Timestamp::as_millis))
        .execute(&mut transaction)
        .await?;
    let described = json!({ "role": token.role.name(), "expires_at": token.expires_at.map(Timestamp::as_millis) });
    let entry = Entry::on(Action::AdminTokenAdd, "admin_token", token.name.clone()).to(described);
    Ok(changed(transaction, entry).await?)
}

/// Revokes a token. It is on the disk when this returns, and every gateway hears of it. Its name is not given again.
///
/// # Errors
/// [`AdminTokenError::NotFound`], or that the store is out of reach or damaged.
pub async fn revoke(store: &AuditedStore, name: &str, now: Timestamp) -> Result<(), AdminTokenError> {
    let mut transaction = store.begin(ChangeTurn::AdminTokens).await?;
    let statement = query("UPDATE admin_tokens SET revoked_at = $1 WHERE name = $2 AND revoked_at IS NULL");
    if statement.bind(now.as_millis()).bind(name).execute(&mut transaction).await? == 0 {
        transaction.rollback().await?;
        return Err(AdminTokenError::NotFound(name.to_owned()));
    }
    let entry = Entry::on(Action::AdminTokenRevoke, "admin_token", name.to_owned());
    Ok(changed(transaction, entry).await?)
}

/// All tokens, revoked ones too, in the order of their names.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn list(store: &Store) -> Result<Vec<AdminToken>, StoreError> {
    query("SELECT * FROM admin_tokens ORDER BY name").all(store).await?.iter().map(read).collect()
}

/// Those that are not revoked.
pub(super) async fn active(store: &Store) -> Result<Vec<AdminToken>, StoreError> {
    let statement = query("SELECT * FROM admin_tokens WHERE revoked_at IS NULL ORDER BY name LIMIT $1");
    let limit = i64::try_from(ADMIN_TOKENS_MAX).unwrap_or(i64::MAX);
    statement.bind(limit).all(store).await?.iter().map(read).collect()
}

/// Those that were revoked, the last ones first, at most `limit`.
pub(super) async fn revoked(store: &Store, limit: u32) -> Result<Vec<TokenDigest>, StoreError> {
    let statement =
        "SELECT hash FROM admin_tokens WHERE revoked_at IS NOT NULL ORDER BY revoked_at DESC, name LIMIT $1";
    let hashes: Vec<Vec<u8>> = query(statement).bind(limit).values(store).await?;
    let digest = |hash: &Vec<u8>| TokenDigest::from_bytes(hash).ok_or(StoreError::corrupt(SHAPE));
    hashes.iter().map(digest).collect()
}

/// Grows with every change of a token, whichever process made it.
pub(super) async fn revision(store: &Store) -> Result<Vec<u8>, StoreError> {
    Ok(store.meta(REVISION).await?.unwrap_or_default())
}

async fn changed(mut transaction: AuditedTransaction, entry: Entry) -> Result<(), StoreError> {
    let revision = meta_in(&mut transaction, REVISION).await?.unwrap_or_default();
    let revision = std::str::from_utf8(&revision).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) + 1;
    set_meta_in(&mut transaction, REVISION, revision.to_string().as_bytes()).await?;
    // A kind that gateways of an earlier release know: they read their keys anew, and find them as they were.
    transaction.tell(Change::Keys);
    transaction.commit(entry).await
}

fn check_name(name: &str) -> Result<(), AdminTokenError> {
    let shaped = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    // The token of `admin.token_file` is called so.
    if shaped && name != "file" { Ok(()) } else { Err(AdminTokenError::Name(name.escape_debug().to_string())) }
}

fn read(row: &Row) -> Result<AdminToken, StoreError> {
    let instant = |name| Ok::<_, StoreError>(row.get::<Option<i64>>(name)?.map(Timestamp::from_millis));
    let corrupt = || StoreError::corrupt(SHAPE);
    Ok(AdminToken {
        name: row.get("name")?,
        digest: TokenDigest::from_bytes(row.get("hash")?).ok_or_else(corrupt)?,
        role: AdminRole::from_name(row.get("role")?).ok_or_else(corrupt)?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        expires_at: instant("expires_at")?,
        revoked_at: instant("revoked_at")?,
    })
}
