//! Public keys for who checks tokens elsewhere: `SubjectPublicKeyInfo` (RFC 5280 section 4.1) as PEM, and as a JWK
//! (RFC 7517).

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};

use crate::domain::{Algorithm, KeyId};

/// Characters of a PEM's line (RFC 7468 section 2).
const PEM_LINE_CHARS: usize = 64;

// Tags of DER (X.690).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The key as PEM, with its last newline.
#[must_use]
pub fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(PEM_LINE_CHARS).map(String::from_utf8_lossy);
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.collect::<Vec<_>>().join("\n"))
}

/// The key as a JWK (RFC 7518 section 6, RFC 8037); `None` for what is no public key of the algorithm.
#[must_use]
pub fn jwk(id: &KeyId, algorithm: Algorithm, der: &[u8]) -> Option<Map<String, Value>> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let numbers = match algorithm {
        Algorithm::Es256 | Algorithm::Es384 => {
            let point = key_bits(der)?.strip_prefix(&[0x04])?;
            let (x, y) = point.split_at(point.len() / 2);
            let curve = if algorithm == Algorithm::Es256 { "P-256" } else { "P-384" };
            json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
        }
        Algorithm::EdDsa => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(key_bits(der)?) }),
        _ => {
            let (modulus, exponent) = rsa_numbers(der)?;
            json!({ "kty": "RSA", "n": text(modulus), "e": text(exponent) })
        }
    };
    let mut jwk = Map::new();
    jwk.insert("kid".to_owned(), id.as_str().into());
    jwk.insert("use".to_owned(), "sig".into());
    jwk.insert("alg".to_owned(), algorithm.name().into());
    if let Value::Object(numbers) = numbers {
        jwk.extend(numbers);
    }
    Some(jwk)
}

/// Modulus and exponent of an RSA key, without leading zeros; `None` for a key of another kind.
pub(super) fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, _) = element(SEQUENCE, key_bits(der)?)?;
    let (modulus, rest) = element(INTEGER, key)?;
    let (exponent, rest) = element(INTEGER, rest)?;
    rest.is_empty().then(|| (without_zeros(modulus), without_zeros(exponent)))
}

/// The bits of the key itself, behind what names its algorithm.
fn key_bits(der: &[u8]) -> Option<&[u8]> {
    let (info, _) = element(SEQUENCE, der)?;
    let (_, rest) = element(SEQUENCE, info)?;
    let (bits, _) = element(BIT_STRING, rest)?;
    bits.strip_prefix(&[0])
}

/// The content of the element that `der` begins with, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = der.split_first_chunk()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81 | 0x82 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        rsa::KeySize,
        signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair},
    };

    use super::*;

    #[test]
    fn each_kind_of_key_is_a_jwk() {
        let id = KeyId::from_text("k");
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let rsa_jwk = jwk(&id, Algorithm::Ps256, rsa.public_key().as_der().unwrap().as_ref()).unwrap();
        assert_eq!(rsa_jwk["n"], URL_SAFE_NO_PAD.encode(rsa.public_key().modulus().big_endian_without_leading_zero()));
        assert_eq!((&rsa_jwk["e"], &rsa_jwk["alg"]), (&json!("AQAB"), &json!("PS256")));

        let ec = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let ec_jwk = jwk(&id, Algorithm::Es384, ec.public_key().as_der().unwrap().as_ref()).unwrap();
        let point = ec.public_key().as_ref();
        assert_eq!(ec_jwk["x"], URL_SAFE_NO_PAD.encode(&point[1..49]));
        assert_eq!(ec_jwk["y"], URL_SAFE_NO_PAD.encode(&point[49..]));

        let ed = Ed25519KeyPair::generate().unwrap();
        let edwards_jwk = jwk(&id, Algorithm::EdDsa, ed.public_key().as_der().unwrap().as_ref()).unwrap();
        assert_eq!(edwards_jwk["x"], URL_SAFE_NO_PAD.encode(ed.public_key().as_ref()));
        assert_eq!(edwards_jwk["use"], "sig");
    }

    #[test]
    fn what_is_no_key_is_no_jwk() {
        let id = KeyId::from_text("k");
        let ed = Ed25519KeyPair::generate().unwrap();
        let der = ed.public_key().as_der().unwrap();
        assert_eq!(jwk(&id, Algorithm::Rs256, der.as_ref()), None);
        for end in 0..der.as_ref().len() {
            assert_eq!(jwk(&id, Algorithm::EdDsa, &der.as_ref()[..end]), None, "{end}");
        }
    }
}
