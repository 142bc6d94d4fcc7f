//! Refresh tokens: the exchange of a contract's, and what follows from one that is used again.

use super::{
    caller::Caller,
    login::{Issue, RETRY_UNAVAILABLE, TokenService, unavailable},
};
use crate::{
    domain::{Grant, Reason, Secret, Timestamp, TokenKind, TokenSubject},
    rules::{
        contract::{Rejection, Validity},
        realm::Realm,
    },
    state::{
        account,
        refresh::{self, RotationOutcome},
    },
};

impl TokenService {
    /// Exchanges a refresh token for new access and content tokens of the same session.
    ///
    /// # Errors
    /// The rejection that the realm's contract words.
    pub async fn refresh(&self, realm: &Realm, token: &Secret, caller: &Caller) -> Result<Grant, Rejection> {
        let now = self.clock.now();
        let opened =
            self.live_state.view().open(token.expose(), Some(caller.address()), now).map_err(
                |reason| match reason {
                    Reason::TooManyBadTokens => Rejection::ThrottledAddress { retry_after: RETRY_UNAVAILABLE },
                    _ => Rejection::InvalidRefreshToken,
                },
            )?;
        self.check_account_status(&opened).await.map_err(|away| away.unwrap_or(Rejection::InvalidRefreshToken))?;
        let claims = opened.claims;
        let session = claims.session.ok_or(Rejection::InvalidRefreshToken)?;
        if claims.realm != realm.name || claims.kind != TokenKind::Refresh {
            return Err(Rejection::InvalidRefreshToken);
        }
        self.refuse_exchanged(token, now).await?;
        let TokenSubject::Account(subject) = claims.subject else { return Err(Rejection::InvalidRefreshToken) };
        caller.identify(Some(subject));
        let account = account::find_by_id(&self.store, subject).await.map_err(|error| unavailable(&error))?;
        let account = account.filter(|account| account.renews(claims.epoch)).ok_or(Rejection::InvalidRefreshToken)?;
        let kinds = &realm.dialect.facts().tokens.refresh;
        let (holder, epoch) = (account.holder(), account.epoch);
        self.continue_session(realm, Issue { holder, epoch, session, kinds, validity: Validity::Realm, now }).await
    }

    /// Refuses the refresh token of a login where it was exchanged: there it went over to its line. One
    /// that comes back longer than the grace after that ends its session.
    async fn refuse_exchanged(&self, token: &Secret, now: Timestamp) -> Result<(), Rejection> {
        if refresh::find(&self.store, token).await.map_err(|error| unavailable(&error))?.is_none() {
            return Ok(());
        }
        let grace =
            self.live_state.snapshot().oauth.as_ref().map_or(refresh::GRACE_DEFAULT, |oauth| oauth.refresh_grace);
        let accused = self.kept(refresh::accuse(&self.store, token, grace, now)).await;
        self.enforced(accused)?;
        Err(Rejection::InvalidRefreshToken)
    }

    /// Puts in force what spending a token led to.
    pub(super) fn enforced(&self, spending: Result<RotationOutcome, Rejection>) -> Result<RotationOutcome, Rejection> {
        let spending = spending?;
        if let RotationOutcome::Reused(record) = &spending {
            self.live_state.revocations().apply(std::slice::from_ref(record));
            tracing::warn!(subject = ?record.subject, "a refresh token was used again; its session is revoked");
        }
        Ok(spending)
    }
}
