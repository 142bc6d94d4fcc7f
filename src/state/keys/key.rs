//! One key, parsed once: it belongs to one realm and one algorithm, and does nothing else.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    encoding::AsDer,
    hmac,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair, VerificationAlgorithm},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::domain::{Algorithm, KeyId, RealmName, Secret, Timestamp, random};

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Signs new tokens and verifies old ones.
    Active,
    /// Verifies old tokens only.
    Retiring,
    /// Its tokens are refused.
    Revoked,
}

impl KeyState {
    /// The word in the store and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Revoked => "revoked",
        }
    }

    /// The state that `name` names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Retiring, Self::Revoked].into_iter().find(|state| state.name() == name)
    }
}

/// Key material that cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The bytes are no key of this algorithm, or a weak one.
    #[error("the material is no usable {0} key")]
    Rejected(Algorithm),
    /// The key does not do this (sign with a sealing key, or seal with a signing key).
    #[error("a {0} key cannot do this")]
    WrongUse(Algorithm),
    /// Signing failed.
    #[error("signing failed")]
    Signing,
}

/// A key of a realm. `Debug` shows its public facts only.
pub struct Key {
    /// `kid`.
    pub id: KeyId,
    /// Whose tokens it signs.
    pub realm: RealmName,
    /// The one algorithm it is used with (RFC 8725 section 3.1).
    pub algorithm: Algorithm,
    /// Where it stands.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    material: Material,
}

enum Material {
    Hmac { verify: Box<hmac::Key>, sign: EncodingKey },
    Pair { verify: ParsedPublicKey, sign: EncodingKey },
    Sealing(Box<LessSafeKey>),
}

impl Key {
    /// New material for `algorithm`: what [`Key::new`] takes, and the store keeps sealed. Slow for
    /// RSA (2048 bits, a tenth of a second): not for a thread that serves requests.
    pub fn generate_material(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let rejected = |_| KeyError::Rejected(algorithm);
        let bytes = match algorithm {
            Algorithm::Hs256 | Algorithm::Sealed => random::bytes::<32>().to_vec(),
            Algorithm::Hs384 => random::bytes::<48>().to_vec(),
            Algorithm::Hs512 => random::bytes::<64>().to_vec(),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(rejected)?;
                pair.as_der().map_err(rejected)?.as_ref().to_vec()
            }
            Algorithm::Es256 | Algorithm::Es384 => {
                let pair = EcdsaKeyPair::generate(ecdsa_signing(algorithm)).map_err(rejected)?;
                pair.to_pkcs8v1().map_err(rejected)?.as_ref().to_vec()
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(rejected)?;
                pair.to_pkcs8v1().map_err(rejected)?.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(bytes))
    }

    /// A key from its material: raw bytes for HMAC (at least as long as the hash, RFC 7518 section
    /// 3.2) and sealing, PKCS#8 for key pairs (RSA from 2048 bits).
    pub fn new(
        id: KeyId,
        realm: RealmName,
        algorithm: Algorithm,
        state: KeyState,
        created_at: Timestamp,
        material: &[u8],
    ) -> Result<Self, KeyError> {
        let material = Material::parse(algorithm, material).ok_or(KeyError::Rejected(algorithm))?;
        Ok(Self { id, realm, algorithm, state, created_at, material })
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac { verify, .. } => hmac::verify(verify, message, signature).is_ok(),
            Material::Pair { verify, .. } => verify.verify_sig(message, signature).is_ok(),
            Material::Sealing(_) => false,
        }
    }

    /// A JWT over `claims`, with `typ` and this key's id in its header.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<Secret, KeyError> {
        let (Material::Hmac { sign, .. } | Material::Pair { sign, .. }) = &self.material else {
            return Err(KeyError::WrongUse(self.algorithm));
        };
        let algorithm = jws_algorithm(self.algorithm).ok_or(KeyError::WrongUse(self.algorithm))?;
        let mut header = Header::new(algorithm);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.id.as_str().to_owned());
        jsonwebtoken::encode(&header, claims, sign).map(Secret::new).map_err(|_| KeyError::Signing)
    }

    /// The public half of a key pair, as the signature algorithm has it: raw for Ed25519, an
    /// uncompressed point for ECDSA, an `RSAPublicKey` (RFC 8017 appendix A.1.1) for RSA.
    #[must_use]
    pub fn public_bytes(&self) -> Option<&[u8]> {
        if let Material::Pair { verify, .. } = &self.material { Some(verify.as_ref()) } else { None }
    }

    /// Encrypts `plaintext` in place and appends the tag.
    pub fn seal(&self, nonce: [u8; NONCE_LEN], context: &[u8], plaintext: &mut Vec<u8>) -> Result<(), KeyError> {
        let Material::Sealing(cipher) = &self.material else { return Err(KeyError::WrongUse(self.algorithm)) };
        cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), plaintext)
            .map_err(|_| KeyError::Signing)
    }

    /// Decrypts what [`Key::seal`] made for the same context; `None` when it did not.
    #[must_use]
    pub fn open<'b>(&self, nonce: [u8; NONCE_LEN], context: &[u8], sealed: &'b mut [u8]) -> Option<&'b [u8]> {
        let Material::Sealing(cipher) = &self.material else { return None };
        cipher.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(context), sealed).ok().map(|open| &*open)
    }
}

