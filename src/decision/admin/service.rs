//! The service behind the admin API and the commands: what it works with, and why it refuses.

use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::{
    decision::decide::live_state::LiveState,
    domain::{Clock, RealmName, Reason, Timestamp, trusted_time},
    rules::contract::{Dialect, names_with},
    state::{
        account::{AccountError, Hasher, HasherError, PasswordRules, Raised},
        admin_token::AdminTokenError,
        clock::{self, TrustedClock},
        keys::{ImportError, Vault, VaultError},
        limit::Exchange,
        revocation::log::{Record, RevokedSubject},
        store::{Action, Actor, AuditedStore, Entry, StoreError},
    },
};

/// Accounts or companies in one page of a list, at most.
pub const PAGE_ROWS: u32 = 500;

/// Does what an operator asks, durably; and in force at once where there is a live state.
#[derive(Clone)]
pub struct AdminService {
    /// The store, and who asks.
    pub(super) store: AuditedStore,
    /// The keys, for the same.
    pub(super) vault: Vault,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) trusted: TrustedClock,
    pub(super) live_state: Option<Arc<LiveState>>,
    pub(super) hasher: Option<Arc<Hasher>>,
    pub(super) throttles: Option<Exchange>,
    pub(super) password_rules: PasswordRules,
}

/// Why something was not done.
#[derive(Debug, Error)]
pub enum AdminError {
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
    /// The config names no such issuer.
    #[error("the config has no realm or issuer '{0}'")]
    UnknownIssuer(String),
    /// The realm's contract has no companies.
    #[error("realm '{realm}' speaks {dialect}: only {others} has companies", others = names_with(|facts| facts.accounts.has_company))]
    NoCompanies {
        /// The realm.
        realm: RealmName,
        /// Its contract.
        dialect: Dialect,
    },
    /// It would be of no use as it is described.
    #[error("{0}")]
    Refused(String),
    /// An account's fault.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The secret cannot be set, or not now.
    #[error(transparent)]
    Secret(#[from] HasherError),
    /// An admin token's fault.
    #[error(transparent)]
    AdminToken(AdminTokenError),
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

impl From<AdminTokenError> for AdminError {
    fn from(error: AdminTokenError) -> Self {
        match error {
            AdminTokenError::Store(error) => Self::Store(error),
            refusal => Self::AdminToken(refusal),
        }
    }
}

impl AdminService {
    /// The service for `actor`, who stands in the audit log beside all that it does. With a live state, what it does is
    /// in force when it is done; without, a running gateway sees it within a second.
    #[must_use]
    pub fn new(actor: Actor, vault: &Vault, trusted: TrustedClock, live_state: Option<Arc<LiveState>>) -> Self {
        let vault = vault.by(actor);
        let clock = Arc::clone(trusted.clock());
        let store = vault.audited_store().with_clock(Arc::clone(&clock));
        let password_rules = PasswordRules::default();
        Self { store, vault, clock, trusted, live_state, hasher: None, throttles: None, password_rules }
    }

    /// Holds new passwords against these rules. Without them a password is too short or it may be set.
    #[must_use]
    pub fn judging_passwords_by(self, password_rules: PasswordRules) -> Self {
        Self { password_rules, ..self }
    }

    /// Has new secrets hashed by this pool, which the gateway's logins share. Without one the calling thread does it.
    #[must_use]
    pub fn hashing_with(self, hasher: Arc<Hasher>) -> Self {
        Self { hasher: Some(hasher), ..self }
    }

    /// Looks at this throttle, and clears it. Without one nothing is known of restraints: they are a running gateway's.
    #[must_use]
    pub fn throttling_with(self, throttles: Exchange) -> Self {
        Self { throttles: Some(throttles), ..self }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes down what is done and is no change of the store. It is to be done only once this has returned.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged: then nobody may do it.
    pub async fn note(&self, action: Action, new: Value) -> Result<(), AdminError> {
        Ok(self.store.within(self.store.note(Entry::of(action).to(new))).await?)
    }

    /// What the store knows of the civil clock; `None` before the first gateway has run on it.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn clock_record(&self) -> Result<Option<trusted_time::Record>, AdminError> {
        Ok(clock::read(&self.store).await?.map(|row| row.record))
    }

    /// Takes an operator's word for it that `now`, this machine's civil time, is right. Answers what was known before.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn confirm_clock(&self, now: Timestamp) -> Result<Option<trusted_time::Record>, AdminError> {
        Ok(clock::confirm(&self.store, now).await?.map(|row| row.record))
    }

    /// Puts raised epochs in force here; elsewhere the store tells.
    pub(super) fn apply_raised(&self, raised: &Raised) {
        let now = self.clock.now();
        let record =
            |&(id, epoch)| Record { subject: RevokedSubject::Principal(id, epoch), expires_at: None, created_at: now };
        self.apply(&raised.iter().map(record).collect::<Vec<_>>());
    }

    pub(super) fn apply(&self, records: &[Record]) {
        if let Some(live_state) = &self.live_state {
            live_state.revocations().apply(records);
        }
    }
}

impl std::fmt::Debug for AdminService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminService(…)")
    }
}

pub(super) fn not_found(what: &'static str, name: String, hint: &'static str) -> AdminError {
    AdminError::NotFound { what, name, hint }
}
