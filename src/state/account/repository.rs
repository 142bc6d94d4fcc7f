//! Finds, changes and deletes accounts in the store.

use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Account, AccountError, PasswordHash, Raised, check_word};
use crate::{
    domain::{AccountName, EPOCH_DELETED, PrincipalId, PrincipalKind, RealmName, Timestamp},
    state::{
        refresh,
        revocation::log::{self, Record, RevokedSubject},
        session,
        store::{EPOCH_FLOOR, Store, StoreError},
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

/// The account that logs in as `name`, if there is one.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, realm: &RealmName, name: &AccountName) -> Result<Option<Account>, StoreError> {
    let row = sqlx::query("SELECT * FROM principals WHERE realm = ? AND business = ? AND name = ?")
        .bind(realm.as_str())
        .bind(&name.business)
        .bind(&name.name)
        .fetch_optional(store.pool())
        .await?;
    row.as_ref().map(read).transpose()
}

/// The account `id`, if there is one.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find_by_id(store: &Store, id: PrincipalId) -> Result<Option<Account>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM principals WHERE id = ?").bind(bytes(&id)).fetch_optional(store.pool()).await?;
    row.as_ref().map(read).transpose()
}

/// At most `limit` accounts of a realm in the order of their names, from the one after `after` on.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn list(
    store: &Store,
    realm: &RealmName,
    kind: PrincipalKind,
    after: Option<&AccountName>,
    limit: u32,
) -> Result<Vec<Account>, StoreError> {
    let statement = "SELECT * FROM principals WHERE realm = ?1 AND kind = ?2 AND (business, name) > (?3, ?4) \
                     ORDER BY business, name LIMIT ?5";
    let (business, name) = after.map_or(("", ""), |after| (&after.business, &after.name));
    let rows = sqlx::query(statement)
        .bind(realm.as_str())
        .bind(kind.name())
        .bind(business)
        .bind(name)
        .bind(limit)
        .fetch_all(store.pool())
        .await?;
    rows.iter().map(read).collect()
}

/// Disables an account and ends its tokens, or enables it again, which brings none back.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn set_disabled(
    store: &Store,
    realm: &RealmName,
    name: &AccountName,
    disabled: bool,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin().await?;
    let id = locate(&mut transaction, realm, name).await?;
    sqlx::query("UPDATE principals SET disabled = ? WHERE id = ?")
        .bind(disabled)
        .bind(bytes(&id))
        .execute(&mut *transaction)
        .await?;
    let raised = if disabled { raise(&mut transaction, id, now).await? } else { Raised::new() };
    if disabled {
        refresh::end_families_in(&mut transaction, id, now).await?;
    }
    transaction.commit().await?;
    Ok(raised)
}

/// Locks an account against logins, or unlocks it. Its tokens live on.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn set_locked(
    store: &Store,
    realm: &RealmName,
    name: &AccountName,
    locked: bool,
) -> Result<(), AccountError> {
    let mut transaction = store.begin().await?;
    let id = locate(&mut transaction, realm, name).await?;
    sqlx::query("UPDATE principals SET locked = ? WHERE id = ?")
        .bind(locked)
        .bind(bytes(&id))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Gives an account another role, or none. Its tokens carry the old one and so end, unless the role
/// is the one that it has.
///
/// # Errors
/// Fails when there is no such account, when the role cannot be one, or when the store is out of reach or damaged.
pub async fn set_role(
    store: &Store,
    realm: &RealmName,
    name: &AccountName,
    role: Option<&str>,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    role.map_or(Ok(()), |role| check_word("the role", role))?;
    let mut transaction = store.begin().await?;
    let id = locate(&mut transaction, realm, name).await?;
    let changed = sqlx::query("UPDATE principals SET role = ?1 WHERE id = ?2 AND role IS NOT ?1")
        .bind(role)
        .bind(bytes(&id))
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    let raised = if changed > 0 { raise(&mut transaction, id, now).await? } else { Raised::new() };
    transaction.commit().await?;
    Ok(raised)
}

/// Replaces the password or secret of an account.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn set_password_hash(
    store: &Store,
    realm: &RealmName,
    name: &AccountName,
    password_hash: &PasswordHash,
    old_tokens: OldTokens,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin().await?;
    let id = locate(&mut transaction, realm, name).await?;
    sqlx::query("UPDATE principals SET password_hash = ? WHERE id = ?")
        .bind(password_hash.as_phc())
        .bind(bytes(&id))
        .execute(&mut *transaction)
        .await?;
    let mut raised = Raised::new();
    if old_tokens == OldTokens::End {
        raised = raise(&mut transaction, id, now).await?;
        refresh::end_families_in(&mut transaction, id, now).await?;
    }
    transaction.commit().await?;
    Ok(raised)
}

