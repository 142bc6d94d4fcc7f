//! What happens at the token endpoints, for the audit log.

use std::net::IpAddr;

use crate::domain::{PrincipalId, RealmName, Timestamp};

/// What somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Tokens for a name and a secret.
    Login,
    /// Tokens for a refresh token.
    Refresh,
    /// The end of a token that a client holds.
    Revoke,
    /// What a token says.
    Introspect,
}

impl Act {
    /// The word in lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::Introspect => "introspect",
        }
    }
}

/// What looking for an account came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Nobody looked.
    NotYet,
    /// No account has the name.
    None,
    /// This one.
    Found(PrincipalId),
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// This one.
    Known(PrincipalId),
    /// No account has that name. People type passwords there, so the name itself is never kept; what stands for it is
    /// there with `log.names`.
    Unknown(Option<String>),
    /// Nobody looked: it was refused before.
    NotLookedUp,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What was asked for.
    pub act: Act,
    /// Whether an old system answered it, and Portero looked on.
    pub observed: bool,
    /// Why it was refused; `None` where it was done.
    pub refused: Option<&'static str>,
    /// In which realm.
    pub realm: RealmName,
    /// Whose account.
    pub account: Account,
    /// The client's address.
    pub client: IpAddr,
    /// The id of the request.
    pub request: String,
}
