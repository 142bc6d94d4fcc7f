//! Whose tokens are read: a realm of ours, or an external issuer.

use std::{sync::Arc, time::Duration};

use super::{contract::Dialect, profile::ClaimMapping, realm::Realm};
use crate::domain::RealmName;

/// An issuer of tokens that may open routes.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// One of our realms.
    Realm(Arc<Realm>),
    /// Somebody else, whose public keys we fetch or were given.
    External(Arc<ExternalIssuer>),
}

/// What the tokens of an external issuer must say (`[issuers.NAME]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalIssuer {
    /// Its name in the config and in metrics; no realm has it too.
    pub name: RealmName,
    /// `iss` of its tokens.
    pub issuer: String,
    /// Whom its tokens are for: each of them has one of these; never empty.
    pub audiences: Vec<String>,
    /// How far clocks may be apart when `exp` and `nbf` are checked; at most 60 s.
    pub leeway: Duration,
    /// Which of their claims say what.
    pub claims: ClaimMapping,
    /// Whether it is asked about each of them, and none is opened here.
    pub is_asked: bool,
}

impl Issuer {
    /// Its name in the config.
    #[must_use]
    pub fn name(&self) -> &RealmName {
        match self {
            Self::Realm(realm) => &realm.name,
            Self::External(issuer) => &issuer.name,
        }
    }

    /// `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        match self {
            Self::Realm(realm) => &realm.issuer,
            Self::External(issuer) => &issuer.issuer,
        }
    }

    /// `aud` of its tokens; of an external issuer's, the first of those that are taken.
    #[must_use]
    pub fn audience(&self) -> &str {
        match self {
            Self::Realm(realm) => &realm.audience,
            Self::External(issuer) => issuer.audiences.first().map_or("", String::as_str),
        }
    }

    /// The contract in whose words its tokens are refused.
    #[must_use]
    pub fn dialect(&self) -> &Dialect {
        match self {
            Self::Realm(realm) => &realm.dialect,
            Self::External(_) => Dialect::oauth(),
        }
    }

    /// How far clocks may be apart.
    #[must_use]
    pub fn leeway(&self) -> Duration {
        match self {
            Self::Realm(realm) => realm.leeway,
            Self::External(issuer) => issuer.leeway,
        }
    }

    /// Whether both read tokens alike, so that what one opened the other would have opened too.
    #[must_use]
    pub fn reads_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Realm(one), Self::Realm(other)) => {
                Arc::ptr_eq(one, other)
                    || (one.issuer == other.issuer
                        && one.audience == other.audience
                        && one.leeway == other.leeway
                        && one.dialect == other.dialect
                        && one.wire.allow_non_expiring == other.wire.allow_non_expiring)
            }
            (Self::External(one), Self::External(other)) => Arc::ptr_eq(one, other) || one == other,
            _ => false,
        }
    }
}
