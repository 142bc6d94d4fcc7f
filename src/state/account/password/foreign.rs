//! Reads a hash as another system exports it. Each spelling is one of a closed list; anything else is refused
//! with a sentence that never holds a part of the hash.

use std::fmt;

use super::{
    bcrypt::{BcryptHash, Input},
    encoding::{crypt_value, from_base64, from_hex},
    fast::FastHash,
    limits::FormatError,
    md5_crypt,
    pbkdf2::{Pbkdf2Hash, Prf},
    rule::Rule,
    scrypt::{Cost, ScryptHash},
    slow::{Kind, SlowHash},
};
use crate::domain::{Secret, secret::SecretBytes};

/// Bytes of a hash with all that belongs to it, at most.
const HASH_BYTES_MAX: usize = 2048;

/// Characters of a hash of the DES crypt.
const DES_CRYPT_CHARS: usize = 13;

/// A hash of another system.
#[derive(Clone)]
pub enum Foreign {
    /// It is slow on purpose.
    Slow(SlowHash),
    /// It is a clear secret or a digest.
    Fast(FastHash),
}

/// How bytes are written in a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As text.
    Text,
    /// In hexadecimal digits.
    #[default]
    Hex,
    /// In Base64 or base64url, padded or not.
    Base64,
}

/// What the operator says about hashes that do not say themselves how they were made.
#[derive(Clone)]
pub struct Reading {
    /// How a digest is made.
    pub rule: Option<Rule>,
    /// How digests are written.
    pub digests: Encoding,
    /// How salts are written.
    pub salts: Encoding,
    /// What the old system keeps beside its table.
    pub pepper: SecretBytes,
}

impl Default for Reading {
    fn default() -> Self {
        Self { rule: None, digests: Encoding::Hex, salts: Encoding::Text, pepper: SecretBytes::new(vec![]) }
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Foreign({})", self.name())
    }
}

impl Foreign {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Slow(hash) => hash.name(),
            Self::Fast(hash) => hash.name(),
        }
    }

    /// Whether `password` is the one of it. It takes as long as the format does.
    #[must_use]
    pub fn verify(&self, password: &Secret) -> bool {
        let password = password.expose().as_bytes();
        match self {
            Self::Slow(hash) => hash.verify(password),
            Self::Fast(hash) => hash.verify(password),
        }
    }

    /// Reads a hash, with the salt of a column of its own where there is one.
    ///
    /// # Errors
    /// Says why it cannot be taken over.
    pub fn read(hash: &str, salt: Option<&str>, reading: &Reading) -> Result<Self, FormatError> {
        if hash.len() > HASH_BYTES_MAX {
            return Err(FormatError::new("a hash has at most 2048 bytes"));
        }
        if hash.trim() != hash {
            return Err(FormatError::new("the hash begins or ends with white space"));
        }
        let names_itself = hash.starts_with(['$', '{']) || hash.contains('$');
        if names_itself {
            if salt.is_some_and(|salt| !salt.is_empty()) {
                return Err(FormatError::new("this hash has its salt in itself: leave the salt's column empty"));
            }
            return read_named(hash);
        }
        match &reading.rule {
            Some(rule) => by_rule(hash, salt, rule, reading).or_else(|refused| asp_net(hash).unwrap_or(Err(refused))),
            None => asp_net(hash).unwrap_or_else(|| Err(unruled(hash))),
        }
    }
}

fn read_named(hash: &str) -> Result<Foreign, FormatError> {
    if hash.starts_with('{') {
        return in_braces(hash, true);
    }
    if !hash.starts_with('$') {
        return django_or_werkzeug(hash);
    }
    crypt(hash)
}

/// What begins with a dollar.
fn crypt(hash: &str) -> Result<Foreign, FormatError> {
    // MD5 in a thousand rounds, or in 2^7 to 2^20, is quickly tried.
    if md5_crypt::is_named(hash) {
        return FastHash::read_md5_crypt(hash).map(Foreign::Fast);
    }
    if hash.starts_with("$P$") || hash.starts_with("$H$") {
        return FastHash::read_phpass(hash).map(Foreign::Fast);
    }
    SlowHash::read(hash).map(Foreign::Slow)
}

