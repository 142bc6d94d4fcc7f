//! Secrets that a computer tries by the billion: clear ones, and digests. They never lie in the store as they are:
//! there is no way from here to a text for the store but under a [`PasswordKey`](super::PasswordKey).

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    encoding::{from_base64, to_base64},
    limits::{FormatError, SALT_BYTES_MAX, equal},
    md5_crypt,
    phpass::{self, Setting},
    rule::{Inputs, Rule},
};
use crate::domain::{Secret, secret::SecretBytes};

/// What fast hashes are called.
pub(super) const NAMES: [&str; 14] = [
    "clear",
    "md4",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "hmac-md4",
    "hmac-md5",
    "hmac-sha1",
    "hmac-sha256",
    "hmac-sha512",
    "phpass",
    "md5-crypt",
    "apr1",
];

/// A secret that is known or quickly tried.
#[derive(Clone)]
pub struct FastHash(Kind);

#[derive(Clone)]
enum Kind {
    Clear(Secret),
    Digest(Recipe, Vec<u8>),
}

/// How an output is made of a password.
#[derive(Clone)]
pub(super) enum Recipe {
    Rule { rule: Rule, salt: Vec<u8>, pepper: SecretBytes },
    Phpass(Setting),
    Md5Crypt(md5_crypt::Setting),
}

/// A recipe, with its output or without, as it is sealed.
#[derive(Default, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clear: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    salt: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pepper: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phpass: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    md5_crypt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

impl FastHash {
    /// A clear password or secret.
    #[must_use]
    pub const fn clear(secret: Secret) -> Self {
        Self(Kind::Clear(secret))
    }

    /// A digest by a rule.
    pub(super) fn by_rule(
        rule: Rule,
        salt: Vec<u8>,
        pepper: SecretBytes,
        output: Vec<u8>,
    ) -> Result<Self, FormatError> {
        if salt.len() > SALT_BYTES_MAX || pepper.expose().len() > SALT_BYTES_MAX {
            return Err(FormatError::new("a salt or a pepper has at most 256 bytes"));
        }
        if output.len() != rule.output_bytes() {
            return Err(FormatError::of(format!(
                "the digest has {} bytes, and the rule makes {}: another rule, or another encoding of the digest, fits",
                output.len(),
                rule.output_bytes()
            )));
        }
        Ok(Self(Kind::Digest(Recipe::Rule { rule, salt, pepper }, output)))
    }

    /// WordPress's and phpBB's hash.
    pub(super) fn read_phpass(text: &str) -> Result<Self, FormatError> {
        let (setting, output) = phpass::read(text)?;
        Ok(Self(Kind::Digest(Recipe::Phpass(setting), output.into_bytes())))
    }

    /// crypt(3)'s `$1$` and Apache's `$apr1$`.
    pub(super) fn read_md5_crypt(text: &str) -> Result<Self, FormatError> {
        let (setting, output) = md5_crypt::read(text)?;
        Ok(Self(Kind::Digest(Recipe::Md5Crypt(setting), output.into_bytes())))
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Kind::Clear(_) => "clear",
            Kind::Digest(recipe, _) => recipe.name(),
        }
    }

    /// The clear secret, or else what makes the output, and the output.
    pub(super) fn parts(&self) -> Result<&Secret, (&Recipe, &[u8])> {
        match &self.0 {
            Kind::Clear(secret) => Ok(secret),
            Kind::Digest(recipe, output) => Err((recipe, output)),
        }
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Clear(secret) => equal(secret.expose().as_bytes(), password),
            Kind::Digest(recipe, output) => equal(&recipe.output(password), output),
        }
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match &self.0 {
            Kind::Clear(secret) => {
                let mut written = Written::default();
                written.clear = Some(secret.expose().to_owned());
                encode(&written)
            }
            Kind::Digest(recipe, output) => {
                let mut written = recipe.write();
                written.output = Some(to_base64(output));
                encode(&written)
            }
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        if let Some(clear) = &written.clear {
            return Some(Self::clear(Secret::new(clear.clone())));
        }
        let output = from_base64(written.output.as_deref()?)?;
        Some(Self(Kind::Digest(Recipe::read(&written)?, output)))
    }
}

impl Recipe {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Rule { rule, .. } => rule.name(),
            Self::Phpass(_) => "phpass",
            Self::Md5Crypt(setting) => setting.name(),
        }
    }

    /// The output for a password.
    pub(super) fn output(&self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Rule { rule, salt, pepper } => rule.output(&Inputs { password, salt, pepper: pepper.expose() }),
            Self::Phpass(setting) => Zeroizing::new(setting.output(password).into_bytes()),
            Self::Md5Crypt(setting) => Zeroizing::new(setting.output(password).into_bytes()),
        }
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        encode(&self.write())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        if written.output.is_some() || written.clear.is_some() { None } else { Self::read(&written) }
    }

    fn write(&self) -> Written {
        let mut written = Written::default();
        match self {
            Self::Rule { rule, salt, pepper } => {
                written.rule = Some(rule.text().to_owned());
                written.salt = to_base64(salt);
                written.pepper = to_base64(pepper.expose());
            }
            Self::Phpass(setting) => written.phpass = Some(setting.text().to_owned()),
            Self::Md5Crypt(setting) => written.md5_crypt = Some(setting.text().to_owned()),
        }
        written
    }

    fn read(written: &Written) -> Option<Self> {
        match (&written.rule, &written.phpass, &written.md5_crypt) {
            (Some(rule), None, None) => Some(Self::Rule {
                rule: Rule::parse(rule).ok()?,
                salt: from_base64(&written.salt)?,
                pepper: SecretBytes::new(from_base64(&written.pepper)?),
            }),
            (None, Some(setting), None) => Some(Self::Phpass(Setting::read(setting).ok()?)),
            (None, None, Some(setting)) => Some(Self::Md5Crypt(md5_crypt::Setting::read(setting).ok()?)),
            _ => None,
        }
    }
}

fn encode(written: &Written) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(written).expect("texts are JSON"))
}
