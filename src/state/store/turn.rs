//! What serialises transactions that read before they write.
//!
//! SQLite has one write lock, which every such transaction takes at its beginning. PostgreSQL lets transactions run
//! side by side: there each names what it holds others off from ([`Turn`]), as an advisory lock that ends with the
//! transaction. Of many callers that do the same at once, in whatever gateway, one after the other reads what the one
//! before it left.
//!
//! Locks are taken in the order in which [`Turn`] lists them, and the feed's lock last of all, so that no two
//! transactions wait for each other. PostgreSQL locks the rows that a transaction changes, too: who changes several
//! rows that others change does so in their order, or has a turn that all of them take. The rows of accounts come
//! before those of `revocations`, which go in the order of their subjects.

use aws_lc_rs::digest;

use crate::domain::{AccountName, PrincipalId, RealmName};

/// What an administrative change holds others off from. Such a change ends with its row in the audit log, so only
/// [`AuditedStore::begin`](super::AuditedStore::begin) begins one; these turns come before those of [`Turn`], but for
/// `Clock`, which is the first, and `Epochs`, which comes before `Account`.
#[derive(Clone, Copy, Debug)]
pub enum ChangeTurn<'a> {
    /// All signing keys, and the master key's fingerprint.
    Keys,
    /// The names, ids and numbers of all accounts, when one is made: numbers are committed in their order.
    Accounts,
    /// A company and the epochs of its clients.
    Company(&'a RealmName, &'a str),
    /// One account.
    Account(&'a RealmName, &'a AccountName),
    /// All admin tokens.
    AdminTokens,
    /// What changes beside administrators too.
    Shared(Turn<'a>),
}

/// What a transaction holds others off from. Two that name the same run one after the other.
#[derive(Clone, Copy, Debug)]
pub enum Turn<'a> {
    /// The row of `clock`.
    Clock,
    /// The epochs of several accounts that one transaction raises.
    Epochs,
    /// Deleting the rows of many sessions, and what is due of things that ended: one gateway at a time.
    Upkeep,
    /// One refresh token, by its hash.
    RefreshToken(&'a [u8]),
    /// The lines of refresh tokens that an OAuth client holds, when it ends.
    Client(PrincipalId),
    /// The same for an exchange of one of them, beside others.
    ClientShared(PrincipalId),
    /// The sessions without expiry of a principal.
    Sessions(PrincipalId),
    /// What failed logins are counted by, and the addresses that owners have used.
    Throttles,
    /// A row of `meta`.
    Meta(&'a str),
    /// The first row of the audit log, when a change is done, right before the feed's lock. From then on the row's
    /// anchor is held.
    Audit,
    /// Nothing: what it reads cannot be outdated, or it reads nothing.
    Nothing,
}

impl<'a> From<Turn<'a>> for ChangeTurn<'a> {
    fn from(turn: Turn<'a>) -> Self {
        Self::Shared(turn)
    }
}

impl ChangeTurn<'_> {
    /// As [`Turn::lock`].
    pub(super) fn lock(self) -> Option<(i64, bool)> {
        let (kind, parts): (&str, [&[u8]; 3]) = match self {
            Self::Shared(turn) => return turn.lock(),
            Self::Keys => ("keys", [b"", b"", b""]),
            Self::Accounts => ("accounts", [b"", b"", b""]),
            Self::Company(realm, name) => ("company", [realm.as_str().as_bytes(), name.as_bytes(), b""]),
            Self::Account(realm, name) => {
                ("account", [realm.as_str().as_bytes(), name.business.as_bytes(), name.name.as_bytes()])
            }
            Self::AdminTokens => ("admin tokens", [b"", b"", b""]),
        };
        Some((number(kind, &parts), false))
    }
}

impl Turn<'_> {
    /// The advisory lock of PostgreSQL, and whether it is shared. The same number in every version of Portero.
    pub(super) fn lock(self) -> Option<(i64, bool)> {
        let (kind, parts): (&str, [&[u8]; 3]) = match self {
            Self::Nothing => return None,
            Self::Clock => ("clock", [b"", b"", b""]),
            Self::Epochs => ("epochs", [b"", b"", b""]),
            Self::Client(id) => return Some((number("client", &[id.uuid().as_bytes()]), false)),
            Self::ClientShared(id) => return Some((number("client", &[id.uuid().as_bytes()]), true)),
            Self::RefreshToken(hash) => ("refresh token", [hash, b"", b""]),
            Self::Sessions(id) => return Some((number("sessions", &[id.uuid().as_bytes()]), false)),
            Self::Upkeep => ("upkeep", [b"", b"", b""]),
            Self::Throttles => ("throttles", [b"", b"", b""]),
            Self::Meta(name) => ("meta", [name.as_bytes(), b"", b""]),
            Self::Audit => ("audit", [b"", b"", b""]),
        };
        Some((number(kind, &parts), false))
    }
}

/// The number of a lock. Two that get the same by chance wait for each other now and then, and nothing more.
pub(super) fn number(kind: &str, parts: &[&[u8]]) -> i64 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"portero lock\0");
    for part in std::iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    i64::from_be_bytes(digest.as_ref()[..8].try_into().expect("SHA-256 has 32 bytes"))
}
