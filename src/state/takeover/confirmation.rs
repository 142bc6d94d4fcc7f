//! When an old system confirmed an account's hash.

use serde_json::json;

use super::fingerprint;
use crate::{
    domain::{PrincipalId, RealmName, Timestamp},
    state::{
        account::{Account, PasswordHash},
        store::{Action, AuditedStore, Entry, Query, Row, Store, StoreError, Turn, query},
    },
};

/// What an old system said of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The hash that it confirmed, as [`fingerprint`] has it; `None` where it refused that since.
    hash: Option<Vec<u8>>,
    /// When.
    confirmed_at: Option<Timestamp>,
}

/// An account that an old system does not know, or not with the secret that it has here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// `toc`'s business; empty elsewhere.
    pub business: String,
    /// Its name.
    pub name: String,
    /// Whether the old system refused the secret that the account has here; else it never confirmed it.
    pub refused: bool,
}

impl Confirmation {
    /// When the old system confirmed exactly this hash last; `None` where it confirmed another one, or none.
    #[must_use]
    pub fn of(&self, hash: &PasswordHash) -> Option<Timestamp> {
        self.confirmed_at.filter(|_| self.hash.as_deref() == Some(&*fingerprint(hash)))
    }
}

/// What an old system said of an account.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, account: PrincipalId) -> Result<Option<Confirmation>, StoreError> {
    let row = query("SELECT hash, confirmed_at FROM takeovers WHERE account = $1")
        .bind(&account.uuid().as_bytes()[..])
        .optional(store)
        .await?;
    row.map(|row| {
        let confirmed_at = row.get::<Option<i64>>("confirmed_at")?.map(Timestamp::from_millis);
        Ok(Confirmation { hash: row.get("hash")?, confirmed_at })
    })
    .transpose()
}

/// Notes that an old system confirmed an account's hash.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn confirm(
    store: &Store,
    account: PrincipalId,
    verifier: &str,
    hash: &PasswordHash,
    now: Timestamp,
) -> Result<(), StoreError> {
    confirming(account, verifier, hash, now).execute(store).await?;
    Ok(())
}

fn confirming(account: PrincipalId, verifier: &str, hash: &PasswordHash, now: Timestamp) -> Query {
    let statement = "INSERT INTO takeovers (account, verifier, hash, confirmed_at, refused_at) \
                     VALUES ($1, $2, $3, $4, NULL) \
                     ON CONFLICT (account) DO UPDATE SET verifier = excluded.verifier, hash = excluded.hash, \
                     confirmed_at = excluded.confirmed_at, refused_at = NULL";
    query(statement).bind(&account.uuid().as_bytes()[..]).bind(verifier).bind(fingerprint(hash)).bind(now.as_millis())
}

/// Replaces an account's hash by that of the secret which an old system confirmed. Answers false, and changes nothing,
/// when the account's hash is no longer that of `account`.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn learn(
    store: &AuditedStore,
    account: &Account,
    verifier: &str,
    new: &PasswordHash,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // The update takes the row, so that nothing comes between it and the note of what was confirmed.
    let mut transaction = store.begin(Turn::Nothing).await?;
    let changed = query("UPDATE principals SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
        .bind(new.text())
        .bind(&account.id.uuid().as_bytes()[..])
        .bind(account.password_hash.text())
        .execute(&mut transaction)
        .await?;
    if changed == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    confirming(account.id, verifier, new, now).execute(&mut transaction).await?;
    let entry = Entry::account(Action::AccountSecret, account.kind, &account.realm, account.id);
    transaction.commit(entry.to(json!({ "tokens": "kept", "verifier": verifier }))).await?;
    Ok(true)
}

/// Notes that an old system refused the secret of an account's hash: it decides nothing alone any more. Where the old
/// system has confirmed another one since, that stands.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn distrust(
    store: &Store,
    account: PrincipalId,
    verifier: &str,
    hash: &PasswordHash,
    now: Timestamp,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO takeovers (account, verifier, hash, confirmed_at, refused_at) \
                     VALUES ($1, $2, NULL, NULL, $3) \
                     ON CONFLICT (account) DO UPDATE SET hash = NULL, confirmed_at = NULL, refused_at = excluded.refused_at \
                     WHERE takeovers.hash IS NULL OR takeovers.hash = $4";
    query(statement)
        .bind(&account.uuid().as_bytes()[..])
        .bind(verifier)
        .bind(now.as_millis())
        .bind(fingerprint(hash))
        .execute(store)
        .await?;
    Ok(())
}

/// Has confirmations stand for better hashes of the same secrets: of each account its old hash and its new one.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn rehashed(store: &Store, accounts: &[(PrincipalId, PasswordHash, PasswordHash)]) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    for (id, old, new) in accounts {
        query("UPDATE takeovers SET hash = $1 WHERE account = $2 AND hash = $3")
            .bind(fingerprint(new))
            .bind(&id.uuid().as_bytes()[..])
            .bind(fingerprint(old))
            .execute(&mut transaction)
            .await?;
    }
    transaction.commit().await
}

/// Forgets what an old system confirmed of an account: an operator gave it another secret.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn forget(store: &Store, account: PrincipalId) -> Result<(), StoreError> {
    query("UPDATE takeovers SET hash = NULL, confirmed_at = NULL WHERE account = $1")
        .bind(&account.uuid().as_bytes()[..])
        .execute(store)
        .await?;
    Ok(())
}

/// How many accounts of a realm there are that the old system never confirmed, or whose secret it refused, with the
/// first `limit` of them in the order of their names.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn unknown(store: &Store, realm: &RealmName, limit: u32) -> Result<(u64, Vec<Unknown>), StoreError> {
    let counted = query(
        "SELECT count(*) FROM principals LEFT JOIN takeovers ON takeovers.account = principals.id \
         WHERE principals.realm = $1 AND takeovers.confirmed_at IS NULL",
    );
    let count: i64 = counted.bind(realm.as_str()).one(store).await?.first()?;
    let listed = query(
        "SELECT business, name, refused_at FROM principals LEFT JOIN takeovers ON takeovers.account = principals.id \
         WHERE principals.realm = $1 AND takeovers.confirmed_at IS NULL ORDER BY business, name LIMIT $2",
    );
    let rows = listed.bind(realm.as_str()).bind(limit).all(store).await?;
    let read = |row: &Row| {
        Ok(Unknown {
            business: row.get("business")?,
            name: row.get("name")?,
            refused: row.get::<Option<i64>>("refused_at")?.is_some(),
        })
    };
    let listed = rows.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
    Ok((u64::try_from(count).unwrap_or(0), listed))
}

/// How many accounts of a realm there are, and how many of them the old system confirmed at `since` or later.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn confirmed(store: &Store, realm: &RealmName, since: Timestamp) -> Result<(u64, u64), StoreError> {
    let statement = "SELECT count(*) AS every, \
                            count(CASE WHEN takeovers.confirmed_at >= $2 THEN 1 END) AS confirmed \
                     FROM principals LEFT JOIN takeovers ON takeovers.account = principals.id WHERE principals.realm = $1";
    let row = query(statement).bind(realm.as_str()).bind(since.as_millis()).one(store).await?;
    let number = |column| Ok::<_, StoreError>(u64::try_from(row.get::<i64>(column)?).unwrap_or(0));
    Ok((number("every")?, number("confirmed")?))
}
