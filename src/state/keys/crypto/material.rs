//! What a key is made of: read from bytes, and refused where it is weak.

use std::ops::RangeInclusive;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey},
    encoding::AsDer,
    hmac,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair, VerificationAlgorithm},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::EncodingKey;
use zeroize::Zeroizing;

use super::{ed25519, spki, thumbprint::Thumbprint};
use crate::domain::Algorithm;

/// Bytes of RSA's modulus: from 2048 bits (RFC 7518 section 3.3) to what aws-lc verifies.
const RSA_MODULUS_BYTES: RangeInclusive<usize> = 256..=1024;

/// What a key is made of, as it is kept.
#[derive(Clone, Copy)]
pub enum MaterialBytes<'a> {
    /// HMAC's or a cipher's raw bytes, or a key pair in PKCS#8.
    Secret(&'a [u8]),
    /// A public key alone, which verifies and does not sign: `SubjectPublicKeyInfo` (RFC 5280), or as aws-lc-rs has it
    /// (RSA in PKCS#1, an uncompressed point, Ed25519's 32 bytes).
    Public(&'a [u8]),
}

/// The same, ready to be used.
pub(super) enum Material {
    Hmac { verify: Box<hmac::Key>, sign: EncodingKey },
    Pair { verify: ParsedPublicKey, sign: Option<EncodingKey> },
    Sealing(Box<LessSafeKey>),
    Wiped,
}

impl Material {
    pub(super) fn parse(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let hmac = |algorithm: hmac::Algorithm| {
            let long_enough = bytes.len() >= algorithm.digest_algorithm().output_len();
            long_enough.then(|| Self::Hmac {
                verify: Box::new(hmac::Key::new(algorithm, bytes)),
                sign: EncodingKey::from_secret(bytes),
            })
        };
        match algorithm {
            Algorithm::Hs256 => hmac(hmac::HMAC_SHA256),
            Algorithm::Hs384 => hmac(hmac::HMAC_SHA384),
            Algorithm::Hs512 => hmac(hmac::HMAC_SHA512),
            Algorithm::Sealed => {
                UnboundKey::new(&AES_256_GCM_SIV, bytes).ok().map(|key| Self::Sealing(Box::new(LessSafeKey::new(key))))
            }
            Algorithm::Es256 | Algorithm::Es384 => {
                let pair = EcdsaKeyPair::from_pkcs8(ecdsa_signing(algorithm), bytes).ok()?;
                let verify = ParsedPublicKey::new(verification(algorithm)?, pair.public_key().as_ref()).ok()?;
                Some(Self::Pair { verify, sign: Some(EncodingKey::from_ec_der(bytes)) })
            }
            // Nothing of ours signs with it.
            Algorithm::Es512 => None,
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(bytes).ok()?;
                let verify = ParsedPublicKey::new(verification(algorithm)?, pair.public_key().as_ref()).ok()?;
                Some(Self::Pair { verify, sign: Some(EncodingKey::from_ed_der(bytes)) })
            }
            _ => {
                let pair = RsaKeyPair::from_pkcs8(bytes).ok()?;
                let verify = ParsedPublicKey::new(verification(algorithm)?, pair.public_key().as_ref()).ok()?;
                // jsonwebtoken takes RSA keys out of PKCS#8 only from PEM.
                let pem = Zeroizing::new(format!(
                    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                    &*Zeroizing::new(STANDARD.encode(bytes))
                ));
                Some(Self::Pair { verify, sign: Some(EncodingKey::from_rsa_pem(pem.as_bytes()).ok()?) })
            }
        }
    }

    /// A public key alone. aws-lc checks that it is one of the algorithm, but RSA's size only when it verifies, and
    /// Ed25519's order never.
    pub(super) fn parse_public(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let verify = ParsedPublicKey::new(verification(algorithm)?, bytes).ok()?;
        let der = verify.as_der().ok()?;
        let is_sound = match algorithm {
            Algorithm::EdDsa => !ed25519::is_weak(&spki::key_bits(der.as_ref())?),
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => true,
            _ => RSA_MODULUS_BYTES.contains(&spki::rsa_numbers(der.as_ref())?.0.len()),
        };
        is_sound.then_some(Self::Pair { verify, sign: None })
    }

    /// What tells the material from any other: of a pair the public half, however it is kept.
    pub(super) fn thumbprint(&self, algorithm: Algorithm, kept: &[u8]) -> Thumbprint {
        let public = if let Self::Pair { verify, .. } = self { verify.as_der().ok() } else { None };
        public.map_or_else(|| Thumbprint::of_secret(algorithm, kept), |der| Thumbprint::of_public(der.as_ref()))
    }
}

/// How key pairs on a curve are read and made.
pub(super) fn ecdsa_signing(algorithm: Algorithm) -> &'static signature::EcdsaSigningAlgorithm {
    match algorithm {
        Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    }
}

fn verification(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::EdDsa => &signature::ED25519,
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 | Algorithm::Sealed => return None,
    })
}
