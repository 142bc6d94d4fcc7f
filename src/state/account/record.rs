//! Accounts as the store has them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::PasswordHash;
use crate::{
    domain::{AccountName, GrantType, Holder, PrincipalId, PrincipalKind, RealmName, Timestamp},
    state::store::{Action, Entry},
};

/// The epochs that a change raised, as the revocation log has them.
pub type Raised = Vec<(PrincipalId, u32)>;

/// An account, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The `sub` of its tokens.
    pub id: PrincipalId,
    /// Its realm.
    pub realm: RealmName,
    /// What it is.
    pub kind: PrincipalKind,
    /// What it logs in with.
    pub name: AccountName,
    /// The name that people read.
    pub display_name: Option<String>,
    /// The integer id of `sws`.
    pub legacy_id: Option<i64>,
    /// Its role.
    pub role: Option<String>,
    /// Its scopes (`become`: permissions).
    pub scopes: Vec<String>,
    /// Its company (`become`), which may be missing.
    pub company: Option<String>,
    /// The grants that it may use (`oauth`); `None` for all of them.
    pub grants: Option<Vec<GrantType>>,
    /// The hash of its password or secret.
    pub password_hash: PasswordHash,
    /// Whether Portero made that secret. [`Account::is_secret_made`] says it of all that open the account.
    pub(super) secret_made: bool,
    /// The secret before it, which may be taken too: [`Account::credentials`].
    pub previous_secret: Option<PreviousSecret>,
    /// When it logged in, the last time that was written down: about a minute later.
    pub last_login_at: Option<Timestamp>,
    /// Logins with a wrong secret since then, as far as they were written down.
    pub failed_logins: u32,
    /// Whether it may not log in, and is not told why.
    pub disabled: bool,
    /// Whether it may not log in until an administrator unlocks it (`sws` tells it so).
    pub locked: bool,
    /// What its tokens must carry at least.
    pub epoch: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The secret that an account had before, while it is taken too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Its hash.
    pub hash: PasswordHash,
    /// Whether Portero made it.
    pub made: bool,
    /// When it is taken no more.
    pub ends_at: Timestamp,
}

impl Account {
    /// Whether a refresh token that was given in this epoch still gives others.
    #[must_use]
    pub const fn renews(&self, epoch: u32) -> bool {
        !self.disabled && !self.locked && self.epoch <= epoch
    }

    /// Whether tokens carry the same for both, and routes judge them alike. The name that people read stands in no
    /// token, and what grants a client may use is looked up when it asks for tokens.
    #[must_use]
    pub fn is_carried_like(&self, other: &Self) -> bool {
        let scopes = |account: &Self| account.scopes.iter().cloned().collect::<BTreeSet<_>>();
        self.role == other.role
            && self.company == other.company
            && self.legacy_id == other.legacy_id
            && scopes(self) == scopes(other)
    }

    /// The entry of the audit log about something that is done to it.
    pub(in crate::state) fn entry(&self, action: Action) -> Entry {
        Entry::account(action, self.kind, &self.realm, self.id)
    }

    /// What the audit log tells of one that was made or deleted. Its name is left out: the uuid stands for it.
    pub(super) fn described(&self) -> Value {
        json!({
            "role": self.role,
            "scopes": self.scopes,
            "company": self.company,
            "legacy_id": self.legacy_id,
            "grants": self.grants.as_ref().map(|grants| grants.iter().map(|grant| grant.name()).collect::<Vec<_>>()),
            "disabled": self.disabled,
            "locked": self.locked,
        })
    }

    /// The account as tokens and answers show it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        Holder {
            id: self.id,
            name: self.name.clone(),
            display_name: self.display_name.clone().unwrap_or_else(|| self.name.name.clone()),
            legacy_id: self.legacy_id,
            role: self.role.clone().unwrap_or_default(),
            scopes: self.scopes.clone(),
            company: self.company.clone(),
        }
    }
}

/// Grants as the store has them.
pub(super) fn joined_grants(grants: Option<&[GrantType]>) -> Option<String> {
    Some(grants?.iter().map(|grant| grant.name()).collect::<Vec<_>>().join(" "))
}
