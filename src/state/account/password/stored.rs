//! Hashes as the store has them. Slow ones lie there as they are. Fast ones lie there sealed, and later wrapped:
//! argon2id over the old output, with the sealed recipe beside it.
//!
//! ```text
//! $argon2id$v=19$m=19456,t=2,p=1$salt$hash      as it is; so does every slow hash, in a spelling that names it
//! $sealed:sha1$base64                           a clear secret, or a digest with its recipe
//! $wrapped:sha1$base64$argon2id$v=19$…          the recipe, and argon2id over the digest
//! ```

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    encoding::{from_base64, to_base64},
    fast::{FastHash, NAMES, Recipe},
    foreign::Foreign,
    password_hash::PasswordHash,
    slow::SlowHash,
    todays_hash::{salted, verify_none},
};
use crate::domain::{PrincipalId, Secret, random};

/// What begins the text of a sealed one.
pub(in crate::state::account) const SEALED: &str = "$sealed:";

const WRAPPED: &str = "$wrapped:";

/// Bytes of the key.
pub const PASSWORD_KEY_BYTES: usize = 32;

/// Bytes of a mark.
pub const MARK_BYTES: usize = 16;

/// Seals fast hashes and their recipes, each for its account. It lies in the store under the master key, so that a new
/// master key touches one row.
pub struct PasswordKey {
    cipher: LessSafeKey,
    marks: hmac::Key,
}

/// Something sealed does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a sealed password in the store does not open: the store was tampered with, is damaged, or has another key")]
pub struct Unopenable;

/// What a password is held against.
pub struct Check(Kind);

enum Kind {
    Slow(SlowHash),
    Fast(FastHash),
    Wrapped(Recipe, SlowHash),
    /// A text that is no hash: no password matches.
    Nothing,
}

impl PasswordKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; PASSWORD_KEY_BYTES]) -> Self {
        let derive = |purpose: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), purpose);
        let cipher = UnboundKey::new(&AES_256_GCM_SIV, derive(b"seal").as_ref()).expect("SHA-256 has 32 bytes");
        let marks = hmac::Key::new(hmac::HMAC_SHA256, derive(b"mark").as_ref());
        Self { cipher: LessSafeKey::new(cipher), marks }
    }

    /// Tells whether an account's old hash is the one that was imported before, whatever became of it here. It tells
    /// nothing without the key.
    #[must_use]
    pub fn mark(&self, account: PrincipalId, hash: &Foreign) -> [u8; MARK_BYTES] {
        let mut context = hmac::Context::with_key(&self.marks);
        context.update(account.uuid().as_bytes());
        match hash {
            Foreign::Slow(hash) => context.update(hash.to_stored().text().as_bytes()),
            Foreign::Fast(hash) => context.update(&hash.to_bytes()),
        }
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&context.sign().as_ref()[..MARK_BYTES]);
        mark
    }

    fn seal(&self, account: PrincipalId, plaintext: &[u8]) -> String {
        let nonce = random::bytes::<NONCE_LEN>();
        let mut rest = plaintext.to_vec();
        self.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(account), &mut rest)
            .expect("a hash is far below the cipher's length limit");
        to_base64(&[&nonce[..], &rest].concat())
    }

    fn open(&self, account: PrincipalId, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Unopenable> {
        let sealed = from_base64(sealed).ok_or(Unopenable)?;
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Unopenable)?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.cipher.open_in_place(nonce, aad(account), &mut rest).map_err(|_| Unopenable)?.len();
        rest.truncate(opened);
        Ok(rest)
    }
}

impl fmt::Debug for PasswordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordKey(…)")
    }
}

fn aad(account: PrincipalId) -> Aad<Vec<u8>> {
    Aad::from([b"portero password ", &account.uuid().as_bytes()[..]].concat())
}

/// A hash of another system as the store may have it, for an account.
#[must_use]
pub fn to_stored(hash: &Foreign, account: PrincipalId, key: &PasswordKey) -> PasswordHash {
    match hash {
        Foreign::Slow(hash) => hash.to_stored(),
        Foreign::Fast(hash) => PasswordHash(format!("{SEALED}{}${}", hash.name(), key.seal(account, &hash.to_bytes()))),
    }
}

