//! Logins that were decided while an old system was away, with what it is asked about them later. The secrets are in
//! memory alone: what a gateway forgets when it ends is confirmed at the account's next login, or ends with its trust.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::logins::Verifier;
use crate::{
    domain::{AccountName, PrincipalId, RealmName, Secret, SessionId},
    rules::contract::Dialect,
    state::account::PasswordHash,
};

/// Logins that are remembered, at most; one more is confirmed at the account's next login.
pub const UNCONFIRMED_MAX: usize = 10_000;

/// A login that the old system is asked about when it is back.
#[derive(Debug)]
pub struct Login {
    /// The session that it opened.
    pub session: SessionId,
    /// Whose.
    pub account: PrincipalId,
    /// The hash that decided.
    pub hash: PasswordHash,
    /// The account's realm.
    pub realm: RealmName,
    /// The realm's contract.
    pub dialect: Dialect,
    /// The name that the client gave.
    pub name: AccountName,
    /// The secret that it gave.
    pub secret: Secret,
    /// From where.
    pub client: IpAddr,
    /// The old system.
    pub verifier: Arc<Verifier>,
}

/// Those logins, the oldest first.
#[derive(Debug, Default)]
pub struct Unconfirmed(Mutex<VecDeque<Login>>);

impl Unconfirmed {
    /// Remembers one, if there is room.
    pub fn push(&self, login: Login) {
        let mut logins = self.logins();
        if logins.len() < UNCONFIRMED_MAX {
            login.verifier.metrics.unconfirmed.inc();
            logins.push_back(login);
        }
    }

    /// The oldest one.
    pub fn pop(&self) -> Option<Login> {
        let login = self.logins().pop_front()?;
        login.verifier.metrics.unconfirmed.dec();
        Some(login)
    }

    /// Puts one back that cannot be asked about yet.
    pub fn put_back(&self, login: Login) {
        login.verifier.metrics.unconfirmed.inc();
        self.logins().push_front(login);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.logins().len()
    }

    /// Whether no login waits for its confirmation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logins().is_empty()
    }

    fn logins(&self) -> MutexGuard<'_, VecDeque<Login>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
