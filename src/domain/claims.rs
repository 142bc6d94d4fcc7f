//! What a verified token says.

use std::fmt;

use serde_json::{Map, Value};
use uuid::fmt::Hyphenated;

use super::{
    clock::Timestamp,
    id::{PrincipalId, RealmName, RevocationId, SessionId},
    roles::Roles,
    text::fits_a_field,
};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Opens API routes.
    Access,
    /// Opens routes that say `token = "content"`.
    Content,
    /// Opens nothing but the refresh endpoint.
    Refresh,
}

impl TokenKind {
    /// The word in a JWT's `token_use` claim and in `gateway.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Content => "content",
            Self::Refresh => "refresh",
        }
    }
}

/// The subject that a token speaks for. With the issuer it is one principal: the same name in two realms is two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenSubject {
    /// An account of ours, by its id.
    Account(PrincipalId),
    /// An account of ours that an imported token names but does not identify: [`PrincipalId::of_name`].
    Named(PrincipalId),
    /// An account of ours whose id and name an imported token has. Its author may have invented the id: what ends
    /// the tokens of either ends it.
    Imported {
        /// Its `sub`.
        id: PrincipalId,
        /// As in [`TokenSubject::Named`].
        named: PrincipalId,
    },
    /// Whom an external issuer calls so.
    External(Box<str>),
}

impl TokenSubject {
    /// Bytes of an id that is spelt out.
    pub const UUID_BYTES: usize = Hyphenated::LENGTH;

    /// What the epochs of an account of ours are kept under.
    pub fn accounts(&self) -> impl Iterator<Item = PrincipalId> {
        let ids = match self {
            Self::Account(id) | Self::Named(id) => [Some(*id), None],
            Self::Imported { id, named } => [Some(*id), Some(*named)],
            Self::External(_) => [None, None],
        };
        ids.into_iter().flatten()
    }

    /// The `sub`, where the token has one that identifies somebody.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        self.spell_identity(&mut [0; Self::UUID_BYTES]).map(str::to_owned)
    }

    /// The same without an allocation: an id is spelt where there is `room` for it.
    pub fn spell_identity<'a>(&'a self, room: &'a mut [u8; Self::UUID_BYTES]) -> Option<&'a str> {
        match self {
            Self::Account(id) | Self::Imported { id, .. } => Some(id.uuid().hyphenated().encode_lower(room)),
            Self::Named(_) => None,
            Self::External(name) => Some(name),
        }
    }
}

/// What a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person (`sws`, `apis`).
    User,
    /// A program (`maxpoint`, `become`).
    Client,
    /// A project of a business (`toc`).
    Project,
}

impl PrincipalKind {
    /// The word in the store, on the command line and in `X-Auth-Kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
            Self::Project => "project",
        }
    }

    /// The kind that `name` names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::User, Self::Client, Self::Project].into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The epoch of a deleted principal: above all that a token can carry, so that none ever passes.
pub const EPOCH_DELETED: u32 = i32::MAX.unsigned_abs();

/// The content of a token, after its signature and its registered claims were checked.
///
/// The same struct goes into minting and comes out of verification, whatever the wire format.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// The realm (or external issuer) whose key signed it.
    pub realm: RealmName,
    /// What the token is for.
    pub kind: TokenKind,
    /// `sub`: with the realm, who it speaks for.
    pub subject: TokenSubject,
    /// What the subject is; `None` where only its issuer knows.
    pub principal: Option<PrincipalKind>,
    /// `sid`: the login that gave it.
    pub session: Option<SessionId>,
    /// What its revocation is recorded under.
    pub revocation_id: RevocationId,
    /// The principal's epoch when it was issued; a token below the present one is refused.
    pub epoch: u32,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `nbf`.
    pub not_before: Timestamp,
    /// `exp`; `None` only in realms that allow tokens without expiry.
    pub expires_at: Option<Timestamp>,
    /// The `username`, `clientId`, `client_id` or `proyecto`; empty where an external token says none.
    pub name: Box<str>,
    /// The integer id of the `sws` contract.
    pub legacy_id: Option<i64>,
    /// The principal's roles; an account of ours has one at most.
    pub roles: Roles,
    /// The scopes (the `become` contract calls them permissions).
    pub scopes: Vec<Box<str>>,
    /// The company (`become`) or business (`toc`) it belongs to.
    pub organization: Option<Box<str>>,
    /// Every other claim, as the token has it: what `require.claims` and the dialects look at.
    pub extra: Map<String, Value>,
}

impl Claims {
    /// The scopes in one text (RFC 6749 section 3.3). A scope with a space in it cannot be told from two there: it is
    /// left out. External issuers' lists may have such.
    #[must_use]
    pub fn scope_text(&self) -> Option<String> {
        let words = self.scopes.iter().filter(|scope| fits_a_field(scope) && !scope.contains(char::is_whitespace));
        let text = words.map(|scope| &**scope).collect::<Vec<_>>().join(" ");
        (!text.is_empty()).then_some(text)
    }

    /// The roles in one text, a comma and a space between them, as a field's list has them. A role of somebody else's
    /// with a comma in it cannot be told from two there, nor one with a space at an end from one without: it is left
    /// out.
    #[must_use]
    pub fn role_text(&self) -> Option<String> {
        let is_ours = !matches!(self.subject, TokenSubject::External(_));
        let is_alone = is_ours && self.roles.only().is_some();
        let roles = self.roles.iter().filter(|role| fits_a_field(role) && (is_alone || !role.contains(',')));
        let text = roles.collect::<Vec<_>>().join(", ");
        (!text.is_empty()).then_some(text)
    }
}
