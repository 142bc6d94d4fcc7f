//! Mints tokens, of whichever form the realm's key makes.

use super::{
    jwt,
    new_token::NewToken,
    sealed::{self, MintError},
};
use crate::{domain::Secret, rules::realm::Realm, state::keys::Keyring};

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
