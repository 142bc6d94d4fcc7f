//! Accounts: users, clients and projects of the realms, and the companies of `become`. Only an
//! administrator makes them; a login reads them.
//!
//! Whatever ends the tokens of an account raises its epoch and writes that into the revocation log,
//! in one transaction. The functions that do so answer with the new epochs ([`Raised`]), so that a
//! gateway in the same process refuses the old tokens at once, without reading the log.

pub mod company;
mod credentials;
mod hasher;
pub mod import;
mod insert;
mod known;
mod listing;
mod logins;
pub mod password;
mod password_rules;
mod repository;
mod revise;
mod secret;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use thiserror::Error;

pub use credentials::{Credentials, OpenCredentials, PreviousSecret};
pub use hasher::{Checked, Hasher, HasherError, HasherSettings, Observer};
pub use insert::insert;
pub use known::{AccountId, KnownAccounts, Speaker};
pub use listing::{Filter, Listing, Sort, Status, list, page};
pub use logins::{LOGINS_ACCOUNTS_MAX, Logins, write_logins};
pub use password::{Matched, PasswordError, PasswordHash, PasswordKey};
pub use password_rules::{PASSWORD_CHARS_MIN, PasswordRules, RefusedPasswords};
pub(in crate::state) use repository::{ACCOUNT, BESIDE};
pub use repository::{
    OldTokens, active_epochs, delete, end_tokens, find, find_by_id, record_names, set_disabled, set_locked,
};
pub use revise::{Revised, Revision, revise};
pub use secret::{
    OVERLAP_MAX, SecretHash, end_overlap, overlap_secrets, prune_previous, set_password_hash, update_hash_if_unchanged,
};

use super::store::{Action, Entry, Row, StoreError};
use crate::domain::{AccountName, GrantType, Holder, PrincipalId, PrincipalKind, RealmName, Timestamp};

/// Bytes of an account's name, a business, a company, a display name or a role, at most.
pub const NAME_BYTES_MAX: usize = 256;

/// Scopes of an account, at most.
pub const SCOPES_MAX: usize = 64;

/// The largest integer that every JSON reader keeps exact (RFC 8259, section 6).
pub const LEGACY_ID_MAX: i64 = (1 << 53) - 1;

/// The epochs that a change raised, as the revocation log has them.
pub type Raised = Vec<(PrincipalId, u32)>;

/// An account, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The `sub` of its tokens.
    pub id: PrincipalId,
    /// Its realm.
    pub realm: RealmName,
    /// What it is.
    pub kind: PrincipalKind,
    /// What it logs in with.
    pub name: AccountName,
    /// The name that people read.
    pub display_name: Option<String>,
    /// The integer id of `sws`.
    pub legacy_id: Option<i64>,
    /// Its role.
    pub role: Option<String>,
    /// Its scopes (`become`: permissions).
    pub scopes: Vec<String>,
    /// Its company (`become`), which may be missing.
    pub company: Option<String>,
    /// The grants that it may use (`oauth`); `None` for all of them.
    pub grants: Option<Vec<GrantType>>,
    /// The hash of its password or secret.
    pub password_hash: PasswordHash,
    /// Whether Portero made that secret. [`Account::is_secret_made`] says it of all that open the account.
    secret_made: bool,
    /// The secret before it, which may be taken too: [`Account::credentials`].
    pub previous_secret: Option<PreviousSecret>,
    /// When it logged in, the last time that was written down: about a minute later.
    pub last_login_at: Option<Timestamp>,
    /// Logins with a wrong secret since then, as far as they were written down.
    pub failed_logins: u32,
    /// Whether it may not log in, and is not told why.
    pub disabled: bool,
    /// Whether it may not log in until an administrator unlocks it (`sws` tells it so).
    pub locked: bool,
    /// What its tokens must carry at least.
    pub epoch: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Account {
    /// Whether a refresh token that was given in this epoch still gives others.
    #[must_use]
    pub const fn renews(&self, epoch: u32) -> bool {
        !self.disabled && !self.locked && self.epoch <= epoch
    }

    /// Whether tokens carry the same for both, and routes judge them alike. The name that people read stands in no
    /// token, and what grants a client may use is looked up when it asks for tokens.
    #[must_use]
    pub fn is_carried_like(&self, other: &Self) -> bool {
        let scopes = |account: &Self| account.scopes.iter().cloned().collect::<BTreeSet<_>>();
        self.role == other.role
            && self.company == other.company
            && self.legacy_id == other.legacy_id
            && scopes(self) == scopes(other)
    }

    /// The entry of the audit log about something that is done to it.
    pub(super) fn entry(&self, action: Action) -> Entry {
        Entry::account(action, self.kind, &self.realm, self.id)
    }

    /// What the audit log tells of one that was made or deleted. Its name is left out: the uuid stands for it.
    fn described(&self) -> Value {
        json!({
            "role": self.role,
            "scopes": self.scopes,
            "company": self.company,
            "legacy_id": self.legacy_id,
            "grants": self.grants.as_ref().map(|grants| grants.iter().map(|grant| grant.name()).collect::<Vec<_>>()),
            "disabled": self.disabled,
            "locked": self.locked,
        })
    }

    /// The account as tokens and answers show it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        Holder {
            id: self.id,
            name: self.name.clone(),
            display_name: self.display_name.clone().unwrap_or_else(|| self.name.name.clone()),
            legacy_id: self.legacy_id,
            role: self.role.clone().unwrap_or_default(),
            scopes: self.scopes.clone(),
            company: self.company.clone(),
        }
    }
}

