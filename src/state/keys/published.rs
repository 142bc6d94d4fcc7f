//! The public keys that others check our tokens with (RFC 7517).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{Key, KeyState, Keyring};
use crate::domain::Algorithm;

/// Bytes of a coordinate of P-256.
const P256_BYTES: usize = 32;

/// Bytes of a coordinate of P-384.
const P384_BYTES: usize = 48;

/// The public keys of all key pairs that are in use, ordered by id.
#[must_use]
pub fn published(keys: &Keyring) -> Vec<Map<String, Value>> {
    let mut pairs: Vec<_> = keys.iter().filter(|key| key.state != KeyState::Revoked).collect();
    pairs.sort_by(|a, b| a.id.cmp(&b.id));
    pairs.into_iter().filter_map(|key| export(key)).collect()
}

/// RFC 7518 section 6, RFC 8037 section 2; `None` for secrets.
fn export(key: &Key) -> Option<Map<String, Value>> {
    let bytes = key.public_bytes()?;
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let point = |curve: &str, size: usize| {
        let (form, coordinates) = bytes.split_first()?;
        let (x, y) = coordinates.split_at_checked(size)?;
        (*form == 4 && y.len() == size).then(|| json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) }))
    };
    let members = match key.algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 | Algorithm::Sealed => return None,
        Algorithm::EdDsa => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(bytes) }),
        Algorithm::Es256 => point("P-256", P256_BYTES)?,
        Algorithm::Es384 => point("P-384", P384_BYTES)?,
        _ => {
            let (sequence, rest) = element(bytes, SEQUENCE)?;
            let (modulus, exponent) = element(sequence, INTEGER)?;
            let (exponent, end) = element(exponent, INTEGER)?;
            if !rest.is_empty() || !end.is_empty() {
                return None;
            }
            json!({ "kty": "RSA", "n": text(unsigned(modulus)), "e": text(unsigned(exponent)) })
        }
    };
    let Value::Object(mut members) = members else { return None };
    members.insert("kid".to_owned(), key.id.as_str().into());
    members.insert("use".to_owned(), "sig".into());
    members.insert("alg".to_owned(), key.algorithm.name().into());
    Some(members)
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// The content of the DER element (X.690 section 8.1) that `bytes` begin with, and what follows.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (length.iter().try_fold(0_usize, |length, &byte| length.checked_mul(256)?.checked_add(byte.into()))?, rest)
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// An integer without the zero that says that it is positive.
fn unsigned(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(&[0]).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};

    use super::*;
    use crate::domain::{KeyId, Timestamp};

    fn key(algorithm: Algorithm, state: KeyState) -> Arc<Key> {
        let material = Key::generate_material(algorithm).unwrap();
        let now = Timestamp::from_secs(0);
        Arc::new(Key::new(KeyId::generate(), "r".parse().unwrap(), algorithm, state, now, &material).unwrap())
    }

    #[test]
    fn others_verify_with_what_is_published() {
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_jwt()) {
            let key = key(algorithm, KeyState::Active);
            let published = published(&Keyring::new([Arc::clone(&key)]));
            if algorithm.name().starts_with("HS") {
                assert!(published.is_empty(), "{algorithm}");
                continue;
            }
            let jwk: Jwk = serde_json::from_value(Value::Object(published[0].clone())).unwrap();
            assert_eq!(jwk.common.key_id.as_deref(), Some(key.id.as_str()));
            let token = key.sign("JWT", &Map::new()).unwrap();
            let mut validation = Validation::new(algorithm.name().parse().unwrap());
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            let read =
                jsonwebtoken::decode::<Value>(token.expose(), &DecodingKey::from_jwk(&jwk).unwrap(), &validation);
            assert!(read.is_ok(), "{algorithm}: {read:?}");
        }
    }

    #[test]
    fn keys_verify_until_they_are_revoked() {
        let states = [KeyState::Active, KeyState::Retiring, KeyState::Revoked];
        let keys = states.map(|state| key(Algorithm::EdDsa, state));
        let ids: Vec<_> = published(&Keyring::new(keys.clone())).iter().map(|jwk| jwk["kid"].clone()).collect();
        assert_eq!(ids.len(), 2);
        assert!(!ids.contains(&keys[2].id.as_str().into()));
        assert!(published(&Keyring::new([key(Algorithm::Sealed, KeyState::Active)])).is_empty());
    }
}
