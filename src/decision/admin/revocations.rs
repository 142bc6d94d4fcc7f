//! Revoking what was issued, and listing sessions.

use super::service::{AdminError, AdminService, not_found};
use crate::{
    decision::decide::lifetimes,
    domain::{
        AccountName, PrincipalId, PrincipalKind, RealmName, Reason, RevocationId, Secret, SessionId, Timestamp,
        TokenKind,
    },
    rules::{issuer::Issuer, realm::later},
    state::{
        account::{self, Account, AccountError},
        keys::{self, Keyring, VaultError},
        refresh,
        revocation::log::{self, Record, RevokedSubject},
        session::{self, Listed},
        takeover::old_tokens,
        token::{self, Issuers, TOKEN_BYTES_MAX},
    },
};

/// Sessions that a page of a list shows, at most, the youngest first.
pub const SESSIONS_LISTED_MAX: u32 = 1000;

/// Projects among which one is looked for by its name alone, at most.
const PROJECTS_SEARCHED_MAX: u32 = 10_000;

/// What was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One token.
    Token(RevocationId),
    /// A session, with all its tokens.
    Session(SessionId),
}

/// What is said of a token that no key of ours signed.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere<'a> {
    /// The realm whose old system gave it out, or the issuer that is asked about its tokens.
    pub realm: &'a str,
    /// When it ends; `None` for nobody knows: its revocation is kept for ever then.
    pub expires_at: Option<Timestamp>,
}

impl AdminService {
    /// Revokes a token, expired or not; a refresh token with its whole session. `elsewhere` says whose a token is that
    /// no known key signed.
    ///
    /// # Errors
    /// [`AdminError::NotOurs`] for what is no token that a known key signed. Fails when the session of a refresh token
    /// is not there, when the store is out of reach or damaged, or when a key in it does not open under the master key.
    pub async fn revoke_token(
        &self,
        text: &str,
        issuers: &Issuers,
        elsewhere: Option<Elsewhere<'_>>,
    ) -> Result<Revoked, AdminError> {
        if refresh::is_rotating(text)
            && let Some(rotating) = refresh::find(&self.store, &Secret::from(text)).await?
        {
            return self.revoke_session(rotating.session).await;
        }
        // A live state knows the keys of external issuers too, and those that were in force before a master key that
        // this gateway does not have yet.
        let live_state = self.live_state.as_ref().map(|live_state| live_state.snapshot());
        let keys: Keyring = match (self.vault.load().await, live_state) {
            (Ok(own), None) => own,
            (Ok(own), Some(live_state)) => live_state.keys.with_own(&own),
            (Err(VaultError::Master(_)), Some(live_state)) => live_state.keys.with_own(&live_state.keys),
            (Err(error), _) => return Err(error.into()),
        };
        let claims = match (token::open(text, &keys, issuers), elsewhere) {
            (Ok((claims, _)), _) => claims,
            // What a key of ours signed, or was said to have signed, no old system gave out.
            (Err(Reason::MalformedToken | Reason::UnknownKey), Some(elsewhere)) => {
                return self.revoke_elsewhere(text, issuers, elsewhere).await;
            }
            (Err(reason), _) => return Err(AdminError::NotOurs(reason)),
        };
        if let (TokenKind::Refresh, Some(id)) = (claims.kind, claims.session) {
            let session = session::find(&self.store, id).await?;
            let longest = match issuers.get(&claims.realm) {
                Some(Issuer::Realm(realm)) => lifetimes::latest_expiry(&self.store, realm, self.clock.now()).await?,
                _ => None,
            };
            let end = session.map_or(longest, |session| later(session.expires_at, longest));
            self.record(RevokedSubject::Session(id), end).await?;
            return Ok(Revoked::Session(id));
        }
        self.record(RevokedSubject::Token(claims.revocation_id), claims.expires_at).await?;
        Ok(Revoked::Token(claims.revocation_id))
    }

    /// Revokes a token by its text: one that the realm's old system gave out, one of the operator's table, or one of an
    /// issuer that is asked, whatever these say of it.
    async fn revoke_elsewhere(
        &self,
        text: &str,
        issuers: &Issuers,
        Elsewhere { realm, expires_at }: Elsewhere<'_>,
    ) -> Result<Revoked, AdminError> {
        if text.is_empty() || text.len() > TOKEN_BYTES_MAX {
            return Err(AdminError::NotOurs(Reason::MalformedToken));
        }
        let named = realm.parse::<RealmName>().ok().and_then(|name| issuers.get(&name));
        let id = match named {
            Some(Issuer::Realm(_)) => old_tokens::revocation_id(&old_tokens::hash(text)),
            Some(Issuer::External(issuer)) if issuer.is_asked => {
                RevocationId::of_signed_part(&issuer.name, text.as_bytes())
            }
            Some(Issuer::External(_)) => {
                let why = format!("no key of issuer '{realm}' signed that, and it is not asked about its tokens");
                return Err(AdminError::Refused(why));
            }
            None => return Err(AdminError::UnknownIssuer(realm.to_owned())),
        };
        self.refuse_past(expires_at)?;
        self.record(RevokedSubject::Token(id), expires_at).await?;
        Ok(Revoked::Token(id))
    }

    /// A clock that is ahead must not keep a living token from being revoked.
    fn refuse_past(&self, expires_at: Option<Timestamp>) -> Result<(), AdminError> {
        if expires_at.is_some_and(|end| end <= self.trusted.no_later()) {
            return Err(AdminError::Refused("a token whose end has passed needs no revocation".to_owned()));
        }
        Ok(())
    }

