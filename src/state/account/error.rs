//! Why an account or a company cannot be changed.

use thiserror::Error;

use crate::{
    domain::{AccountName, PrincipalId, RealmName},
    state::store::StoreError,
};

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
