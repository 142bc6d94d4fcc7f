//! What was done to what: the part of a row that the change itself knows.

use serde_json::Value;

use crate::domain::{KeyId, PrincipalId, PrincipalKind, RealmName};

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// The word in rows and lines.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

actions! {
    /// An account was made.
    AccountAdd = "account.add",
    /// Its logins are refused, its tokens ended.
    AccountDisable = "account.disable",
    /// Its logins are allowed again.
    AccountEnable = "account.enable",
    /// Its logins are refused, its tokens live on.
    AccountLock = "account.lock",
    /// Its logins are allowed again.
    AccountUnlock = "account.unlock",
    /// What it is changed: its role, scopes, company, legacy id or grants.
    AccountSet = "account.set",
    /// It has another secret.
    AccountSecret = "account.secret",
    /// The secret before the present one is taken no more.
    AccountOverlapEnd = "account.end_overlap",
    /// It was deleted.
    AccountDelete = "account.delete",
    /// All its tokens ended.
    AccountRevoke = "account.revoke",
    /// The epochs of a realm's accounts were written down under their names, before a key was imported.
    AccountNames = "account.names",
    /// A batch of another system's accounts was imported.
    AccountImport = "account.import",
    /// A company was made.
    CompanyAdd = "company.add",
    /// Its clients' logins are refused, their tokens ended.
    CompanyDisable = "company.disable",
    /// Its clients' logins are allowed again.
    CompanyEnable = "company.enable",
    /// It was deleted.
    CompanyDelete = "company.delete",
    /// A batch of another system's companies was imported.
    CompanyImport = "company.import",
    /// An import began, or goes on; another process that worked on it ends.
    ImportBegin = "import.begin",
    /// A token was revoked.
    TokenRevoke = "token.revoke",
    /// A session was revoked.
    SessionRevoke = "session.revoke",
    /// A new key was published, and signs later.
    KeyPrepare = "key.prepare",
    /// A next key signs as soon as it may.
    KeyAsk = "key.ask",
    /// Another key signs.
    KeySign = "key.sign",
    /// A key retired, or a next one was discarded.
    KeyRetire = "key.retire",
    /// A retired key verifies again.
    KeyRestore = "key.restore",
    /// A key was revoked.
    KeyRevoke = "key.revoke",
    /// A key came from outside.
    KeyImport = "key.import",
    /// An imported key takes tokens of known accounts only.
    KeyRestrict = "key.restrict",
    /// The material of ended keys was wiped.
    KeyWipe = "key.wipe",
    /// Keys that ended long ago were forgotten.
    KeyForget = "key.forget",
    /// Dates that a clock which was ahead wrote down were put right.
    KeyDates = "key.dates",
    /// All keys were sealed under a new master key.
    KeyReseal = "key.reseal",
    /// The civil clock was said to be right.
    ClockConfirm = "clock.confirm",
    /// A config was taken over.
    ConfigReload = "config.reload",
    /// A gateway handed over to a new process.
    ProcessUpgrade = "process.upgrade",
    /// What becomes of checked requests while the store is not heard of.
    StaleServe = "stale.serve",
    /// What restrains logins for a name or from an address ended before its time.
    LimitsClear = "limits.clear",
    /// The store moved to another place.
    StoreMove = "store.move",
    /// The side that decides about a realm's logins changed: Portero, or the old system that it takes over from.
    MigrationStep = "migration.step",
    /// Accounts may be lost when a realm goes back to its old system.
    MigrationBack = "migration.back",
    /// Tokens of an old system were imported.
    MigrationTokens = "migration.tokens",
    /// An admin token was made.
    AdminTokenAdd = "admin_token.add",
    /// An admin token was revoked.
    AdminTokenRevoke = "admin_token.revoke",
}

/// What was done to what, from which value to which. It never has a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub(super) action: Action,
    pub(super) kind: Option<&'static str>,
    pub(super) realm: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) old: Option<Value>,
    pub(super) new: Option<Value>,
}

impl Entry {
    /// An action on nothing in particular.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        Self { action, kind: None, realm: None, subject: None, old: None, new: None }
    }

    /// On an account, which stands as its uuid.
    #[must_use]
    pub fn account(action: Action, kind: PrincipalKind, realm: &RealmName, id: PrincipalId) -> Self {
        Self::on(action, kind.name(), id.to_string()).in_realm(realm)
    }

    /// On a key.
    #[must_use]
    pub fn key(action: Action, id: &KeyId) -> Self {
        Self::on(action, "key", id.to_string())
    }

    /// On something else that has a name or an id.
    #[must_use]
    pub fn on(action: Action, kind: &'static str, subject: String) -> Self {
        Self { kind: Some(kind), subject: Some(subject), ..Self::of(action) }
    }

    /// Of this realm.
    #[must_use]
    pub fn in_realm(self, realm: &RealmName) -> Self {
        Self { realm: Some(realm.as_str().to_owned()), ..self }
    }

    /// What was before.
    #[must_use]
    pub fn from(self, old: Value) -> Self {
        Self { old: Some(old), ..self }
    }

    /// What is now.
    #[must_use]
    pub fn to(self, new: Value) -> Self {
        Self { new: Some(new), ..self }
    }
}
