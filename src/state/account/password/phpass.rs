//! phpass: WordPress before 6.8 and phpBB 3 (`$P$`, `$H$`, MD5), Drupal 7 to 10 (`$S$`, SHA-512).

use aws_lc_rs::digest::{self, SHA512};
use md5::{Digest, Md5};

use super::{
    encoding::{crypt_value, to_crypt},
    limits::{FormatError, equal},
};

/// The binary logarithm of the rounds, at least and at most.
const LOG2_MIN: u8 = 7;
const LOG2_MAX: u8 = 20;

/// Characters of the setting: the prefix, the rounds and eight of salt.
const SETTING_CHARS: usize = 12;

/// Characters that Drupal keeps of its output, and phpass of its own.
const SHA512_CHARS: usize = 43;
const MD5_CHARS: usize = 22;

/// What an output is made with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Setting {
    text: String,
    is_512: bool,
    rounds: u32,
}

impl Setting {
    /// Reads the first twelve characters of a hash.
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let malformed = || {
            FormatError::new(
                "this is no hash of phpass: $P$, $H$ or $S$, a letter, eight characters of salt and the hash",
            )
        };
        let bytes = text.as_bytes();
        if bytes.len() != SETTING_CHARS || !text.is_ascii() {
            return Err(malformed());
        }
        let is_512 = match &bytes[..3] {
            b"$P$" | b"$H$" => false,
            b"$S$" => true,
            _ => return Err(malformed()),
        };
        let log2 = crypt_value(bytes[3]).ok_or_else(malformed)?;
        if log2 > LOG2_MAX {
            return Err(FormatError::above(
                "the binary logarithm of phpass's rounds",
                u64::from(log2),
                u64::from(LOG2_MAX),
                "",
            ));
        }
        if log2 < LOG2_MIN {
            return Err(malformed());
        }
        Ok(Self { text: text.to_owned(), is_512, rounds: 1 << log2 })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The output for a password, as text.
    pub(super) fn output(&self, password: &[u8]) -> String {
        let salt = &self.text.as_bytes()[4..];
        let round = |first: &[u8], second: &[u8]| if self.is_512 { sha512(first, second) } else { md5(first, second) };
        let chars = if self.is_512 { SHA512_CHARS } else { MD5_CHARS };
        let mut state = round(salt, password);
        for _ in 0..self.rounds {
            state = round(&state, password);
        }
        let mut text = to_crypt(&state);
        text.truncate(chars);
        text
    }
}

fn md5(first: &[u8], second: &[u8]) -> Vec<u8> {
    Md5::new().chain_update(first).chain_update(second).finalize().to_vec()
}

fn sha512(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut context = digest::Context::new(&SHA512);
    context.update(first);
    context.update(second);
    context.finish().as_ref().to_vec()
}

/// Parts a hash into its setting and its output.
pub(super) fn read(text: &str) -> Result<(Setting, String), FormatError> {
    let (setting, output) = text.split_at_checked(SETTING_CHARS).unwrap_or(("", ""));
    let setting = Setting::read(setting)?;
    let chars = if setting.is_512 { SHA512_CHARS } else { MD5_CHARS };
    if output.len() != chars || !output.bytes().all(|character| crypt_value(character).is_some()) {
        return Err(FormatError::new("this hash of phpass is cut, or has more than its characters"));
    }
    Ok((setting, output.to_owned()))
}

/// Drupal's hash: SHA-512 in at least 2^7 rounds, by default 2^15 or 2^16.
#[derive(Clone)]
pub(super) struct DrupalHash {
    setting: Setting,
    output: String,
}

impl DrupalHash {
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let (setting, output) = read(text)?;
        if !setting.is_512 {
            return Err(FormatError::new("this is no hash of Drupal: $S$ begins one"));
        }
        Ok(Self { setting, output })
    }

    pub(super) fn to_text(&self) -> String {
        format!("{}{}", self.setting.text, self.output)
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        equal(self.setting.output(password).as_bytes(), self.output.as_bytes())
    }
}
