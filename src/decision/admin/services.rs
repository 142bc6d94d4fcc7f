//! The service for each who asks over the API.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use super::{AdminError, AdminService};
use crate::{
    decision::decide::live_state::LiveState,
    domain::Timestamp,
    state::{
        account::{Hasher, PasswordRules},
        clock::TrustedClock,
        keys::Vault,
        limit::Exchange,
        store::{Action, Actor, Trouble},
    },
};

/// Gives each operator a service that says who asks. It does nothing by itself.
pub struct AdminServices {
    vault: Vault,
    trusted: TrustedClock,
    live_state: Arc<LiveState>,
    hasher: Arc<Hasher>,
    throttles: Exchange,
    password_rules: PasswordRules,
    /// What was done while the store was away, the oldest first.
    unwritten: Mutex<VecDeque<Unwritten>>,
}

/// What was done, and has no row yet.
struct Unwritten {
    actor: Actor,
    action: Action,
    new: Value,
}

/// Entries that wait for the store, at most; of more than that the log alone tells.
const UNWRITTEN_MAX: usize = 64;

impl AdminServices {
    /// Over these keys, and the store that they are in.
    #[must_use]
    pub fn new(
        vault: Vault,
        trusted: TrustedClock,
        live_state: Arc<LiveState>,
        hasher: Arc<Hasher>,
        throttles: Exchange,
        password_rules: PasswordRules,
    ) -> Self {
        Self { vault, trusted, live_state, hasher, throttles, password_rules, unwritten: Mutex::default() }
    }

    /// The service for `actor`.
    #[must_use]
    pub fn by(&self, actor: Actor) -> AdminService {
        let live_state = Some(Arc::clone(&self.live_state));
        AdminService::new(actor, &self.vault, self.trusted.clone(), live_state)
            .hashing_with(Arc::clone(&self.hasher))
            .throttling_with(self.throttles.clone())
            .judging_passwords_by(self.password_rules.clone())
    }

    /// Writes down what is done whether or not there is a store: break-glass. Where no store can be reached, the row is
    /// written when one can be again, and the log tells at once.
    pub async fn note_in_any_case(&self, actor: &Actor, action: Action, mut new: Value) {
        let Err(error) = self.by(actor.clone()).note(action, new.clone()).await else { return };
        tracing::warn!(%error, action = action.name(), "an administrative change has no row in the audit log yet");
        new["done_at"] = self.now().as_millis().into();
        let mut unwritten = self.unwritten();
        if unwritten.len() < UNWRITTEN_MAX {
            unwritten.push_back(Unwritten { actor: actor.clone(), action, new });
        }
    }

    /// Writes the rows that wait for the store. What cannot be written waits on.
    pub async fn write_down(&self) {
        loop {
            let Some(Unwritten { actor, action, new }) = self.unwritten().pop_front() else { return };
            if self.by(actor.clone()).note(action, new.clone()).await.is_err() {
                self.unwritten().push_front(Unwritten { actor, action, new });
                return;
            }
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, VecDeque<Unwritten>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.trusted.clock().now()
    }

    /// What keeps the store from being used, if anything does.
    #[must_use]
    pub fn store_trouble(&self) -> Option<Trouble> {
        self.vault.store().trouble()
    }

    /// Asserts that what was written is in the store that the path names; to be asked before it is acknowledged.
    ///
    /// # Errors
    /// Fails when the path names other files by now, or none.
    pub async fn confirm_store(&self) -> Result<(), AdminError> {
        Ok(self.vault.store().confirm().await?)
    }
}

impl std::fmt::Debug for AdminServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminServices(…)")
    }
}
