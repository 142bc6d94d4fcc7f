//! One key, parsed once: it belongs to one issuer and one algorithm, and does nothing else.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{Aad, NONCE_LEN, Nonce},
    encoding::AsDer,
    hmac,
    rsa::KeySize,
    signature::{EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Header;
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    imported::Imported,
    jwk,
    material::{Material, MaterialBytes, ecdsa_signing},
    spki,
    state::KeyState,
    thumbprint::Thumbprint,
    valid_until::ValidUntil,
};
use crate::{
    domain::{Algorithm, KeyId, RealmName, Secret, Timestamp, random},
    rules::profile::ClaimProfile,
};

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

/// A key of a realm or of an external issuer. `Debug` shows its public facts only.
pub struct Key {
    /// `kid`.
    pub id: KeyId,
    /// Whose tokens it signs: a realm of ours, or an external issuer.
    pub realm: RealmName,
    /// The one algorithm it is used with (RFC 8725 section 3.1).
    pub algorithm: Algorithm,
    /// Where it stands.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// How its tokens are read, where they are not like Portero's own.
    pub profile: Option<Arc<ClaimProfile>>,
    /// What else is known of it where it came from outside: other holders may write into tokens what they like.
    pub imported: Option<Arc<Imported>>,
    /// Until when it is believed, where somebody must confirm it again and again: an external issuer's.
    valid_until: Option<ValidUntil>,
    thumbprint: Thumbprint,
    material: Material,
}

impl Key {
    /// New material for `algorithm`: what [`Key::new`] takes, and the store keeps sealed. Slow for
    /// RSA (2048 bits, a tenth of a second): not for a thread that serves requests.
    ///
    /// # Errors
    /// Fails when the cipher library does.
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
            Algorithm::Es512 => return Err(KeyError::Rejected(algorithm)),
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(rejected)?;
                pair.to_pkcs8v1().map_err(rejected)?.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(bytes))
    }

    /// A key from its material: raw bytes for HMAC (at least as long as the hash, RFC 7518 section
    /// 3.2) and sealing, PKCS#8 for key pairs (RSA from 2048 bits), or a public key.
    ///
    /// # Errors
    /// [`KeyError::Rejected`] when the bytes are no key of the algorithm, or a weak one.
    pub fn new(
        id: KeyId,
        realm: RealmName,
        algorithm: Algorithm,
        state: KeyState,
        created_at: Timestamp,
        material: MaterialBytes<'_>,
    ) -> Result<Self, KeyError> {
        let (material, identity) = match material {
            MaterialBytes::Secret(bytes) => Material::parse(algorithm, bytes).map(|material| (material, bytes)),
            MaterialBytes::Public(bytes) => Material::parse_public(algorithm, bytes).map(|material| (material, bytes)),
        }
        .ok_or(KeyError::Rejected(algorithm))?;
        let thumbprint = material.thumbprint(algorithm, identity);
        let (profile, imported, valid_until) = (None, None, None);
        Ok(Self { id, realm, algorithm, state, created_at, profile, imported, valid_until, thumbprint, material })
    }

    /// What is left of a key whose material is wiped: it does nothing, and is told from others by its thumbprint, where
    /// there is one.
    pub(in crate::state::keys) fn wiped(
        id: KeyId,
        realm: RealmName,
        algorithm: Algorithm,
        state: KeyState,
        created_at: Timestamp,
        thumbprint: Option<&[u8]>,
    ) -> Self {
        let thumbprint = thumbprint.and_then(Thumbprint::from_bytes);
        let thumbprint = thumbprint.unwrap_or_else(|| Thumbprint::of_one(random::bytes()));
        let (profile, imported, valid_until) = (None, None, None);
        let material = Material::Wiped;
        Self { id, realm, algorithm, state, created_at, profile, imported, valid_until, thumbprint, material }
    }

    /// What tells its material from any other.
    pub(in crate::state::keys) const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// The same key, whose tokens are read by `profile`.
    #[must_use]
    pub fn with_profile(self, profile: Arc<ClaimProfile>) -> Self {
        Self { profile: Some(profile), ..self }
    }

    /// The same key, as one from outside.
    #[must_use]
    pub fn with_import(self, imported: Arc<Imported>) -> Self {
        Self { imported: Some(imported), ..self }
    }

    /// The same key, believed until `valid_until` says.
    #[must_use]
    pub fn with_valid_until(self, valid_until: ValidUntil) -> Self {
        Self { valid_until: Some(valid_until), ..self }
    }

    /// Whether it is believed `now`. The task that fetches an external issuer's keys may be stuck: then they end by
    /// themselves.
    #[must_use]
    pub fn is_believed(&self, now: Timestamp) -> bool {
        self.valid_until.as_ref().is_none_or(|until| until.holds(now))
    }

    /// Whether both are the same key: the same id, issuer, algorithm, material and reading. A key id
    /// alone does not say that: another issuer, or a later day, may give it to another key.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id
            && self.realm == other.realm
            && self.algorithm == other.algorithm
            && self.thumbprint.is(&other.thumbprint)
            && self.profile == other.profile
    }

    /// Whether both are made of the same secret or key pair, under whatever name and in whatever form.
    #[must_use]
    pub fn shares_material(&self, other: &Self) -> bool {
        self.thumbprint.is_equivalent(&other.thumbprint)
    }

    /// The public key, for who checks its tokens elsewhere; `None` where there is none.
    #[must_use]
    pub fn public(&self) -> Option<&ParsedPublicKey> {
        if let Material::Pair { verify, .. } = &self.material { Some(verify) } else { None }
    }

    /// The public key as `SubjectPublicKeyInfo` in DER; `None` where there is none.
    #[must_use]
    pub fn public_der(&self) -> Option<Vec<u8>> {
        Some(self.public()?.as_der().ok()?.as_ref().to_vec())
    }

    /// The JWK that tells others its public half (RFC 7517); `None` where there is none.
    #[must_use]
    pub fn jwk(&self) -> Option<Map<String, Value>> {
        let der = self.public_der()?;
        jwk::export(&self.id, self.algorithm, &spki::key_bits(&der)?)
    }

    /// Whether it could sign or seal: a public key alone cannot.
    #[must_use]
    pub const fn can_sign(&self) -> bool {
        !matches!(self.material, Material::Pair { sign: None, .. } | Material::Wiped)
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac { verify, .. } => hmac::verify(verify, message, signature).is_ok(),
            Material::Pair { verify, .. } => verify.verify_sig(message, signature).is_ok(),
            Material::Sealing(_) | Material::Wiped => false,
        }
    }

    /// A JWT over `claims`, with its type and this key's id in its header.
    ///
    /// # Errors
    /// [`KeyError::WrongUse`] when the key cannot sign, [`KeyError::Signing`] when the cipher library fails.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<Secret, KeyError> {
        let (Material::Hmac { sign, .. } | Material::Pair { sign: Some(sign), .. }) = &self.material else {
            return Err(KeyError::WrongUse(self.algorithm));
        };
        let header = self.header(typ).ok_or(KeyError::WrongUse(self.algorithm))?;
        jsonwebtoken::encode(&header, claims, sign).map(Secret::new).map_err(|_| KeyError::Signing)
    }

    /// The header of the JWTs of this type that it signs, as it stands in them; `None` when it signs none.
    #[must_use]
    pub fn header_text(&self, typ: &str) -> Option<String> {
        let header = self.header(typ).filter(|_| self.can_sign())?;
        Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?))
    }

    fn header(&self, typ: &str) -> Option<Header> {
        let mut header = Header::new(jws_algorithm(self.algorithm)?);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.id.as_str().to_owned());
        Some(header)
    }

    /// Encrypts `plaintext` in place and appends the tag.
    ///
    /// # Errors
    /// [`KeyError::WrongUse`] when this is no sealing key, [`KeyError::Signing`] when the cipher library fails.
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

