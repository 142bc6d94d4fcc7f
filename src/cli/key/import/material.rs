//! The bytes of a key from outside: a secret, or a PEM of one of several kinds.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use clap::ValueEnum;
use rustls::pki_types::pem::{PemObject, SectionKind};
use zeroize::Zeroizing;

use crate::{
    domain::{Algorithm, KeyId, Timestamp},
    state::keys::{Key, KeyState, MaterialBytes},
};

/// How a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Encoding {
    /// As its bytes
    #[default]
    Raw,
    /// In base64 or base64url, padded or not
    Base64,
    /// In hexadecimal digits
    Hex,
}

/// What a key is made of.
pub(super) enum Material {
    /// A secret, or a key pair in PKCS#8.
    Secret(Zeroizing<Vec<u8>>),
    /// A public key.
    Public(Vec<u8>),
}

impl Material {
    /// Reads what a file or standard input holds; `source` is what a command that converts it calls it.
    pub(super) fn read(bytes: &[u8], algorithm: Algorithm, encoding: Encoding, source: &str) -> Result<Self, String> {
        let is_hmac = matches!(algorithm, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512);
        if is_hmac { secret(bytes, encoding).map(Self::Secret) } else { pem(bytes, algorithm, source) }
    }

    /// What of it verifies: of a key pair the public half.
    pub(super) fn verifying(self, algorithm: Algorithm) -> Self {
        let public = self.key(algorithm).and_then(|key| key.public_der());
        public.map_or(self, Self::Public)
    }

    /// Refuses what is no key of the algorithm, what is weak, and a public key that is to sign.
    pub(super) fn check(&self, algorithm: Algorithm, sign: bool) -> Result<(), String> {
        let Some(key) = self.key(algorithm) else {
            let least = match algorithm {
                Algorithm::Hs256 => 32,
                Algorithm::Hs384 => 48,
                Algorithm::Hs512 => 64,
                _ => {
                    return Err(format!(
                        "that is no usable {algorithm} key: RSA must have 2048 to 8192 bits, ES256 is P-256, ES384 is \
                         P-384, EdDSA is Ed25519"
                    ));
                }
            };
            let length = if let Self::Secret(bytes) = self { bytes.len() } else { 0 };
            return Err(format!(
                "the secret has {length} bytes, and {algorithm} takes at least {least} (RFC 7518 section 3.2): a \
                 holder of one token could find a shorter one"
            ));
        };
        if sign && !key.can_sign() {
            return Err("that is a public key, which cannot sign; leave out --sign, or give the private key".to_owned());
        }
        Ok(())
    }

    /// The bytes as the vault takes them.
    pub(super) fn bytes(&self) -> MaterialBytes<'_> {
        match self {
            Self::Secret(bytes) => MaterialBytes::Secret(bytes),
            Self::Public(bytes) => MaterialBytes::Public(bytes),
        }
    }

    fn key(&self, algorithm: Algorithm) -> Option<Key> {
        let (id, now) = (KeyId::from_text("checked"), Timestamp::from_millis(0));
        Key::new(id, "checked".parse().ok()?, algorithm, KeyState::Retiring, now, self.bytes()).ok()
    }
}

fn secret(bytes: &[u8], encoding: Encoding) -> Result<Zeroizing<Vec<u8>>, String> {
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Err("that is a PEM, and no secret: a public key that everybody has would sign tokens".to_owned());
    }
    let text = || std::str::from_utf8(bytes.trim_ascii()).ok();
    let decoded = match encoding {
        Encoding::Raw => {
            let line = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes);
            Some(line.to_vec())
        }
        Encoding::Base64 => {
            let engines = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
            text().and_then(|text| engines.iter().find_map(|engine| engine.decode(text).ok()))
        }
        Encoding::Hex => text().and_then(from_hex),
    };
    decoded.map(Zeroizing::new).ok_or_else(|| format!("the secret is no {}", spelling(encoding)))
}

