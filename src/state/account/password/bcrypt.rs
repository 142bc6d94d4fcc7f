//! bcrypt, as `$2a$`, `$2b$` and `$2y$` write it, by itself or over a digest that makes room for longer passwords.
//!
//! It takes the first 72 bytes, a zero byte at the end included; what comes after them never mattered. `$2x$` marks
//! hashes of a faulty version that mixed passwords up: none of today's libraries makes them, and they are refused.

use ::bcrypt::HashParts;
use aws_lc_rs::{
    digest::{self, SHA256},
    hmac,
};
use zeroize::Zeroizing;

use super::{encoding::to_padded_base64, limits::FormatError};
use crate::domain::id::hex;

/// The binary logarithm of the rounds, at most: about a second.
const COST_MAX: u32 = 14;

/// A hash and what is hashed.
#[derive(Clone)]
pub(super) struct BcryptHash {
    text: String,
    input: Input,
}

/// What bcrypt is given in the place of a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// The password.
    Password,
    /// The hexadecimal digits of its SHA-256: Django's `bcrypt_sha256`.
    Sha256Hex,
    /// Base64 of its HMAC-SHA-384 under `wp-sha384`: WordPress from 6.8 on.
    WordPress,
}

impl Input {
    /// What stands before bcrypt's own text in the store.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Password => "",
            Self::Sha256Hex => "$bcrypt-sha256",
            Self::WordPress => "$wp",
        }
    }

    fn of(self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Password => password.to_vec(),
            Self::Sha256Hex => hex(digest::digest(&SHA256, password).as_ref()).into_bytes(),
            Self::WordPress => {
                let key = hmac::Key::new(hmac::HMAC_SHA384, b"wp-sha384");
                to_padded_base64(hmac::sign(&key, password.trim_ascii()).as_ref()).into_bytes()
            }
        })
    }
}

impl BcryptHash {
    /// Reads bcrypt's own text.
    pub(super) fn read(text: &str, input: Input) -> Result<Self, FormatError> {
        if text.starts_with("$2x$") {
            return Err(FormatError::new(
                "$2x$ marks a hash of the faulty bcrypt of 2011, which several passwords may open: set a new password",
            ));
        }
        let parts: HashParts = text.parse().map_err(|_| {
            FormatError::new(
                "this is no bcrypt hash: it must have 60 characters, $2a$, $2b$ or $2y$ and two digits of cost",
            )
        })?;
        if parts.get_cost() > COST_MAX {
            return Err(FormatError::above("bcrypt cost", u64::from(parts.get_cost()), u64::from(COST_MAX), ""));
        }
        if parts.get_cost() < 4 {
            return Err(FormatError::new("bcrypt has a cost of at least 4"));
        }
        Ok(Self { text: text.to_owned(), input })
    }

    pub(super) fn to_text(&self) -> String {
        format!("{}{}", self.input.prefix(), self.text)
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.input {
            Input::Password => "bcrypt",
            Input::Sha256Hex => "bcrypt-sha256",
            Input::WordPress => "bcrypt-wordpress",
        }
    }

    /// The comparison takes the same time for every wrong password.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        ::bcrypt::verify(self.input.of(password).as_slice(), &self.text).unwrap_or(false)
    }
}