/// Replaces a hash by a better one of the same password, after a login that proved it. Answers
/// false, and changes nothing, when the account's hash is no longer `old`.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn update_hash_if_unchanged(
    store: &Store,
    id: PrincipalId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE principals SET password_hash = ? WHERE id = ? AND password_hash = ?")
        .bind(new.as_phc())
        .bind(bytes(&id))
        .bind(old.as_phc())
        .execute(store.pool())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends all tokens of an account, and changes nothing else (`revoke principal`).
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn end_tokens(
    store: &Store,
    realm: &RealmName,
    name: &AccountName,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin().await?;
    let id = locate(&mut transaction, realm, name).await?;
    let raised = raise(&mut transaction, id, now).await?;
    refresh::end_families_in(&mut transaction, id, now).await?;
    transaction.commit().await?;
    Ok(raised)
}

/// Deletes an account and ends its tokens for ever ([`EPOCH_DELETED`]). Its id is never given out again. Of a very
/// large account the rows of some sessions go later, in pieces.
///
/// # Errors
/// Fails when there is no such account, or when the store is out of reach or damaged.
pub async fn delete(
    store: &Store,
    realm: &RealmName,
    name: &AccountName,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin().await?;
    let id = locate(&mut transaction, realm, name).await?;
    sqlx::query("DELETE FROM principals WHERE id = ?").bind(bytes(&id)).execute(&mut *transaction).await?;
    session::begin_deletion(&mut transaction, id).await?;
    let named = PrincipalId::of_name(realm, &name.business, &name.name);
    let raised = record(&mut transaction, [id, named], EPOCH_DELETED, now).await?;
    refresh::end_families_in(&mut transaction, id, now).await?;
    transaction.commit().await?;
    Ok(raised)
}

/// Raises the epoch of all clients of a company, within the transaction that changes it.
pub(super) async fn raise_company(
    connection: &mut SqliteConnection,
    realm: &RealmName,
    company: &str,
    now: Timestamp,
) -> Result<Raised, StoreError> {
    let statement = raising("realm = ? AND company = ?");
    let query = sqlx::query(AssertSqlSafe(statement)).bind(realm.as_str()).bind(company);
    let rows = query.fetch_all(&mut *connection).await?;
    let mut raised = Raised::with_capacity(2 * rows.len());
    for row in &rows {
        raised.extend(record(connection, both_ids(row)?, row.try_get("epoch")?, now).await?);
    }
    Ok(raised)
}

/// Writes the epochs of a realm's accounts into the revocation log under what their names stand for
/// ([`PrincipalId::of_name`]), where they were ever raised: tokens of an imported key know accounts by name alone.
/// Answers what it wrote.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn record_names(store: &Store, realm: &RealmName, now: Timestamp) -> Result<Raised, StoreError> {
    let mut transaction = store.begin().await?;
    let mut raised = Raised::new();
    let statement = "SELECT id, realm, business, name, epoch FROM principals WHERE realm = ? AND epoch > 0";
    let rows = sqlx::query(statement).bind(realm.as_str()).fetch_all(&mut *transaction).await?;
    for row in &rows {
        let ([_, named], epoch) = (both_ids(row)?, row.try_get("epoch")?);
        raised.extend(record(&mut transaction, [named], epoch, now).await?);
    }
    transaction.commit().await?;
    Ok(raised)
}

/// The raised epochs of a realm's accounts that stand, each under the account's id and under what its name stands for
/// ([`PrincipalId::of_name`]). An account stands when neither it nor its company is disabled.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn standing_epochs(connection: &mut SqliteConnection, realm: &RealmName) -> Result<Raised, StoreError> {
    let statement = "\
        SELECT id, realm, business, name, epoch FROM principals WHERE realm = ? AND epoch > 0 AND NOT disabled AND \
        NOT EXISTS (SELECT 1 FROM companies AS company WHERE company.realm = principals.realm \
                    AND company.name = principals.company AND company.disabled)";
    let rows = sqlx::query(statement).bind(realm.as_str()).fetch_all(connection).await?;
    let mut epochs = Raised::with_capacity(2 * rows.len());
    for row in &rows {
        let epoch = row.try_get("epoch")?;
        epochs.extend(both_ids(row)?.map(|id| (id, epoch)));
    }
    Ok(epochs)
}

