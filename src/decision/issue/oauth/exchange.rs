//! Exchanging a refresh token (RFC 6749 section 6): that of an `apis` login once, and from then on its
//! successors, each once.

use std::sync::Arc;

use super::Client;
use crate::{
    decision::{
        decide::site::OauthSettings,
        issue::login::{Issue, TokenService, unavailable},
    },
    domain::{
        Grant, GrantType, Holder, IssuedToken, PrincipalId, RealmName, Secret, SessionId, Timestamp, TokenKind,
        TokenSubject,
    },
    rules::{
        contract::{
            Validity,
            oauth::{OAuthError, scope},
        },
        realm::Realm,
    },
    state::{
        account, keys,
        refresh::{self, RotationOutcome, Successor, Terms},
        session,
        store::StoreError,
    },
};

/// A family of refresh tokens, as the presented one tells it.
struct TokenFamily {
    realm: Arc<Realm>,
    principal: PrincipalId,
    session: SessionId,
    scopes: Vec<String>,
    epoch: u32,
    /// The token itself where a login gave it: the store does not know it before it is exchanged.
    first: Option<Successor>,
}

impl TokenService {
    /// Exchanges a refresh token for an access token of its session's realm and for its successor.
    /// Both, and that it is spent, are on disk when this returns.
    ///
    /// # Errors
    /// [`OAuthError::InvalidGrant`] for a token that is unknown, has ended, is another client's, or was used;
    /// one that was used longer than the grace ago ends its session with all tokens.
    pub async fn exchange(
        &self,
        settings: &OauthSettings,
        client: &Client,
        token: &Secret,
        asked: Option<&str>,
    ) -> Result<Grant, OAuthError> {
        client.may_use(GrantType::RefreshToken)?;
        let now = self.clock.now();
        let family = self.family_of(token, client, now).await?.ok_or(OAuthError::InvalidGrant)?;
        let account = account::find_by_id(&self.store, family.principal).await.map_err(|error| away(&error))?;
        let account = account.filter(|account| account.renews(family.epoch)).ok_or(OAuthError::InvalidGrant)?;
        let scopes = scope::for_refresh(asked, &family.scopes, &account.scopes)?;
        let issue = Issue {
            holder: Holder { scopes, ..account.holder() },
            epoch: account.epoch,
            session: family.session,
            kinds: &[TokenKind::Access],
            validity: Validity::Realm,
            now,
        };
        // The access token comes first: when none can be made, nothing is spent.
        let mut grant = self.continue_session(&family.realm, issue).await?;
        let terms = || Terms {
            client: client.0.id,
            grace: settings.refresh_grace,
            lifetime: settings.refresh_lifetime,
            now: self.clock.now(),
        };
        let rotation = self.kept(refresh::spend(&self.store, token, family.first.as_ref(), terms)).await;
        let RotationOutcome::Successor(successor, ends) = self.enforced(rotation)? else {
            return Err(OAuthError::InvalidGrant);
        };
        self.still_stands(client).await?;
        grant.tokens.push(IssuedToken { kind: TokenKind::Refresh, token: successor, expires_at: Some(ends) });
        Ok(grant)
    }

    /// Whether the client was neither ended nor changed while it exchanged: what ended it may have looked for its lines
    /// before this one was there.
    async fn still_stands(&self, Client(client): &Client) -> Result<(), OAuthError> {
        let present = account::find_by_id(&self.store, client.id).await.map_err(|error| away(&error))?;
        if present.is_some_and(|present| !present.disabled && present.epoch == client.epoch) {
            return Ok(());
        }
        refresh::end_families_of(&self.store, client.id, self.clock.now()).await.map_err(|error| away(&error))?;
        Err(OAuthError::InvalidGrant)
    }

    /// The family that `token` continues, if it is one that this client may continue.
    async fn family_of(
        &self,
        token: &Secret,
        client: &Client,
        now: Timestamp,
    ) -> Result<Option<TokenFamily>, OAuthError> {
        if refresh::is_rotating(token.expose()) {
            let found = refresh::find(&self.store, token).await.map_err(|error| away(&error))?;
            let Some(found) = found.filter(|found| found.client == client.0.id) else { return Ok(None) };
            let session = session::find(&self.store, found.session).await.map_err(|error| away(&error))?;
            let stands = self.stands(&found).await?;
            let Some(session) = session.filter(|_| stands) else { return Ok(None) };
            return Ok(self.refreshing(&session.realm).map(|realm| TokenFamily {
                realm,
                principal: session.principal,
                session: session.id,
                scopes: found.scopes,
                epoch: found.epoch,
                first: None,
            }));
        }
        // The client has proved itself: what it sends is not counted against its address.
        let opened = self.live_state.view().open(token.expose(), None, now);
        let Ok(opened) = opened else { return Ok(None) };
        match self.check_account_status(&opened).await {
            Ok(()) => {}
            Err(None) => return Ok(None),
            Err(Some(away)) => return Err(away.into()),
        }
        let (claims, key) = (opened.claims, opened.key.id.clone());
        let (Some(realm), Some(session), Some(ends_at), TokenKind::Refresh, TokenSubject::Account(principal)) =
            (self.refreshing(&claims.realm), claims.session, claims.expires_at, claims.kind, claims.subject)
        else {
            return Ok(None);
        };
        let scopes: Vec<_> = claims.scopes.iter().map(ToString::to_string).collect();
        let first = Successor {
            session,
            client: client.0.id,
            scopes: scopes.clone(),
            epoch: claims.epoch,
            key,
            generation: 0,
            created_at: claims.issued_at,
            expires_at: ends_at,
            ends_at,
            spent_at: None,
        };
        Ok(Some(TokenFamily { realm, principal, session, scopes, epoch: claims.epoch, first: Some(first) }))
    }

    /// Whether the key that a family began with still verifies. It outlives its tokens unless somebody ends it, and
    /// them; so a family whose key nobody knows any more has ended too. The store is asked, since another process may
    /// have made the key, or ended it.
    pub(super) async fn stands(&self, token: &Successor) -> Result<bool, OAuthError> {
        keys::verifies(&self.store, &token.key).await.map_err(|error| away(&error))
    }

    /// The realm, where its logins give refresh tokens.
    fn refreshing(&self, name: &RealmName) -> Option<Arc<Realm>> {
        self.live_state
            .snapshot()
            .realms
            .get(name)
            .filter(|realm| !realm.dialect.facts().tokens.refresh.is_empty())
            .cloned()
    }
}

pub(super) fn away(error: &StoreError) -> OAuthError {
    unavailable(error).into()
}
