//! The second step: a session is written down, and its tokens are given.

use super::{RETRY_UNAVAILABLE, TokenService};
use crate::{
    domain::{Grant, Holder, IssuedToken, SessionId, Timestamp, TokenKind},
    rules::{
        contract::{Rejection, Validity},
        realm::{Realm, later},
    },
    state::{
        session,
        token::{self, NewToken},
    },
};

/// Which of a grant's facts come from where.
pub(in crate::decision::issue) struct Issue<'a> {
    pub(in crate::decision) holder: Holder,
    pub(in crate::decision) epoch: u32,
    pub(in crate::decision) session: SessionId,
    pub(in crate::decision) kinds: &'a [TokenKind],
    pub(in crate::decision::issue) validity: Validity,
    pub(in crate::decision) now: Timestamp,
}

impl TokenService {
    /// Gives the tokens of a new session to somebody who was proved. The session is on disk when this
    /// returns.
    pub(in crate::decision::issue) async fn open_session(
        &self,
        realm: &Realm,
        holder: Holder,
        epoch: u32,
        validity: Validity,
    ) -> Result<Grant, Rejection> {
        let now = self.clock.now();
        let session = self.begin_session(realm, &holder, validity, now).await?;
        let kinds = realm.dialect.token_kinds();
        self.issue(realm, Issue { holder, epoch, session, kinds, validity, now })
    }

    /// Writes a new session down; it is on disk when this returns. It may be an earlier login's that this one joins.
    pub(in crate::decision::issue) async fn begin_session(
        &self,
        realm: &Realm,
        holder: &Holder,
        validity: Validity,
        now: Timestamp,
    ) -> Result<SessionId, Rejection> {
        let session = session::Session {
            id: SessionId::generate(),
            realm: realm.name.clone(),
            principal: holder.id,
            created_at: now,
            expires_at: realm.session_end(now, validity),
        };
        self.kept(session::open(&self.store, &session)).await
    }

    /// Gives more tokens of a session that is open.
    pub(in crate::decision::issue) async fn continue_session(
        &self,
        realm: &Realm,
        issue: Issue<'_>,
    ) -> Result<Grant, Rejection> {
        let session = issue.session;
        let grant = self.issue(realm, issue)?;
        // Lifetimes may have been raised since the login: what ends the session must outlive these too.
        let end = grant.tokens.iter().map(|token| token.expires_at).reduce(later).flatten();
        self.kept(session::extend(&self.store, session, end)).await?;
        Ok(grant)
    }

    pub(in crate::decision::issue) fn issue(&self, realm: &Realm, issue: Issue<'_>) -> Result<Grant, Rejection> {
        let (now, validity) = (issue.now, issue.validity);
        self.issue_until(realm, issue, |kind| realm.expiry(kind, now, validity))
    }

    /// The same with another end of each token.
    pub(in crate::decision::issue) fn issue_until(
        &self,
        realm: &Realm,
        issue: Issue<'_>,
        expiry: impl Fn(TokenKind) -> Option<Timestamp>,
    ) -> Result<Grant, Rejection> {
        let holder = issue.holder;
        let snapshot = self.live_state.snapshot();
        let mut tokens = vec![];
        for &kind in issue.kinds {
            let expires_at = expiry(kind);
            let extra = realm.dialect.contract().claims(&holder, issue.now, expires_at, &realm.wire);
            let new = NewToken {
                kind,
                holder: &holder,
                epoch: issue.epoch,
                session: issue.session,
                issued_at: issue.now,
                expires_at,
                extra,
            };
            // An RSA signature takes most of a millisecond: this runtime is not the proxy's.
            let token = token::mint(realm, &snapshot.keys, &new).map_err(|error| {
                tracing::error!(realm = %realm.name, %error, "a token could not be minted");
                Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE }
            })?;
            tokens.push(IssuedToken { kind, token, expires_at });
        }
        Ok(Grant { holder, issued_at: issue.now, tokens })
    }
}
