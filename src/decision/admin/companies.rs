//! The companies of `become`.

use super::{
    PAGE_ROWS,
    service::{AdminError, AdminService},
};
use crate::{
    rules::realm::Realm,
    state::account::{
        AccountError,
        company::{self, Company},
    },
};

/// How a company changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompanyChange {
    /// Its clients' logins are refused, and their tokens end.
    Disable,
    /// Its clients' logins are allowed again.
    Enable,
}

impl AdminService {
    /// A page of a realm's companies in the order of their names, from the one after `after` on.
    ///
    /// # Errors
    /// [`AdminError::NoCompanies`] when the realm's contract has none. Fails when the store is out of reach or damaged.
    pub async fn companies(&self, realm: &Realm, after: Option<&str>) -> Result<Vec<Company>, AdminError> {
        check_realm(realm)?;
        Ok(company::list(&self.store, &realm.name, after, PAGE_ROWS).await?)
    }

    /// All of a realm's companies in the order of their names.
    ///
    /// # Errors
    /// [`AdminError::NoCompanies`] when the realm's contract has none. Fails when the store is out of reach or damaged.
    pub async fn all_companies(&self, realm: &Realm) -> Result<Vec<Company>, AdminError> {
        let mut companies: Vec<Company> = Vec::new();
        loop {
            let page = self.companies(realm, companies.last().map(|company| company.name.as_str())).await?;
            if page.is_empty() {
                return Ok(companies);
            }
            companies.extend(page);
        }
    }

    /// The company called `name`.
    ///
    /// # Errors
    /// [`AdminError::NoCompanies`] when the realm's contract has none. Fails when there is no such company, or when the
    /// store is out of reach or damaged.
    pub async fn company(&self, realm: &Realm, name: &str) -> Result<Company, AdminError> {
        check_realm(realm)?;
        let found = company::find(&self.store, &realm.name, name).await?;
        Ok(found.ok_or_else(|| AccountError::company_not_found(&realm.name, name))?)
    }

    /// Makes a company.
    ///
    /// # Errors
    /// [`AdminError::NoCompanies`] when the realm's contract has none. Fails when the company exists or its name cannot
    /// be one, or when the store is out of reach or damaged.
    pub async fn add_company(&self, realm: &Realm, name: &str) -> Result<Company, AdminError> {
        check_realm(realm)?;
        Ok(company::insert(&self.store, &realm.name, name, self.clock.now()).await?)
    }

    /// Changes a company. Answers what it is now.
    ///
    /// # Errors
    /// [`AdminError::NoCompanies`] when the realm's contract has none. Fails when there is no such company, or when the
    /// store is out of reach or damaged.
    pub async fn change_company(
        &self,
        realm: &Realm,
        name: &str,
        change: CompanyChange,
    ) -> Result<Company, AdminError> {
        check_realm(realm)?;
        let disabled = change == CompanyChange::Disable;
        let raised = company::set_disabled(&self.store, &realm.name, name, disabled, self.clock.now()).await?;
        self.apply_raised(&raised);
        self.company(realm, name).await
    }

    /// Deletes a company, and ends its clients' tokens. Answers what it was.
    ///
    /// # Errors
    /// [`AdminError::NoCompanies`] when the realm's contract has none. Fails when there is no such company, or when the
    /// store is out of reach or damaged.
    pub async fn delete_company(&self, realm: &Realm, name: &str) -> Result<Company, AdminError> {
        let company = self.company(realm, name).await?;
        let raised = company::delete(&self.store, &realm.name, name, self.clock.now()).await?;
        self.apply_raised(&raised);
        Ok(company)
    }
}

/// Refuses a realm whose contract has no companies.
///
/// # Errors
/// [`AdminError::NoCompanies`].
pub fn check_realm(realm: &Realm) -> Result<(), AdminError> {
    if realm.dialect.facts().accounts.has_company {
        return Ok(());
    }
    Err(AdminError::NoCompanies { realm: realm.name.clone(), dialect: realm.dialect.clone() })
}
