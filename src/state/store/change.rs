//! What the feed tells other gateways.

use crate::domain::{RevocationId, Timestamp};

/// A change that every gateway on the store has to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state) enum Change {
    /// Something is revoked, as the row of `revocations` has it now.
    Revocation(RevocationRow),
    /// Signing keys: their revision has grown.
    Keys,
    /// An account was made: it has a number above all others.
    Accounts,
    /// Something that nobody has is revoked, to see when others refuse it.
    Canary(Canary),
}

/// A revocation of nothing, by which gateways measure how long one takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Which one: random.
    pub id: RevocationId,
    /// When the feed had it, by the server's clock.
    pub appended_at: Timestamp,
}

/// A revocation in the columns of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state) struct RevocationRow {
    /// `token`, `session` or `principal`.
    pub(in crate::state) kind: String,
    /// 16 bytes.
    pub(in crate::state) subject: Vec<u8>,
    /// Of a principal alone.
    pub(in crate::state) epoch: Option<i64>,
    /// Milliseconds since the Unix epoch; `None` for never.
    pub(in crate::state) expires_at: Option<i64>,
    /// The same.
    pub(in crate::state) created_at: i64,
}

/// The same, as they lie in what the server sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::state) struct RevocationColumns<'a> {
    pub(in crate::state) kind: &'a str,
    pub(in crate::state) subject: &'a [u8],
    pub(in crate::state) epoch: Option<i64>,
    pub(in crate::state) expires_at: Option<i64>,
    pub(in crate::state) created_at: i64,
}

impl RevocationRow {
    /// Its columns.
    pub(in crate::state) fn columns(&self) -> RevocationColumns<'_> {
        let Self { kind, subject, epoch, expires_at, created_at } = self;
        RevocationColumns { kind, subject, epoch: *epoch, expires_at: *expires_at, created_at: *created_at }
    }
}

/// The kind of a feed's row that tells of keys.
pub(super) const KEYS: &str = "keys";

/// The kind of a feed's row that tells of accounts.
pub(super) const ACCOUNTS: &str = "accounts";

/// The kind of a feed's row that is a canary.
pub(super) const CANARY: &str = "canary";

impl Change {
    /// The kind that its row in the feed has.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Revocation(row) => &row.kind,
            Self::Keys => KEYS,
            Self::Accounts => ACCOUNTS,
            Self::Canary(_) => CANARY,
        }
    }

    /// The subject that its row has.
    pub(super) fn subject(&self) -> Option<Vec<u8>> {
        match self {
            Self::Revocation(row) => Some(row.subject.clone()),
            Self::Canary(canary) => Some(canary.id.to_bytes().to_vec()),
            Self::Keys | Self::Accounts => None,
        }
    }

    /// What it says of a revocation.
    pub(super) const fn revocation(&self) -> Option<&RevocationRow> {
        match self {
            Self::Revocation(row) => Some(row),
            Self::Keys | Self::Accounts | Self::Canary(_) => None,
        }
    }
}
