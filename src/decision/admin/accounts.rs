//! Making, changing and deleting accounts, and what only a realm's contract knows about them.

use super::{
    PAGE_ROWS,
    service::{AdminError, AdminService},
};
use crate::{
    domain::{AccountName, Holder, PrincipalId, PrincipalKind, Secret, random},
    rules::{dialect::Dialect, limit::ClientKey, realm::Realm},
    state::{
        account::{
            self, Account, AccountError, HasherError, LegacyId, NewAccount, OldTokens, PasswordHash, Raised, company,
            password,
        },
        takeover::confirmation,
        token::{SEALED_TEXT_BYTES_MAX, sealed_text_bytes},
    },
};

/// A new account that its realm has room for: only [`AdminService::check_new`] makes one.
#[derive(Debug)]
pub struct Acceptable(NewAccount);

/// The secret that an account gets.
#[derive(Debug)]
pub enum NewSecret {
    /// The one that the operator has.
    Given(Secret),
    /// One that is made here, and shown once.
    Generated,
}

/// How an account changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange<'a> {
    /// Its logins are refused, and its tokens end.
    Disable,
    /// Its logins are allowed again.
    Enable,
    /// Its logins are refused, and its tokens live on.
    Lock,
    /// Its logins are allowed again.
    Unlock,
    /// It has another role, or none. Its tokens carry the old one, and so end.
    SetRole(Option<&'a str>),
}

/// Why an account gets a new secret: that says what becomes of the tokens which the old one gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretChange {
    /// A new password: the tokens end.
    Password,
    /// A secret makes way for another. A user's tokens end; those of a client or a project live on until they expire,
    /// as the `maxpoint` contract promises its clients, unless they are to be revoked.
    Rotation {
        /// Whether they are.
        revoke: bool,
    },
}

/// An account after a change.
#[derive(Debug)]
pub struct Changed {
    /// As it is now.
    pub account: Account,
    /// Whether its tokens have ended.
    pub tokens_ended: bool,
    /// Its new secret, if one was made here. It is never shown again.
    pub secret: Option<Secret>,
}

impl AdminService {
    /// A page of a realm's accounts in the order of their names, from the one after `after` on.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn accounts(&self, realm: &Realm, after: Option<&AccountName>) -> Result<Vec<Account>, AdminError> {
        let kind = realm.dialect.principal_kind();
        Ok(account::list(&self.store, &realm.name, kind, after, PAGE_ROWS).await?)
    }

    /// All of a realm's accounts in the order of their names.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn all_accounts(&self, realm: &Realm) -> Result<Vec<Account>, AdminError> {
        let mut accounts: Vec<Account> = Vec::new();
        loop {
            let page = self.accounts(realm, accounts.last().map(|account| &account.name)).await?;
            if page.is_empty() {
                return Ok(accounts);
            }
            accounts.extend(page);
        }
    }

    /// The account called `name`.
    ///
    /// # Errors
    /// Fails when there is no such account, or when the store is out of reach or damaged.
    pub async fn account(&self, realm: &Realm, name: &AccountName) -> Result<Account, AdminError> {
        let found = account::find(&self.store, &realm.name, name).await?;
        Ok(found.ok_or_else(|| AccountError::not_found(&realm.name, name))?)
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
            let error = AccountError::company_not_found(&realm.name, company);
            return refuse(format!("{error}: add it first, with portero company add"));
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
        let (hash, secret) = self.hash(secret).await?;
        let account = account::insert(&self.store, &new, &hash, self.clock.now()).await?;
        Ok(Changed { account, tokens_ended: false, secret })
    }

    /// Changes an account.
    ///
    /// # Errors
    /// Fails when there is no such account, when the new role cannot be one or the realm's contract has no room for it,
    /// or when the store is out of reach or damaged.
    pub async fn change_account(
        &self,
        realm: &Realm,
        name: &AccountName,
        change: AccountChange<'_>,
    ) -> Result<Changed, AdminError> {
        let (store, now) = (&self.store, self.clock.now());
        let raised = match change {
            AccountChange::Disable => account::set_disabled(store, &realm.name, name, true, now).await?,
            AccountChange::Enable => account::set_disabled(store, &realm.name, name, false, now).await?,
            AccountChange::Lock | AccountChange::Unlock => {
                account::set_locked(store, &realm.name, name, change == AccountChange::Lock).await?;
                Raised::new()
            }
            AccountChange::SetRole(role) => {
                let account = self.account(realm, name).await?;
                check(realm, &NewAccount { role: role.map(str::to_owned), ..NewAccount::from(&account) })?;
                account::set_role(store, &realm.name, name, role, now).await?
            }
        };
        self.changed(realm, name, &raised, None).await
    }

    /// Gives an account that exists a new secret.
    ///
    /// # Errors
    /// Fails when the secret cannot be set, or not now; when there is no such account; or when the store is out of
    /// reach or damaged.
    pub async fn set_secret(
        &self,
        realm: &Realm,
        account: &Account,
        secret: NewSecret,
        change: SecretChange,
    ) -> Result<Changed, AdminError> {
        let (hash, shown) = self.hash(secret).await?;
        let (name, old_tokens) = (&account.name, change.old_tokens(account.kind));
        let now = self.clock.now();
        let raised = account::set_password_hash(&self.store, &realm.name, name, &hash, old_tokens, now).await?;
        // An old system knows another one. What it confirmed was of that hash alone: only the status needs this.
        confirmation::forget(&self.store, account.id).await?;
        self.changed(realm, name, &raised, shown).await
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

    /// Puts in force what a change raised, and reads the account again.
    async fn changed(
        &self,
        realm: &Realm,
        name: &AccountName,
        raised: &Raised,
        secret: Option<Secret>,
    ) -> Result<Changed, AdminError> {
        self.apply_raised(raised);
        Ok(Changed { account: self.account(realm, name).await?, tokens_ended: !raised.is_empty(), secret })
    }

    /// The hash of a secret; and the secret, if it was made here.
    async fn hash(&self, secret: NewSecret) -> Result<(PasswordHash, Option<Secret>), AdminError> {
        let (secret, shown) = match secret {
            NewSecret::Given(secret) => (secret, None),
            NewSecret::Generated => {
                let made = random::secret();
                (made.clone(), Some(made))
            }
        };
        let hash = match &self.hasher {
            Some(hasher) => hasher.hash(ClientKey::OPERATOR, secret).await?,
            None => password::hash(&secret).map_err(HasherError::from)?,
        };
        Ok((hash, shown))
    }
}

