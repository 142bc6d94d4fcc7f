//! The public keys that others check our tokens with (RFC 7517).

use serde_json::{Map, Value};

use super::Keyring;

/// Whose public keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Who checks the realms' tokens.
    Clients,
    /// Upstreams, which check internal tokens.
    Upstreams,
}

/// The public keys of all key pairs of our own that are in use, next ones ahead of it; ordered by id.
#[must_use]
pub fn published(keys: &Keyring, audience: Audience) -> Vec<Map<String, Value>> {
    let internal = audience == Audience::Upstreams;
    let mut pairs: Vec<_> =
        keys.own().filter(|key| key.state.verifies() && key.realm.is_internal() == internal).collect();
    pairs.sort_by(|a, b| a.id.cmp(&b.id));
    pairs.into_iter().filter_map(|key| key.jwk()).collect()
}