    /// Revokes a token of the realm or external issuer called `issuer` by its `jti`. Without `expires_at` the record is
    /// kept as long as the issuer's longest-lived token could live, under any config that a gateway had: for ever where
    /// only somebody else knows.
    ///
    /// # Errors
    /// [`AdminError::UnknownIssuer`] when the config has no such issuer, [`AdminError::Refused`] when `expires_at` has
    /// passed. Fails when the store is out of reach or damaged, or when it has a key that only a newer version knows.
    pub async fn revoke_token_id(
        &self,
        issuers: &Issuers,
        issuer: &str,
        id: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<Revoked, AdminError> {
        let named = issuer.parse::<RealmName>().ok().and_then(|name| issuers.get(&name));
        let issuer = named.ok_or_else(|| AdminError::UnknownIssuer(issuer.to_owned()))?;
        let now = self.clock.now();
        self.refuse_past(expires_at)?;
        let subject = RevocationId::of_token_id(issuer.name(), id);
        let expires_at = match (expires_at, issuer) {
            (Some(end), _) => Some(end),
            (None, Issuer::Realm(realm)) if !self.has_imported_keys(&realm.name).await? => {
                lifetimes::latest_expiry(&self.store, realm, now).await?
            }
            // How long an external issuer's tokens live, or those of the API before, is not for us to know.
            (None, _) => None,
        };
        self.record(RevokedSubject::Token(subject), expires_at).await?;
        Ok(Revoked::Token(subject))
    }

    async fn has_imported_keys(&self, realm: &RealmName) -> Result<bool, AdminError> {
        let records = self.vault.records().await?;
        Ok(records.iter().any(|key| key.imported && key.realm == *realm && key.state.verifies()))
    }

    /// Revokes a session: all tokens that its login gave, refreshed ones too.
    ///
    /// # Errors
    /// Fails when there is no such session, or when the store is out of reach or damaged.
    pub async fn revoke_session(&self, id: SessionId) -> Result<Revoked, AdminError> {
        let record = lifetimes::session_record(&self.store, id, self.clock.now()).await?;
        let record = record.ok_or_else(|| not_found("session", id.to_string(), ""))?;
        self.record(record.subject, record.expires_at).await?;
        Ok(Revoked::Session(id))
    }

    /// Ends everything that was issued to a principal until now.
    ///
    /// # Errors
    /// Fails when there is no such account, or several share its name; or when the store is out of reach or damaged.
    pub async fn revoke_principal(&self, realm: &RealmName, name: &AccountName) -> Result<Account, AdminError> {
        let account = self.named_account(realm, name).await?;
        let raised = account::end_tokens(&self.store, realm, &account.name, self.clock.now()).await?;
        self.apply_raised(&raised);
        Ok(account)
    }

    /// A page of the sessions of a principal, the youngest first, from the one behind `after` on; at most
    /// [`SESSIONS_LISTED_MAX`].
    ///
    /// # Errors
    /// Fails when there is no such account, or several share its name; when `after` is no session of it; or when the
    /// store is out of reach or damaged.
    pub async fn sessions(
        &self,
        realm: &RealmName,
        name: &AccountName,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Listed>, AdminError> {
        let account = self.named_account(realm, name).await?;
        if let Some(after) = after {
            let known = session::find(&self.store, after).await?.filter(|session| session.principal == account.id);
            known.ok_or_else(|| not_found("session", after.to_string(), "; it may have been removed: begin again"))?;
        }
        Ok(session::list(&self.store, realm, account.id, after, limit.min(SESSIONS_LISTED_MAX)).await?)
    }

    /// The id of an account by its name.
    ///
    /// # Errors
    /// Fails when there is no such account, or several share its name; or when the store is out of reach or damaged.
    pub async fn account_id(&self, realm: &RealmName, name: &AccountName) -> Result<PrincipalId, AdminError> {
        Ok(self.named_account(realm, name).await?.id)
    }

    /// An account by name. In realms whose accounts have a business, it may be left out where the
    /// name alone says which account is meant.
    async fn named_account(&self, realm: &RealmName, name: &AccountName) -> Result<Account, AdminError> {
        if let Some(account) = account::find(&self.store, realm, name).await? {
            return Ok(account);
        }
        let missing = || AccountError::not_found(realm, name).into();
        if !name.business.is_empty() {
            return Err(missing());
        }
        let named = account::list(&self.store, realm, PrincipalKind::Project, None, PROJECTS_SEARCHED_MAX).await?;
        let mut named = named.into_iter().filter(|account| account.name.name == name.name);
        match (named.next(), named.next()) {
            (Some(account), None) => Ok(account),
            (Some(_), Some(_)) => {
                let hint = "; several businesses have one: name the business too";
                Err(not_found("account", name.name.escape_debug().to_string(), hint))
            }
            (None, _) => Err(missing()),
        }
    }

    /// Whether the realm takes tokens of imported keys, which carry no epoch: what ends an account's tokens ends
    /// those that are minted later too.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn takes_old_tokens(&self, realm: &RealmName) -> Result<bool, AdminError> {
        Ok(keys::takes_old_tokens(&self.store, realm).await?)
    }

    async fn record(&self, subject: RevokedSubject, expires_at: Option<Timestamp>) -> Result<(), AdminError> {
        let record = Record { subject, expires_at, created_at: self.clock.now() };
        log::revoke(&self.store, &record).await?;
        self.apply(&[record]);
        tracing::info!(?subject, "revoked");
        Ok(())
    }
}