const fn spelling(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Raw => "text",
        Encoding::Base64 => "base64",
        Encoding::Hex => "hexadecimal",
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let whole = text.len().is_multiple_of(2) && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    whole.then(|| (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect())?
}

fn pem(bytes: &[u8], algorithm: Algorithm, source: &str) -> Result<Material, String> {
    let convert = |what: &str, command: &str| Err(format!("that is {what}; convert it with: {command}"));
    let pkcs8 = format!("openssl pkcs8 -topk8 -nocrypt -in {source} -out NEW.pem");
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let Ok((kind, der)) = section else { return Err("that is no PEM that can be read".to_owned()) };
        let der = Zeroizing::new(der);
        return match kind {
            SectionKind::PrivateKey => Ok(Material::Secret(der)),
            SectionKind::PublicKey => Ok(Material::Public(der.to_vec())),
            SectionKind::RsaPrivateKey => convert("an RSA key in PKCS#1", &pkcs8),
            SectionKind::EcPrivateKey => convert("an elliptic curve's key in SEC1", &pkcs8),
            SectionKind::Certificate => {
                convert("a certificate", &format!("openssl x509 -pubkey -noout -in {source} -out NEW.pem"))
            }
            // `EC PARAMETERS` and the like stand before what matters.
            _ => continue,
        };
    }
    let begins = |label: &str| bytes.windows(label.len()).any(|window| window == label.as_bytes());
    if begins("BEGIN ENCRYPTED PRIVATE KEY") {
        return convert("an encrypted key", &format!("openssl pkcs8 -in {source} -out NEW.pem"));
    }
    if begins("BEGIN RSA PUBLIC KEY") {
        return convert(
            "an RSA key in PKCS#1",
            &format!("openssl rsa -RSAPublicKey_in -in {source} -pubout -out NEW.pem"),
        );
    }
    Err(format!(
        "that is no PEM with a key: {algorithm} takes PKCS#8 (BEGIN PRIVATE KEY) or a public key (BEGIN PUBLIC KEY)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, algorithm: Algorithm, encoding: Encoding) -> Result<Material, String> {
        let material = Material::read(text.as_bytes(), algorithm, encoding, "old.pem")?;
        material.check(algorithm, false).map(|()| material)
    }

    fn refusal(text: &str, algorithm: Algorithm, encoding: Encoding) -> String {
        read(text, algorithm, encoding).err().unwrap()
    }

    #[test]
    fn a_secret_may_be_written_in_three_ways() {
        let secret = [0xfb; 32];
        let hex = crate::domain::id::hex(&secret);
        let spellings = [
            (STANDARD.encode(secret) + "\n", Encoding::Base64),
            (URL_SAFE_NO_PAD.encode(secret), Encoding::Base64),
            (hex.clone(), Encoding::Hex),
            (hex.to_uppercase(), Encoding::Hex),
        ];
        for (text, encoding) in spellings {
            let Ok(Material::Secret(bytes)) = read(&text, Algorithm::Hs256, encoding) else { panic!("{text}") };
            assert_eq!(**bytes, secret);
        }
        let Ok(Material::Secret(bytes)) = read(&"x\n".repeat(17), Algorithm::Hs256, Encoding::Raw) else {
            panic!("one newline is dropped, and the others count")
        };
        assert_eq!(bytes.len(), 33);
    }

    #[test]
    fn a_pem_of_either_half_is_read_and_only_the_private_one_signs() {
        for (algorithm, kind) in [
            (Algorithm::Rs256, &rcgen::PKCS_RSA_SHA256),
            (Algorithm::Ps512, &rcgen::PKCS_RSA_SHA256),
            (Algorithm::Es256, &rcgen::PKCS_ECDSA_P256_SHA256),
            (Algorithm::Es384, &rcgen::PKCS_ECDSA_P384_SHA384),
            (Algorithm::EdDsa, &rcgen::PKCS_ED25519),
        ] {
            let pair = rcgen::KeyPair::generate_for(kind).unwrap();
            let private = read(&pair.serialize_pem(), algorithm, Encoding::Raw).unwrap();
            private.check(algorithm, true).unwrap();
            let public = read(&pair.public_key_pem(), algorithm, Encoding::Raw).unwrap();
            assert!(public.check(algorithm, true).unwrap_err().contains("cannot sign"), "{algorithm}");
            let Material::Public(half) = private.verifying(algorithm) else {
                panic!("{algorithm}: no private half is kept")
            };
            assert_eq!(
                crate::state::keys::spki::pem(&half),
                pair.public_key_pem().replace("\r\n", "\n"),
                "{algorithm}"
            );
        }
    }

    #[test]
    fn weak_and_wrong_material_is_refused_in_words() {
        let raw = |text: &str, algorithm| refusal(text, algorithm, Encoding::Raw);
        assert!(raw(&"x".repeat(31), Algorithm::Hs256).contains("has 31 bytes, and HS256 takes at least 32"));
        assert!(raw(&"x".repeat(63), Algorithm::Hs512).contains("has 63 bytes, and HS512 takes at least 64"));
        assert!(raw("-----BEGIN PUBLIC KEY-----\nAAAA", Algorithm::Hs256).contains("a PEM, and no secret"));
        assert!(refusal("xyz!", Algorithm::Hs256, Encoding::Base64).contains("no base64"));
        assert!(refusal("abc", Algorithm::Hs256, Encoding::Hex).contains("no hexadecimal"));
        assert!(raw("x", Algorithm::Rs256).contains("no PEM with a key: RS256 takes PKCS#8"));
        let block = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        for (label, command) in [
            ("RSA PRIVATE KEY", "openssl pkcs8 -topk8 -nocrypt -in old.pem -out NEW.pem"),
            ("EC PRIVATE KEY", "openssl pkcs8 -topk8 -nocrypt -in old.pem -out NEW.pem"),
            ("CERTIFICATE", "openssl x509 -pubkey -noout -in old.pem -out NEW.pem"),
            ("ENCRYPTED PRIVATE KEY", "openssl pkcs8 -in old.pem -out NEW.pem"),
            ("RSA PUBLIC KEY", "openssl rsa -RSAPublicKey_in -in old.pem -pubout -out NEW.pem"),
        ] {
            assert!(raw(&block(label), Algorithm::Rs256).ends_with(command), "{label}");
        }
        assert!(raw(&block("PRIVATE KEY"), Algorithm::Es256).contains("no usable ES256 key"));
    }
}
