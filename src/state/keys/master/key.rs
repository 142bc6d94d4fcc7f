//! The master key, under which every other key is sealed at rest.
//!
//! It lives in a file of its own, mode 0600, that is made only together with a store that has no
//! keys yet; the store remembers its fingerprint. A store without its master key is never opened
//! with another one: its keys would be lost, and with them every token in the field.

use std::path::{Path, PathBuf};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hmac,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    domain::{id::hex, random, secret::SecretBytes},
    observe::audit::ChainKey,
    state::store::private_file::{self, PrivateFileError},
};

const KEY_BYTES: usize = 32;

/// Characters of the fingerprint that name the key of the audit log's codes.
const CHAIN_KEY_ID_CHARS: usize = 16;

/// Why there is no master key to work with.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// The store was made with a master key, and the file is not there.
    #[error("master key file {} is missing, but the store was made with one; put it back, or copy it from another gateway on this store, or name it in PORTERO_MASTER_KEY_FILE", .0.display())]
    Missing(PathBuf),
    /// The file holds something else.
    #[error("master key file {} must hold exactly 64 hexadecimal digits", .0.display())]
    Malformed(PathBuf),
    /// The file is another store's.
    #[error("master key file {} is not the one that the store was made with (its fingerprint differs); put the right one there, a copy of that of any gateway on this store", .0.display())]
    Other(PathBuf),
    /// The file cannot be used.
    #[error("master key file {0}")]
    File(PrivateFileError),
    /// Something that was sealed under this key does not open.
    #[error("a sealed key in the store does not open under the master key: the store was tampered with or is damaged")]
    Unsealable,
}

/// The key that seals keys (AES-256-GCM-SIV, RFC 8452).
#[derive(Clone, Debug)]
pub struct MasterKey(SecretBytes);

impl MasterKey {
    /// Reads the file.
    ///
    /// # Errors
    /// Fails when the file is missing, can be read by others, or holds something else.
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let text = private_file::read(path).map_err(|error| match error {
            PrivateFileError::Missing(path) => MasterKeyError::Missing(path),
            other => MasterKeyError::File(other),
        })?;
        Self::parse(&text, path)
    }

    /// Makes a new key and its file, mode 0600, on disk when this returns. A file that is there
    /// already is read instead.
    ///
    /// # Errors
    /// Fails when the file cannot be read or made, can be read by others, or holds something else.
    pub fn read_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        let key = Zeroizing::new(random::bytes::<KEY_BYTES>());
        let text = Zeroizing::new(hex(&*key));
        let text = private_file::read_or_create(path, &text).map_err(MasterKeyError::File)?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, MasterKeyError> {
        let key = parse_hex(text).ok_or_else(|| MasterKeyError::Malformed(path.to_owned()))?;
        Ok(Self(SecretBytes::new(key)))
    }

    /// What the store remembers of the key: a digest that tells keys apart and tells nothing of them.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"portero master key\0");
        context.update(self.0.expose());
        let digest = context.finish();
        hex(&digest.as_ref()[..16])
    }

    /// The key of the audit log's codes, which follows from this one.
    #[must_use]
    pub fn chain_key(&self) -> ChainKey {
        let mut id = self.fingerprint();
        id.truncate(CHAIN_KEY_ID_CHARS);
        ChainKey::derive(id, self.0.expose())
    }

    /// Whether this is the key that a store remembers.
    #[must_use]
    pub fn is(&self, fingerprint: &[u8]) -> bool {
        self.fingerprint().as_bytes() == fingerprint
    }

    /// Seals `plaintext` for `context` (the key's id and purpose): nonce, ciphertext, tag.
    #[must_use]
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Vec<u8> {
        let nonce = random::bytes::<NONCE_LEN>();
        let mut sealed = nonce.to_vec();
        let mut rest = plaintext.to_vec();
        self.cipher()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut rest)
            .expect("a key is far below the cipher's length limit");
        sealed.extend_from_slice(&rest);
        sealed
    }

    /// Opens what [`MasterKey::seal`] sealed for the same context.
    ///
    /// # Errors
    /// [`MasterKeyError::Unsealable`] when it was sealed under another key or for another context, or was changed.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(MasterKeyError::Unsealable)?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let opened = self
            .cipher()
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut rest)
            .map_err(|_| MasterKeyError::Unsealable)?
            .len();
        rest.truncate(opened);
        Ok(rest)
    }

    /// A key of its own for what is sealed beside the store's keys. It tells nothing of this one.
    ///
    /// It is one block of HMAC-SHA-256, which is HKDF's expansion (RFC 5869 section 2.3) in all but the counter; the
    /// master key itself is uniformly random.
    pub(in crate::state) fn derive(&self, purpose: &str) -> LessSafeKey {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.0.expose()), purpose.as_bytes());
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key.as_ref()).expect("a tag of HMAC-SHA-256 has 32 bytes"))
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM_SIV, self.0.expose()).expect("the key has 32 bytes");
        LessSafeKey::new(key)
    }
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * KEY_BYTES || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..KEY_BYTES).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_lost_or_holds_something_else_is_said() {
        let folder = crate::memory::new_folder();
        let path = folder.path().join("master.key");
        assert!(matches!(MasterKey::read(&path), Err(MasterKeyError::Missing(_))));
        let made = MasterKey::read_or_create(&path).unwrap();
        assert_eq!(MasterKey::read(&path).unwrap().fingerprint(), made.fingerprint());
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(MasterKey::read(&path), Err(MasterKeyError::Malformed(_))));
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_context_and_unchanged() {
        let master = MasterKey(SecretBytes::new(vec![7; KEY_BYTES]));
        let sealed = master.seal("key:1", b"secret");
        assert_eq!(master.open("key:1", &sealed).unwrap().as_slice(), b"secret");
        assert!(master.open("key:2", &sealed).is_err());
        assert!(master.open("key:1", &sealed[..5]).is_err());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(master.open("key:1", &flipped).is_err(), "{at}");
        }
    }
}
