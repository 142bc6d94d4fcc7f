//! Exchanging a refresh token (RFC 6749 section 6): that of an `apis` login once, and from then on its
//! successors, each once.

use std::sync::Arc;

use super::Client;
use crate::{
    decision::{
        decide::site::OauthSettings,
        issue::login::{Issue, Registrar, unavailable},
    },
    domain::{
        Grant, GrantType, Holder, IssuedToken, PrincipalId, RealmName, Secret, SessionId, Subject, Timestamp, TokenKind,
    },
    rules::{
        dialect::{
            Dialect, Validity,
            oauth::{Refusal, scope},
        },
        realm::Realm,
    },
    state::{
        account, keys,
        refresh::{self, Descendant, Spending, Terms},
        session,
        store::StoreError,
    },
};

/// A line of refresh tokens, as the presented one tells it.
struct Line {
    realm: Arc<Realm>,
    principal: PrincipalId,
    session: SessionId,
    scopes: Vec<String>,
    epoch: u32,
    /// The token itself where a login gave it: the store does not know it before it is exchanged.
    first: Option<Descendant>,
}

impl Registrar {
    /// Exchanges a refresh token for an access token of its session's realm and for its successor.
    /// Both, and that it is spent, are on disk when this returns.
    ///
    /// # Errors
    /// [`Refusal::InvalidGrant`] for a token that is none, has ended, is another client's, or was used;
    /// one that was used longer than the grace ago ends its session with all tokens.
    pub async fn exchange(
        &self,
        settings: &OauthSettings,
        client: &Client,
        token: &Secret,
        asked: Option<&str>,
    ) -> Result<Grant, Refusal> {
        client.may_use(GrantType::RefreshToken)?;
        let now = self.clock.now();
        let line = self.line_of(token, client, now).await?.ok_or(Refusal::InvalidGrant)?;
        let account = account::find_by_id(&self.store, line.principal).await.map_err(|error| away(&error))?;
        let account = account.filter(|account| account.renews(line.epoch)).ok_or(Refusal::InvalidGrant)?;
        let scopes = scope::for_refresh(asked, &line.scopes, &account.scopes)?;
        let issue = Issue {
            holder: Holder { scopes, ..account.holder() },
            epoch: account.epoch,
            session: line.session,
            kinds: &[TokenKind::Access],
            validity: Validity::Realm,
            now,
        };
        // The access token comes first: when none can be made, nothing is spent.
        let mut grant = self.continue_session(&line.realm, issue).await?;
        let terms = || Terms {
            client: client.0.id,
            grace: settings.refresh_grace,
            lifetime: settings.refresh_lifetime,
            now: self.clock.now(),
        };
        let spending = self.kept(refresh::spend(&self.store, token, line.first.as_ref(), terms)).await;
        let Spending::Successor(successor, ends) = self.enforced(spending)? else {
            return Err(Refusal::InvalidGrant);
        };
        self.still_stands(client).await?;
        grant.tokens.push(IssuedToken { kind: TokenKind::Refresh, token: successor, expires_at: Some(ends) });
        Ok(grant)
    }

    /// Whether the client was neither ended nor changed while it exchanged: what ended it may have looked for its lines
    /// before this one was there.
    async fn still_stands(&self, Client(client): &Client) -> Result<(), Refusal> {
        let present = account::find_by_id(&self.store, client.id).await.map_err(|error| away(&error))?;
        if present.is_some_and(|present| !present.disabled && present.epoch == client.epoch) {
            return Ok(());
        }
        refresh::end_lines_of(&self.store, client.id, self.clock.now()).await.map_err(|error| away(&error))?;
        Err(Refusal::InvalidGrant)
    }

    /// The line that `token` continues, if it is one that this client may continue.
    async fn line_of(&self, token: &Secret, client: &Client, now: Timestamp) -> Result<Option<Line>, Refusal> {
        if refresh::is_rotating(token.expose()) {
            let found = refresh::find(&self.store, token).await.map_err(|error| away(&error))?;
            let Some(found) = found.filter(|found| found.client == client.0.id) else { return Ok(None) };
            let session = session::find(&self.store, found.session).await.map_err(|error| away(&error))?;
            let stands = self.stands(&found).await?;
            let Some(session) = session.filter(|_| stands) else { return Ok(None) };
            return Ok(self.refreshing(&session.realm).map(|realm| Line {
                realm,
                principal: session.principal,
                session: session.id,
                scopes: found.scopes,
                epoch: found.epoch,
                first: None,
            }));
        }
        // The client has proved itself: what it sends is not counted against its address.
        let opened = self.gate.view().open(token.expose(), None, now);
        let Ok(opened) = opened else { return Ok(None) };
        match self.check_standing(&opened).await {
            Ok(()) => {}
            Err(None) => return Ok(None),
            Err(Some(away)) => return Err(away.into()),
        }
        let (claims, key) = (opened.claims, opened.key.id.clone());
        let (Some(realm), Some(session), Some(ends_at), TokenKind::Refresh, Subject::Account(principal)) =
            (self.refreshing(&claims.realm), claims.session, claims.expires_at, claims.kind, claims.subject)
        else {
            return Ok(None);
        };
        let scopes: Vec<_> = claims.scopes.iter().map(ToString::to_string).collect();
        let first = Descendant {
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
        Ok(Some(Line { realm, principal, session, scopes, epoch: claims.epoch, first: Some(first) }))
    }

    /// Whether the key that a line began with still verifies. It outlives its tokens unless somebody ends it, and them;
    /// so a line whose key nobody knows any more has ended too. The store is asked, since another process may have made
    /// the key, or ended it.
    pub(super) async fn stands(&self, token: &Descendant) -> Result<bool, Refusal> {
        keys::verifies(&self.store, &token.key).await.map_err(|error| away(&error))
    }

    /// The realm, where its logins give refresh tokens.
    fn refreshing(&self, name: &RealmName) -> Option<Arc<Realm>> {
        self.gate.snapshot().realms.get(name).filter(|realm| realm.dialect == Dialect::Apis).cloned()
    }
}

pub(super) fn away(error: &StoreError) -> Refusal {
    unavailable(error).into()
}