async fn raise(connection: &mut SqliteConnection, id: PrincipalId, now: Timestamp) -> Result<Raised, StoreError> {
    let row = sqlx::query(AssertSqlSafe(raising("id = ?"))).bind(bytes(&id)).fetch_one(&mut *connection).await?;
    record(connection, both_ids(&row)?, row.try_get("epoch")?, now).await
}

/// Raises the epochs of some accounts: above all that a store had which was lost, see [`EPOCH_FLOOR`].
fn raising(which: &str) -> String {
    format!(
        "UPDATE principals SET epoch = max(epoch + 1, coalesce( \
             (SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE name = '{EPOCH_FLOOR}'), 0)) \
         WHERE {which} RETURNING id, realm, business, name, epoch"
    )
}

/// The id of an account, and the one that its name has: tokens of imported keys know only that.
fn both_ids(row: &SqliteRow) -> Result<[PrincipalId; 2], StoreError> {
    let realm = row.try_get::<&str, _>("realm")?.parse();
    let realm = realm.map_err(|_| StoreError::corrupt("an account's realm is no realm's name"))?;
    let named = PrincipalId::of_name(&realm, row.try_get("business")?, row.try_get("name")?);
    Ok([read_id(row)?, named])
}

/// Writes an epoch into the revocation log. It never expires: so may the tokens below it.
async fn record<const N: usize>(
    connection: &mut SqliteConnection,
    ids: [PrincipalId; N],
    epoch: u32,
    now: Timestamp,
) -> Result<Raised, StoreError> {
    for id in ids {
        let record = Record { subject: RevokedSubject::Principal(id, epoch), expires_at: None, created_at: now };
        log::append_in(connection, &record).await?;
    }
    Ok(ids.map(|id| (id, epoch)).to_vec())
}

/// The id of the account `name`, which must exist.
pub(super) async fn locate(
    connection: &mut SqliteConnection,
    realm: &RealmName,
    name: &AccountName,
) -> Result<PrincipalId, AccountError> {
    let row = sqlx::query("SELECT id FROM principals WHERE realm = ? AND business = ? AND name = ?")
        .bind(realm.as_str())
        .bind(&name.business)
        .bind(&name.name)
        .fetch_optional(connection)
        .await?;
    Ok(read_id(&row.ok_or_else(|| AccountError::not_found(realm, name))?)?)
}

/// An id as the store keeps it.
pub(super) fn bytes(id: &PrincipalId) -> Vec<u8> {
    id.uuid().into_bytes().to_vec()
}

fn read_id(row: &SqliteRow) -> Result<PrincipalId, StoreError> {
    let id = Uuid::from_slice(row.try_get("id")?);
    id.map(PrincipalId::from_uuid).map_err(|_| StoreError::corrupt("an account's identity is not 16 bytes"))
}

/// An account of a row with all columns.
pub(super) fn read(row: &SqliteRow) -> Result<Account, StoreError> {
    let realm: &str = row.try_get("realm")?;
    let kind = PrincipalKind::from_name(row.try_get("kind")?);
    let scopes: &str = row.try_get("scopes")?;
    let grants = row.try_get::<Option<&str>, _>("grants")?;
    let grants = grants.map(|grants| grants.split_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>());
    Ok(Account {
        id: read_id(row)?,
        realm: realm.parse().map_err(|_| StoreError::corrupt("an account's realm is no realm's name"))?,
        kind: kind.ok_or_else(|| StoreError::corrupt("an account is of an unknown kind"))?,
        name: AccountName { business: row.try_get("business")?, name: row.try_get("name")? },
        display_name: row.try_get("display_name")?,
        legacy_id: row.try_get("legacy_id")?,
        role: row.try_get("role")?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        company: row.try_get("company")?,
        grants: grants.transpose().map_err(|_| StoreError::corrupt("an account has an unknown grant"))?,
        password_hash: PasswordHash::from_phc(row.try_get("password_hash")?),
        disabled: row.try_get("disabled")?,
        locked: row.try_get("locked")?,
        epoch: row.try_get("epoch")?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
    })
}
