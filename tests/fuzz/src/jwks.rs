//! JWK sets of any shape: nothing panics, a key that is taken comes back the same from what is exported of it, and it
//! verifies nothing that nobody signed.

use portero::{
    domain::{Algorithm, KeyId, Timestamp},
    state::keys::{
        Key, KeyState, MaterialBytes,
        jwk::{self, PublicJwk, SET_KEYS_MAX},
    },
};
use serde_json::json;

/// All algorithms with a public key.
const ALLOWED: [Algorithm; 9] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];

/// Octets of a signature that is tried, at most: RSA's with 8192 bits.
const SIGNATURE_BYTES_MAX: usize = 1024;

/// Holds one input against what is promised.
///
/// # Panics
/// Panics where a promise does not hold: that is a finding.
pub fn check(data: &[u8]) {
    let Ok(set) = jwk::parse_set(data, &ALLOWED) else { return };
    assert!((1..=SET_KEYS_MAX * ALLOWED.len()).contains(&set.keys.len()));
    for key in &set.keys {
        comes_back_the_same(key);
        verifies_nothing(key, data);
    }
    // What one issuer may not use does not pass.
    if let Ok(set) = jwk::parse_set(data, &[Algorithm::Es256, Algorithm::Hs256]) {
        assert!(set.keys.iter().all(|key| key.algorithm == Algorithm::Es256));
    }
}

fn comes_back_the_same(key: &PublicJwk) {
    let id = key.id.clone().unwrap_or_else(|| KeyId::from_text("unnamed"));
    let jwk = jwk::export(&id, key.algorithm, &key.public).expect("a key that was taken can be published");
    let set = json!({ "keys": [jwk] }).to_string();
    let read = jwk::parse_set(set.as_bytes(), &ALLOWED).expect("what was published is taken");
    assert_eq!(read.keys, [PublicJwk { id: Some(id), ..key.clone() }]);
    assert!(read.skipped.is_empty());
}

fn verifies_nothing(key: &PublicJwk, data: &[u8]) {
    let (id, realm) = (KeyId::from_text("k"), "corp".parse().expect("an issuer's name"));
    let public = MaterialBytes::Public(&key.public);
    let key = Key::new(id, realm, key.algorithm, KeyState::Active, Timestamp::from_secs(0), public)
        .expect("a key that was taken can be used");
    assert!(!key.can_sign());
    for length in [0, 1, 32, 64, 96, 256, 512, SIGNATURE_BYTES_MAX] {
        // Nothing; the numbers one; an invalid point and an invalid scalar; whatever came.
        let mut ones = vec![0; length];
        for at in [length / 2, length] {
            if let Some(last) = at.checked_sub(1).and_then(|at| ones.get_mut(at)) {
                *last = 1;
            }
        }
        let mut identity = vec![0; length];
        if let Some(first) = identity.first_mut() {
            *first = 1;
        }
        let repeated = data.iter().copied().cycle().take(length).collect();
        for signature in [vec![0; length], vec![0xff; length], ones, identity, repeated] {
            for message in [&b""[..], b"e30.e30", data] {
                assert!(!key.verifies(message, &signature), "{:?} takes {length} octets", key.algorithm);
            }
        }
    }
}