/// Whether a text has the form of the DES crypt: two characters of salt and eleven of hash.
fn is_des_crypt(text: &str) -> bool {
    text.len() == DES_CRYPT_CHARS && text.bytes().all(|character| crypt_value(character).is_some())
}

fn des_crypt_refused() -> FormatError {
    FormatError::new(
        "this is the DES crypt, which counts only the first eight characters of a password, so it is not taken over: set \
         a new password, or ask the old system at a login",
    )
}

/// Why a hash that does not name its format is refused.
fn unruled(hash: &str) -> FormatError {
    let digits = from_hex(hash).map(|bytes| bytes.len());
    match digits {
        Some(16 | 20 | 32 | 64) => FormatError::new(
            "a digest does not say how it was made: say so with --rule, for example --rule 'sha1(salt + password)'",
        ),
        _ if is_des_crypt(hash) => des_crypt_refused(),
        _ if hash.starts_with('!') || hash.starts_with('*') => {
            FormatError::new("the old system marks this account as one without a usable password")
        }
        _ => FormatError::unknown(),
    }
}

fn by_rule(hash: &str, salt: Option<&str>, rule: &Rule, reading: &Reading) -> Result<Foreign, FormatError> {
    let output = decode(hash, reading.digests).ok_or_else(|| {
        FormatError::new("the digest is not written as --hash-encoding says, hexadecimal digits unless it does")
    })?;
    let salt = match (rule.has_salt(), salt) {
        (true, Some(salt)) => decode(salt, reading.salts)
            .ok_or_else(|| FormatError::new("the salt is not written as --salt-encoding says"))?,
        (true, None) => return Err(FormatError::new("the rule has a salt, and the row has no column 'salt'")),
        (false, None | Some("")) => vec![],
        (false, Some(_)) => return Err(FormatError::new("the row has a salt, and the rule has none")),
    };
    FastHash::by_rule(rule.clone(), salt, reading.pepper.clone(), output).map(Foreign::Fast)
}

fn decode(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Text => Some(text.as_bytes().to_vec()),
        Encoding::Hex => from_hex(text),
        Encoding::Base64 => from_base64(text),
    }
}

fn asp_net(hash: &str) -> Option<Result<Foreign, FormatError>> {
    let read = Pbkdf2Hash::read_asp_net(&from_base64(hash)?)?;
    Some(read.map(|hash| Foreign::Slow(SlowHash(Kind::Pbkdf2(hash)))))
}

