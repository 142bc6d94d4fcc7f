//! Making, changing and deleting accounts, and what only a realm's contract knows about them.

use super::{
    PAGE_ROWS,
    changed::Changed,
    secrets::NewSecret,
    service::{AdminError, AdminService},
};
use crate::{
    domain::{AccountName, Holder, PrincipalId, PrincipalKind},
    rules::{contract::names_with, realm::Realm},
    state::{
        account::{
            self, Account, AccountError, Filter, LegacyId, Listing, NewAccount, OldTokens, Raised, Revision, Sort,
            company,
        },
        token::{SEALED_TEXT_BYTES_MAX, sealed_text_bytes},
    },
};

/// A new account that its realm has room for: only [`AdminService::check_new`] makes one.
#[derive(Debug)]
pub struct Acceptable(NewAccount);

/// Which of a realm's accounts are listed, in which order, from which on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Which of them.
    pub filter: Filter,
    /// The order.
    pub sort: Sort,
    /// Whether the order is turned round.
    pub descending: bool,
    /// The last account of the page before.
    pub after: Option<AccountName>,
}

/// How an account changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// Its logins are refused, and its tokens end.
    Disable,
    /// Its logins are allowed again.
    Enable,
    /// Its logins are refused, and its tokens live on.
    Lock,
    /// Its logins are allowed again.
    Unlock,
}

impl AdminService {
    /// A page of a realm's accounts, of `limit` at most and never more than 500.
    ///
    /// # Errors
    /// Fails when the account is gone behind which the page begins, unless the order is by name; or when the store is
    /// out of reach or damaged.
    pub async fn accounts(&self, realm: &Realm, wanted: &Wanted, limit: u32) -> Result<Vec<Account>, AdminError> {
        let Wanted { filter, sort, descending, after } = wanted.clone();
        let (kind, limit) = (realm.dialect.principal_kind(), limit.min(PAGE_ROWS));
        let listing = Listing { realm: &realm.name, kind, filter, sort, descending, after, limit };
        Ok(account::page(&self.store, &listing).await?)
    }

    /// All of a realm's accounts that are wanted, or the first `limit`.
    ///
    /// # Errors
    /// The same.
    pub async fn all_accounts(
        &self,
        realm: &Realm,
        mut wanted: Wanted,
        limit: Option<u32>,
    ) -> Result<Vec<Account>, AdminError> {
        let mut accounts: Vec<Account> = Vec::new();
        loop {
            let left =
                limit.map_or(PAGE_ROWS, |limit| limit.saturating_sub(accounts.len().try_into().unwrap_or(limit)));
            if left == 0 {
                return Ok(accounts);
            }
            let page = self.accounts(realm, &wanted, left).await?;
            let Some(last) = page.last() else { return Ok(accounts) };
            wanted.after = Some(last.name.clone());
            accounts.extend(page);
        }
    }

    /// Refuses an account that could not be used in `realm`, or that exists already; to be asked before a secret is
    /// asked for, or made and shown for nothing.
    ///
    /// # Errors
    /// Fails when the description cannot be one, when the realm's contract has no room for it, when the company that it
    /// names does not exist, when an account of its name does, or when the store is out of reach or damaged.
    pub async fn check_new(&self, realm: &Realm, new: NewAccount) -> Result<Acceptable, AdminError> {
        check(realm, &new)?;
        if let Some(company) = &new.company
            && company::find(&self.store, &realm.name, company).await?.is_none()
        {
            return Err(AccountError::company_missing(&realm.name, company).into());
        }
        if account::find(&self.store, &realm.name, &new.name).await?.is_some() {
            return Err(AccountError::exists(&realm.name, &new.name).into());
        }
        Ok(Acceptable(new))
    }

    /// Makes an account.
    ///
    /// # Errors
    /// Fails when the secret cannot be set, or not now; when the account exists or its id belonged to a deleted one; or
    /// when the store is out of reach or damaged.
    pub async fn add_account(&self, Acceptable(new): Acceptable, secret: NewSecret) -> Result<Changed, AdminError> {
        let hashed = self.hash(secret, None).await?;
        let account = account::insert(&self.store, &new, hashed.as_hash(), self.clock.now()).await?;
        Ok(Changed { account, tokens_ended: false, secret: hashed.shown })
    }

    /// Changes whether an account may log in.
    ///
    /// # Errors
    /// Fails when there is no such account, or when the store is out of reach or damaged.
    pub async fn change_account(
        &self,
        realm: &Realm,
        name: &AccountName,
        change: AccountChange,
    ) -> Result<Changed, AdminError> {
        let (store, now) = (&self.store, self.clock.now());
        let raised = match change {
            AccountChange::Disable => account::set_disabled(store, &realm.name, name, true, now).await?,
            AccountChange::Enable => account::set_disabled(store, &realm.name, name, false, now).await?,
            AccountChange::Lock | AccountChange::Unlock => {
                account::set_locked(store, &realm.name, name, change == AccountChange::Lock).await?;
                Raised::new()
            }
        };
        self.changed(realm, name, &raised, None).await
    }

