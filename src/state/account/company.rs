//! The companies of `become`. A client whose company is missing or disabled gets no tokens; those
//! that it has end with the company.

use serde_json::json;

use super::{error::AccountError, new_account::check_word, record::Raised, repository::raise_company};
use crate::{
    domain::{RealmName, Timestamp},
    state::store::{Action, AuditedStore, ChangeTurn, Entry, Row, Store, StoreError, Target, Transaction, query},
};

/// A company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// Its realm.
    pub realm: RealmName,
    /// Its name, unique in the realm.
    pub name: String,
    /// Whether its clients may not log in.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The company `name`, if there is one.
///
/// A login reads its account first and the company then: a company that is disabled in between is
/// seen here, and one that is disabled later raises the epoch above the one that was read.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, realm: &RealmName, name: &str) -> Result<Option<Company>, StoreError> {
    find_in(store, realm, name).await
}

/// The same, by itself or in a transaction.
pub(super) async fn find_in<'a>(
    on: impl Into<Target<'a>>,
    realm: &RealmName,
    name: &str,
) -> Result<Option<Company>, StoreError> {
    let row = query("SELECT realm, name, disabled, created_at FROM companies WHERE realm = $1 AND name = $2")
        .bind(realm.as_str())
        .bind(name)
        .optional(on)
        .await?;
    row.as_ref().map(read).transpose()
}

/// At most `limit` companies of a realm in the order of their names, from the one after `after` on.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn list(
    store: &Store,
    realm: &RealmName,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Company>, StoreError> {
    let statement = "SELECT realm, name, disabled, created_at FROM companies \
                     WHERE realm = $1 AND name > $2 ORDER BY name LIMIT $3";
    let rows = query(statement).bind(realm.as_str()).bind(after.unwrap_or_default()).bind(limit).all(store).await?;
    rows.iter().map(read).collect()
}

/// Makes a company. It is on the disk when this returns.
///
/// # Errors
/// Fails when the company exists or its name cannot be one, or when the store is out of reach or damaged.
pub async fn insert(
    store: &AuditedStore,
    realm: &RealmName,
    name: &str,
    now: Timestamp,
) -> Result<Company, AccountError> {
    check_name(name)?;
    let mut transaction = store.begin(ChangeTurn::Company(realm, name)).await?;
    let inserted = query("INSERT INTO companies (realm, name, created_at) VALUES ($1, $2, $3)")
        .bind(realm.as_str())
        .bind(name)
        .bind(now.as_millis())
        .execute(&mut transaction)
        .await;
    match inserted {
        Ok(_) => transaction.commit(entry(Action::CompanyAdd, realm, name)).await?,
        Err(StoreError::Conflict) => {
            transaction.rollback().await?;
            return Err(AccountError::company_exists(realm, name));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Company { realm: realm.clone(), name: name.to_owned(), disabled: false, created_at: now })
}

/// Disables a company and ends its clients' tokens, or enables it again.
///
/// # Errors
/// Fails when there is no such company, or when the store is out of reach or damaged.
pub async fn set_disabled(
    store: &AuditedStore,
    realm: &RealmName,
    name: &str,
    disabled: bool,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin(ChangeTurn::Company(realm, name)).await?;
    let raised = set_disabled_in(&mut transaction, realm, name, disabled, now).await?;
    let action = if disabled { Action::CompanyDisable } else { Action::CompanyEnable };
    // Each account stands under its id and under its name.
    let ended = json!({ "disabled": disabled, "clients_ended": raised.len() / 2 });
    transaction.commit(entry(action, realm, name).to(ended)).await?;
    Ok(raised)
}

/// The same in a transaction that has the company's turn.
pub(super) async fn set_disabled_in(
    transaction: &mut Transaction,
    realm: &RealmName,
    name: &str,
    disabled: bool,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let changed = query("UPDATE companies SET disabled = $1 WHERE realm = $2 AND name = $3")
        .bind(disabled)
        .bind(realm.as_str())
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    if changed == 0 {
        return Err(AccountError::company_not_found(realm, name));
    }
    if disabled { Ok(raise_company(transaction, realm, name, now).await?) } else { Ok(Raised::new()) }
}

/// Deletes a company and ends its clients' tokens. The clients stay, without a company to log in for.
///
/// # Errors
/// Fails when there is no such company, or when the store is out of reach or damaged.
pub async fn delete(
    store: &AuditedStore,
    realm: &RealmName,
    name: &str,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let mut transaction = store.begin(ChangeTurn::Company(realm, name)).await?;
    let deleted = query("DELETE FROM companies WHERE realm = $1 AND name = $2")
        .bind(realm.as_str())
        .bind(name)
        .execute(&mut transaction)
        .await?;
    if deleted == 0 {
        return Err(AccountError::company_not_found(realm, name));
    }
    let raised = raise_company(&mut transaction, realm, name, now).await?;
    let ended = json!({ "clients_ended": raised.len() / 2 });
    transaction.commit(entry(Action::CompanyDelete, realm, name).to(ended)).await?;
    Ok(raised)
}

fn entry(action: Action, realm: &RealmName, name: &str) -> Entry {
    Entry::on(action, "company", name.to_owned()).in_realm(realm)
}

/// Says whether a company could be called so.
///
/// # Errors
/// [`AccountError::Invalid`] says why not.
pub fn check_name(name: &str) -> Result<(), AccountError> {
    check_word("the name", name)
}

fn read(row: &Row) -> Result<Company, StoreError> {
    let realm: &str = row.get("realm")?;
    Ok(Company {
        realm: realm.parse().map_err(|_| StoreError::corrupt("a company's realm is no realm's name"))?,
        name: row.get("name")?,
        disabled: row.get("disabled")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
    })
}