impl PasswordHash {
    /// Whether it takes the [`PasswordKey`] to check a password against it.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.is_sealed() || self.0.starts_with(WRAPPED)
    }

    /// Whether it is a fast hash that is not wrapped yet.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.0.starts_with(SEALED)
    }

    /// What a password of the account is held against.
    ///
    /// # Errors
    /// Fails when it takes the key, and there is none or another one. Then nobody knows whether a password is right.
    pub fn open(&self, account: PrincipalId, key: Option<&PasswordKey>) -> Result<Check, Unopenable> {
        if let Some(sealed) = self.0.strip_prefix(SEALED) {
            return Ok(Check(Kind::Fast(open_fast(sealed, account, key)?)));
        }
        if let Some(wrapped) = self.0.strip_prefix(WRAPPED) {
            let (_, rest) = wrapped.split_once('$').ok_or(Unopenable)?;
            let (recipe, outer) = rest.find('$').map(|at| rest.split_at(at)).ok_or(Unopenable)?;
            let recipe = key.ok_or(Unopenable)?.open(account, recipe)?;
            let recipe = Recipe::from_bytes(&recipe).ok_or(Unopenable)?;
            return Ok(Check(SlowHash::read_stored(outer).map_or(Kind::Nothing, |outer| Kind::Wrapped(recipe, outer))));
        }
        Ok(Check(SlowHash::read_stored(&self.0).map_or(Kind::Nothing, Kind::Slow)))
    }

    /// Argon2id over a sealed hash. A clear secret becomes an argon2id hash like any other. It takes as long as hashing
    /// a password does. `None` for what is not sealed.
    ///
    /// # Errors
    /// Fails when it does not open under the key.
    pub fn wrap(&self, account: PrincipalId, key: &PasswordKey) -> Result<Option<Self>, Unopenable> {
        let Some(sealed) = self.0.strip_prefix(SEALED) else { return Ok(None) };
        let fast = open_fast(sealed, account, Some(key))?;
        Ok(Some(match fast.parts() {
            Ok(clear) => salted(clear.expose().as_bytes()),
            Err((recipe, output)) => {
                let sealed = key.seal(account, &recipe.to_bytes());
                Self(format!("{WRAPPED}{}${sealed}{}", recipe.name(), salted(output).text()))
            }
        }))
    }
}

fn open_fast(sealed: &str, account: PrincipalId, key: Option<&PasswordKey>) -> Result<FastHash, Unopenable> {
    let (_, sealed) = sealed.split_once('$').ok_or(Unopenable)?;
    let opened = key.ok_or(Unopenable)?.open(account, sealed)?;
    FastHash::from_bytes(&opened).ok_or(Unopenable)
}

impl Check {
    /// Whether `password` is the one. It takes no less than an argon2id hash does, so that a fast format does not show.
    pub(super) fn matches(&self, password: &Secret) -> bool {
        let bytes = password.expose().as_bytes();
        match &self.0 {
            Kind::Slow(hash) => hash.verify(bytes),
            Kind::Wrapped(recipe, outer) => outer.verify(&recipe.output(bytes)),
            Kind::Fast(hash) => {
                verify_none(bytes);
                hash.verify(bytes)
            }
            Kind::Nothing => {
                verify_none(bytes);
                false
            }
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check(…)")
    }
}

/// What a hash of the store is called, by the word between its first two dollars.
#[must_use]
pub fn format_of(word: &str) -> &'static str {
    let (state, inner) = word.split_once(':').unwrap_or(("", word));
    match (state, inner) {
        ("", "argon2id") => "argon2id",
        ("", "argon2i") => "argon2i",
        ("", "argon2d") => "argon2d",
        ("", "2a" | "2b" | "2y") => "bcrypt",
        ("", "bcrypt-sha256") => "bcrypt-sha256",
        ("", "wp") => "bcrypt-wordpress",
        ("", "scrypt") => "scrypt",
        ("", "firescrypt") => "firebase-scrypt",
        ("", "pbkdf2-sha1") => "pbkdf2-sha1",
        ("", "pbkdf2-sha256") => "pbkdf2-sha256",
        ("", "pbkdf2-sha512") => "pbkdf2-sha512",
        ("", "5") => "sha256-crypt",
        ("", "6") => "sha512-crypt",
        ("", "S") => "drupal-sha512",
        ("sealed" | "wrapped", name) => NAMES.iter().copied().find(|known| *known == name).unwrap_or("unknown"),
        _ => "unknown",
    }
}
