//! How a system makes a digest of a password, written down: `sha1(salt + password)`, `md5(hex(md5(password)) + salt)`,
//! `hmac_sha256(pepper, password)`, `repeat(1024, sha256, salt + password)`.
//!
//! ```text
//! rule    = digest "(" join ")" / "hmac_" digest "(" join "," join ")" / "repeat(" number "," digest "," join ")"
//! join    = part *( "+" part )
//! part    = "password" / "salt" / "pepper" / 'text' / rule
//!         / "hex(" join ")" / "upper_hex(" join ")" / "base64(" join ")" / "utf16le(password)"
//! digest  = "md4" / "md5" / "sha1" / "sha256" / "sha512"
//! ```

use std::fmt;

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest},
    hmac,
};
use md4::Md4;
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::{encoding::to_padded_base64, limits::FormatError};
use crate::domain::id::hex;

/// Bytes of a rule, at most.
const RULE_BYTES_MAX: usize = 256;

/// Rules within rules, at most.
const DEPTH_MAX: u32 = 8;

/// Rounds of `repeat`, at most. What takes more is no fast hash.
const ROUNDS_MAX: u32 = 100_000;

/// A rule that was understood.
#[derive(Clone, PartialEq, Eq)]
pub struct Rule {
    text: String,
    root: Part,
}

/// What goes into a rule.
pub(super) struct Inputs<'a> {
    pub(super) password: &'a [u8],
    pub(super) salt: &'a [u8],
    pub(super) pepper: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    Md4,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Password,
    Salt,
    Pepper,
    Text(Vec<u8>),
    Utf16Password,
    Join(Vec<Part>),
    Digest(Digest, Box<Part>),
    Repeat(u32, Digest, Box<Part>),
    Hmac(Digest, Box<Part>, Box<Part>),
    Hex(Box<Part>),
    UpperHex(Box<Part>),
    Base64(Box<Part>),
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// Says where it is not understood, and what may stand there.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        if text.len() > RULE_BYTES_MAX {
            return Err(FormatError::new("a rule has at most 256 bytes"));
        }
        let mut parser = Parser { rest: text, text, depth: 0 };
        let root = parser.part()?;
        parser.skip();
        if !parser.rest.is_empty() {
            return Err(parser.wrong("the end of the rule"));
        }
        if !matches!(root, Part::Digest(..) | Part::Repeat(..) | Part::Hmac(..)) {
            return Err(FormatError::new("a rule is a digest of something, for example sha1(salt + password)"));
        }
        if !root.has_password() {
            return Err(FormatError::new("a rule has the password in it: every password would match"));
        }
        Ok(Self { text: text.to_owned(), root })
    }

    /// A rule of this crate's own.
    pub(super) fn known(text: &'static str) -> Self {
        Self::parse(text).expect("Portero's own rules are rules")
    }

    /// The rule as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it takes a salt.
    #[must_use]
    pub fn has_salt(&self) -> bool {
        self.root.has(&Part::Salt)
    }

    /// Whether it takes a pepper.
    #[must_use]
    pub fn has_pepper(&self) -> bool {
        self.root.has(&Part::Pepper)
    }

    /// What its outputs are called.
    pub(super) const fn name(&self) -> &'static str {
        match &self.root {
            Part::Hmac(digest, ..) => match digest {
                Digest::Md4 => "hmac-md4",
                Digest::Md5 => "hmac-md5",
                Digest::Sha1 => "hmac-sha1",
                Digest::Sha256 => "hmac-sha256",
                Digest::Sha512 => "hmac-sha512",
            },
            Part::Digest(Digest::Md4, _) | Part::Repeat(_, Digest::Md4, _) => "md4",
            Part::Digest(Digest::Md5, _) | Part::Repeat(_, Digest::Md5, _) => "md5",
            Part::Digest(Digest::Sha1, _) | Part::Repeat(_, Digest::Sha1, _) => "sha1",
            Part::Digest(Digest::Sha512, _) | Part::Repeat(_, Digest::Sha512, _) => "sha512",
            // Nothing else is a root.
            _ => "sha256",
        }
    }

    /// Bytes of its output.
    pub(super) const fn output_bytes(&self) -> usize {
        match &self.root {
            Part::Digest(digest, _) | Part::Repeat(_, digest, _) | Part::Hmac(digest, ..) => digest.bytes(),
            _ => 0,
        }
    }

    /// Its output.
    pub(super) fn output(&self, inputs: &Inputs<'_>) -> Zeroizing<Vec<u8>> {
        self.root.evaluate(inputs)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text in it may be a pepper.
        f.write_str("Rule(…)")
    }
}

