//! Opens tokens, of either form.

use std::{sync::Arc, time::Duration};

use super::{
    issuers::Issuers,
    jwt::{self, ClaimDefect},
    sealed,
};
use crate::{
    domain::{Claims, Reason, Timestamp},
    state::keys::{Key, Keyring},
};

/// A token larger than this is refused before anything of it is looked at.
pub const TOKEN_BYTES_MAX: usize = 8192;

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
