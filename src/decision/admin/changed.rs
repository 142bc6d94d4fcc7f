//! What an operator is told of an account after a change.

use super::service::{AdminError, AdminService};
use crate::{
    domain::{AccountName, Secret},
    rules::realm::Realm,
    state::account::{self, Account, AccountError, Raised},
};

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
    /// The account called `name`.
    ///
    /// # Errors
    /// Fails when there is no such account, or when the store is out of reach or damaged.
    pub async fn account(&self, realm: &Realm, name: &AccountName) -> Result<Account, AdminError> {
        let found = account::find(&self.store, &realm.name, name).await?;
        Ok(found.ok_or_else(|| AccountError::not_found(&realm.name, name))?)
    }

    /// Puts in force what a change raised, and reads the account again.
    pub(super) async fn changed(
        &self,
        realm: &Realm,
        name: &AccountName,
        raised: &Raised,
        secret: Option<Secret>,
    ) -> Result<Changed, AdminError> {
        self.apply_raised(raised);
        Ok(Changed { account: self.account(realm, name).await?, tokens_ended: !raised.is_empty(), secret })
    }
}