fn jws_algorithm(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    algorithm.is_jwt().then(|| algorithm.name().parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn key(algorithm: Algorithm) -> Key {
        let material = Key::generate_material(algorithm).unwrap();
        let now = Timestamp::from_secs(0);
        Key::new(
            KeyId::generate(),
            "r".parse().unwrap(),
            algorithm,
            KeyState::Active,
            now,
            MaterialBytes::Secret(&material),
        )
        .unwrap()
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
    fn weak_and_external_material_is_refused() {
        let new = |algorithm, material: &[u8]| {
            Key::new(
                KeyId::generate(),
                "r".parse().unwrap(),
                algorithm,
                KeyState::Active,
                Timestamp::from_secs(0),
                MaterialBytes::Secret(material),
            )
        };
        assert!(new(Algorithm::Hs256, &[0; 31]).is_err());
        assert!(new(Algorithm::Hs384, &[0; 47]).is_err());
        assert!(new(Algorithm::Hs512, &[0; 63]).is_err());
        assert!(new(Algorithm::Sealed, &[0; 31]).is_err());
        // Made with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -outform DER, and its public half
        // with openssl pkey -pubout -outform DER.
        let fixture = |text: &str| base64::engine::general_purpose::STANDARD.decode(text.replace('\n', "")).unwrap();
        let short = fixture(include_str!("../tests/rsa-1024.b64"));
        let short_public = fixture(include_str!("../tests/rsa-1024-public.b64"));
        let new_public = |algorithm, der: &[u8]| {
            let (id, now) = (KeyId::generate(), Timestamp::from_secs(0));
            Key::new(id, "r".parse().unwrap(), algorithm, KeyState::Retiring, now, MaterialBytes::Public(der))
        };
        for algorithm in [Algorithm::Rs256, Algorithm::Ps512] {
            assert!(new(algorithm, &short).is_err());
            assert!(new_public(algorithm, &short_public).is_err());
        }
        let public = key(Algorithm::Es256).public_der().unwrap();
        assert!(new_public(Algorithm::Es256, &public).is_ok_and(|key| !key.can_sign()));
        for other in [Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256, Algorithm::Sealed] {
            assert!(new_public(other, &public).is_err(), "{other}");
        }
        // Anybody can sign for the point zero: see `ed25519`.
        assert!(new_public(Algorithm::EdDsa, &[0; 32]).is_err());
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
