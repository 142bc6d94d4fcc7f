//! Revoking a token (RFC 7009).

use super::{
    Client,
    exchange::away,
    subject::{Presented, Subject},
};
use crate::{
    decision::{decide::lifetimes, issue::login::Registrar},
    domain::{Secret, SessionId, Timestamp, TokenKind},
    rules::{
        dialect::oauth::{REVOKE, Refusal},
        realm::later,
    },
    state::{
        revocation::log::{self, Record},
        session,
    },
};

impl Registrar {
    /// Revokes a token: an access token alone, a refresh token with its session and all tokens of that
    /// (section 2.1). It is on disk, and in force here, when this returns. What is no token, and one
    /// that has ended, need nothing.
    ///
    /// # Errors
    /// [`Refusal::UnauthorizedClient`] for somebody else's without the permission `revoke`, and that
    /// the store is out of reach.
    pub async fn revoke(&self, client: &Client, token: &Secret) -> Result<(), Refusal> {
        let Some(Presented { subject, own }) = self.presented(client, token).await? else { return Ok(()) };
        if !own && !client.has(REVOKE) {
            return Err(Refusal::UnauthorizedClient);
        }
        let claims = match subject {
            Subject::Rotating(token) => return self.revoke_session(client, token.session).await,
            Subject::Carrying(verified) => verified.claims,
        };
        if let (TokenKind::Refresh, Some(session)) = (claims.kind, claims.session) {
            return self.revoke_session(client, session).await;
        }
        self.record(client, log::Subject::Token(claims.revocation_id), claims.expires_at).await
    }

    async fn revoke_session(&self, client: &Client, id: SessionId) -> Result<(), Refusal> {
        let Some(session) = session::find(&self.store, id).await.map_err(|error| away(&error))? else {
            // Its principal was deleted, or it ended: so did its tokens.
            return Ok(());
        };
        let now = self.clock.now();
        let realm = self.gate.snapshot().realms.get(&session.realm).cloned();
        let longest = match realm {
            Some(realm) => lifetimes::latest_expiry(&self.store, &realm, now).await.map_err(|error| away(&error))?,
            None => None,
        };
        self.record(client, log::Subject::Session(id), later(session.expires_at, longest)).await
    }

    async fn record(
        &self,
        client: &Client,
        subject: log::Subject,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let record = Record { subject, expires_at, created_at: self.clock.now() };
        self.kept(log::append(&self.store, &record)).await?;
        self.gate.revocations().apply(&[record]);
        tracing::info!(?subject, client_id = client.name(), "revoked");
        Ok(())
    }
}