/// An account to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// The `sub` of its tokens: a new one, or one that it had elsewhere.
    pub id: PrincipalId,
    /// Its realm.
    pub realm: RealmName,
    /// What it is.
    pub kind: PrincipalKind,
    /// What it logs in with.
    pub name: AccountName,
    /// The name that people read.
    pub display_name: Option<String>,
    /// The integer id of `sws`.
    pub legacy_id: LegacyId,
    /// Its role.
    pub role: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Its company. It need not exist: then the account gets `become`'s 404.
    pub company: Option<String>,
    /// The grants that it may use (`oauth`); `None` for all of them.
    pub grants: Option<Vec<GrantType>>,
}

/// The integer id that a new account gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyId {
    /// None: its contract has no such thing.
    None,
    /// The next one of the realm, from 1 on; never one that an account had before.
    Next,
    /// The one that it had elsewhere.
    Given(i64),
}

impl From<&Account> for NewAccount {
    /// The description of an account that exists, to judge a change of it by.
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            realm: account.realm.clone(),
            kind: account.kind,
            name: account.name.clone(),
            display_name: account.display_name.clone(),
            legacy_id: account.legacy_id.map_or(LegacyId::None, LegacyId::Given),
            role: account.role.clone(),
            scopes: account.scopes.clone(),
            company: account.company.clone(),
            grants: account.grants.clone(),
        }
    }
}

impl NewAccount {
    /// Says whether the account could be made as it is described. Every part of it may become an
    /// HTTP header of a forwarded request, and must mean the same there.
    ///
    /// # Errors
    /// [`AccountError::Invalid`] says which part is wrong, and why.
    pub fn check(&self) -> Result<(), AccountError> {
        check_word("the name", &self.name.name)?;
        if self.kind == PrincipalKind::Project {
            check_word("the business", &self.name.business)?;
        }
        let words =
            [("the display name", &self.display_name), ("the role", &self.role), ("the company", &self.company)];
        for (what, word) in words {
            word.as_deref().map_or(Ok(()), |word| check_word(what, word))?;
        }
        if let LegacyId::Given(id) = self.legacy_id
            && !(0..=LEGACY_ID_MAX).contains(&id)
        {
            return Err(AccountError::Invalid("the legacy id", "must be an integer from 0 to 2^53 - 1"));
        }
        if self.scopes.len() > SCOPES_MAX {
            return Err(AccountError::Invalid("the list of scopes", "has more than 64"));
        }
        self.scopes.iter().try_for_each(|scope| check_scope(scope))
    }
}

/// Why an account or a company cannot be changed.
#[derive(Debug, Error)]
pub enum AccountError {
    /// It does not exist; the text names it.
    #[error("there is no {0}")]
    NotFound(String),
    /// It, or something that only one account may have, exists already; the text names it.
    #[error("{0} exists already")]
    Exists(String),
    /// The company that an account is to have does not exist; the text names it.
    #[error("there is no {0}: add it first, with portero company add")]
    CompanyMissing(String),
    /// The identity belonged to an account that was deleted, whose tokens are refused for ever.
    #[error("the id {0} belonged to an account that was deleted: take another one")]
    Retired(PrincipalId),
    /// What is wrong, and why.
    #[error("{0} {1}")]
    Invalid(&'static str, &'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountError {
    /// There is no such account.
    #[must_use]
    pub fn not_found(realm: &RealmName, name: &AccountName) -> Self {
        Self::NotFound(named(realm, name))
    }

    /// There is such an account.
    #[must_use]
    pub fn exists(realm: &RealmName, name: &AccountName) -> Self {
        Self::Exists(named(realm, name))
    }

    /// There is no such company.
    #[must_use]
    pub fn company_not_found(realm: &RealmName, company: &str) -> Self {
        Self::NotFound(named_company(realm, company))
    }

    /// There is no such company for an account.
    #[must_use]
    pub fn company_missing(realm: &RealmName, company: &str) -> Self {
        Self::CompanyMissing(named_company(realm, company))
    }

    /// There is such a company.
    #[must_use]
    pub fn company_exists(realm: &RealmName, company: &str) -> Self {
        Self::Exists(named_company(realm, company))
    }
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The account of a row that has the columns of `principals`, and those beside it.
///
/// # Errors
/// Fails when it is malformed.
pub(in crate::state) fn of_row(row: &Row) -> Result<Account, StoreError> {
    repository::read(row)
}

/// Grants as the store has them.
fn joined_grants(grants: Option<&[GrantType]>) -> Option<String> {
    Some(grants?.iter().map(|grant| grant.name()).collect::<Vec<_>>().join(" "))
}

/// Names an account in an error, in characters that a terminal may show.
fn named(realm: &RealmName, name: &AccountName) -> String {
    let who = name.name.escape_debug();
    if name.business.is_empty() {
        format!("account '{who}' in realm '{realm}'")
    } else {
        format!("account '{who}' of business '{}' in realm '{realm}'", name.business.escape_debug())
    }
}

fn named_company(realm: &RealmName, company: &str) -> String {
    format!("company '{}' in realm '{realm}'", company.escape_debug())
}

fn check_word(what: &'static str, word: &str) -> Result<(), AccountError> {
    let why = if word.is_empty() {
        "is empty"
    } else if word.len() > NAME_BYTES_MAX {
        "is longer than 256 bytes"
    } else if word.chars().any(char::is_control) {
        "contains a control character"
    } else if word.trim() != word {
        // A header's value loses it, and two accounts would look the same.
        "begins or ends with white space"
    } else {
        return Ok(());
    };
    Err(AccountError::Invalid(what, why))
}

/// `scope-token` of RFC 6749, section 3.3.
fn check_scope(scope: &str) -> Result<(), AccountError> {
    check_word("a scope", scope)?;
    if scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
        Ok(())
    } else {
        Err(AccountError::Invalid("a scope", "may contain only visible ASCII characters but for '\"' and '\\'"))
    }
}

#[cfg(test)]
mod tests;