    /// Changes what an account is. Its tokens end where they carry what changed, or where routes judge by it.
    ///
    /// # Errors
    /// Fails when there is no such account, when its realm's contract has no room for what it is to be, when somebody
    /// has the legacy id, when the company does not exist, or when the store is out of reach or damaged.
    pub async fn revise_account(
        &self,
        realm: &Realm,
        name: &AccountName,
        revision: Revision,
    ) -> Result<Changed, AdminError> {
        let judge = |before: &Account, after: &Account| {
            check(realm, &NewAccount::from(after))?;
            if before.legacy_id.is_some() && after.legacy_id.is_none() {
                return refuse(format!(
                    "an account of dialect '{}' keeps its legacy id: its contract shows it",
                    realm.dialect
                ));
            }
            Ok::<_, AdminError>(if before.is_carried_like(after) { OldTokens::Keep } else { OldTokens::End })
        };
        let raised = account::revise(&self.store, &realm.name, name, revision, judge, self.clock.now()).await?;
        self.changed(realm, name, &raised, None).await
    }

    /// Deletes an account for ever, and ends its tokens. Answers what it was.
    ///
    /// # Errors
    /// Fails when there is no such account, or when the store is out of reach or damaged.
    pub async fn delete_account(&self, realm: &Realm, name: &AccountName) -> Result<Account, AdminError> {
        let account = self.account(realm, name).await?;
        let raised = account::delete(&self.store, &realm.name, name, self.clock.now()).await?;
        self.apply_raised(&raised);
        Ok(account)
    }
}

/// A new account of `realm` with nothing but its name, and the realm's next integer id where its contract has such.
#[must_use]
pub fn describe(realm: &Realm, name: AccountName) -> NewAccount {
    NewAccount {
        id: PrincipalId::generate(),
        realm: realm.name.clone(),
        kind: realm.dialect.principal_kind(),
        name,
        display_name: None,
        legacy_id: if realm.dialect.facts().accounts.has_legacy_id { LegacyId::Next } else { LegacyId::None },
        role: None,
        scopes: Vec::new(),
        company: None,
        grants: None,
    }
}

/// Refuses a kind of account that the realm's contract does not have.
///
/// # Errors
/// [`AdminError::Refused`] for any kind but the one that the contract has.
pub fn check_kind(realm: &Realm, kind: PrincipalKind) -> Result<(), AdminError> {
    let (name, dialect) = (&realm.name, &realm.dialect);
    let right = dialect.principal_kind();
    if right == kind {
        return Ok(());
    }
    refuse(format!("realm '{name}' speaks {dialect}: its accounts are {right}s, not {kind}s"))
}

/// Refuses a description, new or changed, that the realm's contract has no room for, or that lacks what it needs.
pub(in crate::decision) fn check(realm: &Realm, new: &NewAccount) -> Result<(), AdminError> {
    check_room(realm, new)?;
    check_needs(realm, new)
}

/// Refuses a description that lacks what the realm's contract needs.
pub(super) fn check_needs(realm: &Realm, new: &NewAccount) -> Result<(), AdminError> {
    let accounts = &realm.dialect.facts().accounts;
    if accounts.has_company && new.company.is_none() {
        let (name, dialect, kind) = (&realm.name, &realm.dialect, accounts.kind);
        return refuse(format!("realm '{name}' speaks {dialect}: a {kind} needs a company"));
    }
    Ok(())
}

/// Refuses a description, whole or in part, that the realm's contract has no room for.
pub(super) fn check_room(realm: &Realm, new: &NewAccount) -> Result<(), AdminError> {
    let (name, dialect) = (&realm.name, &realm.dialect);
    let accounts = &dialect.facts().accounts;
    new.check()?;
    check_kind(realm, new.kind)?;
    if !accounts.has_legacy_id && new.legacy_id != LegacyId::None {
        let others = names_with(|facts| facts.accounts.has_legacy_id);
        return refuse(format!("realm '{name}' speaks {dialect}: only accounts of {others} have a legacy id"));
    }
    if !accounts.has_company && new.company.is_some() {
        let others = names_with(|facts| facts.accounts.has_company);
        return refuse(format!("realm '{name}' speaks {dialect}: only clients of {others} have a company"));
    }
    if !dialect.is_oauth() && new.grants.is_some() {
        return refuse(format!("realm '{name}' speaks {dialect}: only clients of oauth have grants"));
    }
    let bytes = sealed_text_bytes(&holder(new));
    if !realm.algorithm.is_jwt() && bytes > SEALED_TEXT_BYTES_MAX {
        return refuse(format!(
            "name, role and scopes have {bytes} bytes together; the tokens of realm '{name}' hold {SEALED_TEXT_BYTES_MAX}"
        ));
    }
    Ok(())
}

fn holder(new: &NewAccount) -> Holder {
    Holder {
        id: new.id,
        name: new.name.clone(),
        display_name: new.display_name.clone().unwrap_or_default(),
        legacy_id: None,
        role: new.role.clone().unwrap_or_default(),
        scopes: new.scopes.clone(),
        company: new.company.clone(),
    }
}

fn refuse<T>(text: String) -> Result<T, AdminError> {
    Err(AdminError::Refused(text))
}
