//! Keys in files.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use tempfile::TempDir;

use crate::{
    domain::{Algorithm, KeyId},
    issuer::{
        KeyFile,
        files::{FileKey, KeyFileError, read},
    },
};

struct Folder(TempDir);

impl Folder {
    fn file(&self, content: &[u8], mode: u32) -> PathBuf {
        let path = self.0.path().join("key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn read(&self, content: &[u8], mode: u32, algorithm: Algorithm) -> Result<FileKey, KeyFileError> {
        let file = KeyFile { file: self.file(content, mode), algorithm, id: KeyId::from_text("k1") };
        read(&file)
    }
}

fn folder() -> Folder {
    Folder(crate::memory::new_folder())
}

fn pem(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    let der = key.as_der().unwrap();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref())).into()
}

#[test]
fn public_keys_are_read_from_pem_for_their_own_algorithm_only() {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let p521 = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let keys = [
        (Algorithm::Rs256, pem(rsa.public_key()), rsa.public_key().as_ref()),
        (Algorithm::Ps512, pem(rsa.public_key()), rsa.public_key().as_ref()),
        (Algorithm::Es256, pem(p256.public_key()), p256.public_key().as_ref()),
        (Algorithm::Es384, pem(p384.public_key()), p384.public_key().as_ref()),
        (Algorithm::Es512, pem(p521.public_key()), p521.public_key().as_ref()),
        (Algorithm::EdDsa, pem(ed.public_key()), ed.public_key().as_ref()),
    ];
    let folder = folder();
    for (own, pem, public) in &keys {
        let FileKey::Public(key) = folder.read(pem, 0o644, *own).unwrap() else { panic!("{own} is public") };
        assert_eq!((key.algorithm, &key.public[..]), (*own, *public));
        assert_eq!(key.id, Some(KeyId::from_text("k1")));
        for (other, _, _) in keys.iter().filter(|(other, _, bytes)| other != own && bytes != public) {
            assert!(matches!(folder.read(pem, 0o644, *other), Err(KeyFileError::Rejected { .. })), "{own} as {other}");
        }
    }
}

#[test]
fn what_holds_no_public_key_is_refused() {
    let small = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let private =
        STANDARD.encode(small.as_der().map(|der: aws_lc_rs::encoding::Pkcs8V1Der<'_>| der.as_ref().to_vec()).unwrap());
    let private = format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n");
    let folder = folder();
    for text in ["", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &private] {
        let read = folder.read(text.as_bytes(), 0o644, Algorithm::Rs256);
        assert!(matches!(read, Err(KeyFileError::Rejected { .. })), "{text}");
    }
    let large = folder.read(&vec![b'\n'; 64 * 1024 + 1], 0o644, Algorithm::Rs256);
    assert!(matches!(large, Err(KeyFileError::Io { .. })));
    let missing =
        KeyFile { file: folder.0.path().join("none"), algorithm: Algorithm::Rs256, id: KeyId::from_text("k") };
    assert!(matches!(read(&missing), Err(KeyFileError::Io { .. })));
}

#[test]
fn secrets_are_private_and_as_long_as_the_hash() {
    let folder = folder();
    for (algorithm, bytes) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
        let secret = vec![0xff; bytes];
        for content in [secret.clone(), [&secret[..], b"\n"].concat()] {
            let FileKey::Secret { secret: read, .. } = folder.read(&content, 0o600, algorithm).unwrap() else {
                panic!("{algorithm} is a secret")
            };
            assert_eq!(read.expose(), secret);
        }
        let short = [&secret[1..], b"\n"].concat();
        assert!(matches!(folder.read(&short, 0o600, algorithm), Err(KeyFileError::Short { .. })), "{algorithm}");
        assert!(matches!(folder.read(&secret, 0o640, algorithm), Err(KeyFileError::Secret(_))), "{algorithm}");
    }
}
