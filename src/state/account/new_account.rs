//! An account to be made, and what its parts may be.

use super::{error::AccountError, record::Account};
use crate::domain::{AccountName, GrantType, PrincipalId, PrincipalKind, RealmName};

/// Bytes of an account's name, a business, a company, a display name or a role, at most.
pub const NAME_BYTES_MAX: usize = 256;

/// Scopes of an account, at most.
pub const SCOPES_MAX: usize = 64;

/// The largest integer that every JSON reader keeps exact (RFC 8259, section 6).
pub const LEGACY_ID_MAX: i64 = (1 << 53) - 1;

/// An account to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// The `sub` of its tokens: a new one, or one that it had elsewhere.
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
    pub legacy_id: LegacyId,
    /// Its role.
    pub role: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Its company. It need not exist: then the account gets `become`'s 404.
    pub company: Option<String>,
    /// The grants that it may use (`oauth`); `None` for all of them.
    pub grants: Option<Vec<GrantType>>,
}

/// The integer id that a new account gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyId {
    /// None: its contract has no such thing.
    None,
    /// The next one of the realm, from 1 on; never one that an account had before.
    Next,
    /// The one that it had elsewhere.
    Given(i64),
}

impl From<&Account> for NewAccount {
    /// The description of an account that exists, to judge a change of it by.
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            realm: account.realm.clone(),
            kind: account.kind,
            name: account.name.clone(),
            display_name: account.display_name.clone(),
            legacy_id: account.legacy_id.map_or(LegacyId::None, LegacyId::Given),
            role: account.role.clone(),
            scopes: account.scopes.clone(),
            company: account.company.clone(),
            grants: account.grants.clone(),
        }
    }
}

impl NewAccount {
    /// Says whether the account could be made as it is described. Every part of it may become an
    /// HTTP header of a forwarded request, and must mean the same there.
    ///
    /// # Errors
    /// [`AccountError::Invalid`] says which part is wrong, and why.
    pub fn check(&self) -> Result<(), AccountError> {
        check_word("the name", &self.name.name)?;
        if self.kind == PrincipalKind::Project {
            check_word("the business", &self.name.business)?;
        }
        let words =
            [("the display name", &self.display_name), ("the role", &self.role), ("the company", &self.company)];
        for (what, word) in words {
            word.as_deref().map_or(Ok(()), |word| check_word(what, word))?;
        }
        if let LegacyId::Given(id) = self.legacy_id
            && !(0..=LEGACY_ID_MAX).contains(&id)
        {
            return Err(AccountError::Invalid("the legacy id", "must be an integer from 0 to 2^53 - 1"));
        }
        if self.scopes.len() > SCOPES_MAX {
            return Err(AccountError::Invalid("the list of scopes", "has more than 64"));
        }
        self.scopes.iter().try_for_each(|scope| check_scope(scope))
    }
}

pub(super) fn check_word(what: &'static str, word: &str) -> Result<(), AccountError> {
    let why = if word.is_empty() {
        "is empty"
    } else if word.len() > NAME_BYTES_MAX {
        "is longer than 256 bytes"
    } else if word.chars().any(char::is_control) {
        "contains a control character"
    } else if word.trim() != word {
        // A header's value loses it, and two accounts would look the same.
        "begins or ends with white space"
    } else {
        return Ok(());
    };
    Err(AccountError::Invalid(what, why))
}

/// `scope-token` of RFC 6749, section 3.3.
fn check_scope(scope: &str) -> Result<(), AccountError> {
    check_word("a scope", scope)?;
    if scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
        Ok(())
    } else {
        Err(AccountError::Invalid("a scope", "may contain only visible ASCII characters but for '\"' and '\\'"))
    }
}