impl Material {
    fn parse(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
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
                Some(Self::Pair { verify, sign: EncodingKey::from_ec_der(bytes) })
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(bytes).ok()?;
                let verify = ParsedPublicKey::new(verification(algorithm)?, pair.public_key().as_ref()).ok()?;
                Some(Self::Pair { verify, sign: EncodingKey::from_ed_der(bytes) })
            }
            _ => {
                let pair = RsaKeyPair::from_pkcs8(bytes).ok()?;
                let verify = ParsedPublicKey::new(verification(algorithm)?, pair.public_key().as_ref()).ok()?;
                // jsonwebtoken takes RSA keys out of PKCS#8 only from PEM.
                let pem = Zeroizing::new(format!(
                    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                    &*Zeroizing::new(STANDARD.encode(bytes))
                ));
                Some(Self::Pair { verify, sign: EncodingKey::from_rsa_pem(pem.as_bytes()).ok()? })
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("realm", &self.realm)
            .field("algorithm", &self.algorithm)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn ecdsa_signing(algorithm: Algorithm) -> &'static signature::EcdsaSigningAlgorithm {
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
        Algorithm::EdDsa => &signature::ED25519,
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 | Algorithm::Sealed => return None,
    })
}

fn jws_algorithm(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    algorithm.is_jwt().then(|| algorithm.name().parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn key(algorithm: Algorithm) -> Key {
        let material = Key::generate_material(algorithm).unwrap();
        let now = Timestamp::from_secs(0);
        Key::new(KeyId::generate(), "r".parse().unwrap(), algorithm, KeyState::Active, now, &material).unwrap()
    }

    #[test]
    fn every_algorithm_verifies_what_it_signed_and_nothing_else() {
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_jwt()) {
            let key = key(algorithm);
            let token = key.sign("JWT", &Map::new()).unwrap();
            let (message, signature) = token.expose().rsplit_once('.').unwrap();
            let mut signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
            assert!(key.verifies(message.as_bytes(), &signature), "{algorithm}");
            assert!(!key.verifies(b"another message", &signature), "{algorithm}");
            signature[7] ^= 1;
            assert!(!key.verifies(message.as_bytes(), &signature), "{algorithm}");
            assert!(key.seal([0; NONCE_LEN], b"", &mut vec![]).is_err());
        }
    }

    #[test]
    fn a_sealing_key_does_not_sign() {
        let key = key(Algorithm::Sealed);
        assert!(key.sign("JWT", &Map::new()).is_err());
        assert!(!key.verifies(b"", b""));
        let mut sealed = b"text".to_vec();
        key.seal([1; NONCE_LEN], b"context", &mut sealed).unwrap();
        assert_eq!(key.open([1; NONCE_LEN], b"other", &mut sealed.clone()), None);
        assert_eq!(key.open([2; NONCE_LEN], b"context", &mut sealed.clone()), None);
        assert_eq!(key.open([1; NONCE_LEN], b"context", &mut sealed), Some(&b"text"[..]));
    }

    #[test]
    fn weak_and_foreign_material_is_refused() {
        let new = |algorithm, material: &[u8]| {
            Key::new(
                KeyId::generate(),
                "r".parse().unwrap(),
                algorithm,
                KeyState::Active,
                Timestamp::from_secs(0),
                material,
            )
        };
        assert!(new(Algorithm::Hs256, &[0; 31]).is_err());
        assert!(new(Algorithm::Hs384, &[0; 47]).is_err());
        assert!(new(Algorithm::Hs512, &[0; 63]).is_err());
        assert!(new(Algorithm::Sealed, &[0; 31]).is_err());
        let p256 = Key::generate_material(Algorithm::Es256).unwrap();
        assert!(new(Algorithm::Es384, &p256).is_err());
        assert!(new(Algorithm::EdDsa, &p256).is_err());
        assert!(new(Algorithm::Rs256, &p256).is_err());
    }

    #[test]
    fn debug_shows_no_material() {
        let text = format!("{:?}", key(Algorithm::Hs256));
        assert!(text.contains("Hs256") && !text.contains("material"), "{text}");
    }
}
