//! Finds, changes and deletes accounts in the store.

use serde_json::json;
use uuid::Uuid;

use super::{
    PasswordHash,
    error::AccountError,
    record::{Account, PreviousSecret, Raised},
};
use crate::{
    domain::{AccountName, EPOCH_DELETED, PrincipalId, PrincipalKind, RealmName, Timestamp},
    state::{
        refresh,
        revocation::log::{self, Record, RevokedSubject},
        session,
        store::{
            Action, AuditedStore, ChangeTurn, Entry, Row, Store, StoreError, Target, Transaction, Turn, composed,
            epoch_floor_in, query,
        },
    },
};

/// What becomes of the tokens that an account has when its secret is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldTokens {
    /// They are refused from now on.
    End,
    /// They live on until they expire.
    Keep,
}

/// The columns of an account, for [`read`]: those of its row, and what stands [beside](BESIDE).
pub(in crate::state) const ACCOUNT: &str = "\
    principals.*, coalesce(made, FALSE) AS made, previous_hash, coalesce(previous_made, FALSE) AS previous_made, \
    previous_ends_at, last_login_at, coalesce(failed_logins, 0) AS failed_logins";

/// The tables that stand beside `principals`.
pub(in crate::state) const BESIDE: &str = "\
    LEFT JOIN account_secrets ON account_secrets.account = principals.id AND account_secrets.hash = password_hash \
    LEFT JOIN account_logins ON account_logins.account = principals.id";

/// The account that logs in as `name`, if there is one.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, realm: &RealmName, name: &AccountName) -> Result<Option<Account>, StoreError> {
    find_in(store, realm, name).await
}

/// The same, by itself or in a transaction.
pub(super) async fn find_in<'a>(
    on: impl Into<Target<'a>>,
    realm: &RealmName,
    name: &AccountName,
) -> Result<Option<Account>, StoreError> {
    let row =
        composed(format!("SELECT {ACCOUNT} FROM principals {BESIDE} WHERE realm = $1 AND business = $2 AND name = $3"))
            .bind(realm.as_str())
            .bind(&name.business)
            .bind(&name.name)
            .optional(on)
            .await?;
    row.as_ref().map(read).transpose()
}

/// The account `id`, if there is one.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find_by_id(store: &Store, id: PrincipalId) -> Result<Option<Account>, StoreError> {
    find_by_id_in(store, id).await
}

/// The same, by itself or in a transaction.
pub(super) async fn find_by_id_in<'a>(
    on: impl Into<Target<'a>>,
    id: PrincipalId,
) -> Result<Option<Account>, StoreError> {
    let row = composed(format!("SELECT {ACCOUNT} FROM principals {BESIDE} WHERE id = $1"))
        .bind(bytes(&id))
        .optional(on)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Disables an account and ends its tokens, or enables it again, which brings none back.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn set_disabled(
    store: &AuditedStore,
    realm: &RealmName,
    name: &AccountName,
    disabled: bool,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin(ChangeTurn::Account(realm, name)).await?;
    let account = locate(&mut transaction, realm, name).await?;
    let id = account.id;
    query("UPDATE principals SET disabled = $1 WHERE id = $2")
        .bind(disabled)
        .bind(bytes(&id))
        .execute(&mut transaction)
        .await?;
    let raised = if disabled { end_all(&mut transaction, id, now).await? } else { Raised::new() };
    let action = if disabled { Action::AccountDisable } else { Action::AccountEnable };
    let entry = account.entry(action).from(json!({ "disabled": account.disabled }));
    transaction.commit(entry.to(json!({ "disabled": disabled }))).await?;
    Ok(raised)
}

/// Locks an account against logins, or unlocks it. Its tokens live on.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn set_locked(
    store: &AuditedStore,
    realm: &RealmName,
    name: &AccountName,
    locked: bool,
) -> Result<(), AccountError> {
    let mut transaction = store.begin(ChangeTurn::Account(realm, name)).await?;
    let account = locate(&mut transaction, realm, name).await?;
    let id = account.id;
    query("UPDATE principals SET locked = $1 WHERE id = $2")
        .bind(locked)
        .bind(bytes(&id))
        .execute(&mut transaction)
        .await?;
    let action = if locked { Action::AccountLock } else { Action::AccountUnlock };
    let entry = account.entry(action).from(json!({ "locked": account.locked }));
    transaction.commit(entry.to(json!({ "locked": locked }))).await?;
    Ok(())
}

