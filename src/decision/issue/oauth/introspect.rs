//! Saying what a token is worth (RFC 7662).

use std::net::IpAddr;

use super::{
    Client,
    exchange::away,
    subject::{Presented, PresentedToken},
};
use crate::{
    decision::issue::login::TokenService,
    domain::{Claims, PrincipalId, PrincipalKind, Secret, Timestamp, TokenKind, TokenSubject},
    rules::contract::oauth::{Active, INTROSPECT, OAuthError},
    state::{
        account,
        refresh::{self, Successor},
        session,
        token::Verified,
    },
};

impl TokenService {
    /// What a token says, if this gateway would take it now; `None` for every other one, and for
    /// somebody else's without the permission `introspect`: nobody learns which. The request came from `from`.
    ///
    /// # Errors
    /// That the store is out of reach.
    pub async fn introspect(
        &self,
        client: &Client,
        token: &Secret,
        from: Option<IpAddr>,
    ) -> Result<Option<Active>, OAuthError> {
        let Some(Presented { subject, own }) = self.presented(client, token, from).await? else { return Ok(None) };
        if !own && !client.has(INTROSPECT) {
            return Ok(None);
        }
        match subject {
            PresentedToken::Rotating(descendant) => self.describe_rotating(&descendant).await,
            // The refresh token of a login is worth nothing once it was exchanged, nor while its account may not
            // refresh.
            PresentedToken::Carrying(verified) if verified.claims.kind == TokenKind::Refresh => {
                let exchanged = refresh::find(&self.store, token).await.map_err(|error| away(&error))?;
                let renews = exchanged.is_none() && self.renews(&verified.claims).await?;
                if renews { self.describe(&verified).await } else { Ok(None) }
            }
            PresentedToken::Carrying(verified) => self.describe(&verified).await,
        }
    }

    async fn describe(&self, verified: &Verified) -> Result<Option<Active>, OAuthError> {
        let claims = &verified.claims;
        match self.check_account_status(verified).await {
            Ok(()) => {}
            Err(None) => return Ok(None),
            Err(Some(away)) => return Err(away.into()),
        }
        let client_id = match (claims.principal, claims.session) {
            (Some(PrincipalKind::Client), _) => Some(claims.name.to_string()),
            (_, Some(session)) => {
                let bound = refresh::client_of(&self.store, session).await.map_err(|error| away(&error))?;
                self.client_name(bound).await?
            }
            (_, None) => None,
        };
        Ok(Some(Active {
            active: true,
            scope: claims.scope_text().unwrap_or_default(),
            client_id,
            username: claims.name.to_string(),
            token_type: Active::token_type(claims.kind),
            exp: claims.expires_at.map(Timestamp::as_secs),
            iat: claims.issued_at.as_secs(),
            nbf: claims.not_before.as_secs(),
            sub: claims.subject.identity(),
            aud: verified.issuer.audience().to_owned(),
            iss: verified.issuer.issuer().to_owned(),
        }))
    }

    /// Whether the refresh endpoint would take a login's refresh token, as far as its account says.
    async fn renews(&self, claims: &Claims) -> Result<bool, OAuthError> {
        let TokenSubject::Account(principal) = claims.subject else { return Ok(false) };
        let account = account::find_by_id(&self.store, principal).await.map_err(|error| away(&error))?;
        Ok(account.is_some_and(|account| account.renews(claims.epoch)))
    }

    /// A rotating token lives while it is unspent and in time, its session and principal stand, and the client that
    /// holds its family may log in.
    async fn describe_rotating(&self, token: &Successor) -> Result<Option<Active>, OAuthError> {
        let ended = token.spent_at.is_some() || self.clock.now() >= token.expires_at || !self.stands(token).await?;
        if ended || refresh::is_revoked(&self.store, token.session).await.map_err(|error| away(&error))? {
            return Ok(None);
        }
        let session = session::find(&self.store, token.session).await.map_err(|error| away(&error))?;
        let Some(session) = session else { return Ok(None) };
        let account = account::find_by_id(&self.store, session.principal).await.map_err(|error| away(&error))?;
        let realm = self.live_state.snapshot().realms.get(&session.realm).cloned();
        let client = account::find_by_id(&self.store, token.client).await.map_err(|error| away(&error))?;
        let client = client.filter(|client| !client.disabled && !client.locked);
        let account = account.filter(|account| account.renews(token.epoch));
        let (Some(account), Some(client), Some(realm)) = (account, client, realm) else { return Ok(None) };
        Ok(Some(Active {
            active: true,
            scope: token.scopes.join(" "),
            client_id: Some(client.name.name),
            username: account.name.name,
            token_type: Active::token_type(TokenKind::Refresh),
            exp: Some(token.expires_at.as_secs()),
            iat: token.created_at.as_secs(),
            nbf: token.created_at.as_secs(),
            sub: Some(account.id.to_string()),
            aud: realm.audience.clone(),
            iss: realm.issuer.clone(),
        }))
    }

    async fn client_name(&self, id: Option<PrincipalId>) -> Result<Option<String>, OAuthError> {
        let Some(id) = id else { return Ok(None) };
        let client = account::find_by_id(&self.store, id).await.map_err(|error| away(&error))?;
        Ok(client.map(|client| client.name.name))
    }
}
