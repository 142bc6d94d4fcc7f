//! Makes accounts in the store.

use super::{
    Account, AccountError, LEGACY_ID_MAX, LegacyId, NewAccount, SecretHash,
    record::joined_grants,
    repository::{bytes, find_by_id_in, locate},
    secret,
};
use crate::{
    domain::{RealmName, Timestamp},
    state::store::{Action, AuditedStore, Change, ChangeTurn, StoreError, Transaction, meta_in, query, set_meta_in},
};

/// Makes an account. It is on the disk when this returns.
///
/// # Errors
/// Fails when the description cannot be one ([`NewAccount::check`]), when the account exists or its id belonged to a
/// deleted one, or when the store is out of reach or damaged.
pub async fn insert(
    store: &AuditedStore,
    new: &NewAccount,
    secret: impl Into<SecretHash<'_>>,
    now: Timestamp,
) -> Result<Account, AccountError> {
    let secret = secret.into();
    new.check()?;
    let mut transaction = store.begin(ChangeTurn::Accounts).await?;
    if let Err(refused) = refuse_taken(&mut transaction, new).await {
        // Its connection is kept, where it can be.
        let _ = transaction.rollback().await;
        return Err(refused);
    }
    let legacy_id = note_legacy_id(&mut transaction, &new.realm, new.legacy_id).await?;
    let statement = "\
        INSERT INTO principals \
        (id, realm, kind, business, name, display_name, legacy_id, role, scopes, company, grants, password_hash, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    query(statement)
        .bind(bytes(&new.id))
        .bind(new.realm.as_str())
        .bind(new.kind.name())
        .bind(&new.name.business)
        .bind(&new.name.name)
        .bind(&new.display_name)
        .bind(legacy_id)
        .bind(&new.role)
        .bind(new.scopes.join(" "))
        .bind(&new.company)
        .bind(joined_grants(new.grants.as_deref()))
        .bind(secret.hash.text())
        .bind(now.as_millis())
        .execute(&mut transaction)
        .await?;
    if secret.made {
        secret::note(&mut transaction, new.id, secret, None).await?;
    }
    let account = find_by_id_in(&mut transaction, new.id).await?;
    let account = account.ok_or(StoreError::corrupt("an account that was just made is not there"))?;
    transaction.tell(Change::Accounts);
    transaction.commit(account.entry(Action::AccountAdd).to(account.described())).await?;
    Ok(account)
}

async fn refuse_taken(transaction: &mut Transaction, new: &NewAccount) -> Result<(), AccountError> {
    match locate(transaction, &new.realm, &new.name).await {
        Err(AccountError::NotFound(_)) => {}
        Err(error) => return Err(error),
        Ok(_) => return Err(AccountError::exists(&new.realm, &new.name)),
    }
    let taken = query("SELECT 1 FROM principals WHERE id = $1").bind(bytes(&new.id));
    if taken.optional(&mut *transaction).await?.is_some() {
        return Err(AccountError::Exists(format!("the id {}", new.id)));
    }
    // The log would refuse every token of the new account too.
    let retired = query("SELECT 1 FROM revocations WHERE kind = 'principal' AND subject = $1");
    if retired.bind(bytes(&new.id)).optional(&mut *transaction).await?.is_some() {
        return Err(AccountError::Retired(new.id));
    }
    match new.legacy_id {
        LegacyId::Given(id) => refuse_legacy_id(transaction, &new.realm, id).await,
        LegacyId::None | LegacyId::Next => Ok(()),
    }
}

/// Refuses a legacy id that an account of the realm has.
pub(super) async fn refuse_legacy_id(
    transaction: &mut Transaction,
    realm: &RealmName,
    id: i64,
) -> Result<(), AccountError> {
    let taken = query("SELECT 1 FROM principals WHERE realm = $1 AND legacy_id = $2");
    match taken.bind(realm.as_str()).bind(id).optional(transaction).await? {
        None => Ok(()),
        Some(_) => Err(AccountError::Exists(format!("the legacy id {id} in realm '{realm}'"))),
    }
}

/// Chooses an account's legacy id, in the turn of all accounts. The highest one that a realm ever had stands in `meta`,
/// so that the one of a deleted user, which other systems may remember, does not come back as someone else's.
pub(super) async fn note_legacy_id(
    transaction: &mut Transaction,
    realm: &RealmName,
    wanted: LegacyId,
) -> Result<Option<i64>, AccountError> {
    if wanted == LegacyId::None {
        return Ok(None);
    }
    let last = last_legacy_id(&mut *transaction, realm).await?;
    let chosen = match wanted {
        LegacyId::Given(id) => id,
        _ if last >= LEGACY_ID_MAX => {
            return Err(AccountError::Invalid("the legacy id", "must be given: the realm has used the highest"));
        }
        _ => last + 1,
    };
    set_last_legacy_id(transaction, realm, last.max(chosen)).await?;
    Ok(Some(chosen))
}

/// The highest legacy id that a realm ever had.
pub(super) async fn last_legacy_id(transaction: &mut Transaction, realm: &RealmName) -> Result<i64, StoreError> {
    match meta_in(transaction, &last_legacy_id_of(realm)).await? {
        Some(last) => number(&last).ok_or(StoreError::corrupt("a realm's highest legacy id is no number")),
        None => Ok(0),
    }
}

/// Notes it.
pub(super) async fn set_last_legacy_id(
    transaction: &mut Transaction,
    realm: &RealmName,
    last: i64,
) -> Result<(), StoreError> {
    set_meta_in(transaction, &last_legacy_id_of(realm), last.to_string().as_bytes()).await
}

fn last_legacy_id_of(realm: &RealmName) -> String {
    format!("legacy_id_last/{realm}")
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
