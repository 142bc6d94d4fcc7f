//! The client that an OAuth request comes from.

use crate::{
    decision::issue::{caller::Caller, login::TokenService},
    domain::{Grant, GrantType, Holder},
    rules::{
        contract::{
            Login, Validity,
            oauth::{OAuthError, scope},
        },
        realm::Realm,
    },
    state::account::Account,
};

/// A client of an OAuth realm that proved itself.
#[derive(Debug)]
pub struct Client(pub(super) Account);

impl Client {
    /// Whether it may use a grant.
    ///
    /// # Errors
    /// [`OAuthError::UnauthorizedClient`].
    pub(super) fn may_use(&self, grant: GrantType) -> Result<(), OAuthError> {
        let may = self.0.grants.as_ref().is_none_or(|grants| grants.contains(&grant));
        if may { Ok(()) } else { Err(OAuthError::UnauthorizedClient) }
    }

    /// Its name, for logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name.name
    }

    pub(super) fn has(&self, permission: &str) -> bool {
        self.0.scopes.iter().any(|scope| scope == permission)
    }
}

impl TokenService {
    /// Proves a client, under the throttle: unknown and wrong are the same, in bytes and time.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`], or that it cannot be said now.
    pub async fn authenticate_client(
        &self,
        realm: &Realm,
        login: Login,
        caller: &Caller,
    ) -> Result<Client, OAuthError> {
        Ok(Client(self.authenticate(realm, login, caller).await?))
    }

    /// A token for the client itself, without a refresh token (RFC 6749 section 4.4.3). Its session is
    /// on disk when this returns.
    ///
    /// # Errors
    /// [`OAuthError::UnauthorizedClient`], [`OAuthError::InvalidScope`], or that the store is out of reach.
    pub async fn grant_client_credentials(
        &self,
        realm: &Realm,
        client: &Client,
        asked: Option<&str>,
    ) -> Result<Grant, OAuthError> {
        client.may_use(GrantType::ClientCredentials)?;
        let holder = Holder { scopes: scope::for_client(asked, &client.0.scopes)?, ..client.0.holder() };
        Ok(self.open_session(realm, holder, client.0.epoch, Validity::Realm).await?)
    }
}
