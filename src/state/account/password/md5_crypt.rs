//! MD5-crypt: crypt(3)'s `$1$` and Apache's `$apr1$`, MD5 in a thousand rounds (Poul-Henning Kamp, 1994). That is
//! quickly tried today, so it never lies in the store as it is.

use md5::{Digest, Md5};

use super::{
    encoding::{crypt_value, to_crypt},
    limits::FormatError,
};

/// What begins such a hash.
const MAGICS: [&str; 2] = ["$1$", "$apr1$"];

/// Characters of the salt, at most, and of the output.
const SALT_CHARS_MAX: usize = 8;
const OUTPUT_CHARS: usize = 22;

const ROUNDS: u32 = 1000;

/// What an output is made with: `$1$salt`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Setting {
    text: String,
    magic: &'static str,
}

/// Whether a text begins as such a hash.
pub(super) fn is_named(text: &str) -> bool {
    MAGICS.iter().any(|magic| text.starts_with(magic))
}

/// Parts a hash into its setting and its output.
pub(super) fn read(text: &str) -> Result<(Setting, String), FormatError> {
    let (setting, output) = text.rsplit_once('$').unwrap_or_default();
    let setting = Setting::read(setting)?;
    if output.len() != OUTPUT_CHARS || !output.bytes().all(|character| crypt_value(character).is_some()) {
        return Err(FormatError::new("this hash of MD5-crypt is cut, or has more than its characters"));
    }
    Ok((setting, output.to_owned()))
}

impl Setting {
    /// Reads what stands before the output.
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let magic = MAGICS.into_iter().find(|magic| text.starts_with(magic));
        let salt = magic.and_then(|magic| text.strip_prefix(magic));
        match (magic, salt) {
            (Some(magic), Some(salt)) if salt.len() <= SALT_CHARS_MAX && !salt.contains('$') => {
                Ok(Self { text: text.to_owned(), magic })
            }
            _ => Err(FormatError::new(
                "this is no hash of MD5-crypt: $1$ or $apr1$, a salt of at most eight characters, $ and the hash",
            )),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn name(&self) -> &'static str {
        if self.magic == MAGICS[0] { "md5-crypt" } else { "apr1" }
    }

    /// The output for a password, as text.
    pub(super) fn output(&self, password: &[u8]) -> String {
        let salt = &self.text.as_bytes()[self.magic.len()..];
        let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
        let mut context = Md5::new().chain_update(password).chain_update(self.magic).chain_update(salt);
        for chunk in password.chunks(inner.len()) {
            context.update(&inner[..chunk.len()]);
        }
        let mut length = password.len();
        while length > 0 {
            context.update(if length & 1 == 1 { &[0][..] } else { &password[..1] });
            length >>= 1;
        }
        let mut state = context.finalize();
        for round in 0..ROUNDS {
            let is_odd = round % 2 == 1;
            let mut context = Md5::new();
            context.update(if is_odd { password } else { &state[..] });
            if round % 3 != 0 {
                context.update(salt);
            }
            if round % 7 != 0 {
                context.update(password);
            }
            context.update(if is_odd { &state[..] } else { password });
            state = context.finalize();
        }
        to_crypt(&[12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11].map(|place| state[place]))
    }
}
