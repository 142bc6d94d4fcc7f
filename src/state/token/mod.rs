//! Tokens: minting them, opening them, and remembering those that were opened.

mod cache;
mod jwt;
mod sealed;
mod tally;

use std::sync::Arc;

use foldhash::HashMap;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    domain::{Claims, KeyId, RealmName, Reason, Secret, SessionId, Timestamp, TokenKind},
    rules::{dialect::Holder, realm::Realm},
    state::keys::{KeyError, Keyring},
};

pub use cache::{Settings as CacheSettings, Verified, VerifiedTokens};
pub use sealed::{SEALED_TEXT_BYTES_MAX, sealed_text_bytes};

/// A token larger than this is refused before anything of it is looked at.
pub const TOKEN_BYTES_MAX: usize = 8192;

/// The realms by name. Each request looks one up; the names are the config's, so the quick hash will do.
pub type Realms = HashMap<RealmName, Arc<Realm>>;

/// What a new token says.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// What it is for.
    pub kind: TokenKind,
    /// Who it speaks for.
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
pub fn mint(realm: &Realm, keys: &Keyring, token: &NewToken<'_>) -> Result<Secret, MintError> {
    let key = keys.active(&realm.name).ok_or_else(|| MintError::NoKey(realm.name.clone()))?;
    if key.algorithm.is_jwt() { Ok(key.sign(&jwt::payload(realm, token))?) } else { sealed::mint(key, token) }
}

/// Opens a token: finds its key, checks the signature, reads the claims; gives the key's id too. Whether it still holds is
/// not asked here ([`check_times`], revocation), because that is asked again on every request.
///
/// # Errors
/// The reason it is no token of ours. The cheap reasons come first: size, shape, key, algorithm.
pub fn open(token: &str, keys: &Keyring, realms: &Realms) -> Result<(Claims, KeyId), Reason> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Reason::TokenTooLarge);
    }
    if token.contains('.') { jwt::open(token, keys, realms) } else { sealed::open(token, keys, realms) }
}

/// Checks `exp` and `nbf` with the realm's leeway.
pub fn check_times(claims: &Claims, realm: &Realm, now: Timestamp) -> Result<(), Reason> {
    if claims.expires_at.is_some_and(|end| now >= end.plus(realm.leeway)) {
        return Err(Reason::Expired);
    }
    if claims.not_before > now.plus(realm.leeway) {
        return Err(Reason::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