/// Django's `algorithm$…`, and Werkzeug's `method:costs$salt$hash`.
fn django_or_werkzeug(hash: &str) -> Result<Foreign, FormatError> {
    let malformed = || FormatError::new("this hash begins as one of Django or Werkzeug, and does not go on as one");
    let (id, rest) = hash.split_once('$').ok_or_else(FormatError::unknown)?;
    let fields: Vec<_> = rest.split('$').collect();
    let number = |text: &str| text.parse::<u32>().map_err(|_| malformed());
    let base64 = |text: &str| from_base64(text).ok_or_else(malformed);
    let slow = |kind| Ok(Foreign::Slow(SlowHash(kind)));
    let id_parts: Vec<_> = id.split(':').collect();
    match (&id_parts[..], &fields[..]) {
        (["pbkdf2_sha256" | "pbkdf2_sha1" | "pbkdf2_sha512"], [iterations, salt, output]) => {
            let prf = Prf::named(&id["pbkdf2_".len()..]).ok_or_else(malformed)?;
            let salt = salt.as_bytes().to_vec();
            slow(Kind::Pbkdf2(Pbkdf2Hash::new(prf, number(iterations)?, salt, base64(output)?)?))
        }
        (["argon2"], _) => SlowHash::read(&format!("${rest}")).map(Foreign::Slow),
        (["bcrypt"], _) => slow(Kind::Bcrypt(BcryptHash::read(rest, Input::Password)?)),
        (["bcrypt_sha256"], _) => slow(Kind::Bcrypt(BcryptHash::read(rest, Input::Sha256Hex)?)),
        (["scrypt"], [n, salt, r, p, output]) => {
            let cost = Cost::of_n(number(n)?.into(), number(r)?, number(p)?)?;
            slow(Kind::Scrypt(ScryptHash::new(cost, salt.as_bytes().to_vec(), base64(output)?)?))
        }
        (["md5" | "sha1"], [salt, output]) => {
            let rule = if id == "md5" { "md5(salt + password)" } else { "sha1(salt + password)" };
            digest(rule, salt.as_bytes(), from_hex(output).ok_or_else(malformed)?)
        }
        (["pbkdf2", prf, iterations], [salt, output]) => {
            let prf = Prf::named(prf).ok_or_else(malformed)?;
            let output = from_hex(output).ok_or_else(malformed)?;
            slow(Kind::Pbkdf2(Pbkdf2Hash::new(prf, number(iterations)?, salt.as_bytes().to_vec(), output)?))
        }
        (["scrypt", n, r, p], [salt, output]) => {
            let cost = Cost::of_n(number(n)?.into(), number(r)?, number(p)?)?;
            let output = from_hex(output).ok_or_else(malformed)?;
            slow(Kind::Scrypt(ScryptHash::new(cost, salt.as_bytes().to_vec(), output)?))
        }
        _ => Err(FormatError::unknown()),
    }
}

fn digest(rule: &'static str, salt: &[u8], output: Vec<u8>) -> Result<Foreign, FormatError> {
    FastHash::by_rule(Rule::known(rule), salt.to_vec(), SecretBytes::new(vec![]), output).map(Foreign::Fast)
}

/// Spring's `{id}` and the schemes of directory servers (RFC 2307 and what followed it).
fn in_braces(hash: &str, may_nest: bool) -> Result<Foreign, FormatError> {
    let (id, rest) = hash[1..].split_once('}').ok_or_else(FormatError::unknown)?;
    let slow = |kind| Ok(Foreign::Slow(SlowHash(kind)));
    match id.to_ascii_lowercase().as_str() {
        "noop" | "cleartext" | "clear" | "plain" => Ok(Foreign::Fast(FastHash::clear(Secret::from(rest)))),
        "ldap" if may_nest => in_braces(rest, false),
        "crypt" if is_des_crypt(rest) => Err(des_crypt_refused()),
        "crypt" => crypt(rest),
        "nt" | "ntlm" => {
            let malformed = || FormatError::new("an NT hash has 32 hexadecimal digits");
            digest("md4(utf16le(password))", b"", from_hex(rest).ok_or_else(malformed)?)
        }
        "lm" | "lanman" => Err(FormatError::new(
            "LM hashes know neither the case of letters nor more than 14 of them, so they are not taken over: take the NT \
             hash beside it, or set a new password",
        )),
        "bcrypt" | "argon2" | "argon2@springsecurity_v5_8" => SlowHash::read(rest).map(Foreign::Slow),
        "scrypt" | "scrypt@springsecurity_v5_8" => slow(Kind::Scrypt(spring_scrypt(rest)?)),
        "pbkdf2@springsecurity_v5_8" => slow(Kind::Pbkdf2(Pbkdf2Hash::read_spring(rest, Prf::Sha256, 310_000, 16)?)),
        "pbkdf2" if !rest.contains('$') => slow(Kind::Pbkdf2(Pbkdf2Hash::read_spring(rest, Prf::Sha1, 185_000, 8)?)),
        "pbkdf2" | "pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512" => {
            let id = id.to_ascii_lowercase();
            slow(Kind::Pbkdf2(Pbkdf2Hash::read(&format!("${id}${rest}"))?))
        }
        "pkcs5s2" => slow(Kind::Pbkdf2(atlassian(rest)?)),
        "sha256" if rest.len() == 80 && from_hex(rest).is_some() => spring_standard(rest),
        "md5" | "sha-1" | "sha-256" | "sha" | "sha256" | "sha512" if is_spring_digest(rest) => spring_digest(id, rest),
        "md5" => directory("md5(password)", 16, rest),
        "smd5" => directory("md5(password + salt)", 16, rest),
        "sha" => directory("sha1(password)", 20, rest),
        "ssha" => directory("sha1(password + salt)", 20, rest),
        "sha256" => directory("sha256(password)", 32, rest),
        "ssha256" => directory("sha256(password + salt)", 32, rest),
        "sha512" => directory("sha512(password)", 64, rest),
        "ssha512" => directory("sha512(password + salt)", 64, rest),
        _ => Err(FormatError::unknown()),
    }
}

