//! The secret of a refresh token: how it is made, what the store knows of it, and what it opens.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hmac,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::domain::{Secret, random};

/// How such a token begins, so that people and scanners for leaked secrets know it.
const PREFIX: &str = "prt_";

/// Random bytes of a token: 256 bits.
const RANDOM_BYTES: usize = 32;

/// What the key for a successor is derived for, so that the same token gives no other key.
const SUCCESSOR_LABEL: &[u8] = b"portero refresh token successor";

/// A new token.
pub(super) fn generate() -> Secret {
    Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::bytes::<RANDOM_BYTES>())))
}

/// Whether a text has the form of a token that an exchange gave.
#[must_use]
pub fn is_rotating(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// What the store knows a token by. The token is random, so there is nothing to guess at.
pub(super) fn hash(token: &Secret) -> Vec<u8> {
    digest::digest(&digest::SHA256, token.expose().as_bytes()).as_ref().to_vec()
}

/// Seals the successor of `spent` so that only who has `spent` opens it: nonce, ciphertext, tag.
pub(super) fn seal_successor(spent: &Secret, successor: &Secret) -> Vec<u8> {
    let nonce = random::bytes::<NONCE_LEN>();
    let mut rest = successor.expose().as_bytes().to_vec();
    cipher(spent)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut rest)
        .expect("a token is far below the cipher's length limit");
    [&nonce[..], &rest].concat()
}

/// Opens what [`seal_successor`] made of the same `spent`.
pub(super) fn open_successor(spent: &Secret, sealed: &[u8]) -> Option<Secret> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut rest = rest.to_vec();
    let opened = cipher(spent).open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut rest).ok()?;
    std::str::from_utf8(opened).ok().map(Secret::from)
}

/// The key is one block of HMAC-SHA-256, which is HKDF's expansion (RFC 5869 section 2.3) in all but
/// the counter; the token itself is uniformly random, or sealed by a cipher.
fn cipher(spent: &Secret) -> LessSafeKey {
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, spent.expose().as_bytes()), SUCCESSOR_LABEL);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key.as_ref()).expect("a tag of HMAC-SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_differs_and_is_recognised() {
        let (a, b) = (generate(), generate());
        assert_ne!(a, b);
        assert_eq!(a.expose().len(), PREFIX.len() + 43);
        assert!(is_rotating(a.expose()) && !is_rotating("3L3D"));
    }

    #[test]
    fn a_successor_opens_with_the_spent_token_only() {
        let (spent, successor) = (generate(), generate());
        let sealed = seal_successor(&spent, &successor);
        assert_eq!(open_successor(&spent, &sealed), Some(successor.clone()));
        assert_eq!(open_successor(&successor, &sealed), None);
        assert_eq!(open_successor(&spent, &sealed[1..]), None);
        assert_eq!(open_successor(&spent, &[]), None);
        let text = successor.expose().as_bytes();
        assert!(!sealed.windows(text.len()).any(|window| window == text));
    }
}
