//! Revoking a token (RFC 7009).

use std::net::IpAddr;

use super::{
    Client,
    exchange::away,
    subject::{Presented, PresentedToken},
};
use crate::{
    decision::{decide::lifetimes, issue::login::TokenService},
    domain::{Secret, SessionId, Timestamp, TokenKind},
    rules::{
        contract::oauth::{OAuthError, REVOKE},
        realm::later,
    },
    state::{
        revocation::log::{self, Record},
        session,
    },
};

impl TokenService {
    /// Revokes a token: an access token alone, a refresh token with its session and all tokens of that
    /// (section 2.1). It is on disk, and in force here, when this returns. What is no token, and one
    /// that has ended, need nothing. The request came from `from`.
    ///
    /// # Errors
    /// [`OAuthError::UnauthorizedClient`] for somebody else's without the permission `revoke`, and that
    /// the store is out of reach.
    pub async fn revoke(&self, client: &Client, token: &Secret, from: Option<IpAddr>) -> Result<(), OAuthError> {
        let Some(Presented { subject, own }) = self.presented(client, token, from).await? else { return Ok(()) };
        if !own && !client.has(REVOKE) {
            return Err(OAuthError::UnauthorizedClient);
        }
        let claims = match subject {
            PresentedToken::Rotating(token) => return self.revoke_session(client, token.session).await,
            PresentedToken::Carrying(verified) => verified.claims.clone(),
        };
        if let (TokenKind::Refresh, Some(session)) = (claims.kind, claims.session) {
            return self.revoke_session(client, session).await;
        }
        self.record(client, log::RevokedSubject::Token(claims.revocation_id), claims.expires_at).await
    }

    async fn revoke_session(&self, client: &Client, id: SessionId) -> Result<(), OAuthError> {
        let Some(session) = session::find(&self.store, id).await.map_err(|error| away(&error))? else {
            // Its principal was deleted, or it ended: so did its tokens.
            return Ok(());
        };
        let now = self.clock.now();
        let realm = self.live_state.snapshot().realms.get(&session.realm).cloned();
        let longest = match realm {
            Some(realm) => lifetimes::latest_expiry(&self.store, &realm, now).await.map_err(|error| away(&error))?,
            None => None,
        };
        self.record(client, log::RevokedSubject::Session(id), later(session.expires_at, longest)).await
    }

    async fn record(
        &self,
        client: &Client,
        subject: log::RevokedSubject,
        expires_at: Option<Timestamp>,
    ) -> Result<(), OAuthError> {
        let record = Record { subject, expires_at, created_at: self.clock.now() };
        self.kept(log::append(&self.store, &record)).await?;
        self.live_state.revocations().apply(&[record]);
        tracing::info!(?subject, client_id = client.name(), "revoked");
        Ok(())
    }
}