impl Digest {
    fn named(name: &str) -> Option<Self> {
        match name {
            "md4" => Some(Self::Md4),
            "md5" => Some(Self::Md5),
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Md4 | Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn of(self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        let of = |algorithm| digest(algorithm, bytes).as_ref().to_vec();
        Zeroizing::new(match self {
            Self::Md4 => Md4::digest(bytes).to_vec(),
            Self::Md5 => Md5::digest(bytes).to_vec(),
            Self::Sha1 => of(&SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => of(&SHA256),
            Self::Sha512 => of(&SHA512),
        })
    }

    fn hmac(self, key: &[u8], bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        let sign = |algorithm| hmac::sign(&hmac::Key::new(algorithm, key), bytes).as_ref().to_vec();
        Zeroizing::new(match self {
            Self::Md4 => return hmac_of::<Md4>(key, bytes),
            Self::Md5 => return hmac_of::<Md5>(key, bytes),
            Self::Sha1 => sign(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => sign(hmac::HMAC_SHA256),
            Self::Sha512 => sign(hmac::HMAC_SHA512),
        })
    }
}

/// HMAC (RFC 2104) over MD4 and MD5, which the cipher library leaves out. Both have blocks of 64 bytes.
fn hmac_of<D: md5::Digest>(key: &[u8], bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut block = Zeroizing::new([0; 64]);
    let hashed;
    let key = if key.len() > block.len() {
        hashed = Zeroizing::new(D::digest(key).to_vec());
        hashed.as_slice()
    } else {
        key
    };
    block[..key.len()].copy_from_slice(key);
    let [inner, outer] = [0x36, 0x5c].map(|pad| Zeroizing::new(block.map(|byte| byte ^ pad)));
    let inner = D::new().chain_update(*inner).chain_update(bytes).finalize();
    Zeroizing::new(D::new().chain_update(*outer).chain_update(inner).finalize().to_vec())
}

impl Part {
    fn evaluate(&self, inputs: &Inputs<'_>) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Password => inputs.password.to_vec(),
            Self::Salt => inputs.salt.to_vec(),
            Self::Pepper => inputs.pepper.to_vec(),
            Self::Text(text) => text.clone(),
            Self::Utf16Password => {
                String::from_utf8_lossy(inputs.password).encode_utf16().flat_map(u16::to_le_bytes).collect()
            }
            Self::Join(parts) => parts.iter().flat_map(|part| part.evaluate(inputs).to_vec()).collect(),
            Self::Digest(digest, of) => return digest.of(&of.evaluate(inputs)),
            Self::Repeat(rounds, digest, of) => {
                return (0..*rounds).fold(of.evaluate(inputs), |state, _| digest.of(&state));
            }
            Self::Hmac(digest, key, of) => return digest.hmac(&key.evaluate(inputs), &of.evaluate(inputs)),
            Self::Hex(of) => hex(&of.evaluate(inputs)).into_bytes(),
            Self::UpperHex(of) => hex(&of.evaluate(inputs)).to_uppercase().into_bytes(),
            Self::Base64(of) => to_padded_base64(&of.evaluate(inputs)).into_bytes(),
        })
    }

    fn has_password(&self) -> bool {
        self.has(&Self::Password) || self.has(&Self::Utf16Password)
    }

    fn has(&self, what: &Self) -> bool {
        self == what
            || match self {
                Self::Join(parts) => parts.iter().any(|part| part.has(what)),
                Self::Hmac(_, key, of) => key.has(what) || of.has(what),
                Self::Digest(_, of)
                | Self::Repeat(_, _, of)
                | Self::Hex(of)
                | Self::UpperHex(of)
                | Self::Base64(of) => of.has(what),
                Self::Password | Self::Salt | Self::Pepper | Self::Text(_) | Self::Utf16Password => false,
            }
    }
}

/// What is left to read.
struct Parser<'t> {
    rest: &'t str,
    text: &'t str,
    depth: u32,
}

impl<'t> Parser<'t> {
    fn part(&mut self) -> Result<Part, FormatError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FormatError::new("a rule nests at most eight deep"));
        }
        self.skip();
        if let Some(rest) = self.rest.strip_prefix('\'') {
            let (text, rest) = rest.split_once('\'').ok_or_else(|| self.wrong("a text's closing '"))?;
            self.rest = rest;
            self.depth -= 1;
            return Ok(Part::Text(text.as_bytes().to_vec()));
        }
        let before = self.rest;
        let part = match self.word() {
            "password" => Part::Password,
            "salt" => Part::Salt,
            "pepper" => Part::Pepper,
            "utf16le" => match self.argument()? {
                Part::Password => Part::Utf16Password,
                _ => return Err(self.wrong("utf16le(password)")),
            },
            "hex" => Part::Hex(Box::new(self.argument()?)),
            "upper_hex" => Part::UpperHex(Box::new(self.argument()?)),
            "base64" => Part::Base64(Box::new(self.argument()?)),
            "repeat" => self.repeat()?,
            word => match (Digest::named(word), word.strip_prefix("hmac_").and_then(Digest::named)) {
                (Some(digest), _) => Part::Digest(digest, Box::new(self.argument()?)),
                (None, Some(digest)) => self.hmac(digest)?,
                (None, None) => {
                    self.rest = before;
                    return Err(self.wrong(
                        "password, salt, pepper, a 'text', md4, md5, sha1, sha256, sha512, hmac_…, repeat, hex, upper_hex, \
                         base64 or utf16le",
                    ));
                }
            },
        };
        self.depth -= 1;
        Ok(part)
    }

    fn join(&mut self) -> Result<Part, FormatError> {
        let mut parts = vec![self.part()?];
        while self.take('+') {
            parts.push(self.part()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Part::Join(parts) })
    }

    fn argument(&mut self) -> Result<Part, FormatError> {
        self.expect('(')?;
        let part = self.join()?;
        self.expect(')')?;
        Ok(part)
    }

    fn hmac(&mut self, digest: Digest) -> Result<Part, FormatError> {
        self.expect('(')?;
        let key = self.join()?;
        self.expect(',')?;
        let of = self.join()?;
        self.expect(')')?;
        Ok(Part::Hmac(digest, Box::new(key), Box::new(of)))
    }

    fn repeat(&mut self) -> Result<Part, FormatError> {
        self.expect('(')?;
        self.skip();
        let rounds = self.word().parse().ok().filter(|rounds| (1..=ROUNDS_MAX).contains(rounds));
        let rounds = rounds.ok_or_else(|| self.wrong("a number of rounds, from 1 to 100000"))?;
        self.expect(',')?;
        self.skip();
        let digest = Digest::named(self.word()).ok_or_else(|| self.wrong("md5, sha1, sha256 or sha512"))?;
        self.expect(',')?;
        let of = self.join()?;
        self.expect(')')?;
        Ok(Part::Repeat(rounds, digest, Box::new(of)))
    }

    fn word(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn take(&mut self, character: char) -> bool {
        self.skip();
        let taken = self.rest.strip_prefix(character);
        self.rest = taken.unwrap_or(self.rest);
        taken.is_some()
    }

    fn expect(&mut self, character: char) -> Result<(), FormatError> {
        if self.take(character) { Ok(()) } else { Err(self.wrong(&format!("'{character}'"))) }
    }

    fn wrong(&self, expected: &str) -> FormatError {
        let at = self.text.len() - self.rest.len() + 1;
        FormatError::of(format!("the rule is not understood at character {at}: {expected} must stand there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(rule: &str) -> String {
        let rule = Rule::parse(rule).unwrap();
        hex(&rule.output(&Inputs { password: "contraseña".as_bytes(), salt: b"pepe", pepper: b"p" }))
    }

    /// Each value is that of Python's hashlib and hmac for the same bytes.
    #[test]
    fn a_rule_says_what_is_hashed_and_in_which_order() {
        for (rule, expected) in RULES {
            assert_eq!(output(rule), *expected, "{rule}");
            assert_eq!(Rule::parse(rule).unwrap().output_bytes() * 2, expected.len(), "{rule}");
        }
    }

    const RULES: &[(&str, &str)] = &[
        ("sha1(salt + password)", "d72425d1825837b8e0950769e5f5eadbbb3ca612"),
        ("sha256(password+salt)", "d5ae772f25daa10c5100ba3cca5fc0e7bf77dc95a3411eda370ac7f7d2648df7"),
        (
            "sha512(pepper + password + salt)",
            "31ceb80849c31ffeb5db3d7fb43759f603a37844765520f166f12bccb4624cdc79fb8f94e92b91d4e19c71e861a896dbe5ad20f502eb25d4d4f4d862c8fca501",
        ),
        ("md5(password)", "4c882dcb24bcb1bc225391a602feca7c"),
        ("md5(hex(md5(password)) + salt)", "d4c45d352a26158401c9d580b015f7e0"),
        ("sha1('--' + salt + '--' + password + '--')", "e30172aea5128e3334109ac98d1c8e576b4329f1"),
        ("md5(upper_hex(sha1(password)))", "46a73b021237170cf4f8ef4294660f8b"),
        ("sha256(base64(md5(password)))", "61cbe955f79b3dd4bd3ba61d6638f60973d83ea57e8dc4f99d5386b0f49ab5a9"),
        ("hmac_sha256(pepper, password)", "8ffdf7c05c1e4063e51b9153a1c048f59a62e8852685323740a196127e5f44ea"),
        ("hmac_sha1(salt, password)", "6159aa19eaa626d074e78289ed93c9b2e4c8ff59"),
        (
            "hmac_sha512(salt + pepper, password)",
            "9a7304684eaf90cf9a18487369d48a1a9dca1cc8cf11bf6338b973b06aedac8da2b48e2d5a31a725eed9789feaea9b5abaec3d01960cc80fe9c8a2f2b6540ee8",
        ),
        ("hmac_md5(salt, password)", "4865e40419133fa323b4b05fdfb7d7bb"),
        ("hmac_md5(hex(sha512(salt)), password)", "58e85ca9348e7af2b3ae1eca4e03b73e"),
        ("repeat(3, sha256, salt + password)", "7d3d8439c6bf6cb6ef02b29bab370d688f33650e586d0907b12f0d3c6d58baac"),
        ("sha1(utf16le(password))", "494490d456ee4f2b3427a60e81ecabfbbe4f7848"),
    ];

    #[test]
    fn what_is_no_rule_is_refused_with_its_place() {
        for (rule, said) in [
            ("", "character 1"),
            ("password", "digest of something"),
            ("hex(sha1(password))", "digest of something"),
            ("sha1(salt)", "every password"),
            ("sha1(password", "character 14: ')'"),
            ("sha1(password) x", "character 16"),
            ("sha3(password)", "character 1"),
            ("sha1(password + )", "character 17"),
            ("sha1('x + password)", "closing"),
            ("repeat(0, sha1, password)", "rounds"),
            ("repeat(10, sha3, password)", "md5, sha1"),
            ("md5(md5(md5(md5(md5(md5(md5(md5(password))))))))", "eight deep"),
            ("utf16le(salt)", "utf16le(password)"),
        ] {
            let error = Rule::parse(rule).unwrap_err().to_string();
            assert!(error.contains(said), "{rule}: {error}");
        }
        assert!(Rule::parse(&format!("sha1(password + '{}')", "x".repeat(RULE_BYTES_MAX))).is_err());
    }
}
