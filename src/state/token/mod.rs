//! Tokens: minting them, opening them, and remembering those that were opened.

mod cache;
mod jwt;
mod sealed;

use std::{sync::Arc, time::Duration};

use foldhash::HashMap;
use serde_json::{Map, Value};
use thiserror::Error;

use super::keys::{Key, KeyError, Keyring};
use crate::{
    domain::{Claims, Holder, RealmName, Reason, Secret, SessionId, Timestamp, TokenKind},
    rules::{issuer::Issuer, realm::Realm},
};

pub use cache::{CacheSettings, InternalToken, Verified, VerifiedTokens};
pub use jwt::ClaimDefect;
pub use sealed::{SEALED_TEXT_BYTES_MAX, sealed_text_bytes};

/// A token larger than this is refused before anything of it is looked at.
pub const TOKEN_BYTES_MAX: usize = 8192;

/// The realms by name. Each request looks one up; the names are the config's, so the quick hash will do.
pub type Realms = HashMap<RealmName, Arc<Realm>>;

/// Everybody whose tokens are read, by name: realms and external issuers.
pub type Issuers = HashMap<RealmName, Issuer>;

/// What a new token says.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// What it is for.
    pub kind: TokenKind,
    /// The subject that it speaks for.
    pub holder: &'a Holder,
    /// The holder's epoch.
    pub epoch: u32,
    /// The login it belongs to.
    pub session: SessionId,
    /// When it begins to hold.
    pub issued_at: Timestamp,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// What the realm's contract adds.
    pub extra: Map<String, Value>,
}

/// Why no token could be made.
#[derive(Debug, Error)]
pub enum MintError {
    /// The realm has no active key.
    #[error("realm {0} has no active key")]
    NoKey(RealmName),
    /// The key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The account's texts do not fit into a sealed token.
    #[error("the account's name, role and scopes have {0} bytes; a sealed token holds {SEALED_TEXT_BYTES_MAX}")]
    TooLong(usize),
}

/// Mints a token of `realm` with its active key.
///
/// # Errors
/// Fails when the realm has no active key, when the key fails, or when the account's texts do not fit into a sealed
/// token.
pub fn mint(realm: &Realm, keys: &Keyring, token: &NewToken<'_>) -> Result<Secret, MintError> {
    let key = keys.active(&realm.name).ok_or_else(|| MintError::NoKey(realm.name.clone()))?;
    if key.algorithm.is_jwt() {
        Ok(key.sign(&realm.dialect.facts().tokens.header_type, &jwt::payload(realm, token))?)
    } else {
        sealed::mint(key, token)
    }
}

/// Opens a token: finds its key, checks the signature, reads the claims; gives the key too. Whether it still holds is
/// not asked here ([`check_times`], revocation), because that is asked again on every request.
///
/// # Errors
/// The reason it is no token of ours. The cheap reasons come first: size, shape, key, algorithm.
pub fn open(token: &str, keys: &Keyring, issuers: &Issuers) -> Result<(Claims, Arc<Key>), Reason> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Reason::TokenTooLarge);
    }
    if token.contains('.') { jwt::open(token, keys, issuers) } else { sealed::open(token, keys, issuers) }
}

/// The claim for which [`open`] refuses a token that a known key signed; `None` where no claim is to blame.
#[must_use]
pub fn defect(token: &str, keys: &Keyring, issuers: &Issuers) -> Option<Box<ClaimDefect>> {
    if token.len() > TOKEN_BYTES_MAX { None } else { jwt::defect(token, keys, issuers) }
}

/// The `kid` and the `iss` that a JWT claims to have, neither of them proven. Nothing is decided by them
/// but whether an external issuer is asked for its keys.
#[must_use]
pub fn unverified_origin(token: &str) -> Option<(String, String)> {
    if token.len() > TOKEN_BYTES_MAX { None } else { jwt::unverified_origin(token) }
}

/// Checks `exp` and `nbf` with the issuer's leeway.
///
/// # Errors
/// [`Reason::Expired`] or [`Reason::NotYetValid`].
pub fn check_times(claims: &Claims, leeway: Duration, now: Timestamp) -> Result<(), Reason> {
    if claims.expires_at.is_some_and(|end| now >= end.plus(leeway)) {
        return Err(Reason::Expired);
    }
    if claims.not_before > now.plus(leeway) {
        return Err(Reason::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
