//! What a row changes of an account that is there. Where its hash, its status or what its tokens carry changes, they
//! end.

use super::super::{
    Account, AccountError, PasswordHash, Raised,
    record::joined_grants,
    repository::{bytes, raise},
};
use crate::{
    domain::{GrantType, Timestamp},
    state::{
        refresh,
        store::{Transaction, query},
    },
};

/// An account that is there.
#[derive(Clone, Debug)]
pub struct Existing {
    /// As it is.
    pub account: Account,
    /// What tells the hash that it was imported with from another; `None` for one that was made here.
    pub mark: Option<Vec<u8>>,
}

/// Whether an account may log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It may.
    #[default]
    Active,
    /// It may not, and has no tokens.
    Disabled,
    /// It may not, and its tokens live on.
    Locked,
}

/// What a row says; what it does not say stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// The name that people read.
    pub display_name: Option<Option<String>>,
    /// The role.
    pub role: Option<Option<String>>,
    /// The scopes.
    pub scopes: Option<Vec<String>>,
    /// The company.
    pub company: Option<Option<String>>,
    /// The number.
    pub legacy_id: Option<i64>,
    /// The grants that it may use.
    pub grants: Option<Option<Vec<GrantType>>>,
    /// Whether it may log in.
    pub status: Option<Status>,
    /// The hash, as the store may have it, and what tells the old system's from another.
    pub hash: Option<(PasswordHash, Vec<u8>)>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// The account is another one now.
    Changed,
    /// It was as the row says.
    Unchanged,
}

/// What an account is after a row, and what that touches.
struct Plan {
    account: Account,
    mark: Option<Vec<u8>>,
    has_new_hash: bool,
}

/// The account as the row makes it; `None` where the row changes nothing of it.
#[must_use]
pub fn changed(existing: &Existing, wanted: &Update) -> Option<Account> {
    plan(existing, wanted).map(|plan| plan.account)
}

fn plan(existing: &Existing, wanted: &Update) -> Option<Plan> {
    let mut account = existing.account.clone();
    let Update { display_name, role, scopes, company, legacy_id, grants, status, hash } = wanted.clone();
    account.display_name = display_name.unwrap_or(account.display_name);
    account.role = role.unwrap_or(account.role);
    account.scopes = scopes.unwrap_or(account.scopes);
    account.company = company.unwrap_or(account.company);
    account.legacy_id = legacy_id.or(account.legacy_id);
    account.grants = grants.unwrap_or(account.grants);
    if let Some(status) = status {
        (account.disabled, account.locked) = (status == Status::Disabled, status == Status::Locked);
    }
    let mut plan = Plan { account, mark: existing.mark.clone(), has_new_hash: false };
    if let Some((hash, mark)) = hash
        // The same old hash again: what became of it here stays, an upgraded one and a password that was set since.
        && existing.mark.as_ref() != Some(&mark)
    {
        (plan.account.password_hash, plan.mark, plan.has_new_hash) = (hash, Some(mark), true);
    }
    (plan.has_new_hash || plan.account != existing.account).then_some(plan)
}

/// Changes an account whose turn the transaction has.
pub(super) async fn update(
    transaction: &mut Transaction,
    existing: &Existing,
    wanted: &Update,
    source: &str,
    now: Timestamp,
) -> Result<(Updated, Raised), AccountError> {
    let old = &existing.account;
    let Some(Plan { account: new, mark, has_new_hash }) = plan(existing, wanted) else {
        return Ok((Updated::Unchanged, Raised::new()));
    };
    query(
        "UPDATE principals SET display_name = $1, role = $2, scopes = $3, company = $4, legacy_id = $5, disabled = $6, \
         locked = $7, password_hash = $8, grants = $9 WHERE id = $10",
    )
    .bind(&new.display_name)
    .bind(&new.role)
    .bind(new.scopes.join(" "))
    .bind(&new.company)
    .bind(new.legacy_id)
    .bind(new.disabled)
    .bind(new.locked)
    .bind(new.password_hash.text())
    .bind(joined_grants(new.grants.as_deref()))
    .bind(bytes(&old.id))
    .execute(&mut *transaction)
    .await?;
    if let Some(mark) = mark.filter(|_| has_new_hash) {
        let statement = "INSERT INTO account_sources (account, source, mark) VALUES ($1, $2, $3) \
                         ON CONFLICT (account) DO UPDATE SET source = excluded.source, mark = excluded.mark";
        query(statement).bind(bytes(&old.id)).bind(source).bind(mark).execute(&mut *transaction).await?;
    }
    if has_new_hash {
        // An old system confirmed another one.
        let statement = "UPDATE takeovers SET hash = NULL, confirmed_at = NULL WHERE account = $1";
        query(statement).bind(bytes(&old.id)).execute(&mut *transaction).await?;
    }
    let has_new_status = (new.disabled, new.locked) != (old.disabled, old.locked);
    let mut raised = Raised::new();
    if has_new_hash || has_new_status || !new.is_carried_like(old) {
        raised = raise(transaction, old.id, now).await?;
    }
    if has_new_hash || (new.disabled && !old.disabled) {
        refresh::end_families_in(transaction, old.id, now).await?;
    }
    Ok((Updated::Changed, raised))
}
