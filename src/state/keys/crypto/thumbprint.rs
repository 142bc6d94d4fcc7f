//! What tells the material of a key from any other.

use std::borrow::Cow;

use aws_lc_rs::digest;

use crate::domain::Algorithm;

/// Bytes of a digest: two keys do not share 128 bits of SHA-256.
const DIGEST_BYTES: usize = 16;

type Digest = [u8; DIGEST_BYTES];

/// Digests of a key's material.
///
/// An HMAC secret has equivalent forms (RFC 2104 section 2): one that is longer than the hash's block is as good as its
/// hash, and zeros at the end, up to the block, change nothing. So there is a digest of the form that all of them have
/// in common, beside that of the bytes themselves, which tells the same secret under another hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::keys) struct Thumbprint {
    bytes: Digest,
    canonical: Digest,
}

impl Thumbprint {
    /// Of a key pair, by its public half in DER.
    pub(super) fn of_public(der: &[u8]) -> Self {
        Self::of_one(digest_of(der))
    }

    /// Of a secret of `algorithm`.
    pub(super) fn of_secret(algorithm: Algorithm, secret: &[u8]) -> Self {
        let hash = match algorithm {
            Algorithm::Hs256 => &digest::SHA256,
            Algorithm::Hs384 => &digest::SHA384,
            Algorithm::Hs512 => &digest::SHA512,
            _ => return Self::of_one(digest_of(secret)),
        };
        let hashed = (secret.len() > hash.block_len()).then(|| digest::digest(hash, secret));
        let form = hashed.as_ref().map_or(Cow::Borrowed(secret), |hashed| Cow::Owned(hashed.as_ref().to_vec()));
        let end = form.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self { bytes: digest_of(secret), canonical: digest_of(&form[..end]) }
    }

    /// Of what has one form only.
    pub(super) const fn of_one(digest: Digest) -> Self {
        Self { bytes: digest, canonical: digest }
    }

    /// Read back; `None` where these are no thumbprint. One digest is what an earlier version kept.
    pub(super) fn from_bytes(kept: &[u8]) -> Option<Self> {
        let (bytes, canonical) = kept.split_at_checked(DIGEST_BYTES)?;
        let bytes = bytes.try_into().ok()?;
        let canonical = if canonical.is_empty() { bytes } else { canonical.try_into().ok()? };
        Some(Self { bytes, canonical })
    }

    /// As the store keeps it, sealed.
    pub(in crate::state::keys) fn to_bytes(self) -> Vec<u8> {
        if self.bytes == self.canonical { self.bytes.to_vec() } else { [self.bytes, self.canonical].concat() }
    }

    /// Whether both are of the same bytes.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    /// Whether tokens that the one signs verify under the other, or did under its algorithm.
    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        [self.bytes, self.canonical].iter().any(|one| [other.bytes, other.canonical].contains(one))
    }
}

fn digest_of(material: &[u8]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"portero key\0");
    context.update(material);
    let mut head = [0; DIGEST_BYTES];
    head.copy_from_slice(&context.finish().as_ref()[..DIGEST_BYTES]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_forms_of_a_secret_are_told_from_others() {
        let same = |a: (Algorithm, &[u8]), b: (Algorithm, &[u8])| {
            let [a, b] = [a, b].map(|(algorithm, secret)| Thumbprint::of_secret(algorithm, secret));
            // What came back from the store tells the same.
            let kept = [a, b].map(|thumbprint| Thumbprint::from_bytes(&thumbprint.to_bytes()).unwrap());
            assert_eq!(kept, [a, b]);
            assert_eq!(a.is_equivalent(&b), b.is_equivalent(&a));
            a.is_equivalent(&b)
        };
        let (hs256, hs384, hs512) = (Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512);
        let (short, long) = ([7; 40], [7; 200]);
        let padded = |length| [&short[..], &vec![0; length - short.len()]].concat();
        assert!(same((hs256, &short), (hs256, &padded(64))));
        assert!(!same((hs256, &short), (hs256, &padded(65))), "it is hashed");
        assert!(same((hs256, &padded(41)), (hs512, &padded(128))));
        for (algorithm, hash) in [(hs256, &digest::SHA256), (hs384, &digest::SHA384), (hs512, &digest::SHA512)] {
            let hashed = digest::digest(hash, &long);
            assert!(same((algorithm, &long), (algorithm, hashed.as_ref())), "{algorithm}");
            assert!(same((algorithm, &long), (algorithm, &[hashed.as_ref(), &[0; 9]].concat())), "{algorithm}");
            assert!(same((hs256, &long), (algorithm, &long)), "the same secret under another hash");
        }
        assert!(!same((hs256, &long), (hs512, digest::digest(&digest::SHA512, &long).as_ref())));
        assert!(!same((hs256, &[7; 40]), (hs256, &[7; 41])));
        assert!(!same((Algorithm::Sealed, &[&[7; 31][..], &[0]].concat()), (Algorithm::Sealed, &[7; 31])));
        for strange in [0, 15, 17, 31, 33] {
            assert_eq!(Thumbprint::from_bytes(&vec![1; strange]), None);
        }
    }
}