/// Ends all tokens of an account, and changes nothing else (`revoke principal`).
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn end_tokens(
    store: &AuditedStore,
    realm: &RealmName,
    name: &AccountName,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin(ChangeTurn::Account(realm, name)).await?;
    let account = locate(&mut transaction, realm, name).await?;
    let id = account.id;
    let raised = end_all(&mut transaction, id, now).await?;
    let entry = account.entry(Action::AccountRevoke).from(json!({ "epoch": account.epoch }));
    transaction.commit(entry.to(json!({ "epoch": epoch_in(&raised, id) }))).await?;
    Ok(raised)
}

/// Deletes an account and ends its tokens for ever ([`EPOCH_DELETED`]). Its id is never given out again. Of a very
/// large account the rows of some sessions go later, in pieces.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn delete(
    store: &AuditedStore,
    realm: &RealmName,
    name: &AccountName,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin(ChangeTurn::Account(realm, name)).await?;
    let account = locate(&mut transaction, realm, name).await?;
    let id = account.id;
    query("DELETE FROM principals WHERE id = $1").bind(bytes(&id)).execute(&mut transaction).await?;
    session::begin_deletion(&mut transaction, id).await?;
    let named = PrincipalId::of_name(realm, &name.business, &name.name);
    let ended = [id, named].map(|id| (id, EPOCH_DELETED)).to_vec();
    let raised = record(&mut transaction, ended, now).await?;
    refresh::end_families_in(&mut transaction, id, now).await?;
    transaction.commit(account.entry(Action::AccountDelete).from(account.described())).await?;
    Ok(raised)
}

/// Raises the epoch of all clients of a company, within the transaction that changes it.
pub(super) async fn raise_company(
    transaction: &mut Transaction,
    realm: &RealmName,
    company: &str,
    now: Timestamp,
) -> Result<Raised, StoreError> {
    transaction.wait_for(Turn::Epochs).await?;
    let floor = epoch_floor_in(&mut *transaction).await?;
    let statement = format!("{RAISE} WHERE realm = $2 AND company = $3 {RAISED}");
    let rows = composed(statement).bind(floor).bind(realm.as_str()).bind(company).all(&mut *transaction).await?;
    record(transaction, epochs_of(&rows)?, now).await
}

/// Writes the epochs of a realm's accounts into the revocation log under what their names stand for
/// ([`PrincipalId::of_name`]), where they were ever raised: tokens of an imported key know accounts by name alone.
/// Answers what it wrote.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn record_names(store: &AuditedStore, realm: &RealmName, now: Timestamp) -> Result<Raised, StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    let statement = "SELECT id, realm, business, name, epoch FROM principals WHERE realm = $1 AND epoch > 0";
    let rows = query(statement).bind(realm.as_str()).all(&mut transaction).await?;
    // Of each account the second one is its name's.
    let named = epochs_of(&rows)?.into_iter().skip(1).step_by(2).collect();
    let raised = record(&mut transaction, named, now).await?;
    if raised.is_empty() {
        transaction.rollback().await?;
        return Ok(raised);
    }
    let entry = Entry::of(Action::AccountNames).in_realm(realm).to(json!({ "accounts": raised.len() }));
    transaction.commit(entry).await?;
    Ok(raised)
}

/// The raised epochs of a realm's active accounts, each under the account's id and under what its name stands for
/// ([`PrincipalId::of_name`]). An account is active when neither it nor its company is disabled.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn active_epochs(transaction: &mut Transaction, realm: &RealmName) -> Result<Raised, StoreError> {
    let statement = "\
        SELECT id, realm, business, name, epoch FROM principals WHERE realm = $1 AND epoch > 0 AND NOT disabled AND \
        NOT EXISTS (SELECT 1 FROM companies AS company WHERE company.realm = principals.realm \
                    AND company.name = principals.company AND company.disabled)";
    epochs_of(&query(statement).bind(realm.as_str()).all(transaction).await?)
}

/// Ends the tokens of an account, and those of the families of refresh tokens that it holds.
pub(super) async fn end_all(
    transaction: &mut Transaction,
    id: PrincipalId,
    now: Timestamp,
) -> Result<Raised, StoreError> {
    let raised = raise(transaction, id, now).await?;
    refresh::end_families_in(transaction, id, now).await?;
    Ok(raised)
}

/// Raises the epoch of an account: its tokens end.
pub(super) async fn raise(
    transaction: &mut Transaction,
    id: PrincipalId,
    now: Timestamp,
) -> Result<Raised, StoreError> {
    let floor = epoch_floor_in(&mut *transaction).await?;
    let statement = format!("{RAISE} WHERE id = $2 {RAISED}");
    let row = composed(statement).bind(floor).bind(bytes(&id)).one(&mut *transaction).await?;
    record(transaction, epochs_of(&[row])?, now).await
}

/// Raises the epochs of some accounts, to `$1` at least.
const RAISE: &str = "UPDATE principals SET epoch = CASE WHEN epoch + 1 > $1 THEN epoch + 1 ELSE $1 END";

