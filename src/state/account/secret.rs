//! What an account has beside the hash of its secret: whether Portero made the secret, and the one before it while both
//! are taken.
//!
//! The row of `account_secrets` counts only while it names the hash that the account has. A process that
//! replaces the hash without a look at the row, as the first release does, ends the secret before it too.

use std::time::Duration;

use serde_json::json;

use super::{
    AccountError, OldTokens, PasswordHash, PreviousSecret, Raised,
    repository::{bytes, end_all, locate},
};
use crate::{
    domain::{AccountName, PrincipalId, RealmName, Timestamp, TrustedNow},
    state::store::{Action, AuditedStore, ChangeTurn, Store, StoreError, Transaction, Turn, query},
};

/// How long two secrets may be taken, at most.
pub const OVERLAP_MAX: Duration = Duration::from_hours(24 * 90);

/// The hash of a secret, and where the secret comes from. Without a word somebody chose it.
#[derive(Clone, Copy, Debug)]
pub struct SecretHash<'a> {
    /// The hash.
    pub hash: &'a PasswordHash,
    /// Whether Portero made the secret.
    pub made: bool,
}

impl<'a> From<&'a PasswordHash> for SecretHash<'a> {
    fn from(hash: &'a PasswordHash) -> Self {
        Self { hash, made: false }
    }
}

/// Replaces the password or secret of an account. What it had before is taken no more.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn set_password_hash(
    store: &AuditedStore,
    realm: &RealmName,
    name: &AccountName,
    secret: impl Into<SecretHash<'_>>,
    old_tokens: OldTokens,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let secret = secret.into();
    let mut transaction = store.begin(ChangeTurn::Account(realm, name)).await?;
    let account = locate(&mut transaction, realm, name).await?;
    let id = account.id;
    set_hash(&mut transaction, id, secret.hash).await?;
    note(&mut transaction, id, secret, None).await?;
    let raised = match old_tokens {
        OldTokens::End => end_all(&mut transaction, id, now).await?,
        OldTokens::Keep => Raised::new(),
    };
    let tokens = if old_tokens == OldTokens::End { "ended" } else { "kept" };
    transaction.commit(account.entry(Action::AccountSecret).to(json!({ "tokens": tokens }))).await?;
    Ok(raised)
}

/// Gives an account a new secret beside the one that it has, which is taken until `ends_at`. A third one that was taken
/// until now ends. Its tokens live on.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn overlap_secrets(
    store: &AuditedStore,
    realm: &RealmName,
    name: &AccountName,
    secret: SecretHash<'_>,
    ends_at: Timestamp,
) -> Result<(), AccountError> {
    let mut transaction = store.begin(ChangeTurn::Account(realm, name)).await?;
    let account = locate(&mut transaction, realm, name).await?;
    let id = account.id;
    let statement = "SELECT password_hash, coalesce(made, FALSE) AS made FROM principals \
                     LEFT JOIN account_secrets ON account = id AND hash = password_hash WHERE id = $1";
    let row = query(statement).bind(bytes(&id)).one(&mut transaction).await?;
    let hash = PasswordHash::from_stored(row.get("password_hash")?);
    let previous = PreviousSecret { hash, made: row.get("made")?, ends_at };
    set_hash(&mut transaction, id, secret.hash).await?;
    note(&mut transaction, id, secret, Some(&previous)).await?;
    let overlap = json!({ "tokens": "kept", "previous_ends_at": ends_at.as_millis() });
    transaction.commit(account.entry(Action::AccountSecret).to(overlap)).await?;
    Ok(())
}

/// Ends the secret that an account had before. Answers whether there was one. Its tokens live on.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn end_overlap(store: &AuditedStore, realm: &RealmName, name: &AccountName) -> Result<bool, AccountError> {
    let mut transaction = store.begin(ChangeTurn::Account(realm, name)).await?;
    let account = locate(&mut transaction, realm, name).await?;
    let id = account.id;
    let statement = "UPDATE account_secrets SET previous_hash = NULL, previous_made = FALSE, previous_ends_at = NULL \
                     WHERE account = $1 AND previous_hash IS NOT NULL";
    if query(statement).bind(bytes(&id)).execute(&mut transaction).await? == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction.commit(account.entry(Action::AccountOverlapEnd)).await?;
    Ok(true)
}

/// Replaces a hash by a better one of the same secret, after a login that proved it: the account's, or that of the
/// secret before. Answers false, and changes nothing, when neither is `old` any more.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn update_hash_if_unchanged(
    store: &Store,
    id: PrincipalId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    let mut changed = 0;
    // In this order: the row counts only while it names the account's hash.
    for statement in [
        "UPDATE principals SET password_hash = $1 WHERE id = $2 AND password_hash = $3",
        "UPDATE account_secrets SET hash = $1 WHERE account = $2 AND hash = $3",
        "UPDATE account_secrets SET previous_hash = $1 WHERE account = $2 AND previous_hash = $3",
    ] {
        let statement = query(statement).bind(new.text()).bind(bytes(&id)).bind(old.text());
        changed += statement.execute(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(changed > 0)
}

/// Forgets at most `limit` secrets that are taken no more. Answers how many.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn prune_previous(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let statement = "UPDATE account_secrets SET previous_hash = NULL, previous_made = FALSE, previous_ends_at = NULL \
                     WHERE account IN (SELECT account FROM account_secrets WHERE previous_ends_at < $1 \
                                       ORDER BY previous_ends_at LIMIT $2) AND previous_ends_at < $1";
    let mut transaction = store.begin(Turn::Upkeep).await?;
    let statement = query(statement).bind(now.cutoff(Duration::ZERO).as_millis()).bind(limit);
    let done = statement.execute(&mut transaction).await?;
    transaction.commit().await?;
    Ok(done)
}

async fn set_hash(transaction: &mut Transaction, id: PrincipalId, hash: &PasswordHash) -> Result<(), StoreError> {
    let statement = "UPDATE principals SET password_hash = $1 WHERE id = $2";
    query(statement).bind(hash.text()).bind(bytes(&id)).execute(transaction).await?;
    Ok(())
}

/// Notes where an account's secret comes from, and the one before it.
pub(super) async fn note(
    transaction: &mut Transaction,
    id: PrincipalId,
    secret: SecretHash<'_>,
    previous: Option<&PreviousSecret>,
) -> Result<(), StoreError> {
    if !secret.made && previous.is_none() {
        query("DELETE FROM account_secrets WHERE account = $1").bind(bytes(&id)).execute(transaction).await?;
        return Ok(());
    }
    let statement = "\
        INSERT INTO account_secrets (account, hash, made, previous_hash, previous_made, previous_ends_at) \
        VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (account) DO UPDATE SET hash = excluded.hash, made = excluded.made, \
            previous_hash = excluded.previous_hash, previous_made = excluded.previous_made, \
            previous_ends_at = excluded.previous_ends_at";
    query(statement)
        .bind(bytes(&id))
        .bind(secret.hash.text())
        .bind(secret.made)
        .bind(previous.map(|previous| previous.hash.text()))
        .bind(previous.is_some_and(|previous| previous.made))
        .bind(previous.map(|previous| previous.ends_at.as_millis()))
        .execute(transaction)
        .await?;
    Ok(())
}