/// The digest, and behind it the salt.
fn directory(rule: &'static str, digest_bytes: usize, rest: &str) -> Result<Foreign, FormatError> {
    let malformed = || FormatError::new("this scheme of a directory server takes Base64 of the digest and the salt");
    let bytes = from_base64(rest).ok_or_else(malformed)?;
    let (output, salt) = bytes.split_at_checked(digest_bytes).ok_or_else(malformed)?;
    if rule.contains("salt") == salt.is_empty() {
        return Err(malformed());
    }
    digest(rule, salt, output.to_vec())
}

/// `$e0801$salt$hash`: the binary logarithm of N in 16 bits, r and p in eight each.
fn spring_scrypt(rest: &str) -> Result<ScryptHash, FormatError> {
    let malformed = || FormatError::new("this is no scrypt hash of Spring");
    let fields: Vec<_> = rest.split('$').collect();
    let ["", costs, salt, output] = fields[..] else { return Err(malformed()) };
    let costs = u32::from_str_radix(costs, 16).map_err(|_| malformed())?;
    let (salt, output) = (from_base64(salt).ok_or_else(malformed)?, from_base64(output).ok_or_else(malformed)?);
    ScryptHash::new(Cost::new(costs >> 16, costs >> 8 & 0xff, costs & 0xff)?, salt, output)
}

/// Eight bytes of salt, and SHA-256 in 1,024 rounds.
fn spring_standard(rest: &str) -> Result<Foreign, FormatError> {
    let bytes = from_hex(rest).ok_or_else(FormatError::unknown)?;
    let (salt, output) = bytes.split_at_checked(8).ok_or_else(FormatError::unknown)?;
    digest("repeat(1024, sha256, salt + password)", salt, output.to_vec())
}

fn is_spring_digest(rest: &str) -> bool {
    let output = rest.rsplit_once('}').map_or(rest, |(_, output)| output);
    from_hex(output).is_some_and(|output| matches!(output.len(), 16 | 20 | 32 | 64)) || rest.starts_with('{')
}

/// `{salt}digest`: the braces are part of what is hashed.
fn spring_digest(id: &str, rest: &str) -> Result<Foreign, FormatError> {
    let malformed = || FormatError::new("this is no digest of Spring's MessageDigestPasswordEncoder");
    let end = if rest.starts_with('{') { rest.find('}').ok_or_else(malformed)? + 1 } else { 0 };
    let (salt, output) = rest.split_at(end);
    let rule = match id.to_ascii_lowercase().as_str() {
        "md5" => "md5(password + salt)",
        "sha-1" | "sha" => "sha1(password + salt)",
        "sha-256" | "sha256" => "sha256(password + salt)",
        _ => "sha512(password + salt)",
    };
    digest(rule, salt.as_bytes(), from_hex(output).ok_or_else(malformed)?)
}

/// Atlassian's: 16 bytes of salt and 32 of output, made with HMAC-SHA-1 in 10,000 iterations.
fn atlassian(rest: &str) -> Result<Pbkdf2Hash, FormatError> {
    let malformed = || FormatError::new("this is no hash of Atlassian");
    let bytes = from_base64(rest).filter(|bytes| bytes.len() == 48).ok_or_else(malformed)?;
    Pbkdf2Hash::new(Prf::Sha1, 10_000, bytes[..16].to_vec(), bytes[16..].to_vec())
}
