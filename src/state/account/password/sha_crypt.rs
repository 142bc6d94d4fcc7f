//! crypt(3)'s `$5$` (SHA-256) and `$6$` (SHA-512), by Ulrich Drepper's specification.

use ::sha_crypt::{Params, PasswordHashRef, PasswordVerifier, ShaCrypt};

use super::limits::FormatError;

/// Rounds, at most: about a second.
const ROUNDS_MAX: u32 = 1_000_000;

/// Rounds of a hash that does not say how many.
const ROUNDS_DEFAULT: u32 = 5_000;

/// Characters of the salt that count.
const SALT_CHARS_MAX: usize = 16;

/// A hash and what it was made with.
#[derive(Clone)]
pub(super) struct ShaCryptHash {
    text: String,
    is_512: bool,
}

impl ShaCryptHash {
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let malformed =
            || FormatError::new("this is no hash of crypt(3): $6$salt$hash or $6$rounds=5000$salt$hash is one");
        let fields: Vec<_> = text.split('$').collect();
        let (id, rounds, salt, output) = match fields[..] {
            ["", id, rounds, salt, output] => {
                let rounds = rounds.strip_prefix("rounds=").and_then(|rounds| rounds.parse().ok());
                (id, rounds.ok_or_else(malformed)?, salt, output)
            }
            ["", id, salt, output] => (id, ROUNDS_DEFAULT, salt, output),
            _ => return Err(malformed()),
        };
        let (is_512, chars) = match id {
            "5" => (false, 43),
            "6" => (true, 86),
            _ => return Err(malformed()),
        };
        if rounds > ROUNDS_MAX {
            return Err(FormatError::above("rounds of crypt(3)", u64::from(rounds), u64::from(ROUNDS_MAX), ""));
        }
        if rounds < Params::ROUNDS_MIN || salt.len() > SALT_CHARS_MAX || output.len() != chars {
            return Err(malformed());
        }
        Ok(Self { text: text.to_owned(), is_512 })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn name(&self) -> &'static str {
        if self.is_512 { "sha512-crypt" } else { "sha256-crypt" }
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let hash = PasswordHashRef::new(&self.text);
        hash.is_ok_and(|hash| ShaCrypt::default().verify_password(password, hash).is_ok())
    }
}