impl SecretChange {
    const fn old_tokens(self, kind: PrincipalKind) -> OldTokens {
        match (self, kind) {
            (Self::Password | Self::Rotation { revoke: true }, _) | (_, PrincipalKind::User) => OldTokens::End,
            (Self::Rotation { revoke: false }, _) => OldTokens::Keep,
        }
    }
}

/// A new account of `realm` with nothing but its name, and in `sws` the realm's next integer id.
#[must_use]
pub fn describe(realm: &Realm, name: AccountName) -> NewAccount {
    NewAccount {
        id: PrincipalId::generate(),
        realm: realm.name.clone(),
        kind: realm.dialect.principal_kind(),
        name,
        display_name: None,
        legacy_id: if realm.dialect == Dialect::Sws { LegacyId::Next } else { LegacyId::None },
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
    let (name, dialect) = (&realm.name, realm.dialect);
    let right = dialect.principal_kind();
    if right == kind {
        return Ok(());
    }
    refuse(format!("realm '{name}' speaks {dialect}: its accounts are {right}s, not {kind}s"))
}

/// Refuses a description, new or changed, that the realm's contract has no room for.
/// Says whether a realm's contract has room for an account.
pub(in crate::decision) fn check(realm: &Realm, new: &NewAccount) -> Result<(), AdminError> {
    let (name, dialect) = (&realm.name, realm.dialect);
    new.check()?;
    check_kind(realm, new.kind)?;
    if dialect != Dialect::Sws && new.legacy_id != LegacyId::None {
        return refuse(format!("realm '{name}' speaks {dialect}: only accounts of sws have a legacy id"));
    }
    if dialect != Dialect::Become && new.company.is_some() {
        return refuse(format!("realm '{name}' speaks {dialect}: only clients of become have a company"));
    }
    if dialect != Dialect::Oauth && new.grants.is_some() {
        return refuse(format!("realm '{name}' speaks {dialect}: only clients of oauth have grants"));
    }
    if dialect == Dialect::Become && new.company.is_none() {
        return refuse(format!("realm '{name}' speaks {dialect}: a client needs a company"));
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
