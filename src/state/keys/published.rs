//! The public keys that others check our tokens with (RFC 7517).

use serde_json::{Map, Value};

use super::Keyring;
use crate::domain::RealmName;

/// Whose public keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Clients and services, which check the realms' tokens.
    Clients,
    /// Upstreams, which check internal tokens.
    Upstreams,
}

/// The public keys of all key pairs that sign or signed for us and are in use, next ones ahead of it; ordered by id.
/// What was imported to verify only is somebody else's: who trusts our set must not trust it. `is_realm` says whose
/// keys the config still has a use for.
#[must_use]
pub fn published(keys: &Keyring, audience: Audience, is_realm: impl Fn(&RealmName) -> bool) -> Vec<Map<String, Value>> {
    let is_for = |realm: &RealmName| match audience {
        Audience::Clients => is_realm(realm),
        Audience::Upstreams => realm.is_internal(),
    };
    let mut pairs: Vec<_> =
        keys.own().filter(|key| key.state.verifies() && key.can_sign() && is_for(&key.realm)).collect();
    pairs.sort_by(|a, b| a.id.cmp(&b.id));
    pairs.into_iter().filter_map(|key| key.jwk()).collect()
}
