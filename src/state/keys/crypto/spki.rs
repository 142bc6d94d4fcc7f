//! `SubjectPublicKeyInfo` (RFC 5280 section 4.1): public keys as files have them.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use x509_parser::{prelude::FromDer, public_key::RSAPublicKey, x509::SubjectPublicKeyInfo};

/// Characters of a PEM's line (RFC 7468 section 2).
const PEM_LINE_CHARS: usize = 64;

/// The key as PEM, with its last newline.
#[must_use]
pub fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(PEM_LINE_CHARS).map(String::from_utf8_lossy);
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.collect::<Vec<_>>().join("\n"))
}

/// Modulus and exponent of an RSA key, without leading zeros; `None` for a key of another kind.
pub(super) fn rsa_numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let bits = key_bits(der)?;
    // Whatever the algorithm is called: `rsaEncryption` is not the only name of such keys.
    let (rest, key) = RSAPublicKey::from_der(&bits).ok()?;
    rest.is_empty().then(|| (without_zeros(key.modulus).to_vec(), without_zeros(key.exponent).to_vec()))
}

/// The bits of the key itself, behind what names its algorithm: `RSAPublicKey`, a point, or Ed25519's octets.
pub(super) fn key_bits(der: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (rest, info) = SubjectPublicKeyInfo::from_der(der).ok()?;
    let bits = info.subject_public_key;
    (rest.is_empty() && bits.unused_bits == 0).then_some(bits.data)
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
    fn the_bits_are_the_key_as_the_ciphers_have_it() {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = rsa.public_key().as_der().unwrap();
        assert_eq!(key_bits(der.as_ref()).as_deref(), Some(rsa.public_key().as_ref()));
        let modulus = rsa.public_key().modulus();
        let (found, exponent) = rsa_numbers(der.as_ref()).unwrap();
        assert_eq!((&found[..], &exponent[..]), (modulus.big_endian_without_leading_zero(), &[1, 0, 1][..]));
        let ec = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        assert_eq!(key_bits(ec.public_key().as_der().unwrap().as_ref()).as_deref(), Some(ec.public_key().as_ref()));
    }

    #[test]
    fn what_is_no_key_has_no_bits() {
        let ed = Ed25519KeyPair::generate().unwrap();
        let der = ed.public_key().as_der().unwrap();
        assert_eq!(rsa_numbers(der.as_ref()), None);
        for end in 0..der.as_ref().len() {
            assert_eq!(key_bits(&der.as_ref()[..end]), None, "{end}");
        }
        assert_eq!(key_bits(&[der.as_ref(), &[0]].concat()), None, "something follows");
    }
}
