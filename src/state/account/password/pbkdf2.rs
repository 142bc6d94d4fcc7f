//! PBKDF2 (RFC 8018) with HMAC-SHA-1, SHA-256 or SHA-512, as Django, ASP.NET, passlib, Werkzeug, Spring and directory
//! servers write it.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512};

use super::{
    encoding::{from_base64, from_hex, from_passlib, to_base64},
    limits::{FormatError, check_output, parameters},
};

/// Iterations, at most.
const ITERATIONS_MAX: u32 = 2_000_000;

/// The hash under HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prf {
    Sha1,
    Sha256,
    Sha512,
}

impl Prf {
    /// As Django, passlib and others name it.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// A hash and what it was made with.
#[derive(Clone)]
pub(super) struct Pbkdf2Hash {
    prf: Prf,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Pbkdf2Hash {
    pub(super) fn new(prf: Prf, iterations: u32, salt: Vec<u8>, output: Vec<u8>) -> Result<Self, FormatError> {
        check_output(&salt, &output)?;
        if iterations > ITERATIONS_MAX {
            return Err(FormatError::above("PBKDF2 iterations", u64::from(iterations), u64::from(ITERATIONS_MAX), ""));
        }
        let iterations =
            NonZeroU32::new(iterations).ok_or_else(|| FormatError::new("PBKDF2 takes at least one iteration"))?;
        Ok(Self { prf, iterations, salt, output })
    }

    /// Reads `$pbkdf2-sha256$i=600000$salt$output`, with `l=32` or without; and passlib's, which has the number alone.
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let malformed = || FormatError::new("this is no PBKDF2 hash: $pbkdf2-sha256$iterations$salt$hash is one");
        let fields: Vec<_> = text.split('$').collect();
        let ["", id, costs, salt, output] = fields[..] else { return Err(malformed()) };
        // Passlib's name of the oldest one.
        let prf = if id == "pbkdf2" { "sha1" } else { id.strip_prefix("pbkdf2-").ok_or_else(malformed)? };
        let prf = Prf::named(prf).ok_or_else(malformed)?;
        if let Ok(iterations) = costs.parse() {
            let (salt, output) = (from_passlib(salt), from_passlib(output));
            return Self::new(prf, iterations, salt.ok_or_else(malformed)?, output.ok_or_else(malformed)?);
        }
        let (salt, output) = (from_base64(salt).ok_or_else(malformed)?, from_base64(output).ok_or_else(malformed)?);
        let iterations = match costs.split_once(",l=") {
            Some((costs, length)) if length == output.len().to_string() => parameters(costs, ["i"]),
            Some(_) => None,
            None => parameters(costs, ["i"]),
        };
        let [iterations] = iterations.ok_or_else(malformed)?;
        Self::new(prf, iterations, salt, output)
    }

    /// ASP.NET Identity's, as bytes. Version 2 is a zero, 16 bytes of salt and 32 of output, made with HMAC-SHA-1 in
    /// 1,000 iterations. Version 3 is a one, and three numbers of 32 bits: the hash, the iterations and the salt's
    /// length. `None` for what is neither.
    pub(super) fn read_asp_net(bytes: &[u8]) -> Option<Result<Self, FormatError>> {
        match bytes.split_first()? {
            (0, rest) if rest.len() == 48 => {
                Some(Self::new(Prf::Sha1, 1_000, rest[..16].to_vec(), rest[16..].to_vec()))
            }
            (1, rest) => {
                let (numbers, rest) = rest.split_first_chunk::<12>()?;
                let number =
                    |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
                let prf = [Prf::Sha1, Prf::Sha256, Prf::Sha512].get(usize::try_from(number(0)).ok()?)?;
                let (salt, output) = rest.split_at_checked(usize::try_from(number(8)).ok()?)?;
                Some(Self::new(*prf, number(4), salt.to_vec(), output.to_vec()))
            }
            _ => None,
        }
    }

    /// Spring's: the salt and the output in hexadecimal digits.
    pub(super) fn read_spring(text: &str, prf: Prf, iterations: u32, salt_bytes: usize) -> Result<Self, FormatError> {
        let malformed = || FormatError::new("this is no PBKDF2 hash of Spring's defaults");
        let bytes = from_hex(text).ok_or_else(malformed)?;
        let (salt, output) = bytes.split_at_checked(salt_bytes).ok_or_else(malformed)?;
        Self::new(prf, iterations, salt.to_vec(), output.to_vec())
    }

    pub(super) fn to_text(&self) -> String {
        let name = self.name();
        format!("${name}$i={}${}${}", self.iterations, to_base64(&self.salt), to_base64(&self.output))
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.prf {
            Prf::Sha1 => "pbkdf2-sha1",
            Prf::Sha256 => "pbkdf2-sha256",
            Prf::Sha512 => "pbkdf2-sha512",
        }
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let algorithm = match self.prf {
            Prf::Sha1 => PBKDF2_HMAC_SHA1,
            Prf::Sha256 => PBKDF2_HMAC_SHA256,
            Prf::Sha512 => PBKDF2_HMAC_SHA512,
        };
        pbkdf2::verify(algorithm, self.iterations, &self.salt, password, &self.output).is_ok()
    }
}
