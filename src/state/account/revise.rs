//! Changing what an account is: its names, role, scopes, company, number and grants, in one transaction.

use super::{
    Account, AccountError, LegacyId, NewAccount, OldTokens, Raised, company,
    insert::{note_legacy_id, refuse_legacy_id},
    record::joined_grants,
    repository::{bytes, find_in, raise},
};
use crate::{
    domain::{AccountName, GrantType, RealmName, Timestamp},
    state::store::{Action, AuditedStore, ChangeTurn, StoreError, Turn, query},
};

/// What becomes of one part of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Revised<T> {
    /// It stays.
    #[default]
    Kept,
    /// It is this from now on.
    To(T),
}

impl<T> Revised<T> {
    fn apply(self, to: &mut T) {
        if let Self::To(value) = self {
            *to = value;
        }
    }

    /// Whether it stays.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Kept)
    }
}

/// How an account changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// The name that people read.
    pub display_name: Revised<Option<String>>,
    /// Its role.
    pub role: Revised<Option<String>>,
    /// Its scopes.
    pub scopes: Revised<Vec<String>>,
    /// Its company, which must exist.
    pub company: Revised<Option<String>>,
    /// The integer id of `sws`, which nobody else may have.
    pub legacy_id: Revised<Option<i64>>,
    /// The grants that it may use; `None` for all of them.
    pub grants: Revised<Option<Vec<GrantType>>>,
}

impl Revision {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The account as it is afterwards.
    fn apply(self, before: &Account) -> Account {
        let mut after = before.clone();
        self.display_name.apply(&mut after.display_name);
        self.role.apply(&mut after.role);
        self.scopes.apply(&mut after.scopes);
        self.company.apply(&mut after.company);
        self.legacy_id.apply(&mut after.legacy_id);
        self.grants.apply(&mut after.grants);
        after
    }
}

/// Changes an account. `judge` is given the account before and after, as they are in the transaction, and says what
/// becomes of the tokens; or why it may not be so.
///
/// # Errors
/// What `judge` says. Fails when there is no such account, when the company does not exist or somebody has the legacy
/// id, when a part cannot be what it is to be, or when the store is out of reach or damaged.
pub async fn revise<E: From<AccountError> + From<StoreError>>(
    store: &AuditedStore,
    realm: &RealmName,
    name: &AccountName,
    revision: Revision,
    judge: impl FnOnce(&Account, &Account) -> Result<OldTokens, E>,
    now: Timestamp,
) -> Result<Raised, E> {
    // Numbers are given out in the turn of all accounts.
    let first = if revision.legacy_id.is_kept() { ChangeTurn::Shared(Turn::Nothing) } else { ChangeTurn::Accounts };
    let mut transaction = store.begin(first).await?;
    if let Revised::To(Some(company)) = &revision.company {
        transaction.wait_for(ChangeTurn::Company(realm, company)).await?;
    }
    transaction.wait_for(ChangeTurn::Account(realm, name)).await?;
    let before = find_in(&mut transaction, realm, name).await?.ok_or_else(|| AccountError::not_found(realm, name))?;
    let after = revision.apply(&before);
    NewAccount::from(&after).check()?;
    let old_tokens = judge(&before, &after)?;
    if after == before {
        transaction.rollback().await?;
        return Ok(Raised::new());
    }
    if let Some(company) = after.company.as_ref().filter(|_| after.company != before.company)
        && company::find_in(&mut transaction, realm, company).await?.is_none()
    {
        return Err(AccountError::company_missing(realm, company).into());
    }
    if let Some(id) = after.legacy_id.filter(|_| after.legacy_id != before.legacy_id) {
        refuse_legacy_id(&mut transaction, realm, id).await?;
        note_legacy_id(&mut transaction, realm, LegacyId::Given(id)).await?;
    }
    let statement = "UPDATE principals SET display_name = $1, role = $2, scopes = $3, company = $4, legacy_id = $5, \
                     grants = $6 WHERE id = $7";
    query(statement)
        .bind(&after.display_name)
        .bind(&after.role)
        .bind(after.scopes.join(" "))
        .bind(&after.company)
        .bind(after.legacy_id)
        .bind(joined_grants(after.grants.as_deref()))
        .bind(bytes(&after.id))
        .execute(&mut transaction)
        .await?;
    let raised = match old_tokens {
        OldTokens::End => raise(&mut transaction, after.id, now).await?,
        OldTokens::Keep => Raised::new(),
    };
    let entry = before.entry(Action::AccountSet).from(before.described());
    transaction.commit(entry.to(after.described())).await?;
    Ok(raised)
}