/// What is asked back of each of them.
const RAISED: &str = "RETURNING id, realm, business, name, epoch";

/// The epochs of some accounts, each under the account's id and then under the one that its name has: tokens of
/// imported keys know only that.
fn epochs_of(rows: &[Row]) -> Result<Raised, StoreError> {
    let mut epochs = Raised::with_capacity(2 * rows.len());
    for row in rows {
        let realm = row.get::<&str>("realm")?.parse();
        let realm = realm.map_err(|_| StoreError::corrupt("an account's realm is no realm's name"))?;
        let named = PrincipalId::of_name(&realm, row.get("business")?, row.get("name")?);
        let epoch = row.get("epoch")?;
        epochs.extend([(read_id(row)?, epoch), (named, epoch)]);
    }
    Ok(epochs)
}

/// Writes epochs into the revocation log. They never expire: so may the tokens below them.
async fn record(transaction: &mut Transaction, epochs: Raised, now: Timestamp) -> Result<Raised, StoreError> {
    let record = |(id, epoch): &(PrincipalId, u32)| Record {
        subject: RevokedSubject::Principal(*id, *epoch),
        expires_at: None,
        created_at: now,
    };
    log::append_all_in(transaction, &epochs.iter().map(record).collect::<Vec<_>>()).await?;
    Ok(epochs)
}

/// The epoch to which the account was raised.
fn epoch_in(raised: &Raised, id: PrincipalId) -> Option<u32> {
    raised.iter().find(|(raised, _)| *raised == id).map(|(_, epoch)| *epoch)
}

/// The account `name`, which must exist.
pub(super) async fn locate(
    transaction: &mut Transaction,
    realm: &RealmName,
    name: &AccountName,
) -> Result<Account, AccountError> {
    find_in(transaction, realm, name).await?.ok_or_else(|| AccountError::not_found(realm, name))
}

/// An id as the store keeps it.
pub(super) fn bytes(id: &PrincipalId) -> Vec<u8> {
    id.uuid().into_bytes().to_vec()
}

pub(super) fn read_id(row: &Row) -> Result<PrincipalId, StoreError> {
    let id = Uuid::from_slice(row.get("id")?);
    id.map(PrincipalId::from_uuid).map_err(|_| StoreError::corrupt("an account's identity is not 16 bytes"))
}

/// The account of a row that has the columns of `principals`, and those beside it.
///
/// # Errors
/// Fails when it is malformed.
pub(in crate::state) fn of_row(row: &Row) -> Result<Account, StoreError> {
    read(row)
}

/// An account of a row with the columns of [`ACCOUNT`].
pub(super) fn read(row: &Row) -> Result<Account, StoreError> {
    let realm: &str = row.get("realm")?;
    let kind = PrincipalKind::from_name(row.get("kind")?);
    let scopes: &str = row.get("scopes")?;
    let grants = row.get::<Option<&str>>("grants")?;
    let grants = grants.map(|grants| grants.split_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>());
    Ok(Account {
        id: read_id(row)?,
        realm: realm.parse().map_err(|_| StoreError::corrupt("an account's realm is no realm's name"))?,
        kind: kind.ok_or_else(|| StoreError::corrupt("an account is of an unknown kind"))?,
        name: AccountName { business: row.get("business")?, name: row.get("name")? },
        display_name: row.get("display_name")?,
        legacy_id: row.get("legacy_id")?,
        role: row.get("role")?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        company: row.get("company")?,
        grants: grants.transpose().map_err(|_| StoreError::corrupt("an account has an unknown grant"))?,
        password_hash: PasswordHash::from_stored(row.get("password_hash")?),
        secret_made: row.get("made")?,
        previous_secret: read_previous(row)?,
        last_login_at: row.get::<Option<i64>>("last_login_at")?.map(Timestamp::from_millis),
        // Somebody may try for years: a number that is too large is no reason to refuse the account.
        failed_logins: row.get::<i64>("failed_logins")?.try_into().unwrap_or(u32::MAX),
        disabled: row.get("disabled")?,
        locked: row.get("locked")?,
        epoch: row.get("epoch")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
    })
}

/// The secret before the present one.
fn read_previous(row: &Row) -> Result<Option<PreviousSecret>, StoreError> {
    let hash: Option<String> = row.get("previous_hash")?;
    let Some((hash, ends_at)) = hash.zip(row.get::<Option<i64>>("previous_ends_at")?) else { return Ok(None) };
    Ok(Some(PreviousSecret {
        hash: PasswordHash::from_stored(hash),
        made: row.get("previous_made")?,
        ends_at: Timestamp::from_millis(ends_at),
    }))
}
