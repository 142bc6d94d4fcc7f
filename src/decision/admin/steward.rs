//! Revoking, and what else an administrator does to what was issued. The same use cases serve the
//! command line, beside a running gateway, and the admin API, inside of one.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    decision::{decide::lifetimes, decide::snapshot::Gate},
    domain::{Clock, PrincipalKind, RealmName, Reason, RevocationId, Secret, SessionId, Timestamp, TokenKind},
    rules::{dialect::AccountName, issuer::Issuer, realm::later},
    state::{
        account::{self, Account, AccountError, Raised},
        clock::TrustedClock,
        keys::{ImportError, Keyring, Vault, VaultError},
        refresh,
        revocation::log::{self, Record, Subject},
        session::{self, Listed},
        store::{Store, StoreError},
        token::{self, Issuers},
    },
};

/// Sessions that a page of a list shows, at most, the youngest first.
pub const SESSIONS_LISTED_MAX: u32 = 1000;

/// Projects among which one is looked for by its name alone, at most.
const PROJECTS_SEARCHED_MAX: u32 = 10_000;

/// Does what an administrator asks, durably; and in force at once where there is a gate.
#[derive(Clone)]
pub struct Steward {
    pub(in crate::decision) store: Store,
    pub(in crate::decision) vault: Vault,
    pub(in crate::decision) clock: Arc<dyn Clock>,
    pub(in crate::decision) trusted: TrustedClock,
    pub(in crate::decision) gate: Option<Arc<Gate>>,
}

/// Why something was not done.
#[derive(Debug, Error)]
pub enum StewardError {
    /// What was given is no token that a known key signed.
    #[error("that is no token of this gateway ({}); nothing was recorded", .0.name())]
    NotOurs(Reason),
    /// No such thing.
    #[error("there is no {what} '{name}'{hint}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Under which name.
        name: String,
        /// What may help.
        hint: &'static str,
    },
    /// It would be of no use as it is described.
    #[error("{0}")]
    Refused(String),
    /// An account's fault.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault's fault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key from outside is of no use.
    #[error(transparent)]
    Import(ImportError),
}

/// What was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One token.
    Token(RevocationId),
    /// A session, with all its tokens.
    Session(SessionId),
}

