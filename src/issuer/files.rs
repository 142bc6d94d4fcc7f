//! Keys that an issuer handed over as files.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use aws_lc_rs::rsa;
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::json;
use thiserror::Error;

use super::settings::KeyFile;
use crate::{
    domain::{Algorithm, KeyId, secret::SecretBytes},
    state::{
        keys::jwk::{self, PublicJwk},
        store::private_file::{self, PrivateFileError},
    },
};

/// Octets of a public key's file, at most.
const PEM_BYTES_MAX: u64 = 64 * 1024;

/// What stands before the point in a `SubjectPublicKeyInfo` in DER (RFC 5480 section 2, RFC 8410 section 4): the
/// algorithm and the curve, and the lengths that follow from them.
const SPKI_P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const SPKI_P384: &[u8] =
    b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
const SPKI_P521: &[u8] =
    b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00";
const SPKI_ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// Why a key's file is of no use.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The secret's file cannot be read, or others can read it.
    #[error(transparent)]
    Secret(#[from] PrivateFileError),
    /// The secret is shorter than the hash (RFC 7518 section 3.2).
    #[error("{} has fewer octets than the hash of {algorithm} ({bytes_min})", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// What it should be used with.
        algorithm: Algorithm,
        /// Octets that it must have at least.
        bytes_min: usize,
    },
    /// It holds no such public key, or one that is too weak.
    #[error("{} holds no public key for {algorithm} in PEM (SubjectPublicKeyInfo, RSA from 2048 to 8192 bits)", path.display())]
    Rejected {
        /// The file.
        path: PathBuf,
        /// What it should be used with.
        algorithm: Algorithm,
    },
}

/// A key from a file.
#[derive(Clone, Debug)]
pub enum FileKey {
    /// A public key.
    Public(PublicJwk),
    /// A secret that the issuer signs with too.
    Secret {
        /// `kid`.
        id: KeyId,
        /// HS256, HS384 or HS512.
        algorithm: Algorithm,
        /// As long as the hash at least.
        secret: SecretBytes,
    },
}

/// Reads a key. A public key passes the same gate as one of a JWK set; a secret's file must be
/// the gateway's alone (mode 0600), and one line feed at its end is not part of the secret.
///
/// # Errors
/// The file is of no use.
pub fn read(file: &KeyFile) -> Result<FileKey, KeyFileError> {
    let KeyFile { file: path, algorithm, id } = file;
    let algorithm = *algorithm;
    let Some(bytes_min) = hash_bytes(algorithm) else {
        let pem = read_bounded(path).map_err(|source| KeyFileError::Io { path: path.clone(), source })?;
        let key = public(&pem, algorithm, id);
        return key.map(FileKey::Public).ok_or_else(|| KeyFileError::Rejected { path: path.clone(), algorithm });
    };
    let secret = private_file::read_bytes(path)?;
    let secret = secret.strip_suffix(b"\n").unwrap_or(&secret);
    if secret.len() < bytes_min {
        return Err(KeyFileError::Short { path: path.clone(), algorithm, bytes_min });
    }
    Ok(FileKey::Secret { id: id.clone(), algorithm, secret: SecretBytes::new(secret.to_vec()) })
}

/// Octets of an HMAC's hash; `None` for other algorithms.
const fn hash_bytes(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::Hs256 => Some(32),
        Algorithm::Hs384 => Some(48),
        Algorithm::Hs512 => Some(64),
        _ => None,
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe has no end while somebody holds it open.
    if path.metadata().is_ok_and(|entry| !entry.is_file()) {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = vec![];
    File::open(path)?.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PEM_BYTES_MAX { Err(io::Error::other("too large to be a public key")) } else { Ok(bytes) }
}

/// The public key of a PEM text, written as a JWK and read back: one gate for every key.
fn public(pem: &[u8], algorithm: Algorithm, id: &KeyId) -> Option<PublicJwk> {
    let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    let spki: &[u8] = spki.as_ref();
    let point = |prefix| spki.strip_prefix(prefix).map(<[u8]>::to_vec);
    let public = match algorithm {
        Algorithm::Es256 => point(SPKI_P256)?,
        Algorithm::Es384 => point(SPKI_P384)?,
        Algorithm::Es512 => point(SPKI_P521)?,
        Algorithm::EdDsa => point(SPKI_ED25519)?,
        _ => rsa::PublicKey::from_der(spki).ok()?.as_ref().to_vec(),
    };
    let jwk = jwk::export(id, algorithm, &public)?;
    let set = jwk::parse_set(json!({ "keys": [jwk] }).to_string().as_bytes(), &[algorithm]).ok()?;
    set.keys.into_iter().next()
}
