//! Hashes that are slow on purpose. They lie in the store as they are, in one spelling each, and are replaced by
//! argon2id at the next login.

use argon2::Params;

use super::{
    argon::Argon2Hash,
    bcrypt::{BcryptHash, Input},
    limits::FormatError,
    password_hash::PasswordHash,
    pbkdf2::Pbkdf2Hash,
    phpass::DrupalHash,
    scrypt::{FirebaseHash, ScryptHash},
    sha_crypt::ShaCryptHash,
};

/// A hash within the limits.
#[derive(Clone)]
pub struct SlowHash(pub(super) Kind);

/// One of each family.
#[derive(Clone)]
pub(super) enum Kind {
    Argon2(Argon2Hash),
    Bcrypt(BcryptHash),
    Scrypt(ScryptHash),
    Firebase(FirebaseHash),
    Pbkdf2(Pbkdf2Hash),
    ShaCrypt(ShaCryptHash),
    Drupal(DrupalHash),
}

impl SlowHash {
    /// Reads what begins with a dollar: the spelling of the store, and of most systems.
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let id = text.strip_prefix('$').and_then(|rest| rest.split_once('$')).map_or("", |(id, _)| id);
        Ok(Self(match id {
            "argon2id" | "argon2i" | "argon2d" => Kind::Argon2(Argon2Hash::read(text)?),
            "2a" | "2b" | "2y" | "2x" => Kind::Bcrypt(BcryptHash::read(text, Input::Password)?),
            "bcrypt-sha256" => Kind::Bcrypt(BcryptHash::read(&text[id.len() + 1..], Input::Sha256Hex)?),
            "wp" => Kind::Bcrypt(BcryptHash::read(&text[id.len() + 1..], Input::WordPress)?),
            "scrypt" => Kind::Scrypt(ScryptHash::read(text)?),
            "firescrypt" | "fbscrypt" => Kind::Firebase(FirebaseHash::read(text)?),
            "pbkdf2" | "pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512" => Kind::Pbkdf2(Pbkdf2Hash::read(text)?),
            "5" | "6" => Kind::ShaCrypt(ShaCryptHash::read(text)?),
            "S" => Kind::Drupal(DrupalHash::read(text)?),
            _ => return Err(FormatError::unknown()),
        }))
    }

    /// Reads what the store has.
    pub(super) fn read_stored(text: &str) -> Result<Self, FormatError> {
        if text.starts_with("$argon2") {
            Ok(Self(Kind::Argon2(Argon2Hash::read_stored(text)?)))
        } else {
            Self::read(text)
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Kind::Argon2(hash) => hash.name(),
            Kind::Bcrypt(hash) => hash.name(),
            Kind::Scrypt(_) => "scrypt",
            Kind::Firebase(_) => "firebase-scrypt",
            Kind::Pbkdf2(hash) => hash.name(),
            Kind::ShaCrypt(hash) => hash.name(),
            Kind::Drupal(_) => "drupal-sha512",
        }
    }

    /// As the store has it.
    #[must_use]
    pub fn to_stored(&self) -> PasswordHash {
        PasswordHash(match &self.0 {
            Kind::Argon2(hash) => hash.text().to_owned(),
            Kind::Bcrypt(hash) => hash.to_text(),
            Kind::Scrypt(hash) => hash.to_text(),
            Kind::Firebase(hash) => hash.to_text(),
            Kind::Pbkdf2(hash) => hash.to_text(),
            Kind::ShaCrypt(hash) => hash.text().to_owned(),
            Kind::Drupal(hash) => hash.to_text(),
        })
    }

    pub(super) fn is_current(&self, least: &Params) -> bool {
        matches!(&self.0, Kind::Argon2(hash) if hash.is_current(least))
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Argon2(hash) => hash.verify(password),
            Kind::Bcrypt(hash) => hash.verify(password),
            Kind::Scrypt(hash) => hash.verify(password),
            Kind::Firebase(hash) => hash.verify(password),
            Kind::Pbkdf2(hash) => hash.verify(password),
            Kind::ShaCrypt(hash) => hash.verify(password),
            Kind::Drupal(hash) => hash.verify(password),
        }
    }
}