impl Steward {
    /// A steward of a store. With a gate, what he does is in force when it is done; without, a
    /// running gateway sees it within a second.
    #[must_use]
    pub fn new(store: Store, vault: Vault, trusted: TrustedClock, gate: Option<Arc<Gate>>) -> Self {
        Self { store, vault, clock: Arc::clone(trusted.clock()), trusted, gate }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Revokes a token, expired or not; a refresh token with its whole session (the `apis` contract).
    ///
    /// # Errors
    /// Refuses what no known key signed. Fails when the store or the vault does.
    pub async fn revoke_token(&self, text: &str, issuers: &Issuers) -> Result<Revoked, StewardError> {
        if refresh::is_rotating(text)
            && let Some(rotating) = refresh::find(&self.store, &Secret::from(text)).await?
        {
            return self.revoke_session(rotating.session).await;
        }
        let own: Keyring = self.vault.load().await?;
        // A gate knows the keys of foreign issuers too.
        let keys = self.gate.as_ref().map(|gate| gate.snapshot().keys.with_own(&own)).unwrap_or(own);
        let (claims, _) = token::open(text, &keys, issuers).map_err(StewardError::NotOurs)?;
        if let (TokenKind::Refresh, Some(id)) = (claims.kind, claims.session) {
            let session = session::find(&self.store, id).await?;
            let longest = match issuers.get(&claims.realm) {
                Some(Issuer::Realm(realm)) => lifetimes::latest_expiry(&self.store, realm, self.clock.now()).await?,
                _ => None,
            };
            let end = session.map_or(longest, |session| later(session.expires_at, longest));
            self.record(Subject::Session(id), end).await?;
            return Ok(Revoked::Session(id));
        }
        self.record(Subject::Token(claims.revocation_id), claims.expires_at).await?;
        Ok(Revoked::Token(claims.revocation_id))
    }

    /// Revokes a token by its `jti`. Without `expires_at` the record is kept as long as the issuer's
    /// longest-lived token could live, under any config that a gateway had: for ever where only somebody else knows.
    ///
    /// # Errors
    /// Refuses a token whose end has passed. Fails when the store or the vault does.
    pub async fn revoke_token_id(
        &self,
        issuer: &Issuer,
        id: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<Revoked, StewardError> {
        let now = self.clock.now();
        // A clock that is ahead must not keep a living token from being revoked.
        if expires_at.is_some_and(|end| end <= self.trusted.no_later()) {
            return Err(StewardError::Refused("a token whose end has passed needs no revocation".to_owned()));
        }
        let subject = RevocationId::of_token_id(issuer.name(), id);
        let expires_at = match (expires_at, issuer) {
            (Some(end), _) => Some(end),
            (None, Issuer::Realm(realm)) if !self.has_imported_keys(&realm.name).await? => {
                lifetimes::latest_expiry(&self.store, realm, now).await?
            }
            // How long a foreign issuer's tokens live, or those of the API before, is not for us to know.
            (None, _) => None,
        };
        self.record(Subject::Token(subject), expires_at).await?;
        Ok(Revoked::Token(subject))
    }

    async fn has_imported_keys(&self, realm: &RealmName) -> Result<bool, StewardError> {
        let records = self.vault.records().await?;
        Ok(records.iter().any(|key| key.imported && key.realm == *realm && key.state.verifies()))
    }

    /// Revokes a session: all tokens that its login gave, refreshed ones too.
    ///
    /// # Errors
    /// Refuses a session that the store does not know. Fails when the store is out of reach or damaged.
    pub async fn revoke_session(&self, id: SessionId) -> Result<Revoked, StewardError> {
        let session = session::find(&self.store, id).await?;
        let session = session.ok_or_else(|| not_found("session", id.to_string(), ""))?;
        // A token of it may be on its way whose end the session does not know yet.
        let longest = lifetimes::latest_noted(&self.store, &session.realm, self.clock.now()).await?;
        self.record(Subject::Session(id), later(session.expires_at, longest)).await?;
        Ok(Revoked::Session(id))
    }

    /// Ends everything that was issued to a principal until now.
    ///
    /// # Errors
    /// Fails when there is no such account, or when the store is out of reach or damaged.
    pub async fn revoke_principal(&self, realm: &RealmName, name: &AccountName) -> Result<Account, StewardError> {
        let account = self.account(realm, name).await?;
        let raised = account::end_tokens(&self.store, realm, &account.name, self.clock.now()).await?;
        self.apply_raised(&raised);
        Ok(account)
    }

    /// A page of the sessions of a principal, the youngest first, from the one behind `after` on; at most
    /// [`SESSIONS_LISTED_MAX`].
    ///
    /// # Errors
    /// Fails when there is no such account, when `after` is no session of it, or when the store is out of reach or
    /// damaged.
    pub async fn sessions(
        &self,
        realm: &RealmName,
        name: &AccountName,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Listed>, StewardError> {
        let account = self.account(realm, name).await?;
        if let Some(after) = after {
            let known = session::find(&self.store, after).await?.filter(|session| session.principal == account.id);
            known.ok_or_else(|| not_found("session", after.to_string(), "; it may have been removed: begin again"))?;
        }
        Ok(session::list(&self.store, realm, account.id, after, limit.min(SESSIONS_LISTED_MAX)).await?)
    }

    /// Puts raised epochs in force here; elsewhere the store tells.
    pub fn apply_raised(&self, raised: &Raised) {
        let now = self.clock.now();
        let record =
            |&(id, epoch)| Record { subject: Subject::Principal(id, epoch), expires_at: None, created_at: now };
        self.apply(&raised.iter().map(record).collect::<Vec<_>>());
    }

    /// An account by name. In realms whose accounts have a business, it may be left out where the
    /// name alone says which account is meant.
    ///
    /// # Errors
    /// Fails when there is no such account, when the name alone could mean several, or when the store is out of reach
    /// or damaged.
    pub async fn account(&self, realm: &RealmName, name: &AccountName) -> Result<Account, StewardError> {
        if let Some(account) = account::find(&self.store, realm, name).await? {
            return Ok(account);
        }
        let missing = |hint| not_found("account", format!("{} in realm {realm}", name.name), hint);
        if !name.business.is_empty() {
            return Err(missing(""));
        }
        let named = account::list(&self.store, realm, PrincipalKind::Project, None, PROJECTS_SEARCHED_MAX).await?;
        let mut named = named.into_iter().filter(|account| account.name.name == name.name);
        match (named.next(), named.next()) {
            (Some(account), None) => Ok(account),
            (Some(_), Some(_)) => Err(missing("; several businesses have one: name the business too")),
            (None, _) => Err(missing("")),
        }
    }

    async fn record(&self, subject: Subject, expires_at: Option<Timestamp>) -> Result<(), StewardError> {
        let record = Record { subject, expires_at, created_at: self.clock.now() };
        log::append(&self.store, &record).await?;
        self.apply(&[record]);
        tracing::info!(?subject, "revoked");
        Ok(())
    }

    fn apply(&self, records: &[Record]) {
        if let Some(gate) = &self.gate {
            gate.revocations().apply(records);
        }
    }
}

impl std::fmt::Debug for Steward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Steward(…)")
    }
}

pub(super) fn not_found(what: &'static str, name: String, hint: &'static str) -> StewardError {
    StewardError::NotFound { what, name, hint }
}
