//! Argon2 (RFC 9106) in the PHC string format: Portero's own hashes, and those of PHP, Python, Node and others.

use argon2::{Algorithm, Argon2, Params, Version, password_hash::phc};

use super::limits::{FormatError, MEMORY_KIB_MAX, equal};

/// Memory times passes, at most, in KiB: eight passes over the most memory.
const WORK_KIB_MAX: u64 = 8 * MEMORY_KIB_MAX as u64;

/// Lanes, at most.
const LANES_MAX: u32 = 16;

/// A hash and what it was made with.
#[derive(Clone)]
pub(super) struct Argon2Hash {
    text: String,
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: phc::Salt,
    output: phc::Output,
}

impl Argon2Hash {
    /// Reads a hash of the store. It was within the limits when it came there.
    pub(super) fn read_stored(text: &str) -> Result<Self, FormatError> {
        let malformed = || FormatError::new("this is no argon2 hash in the PHC string format");
        let parsed = phc::PasswordHash::new(text).map_err(|_| malformed())?;
        let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).map_err(|_| malformed())?;
        let version = match parsed.version {
            Some(version) => Version::try_from(version).map_err(|_| malformed())?,
            // What has no version was made before there were two.
            None => Version::V0x10,
        };
        let params = Params::try_from(&parsed).map_err(|_| malformed())?;
        let (Some(salt), Some(output)) = (parsed.salt, parsed.hash) else { return Err(malformed()) };
        Ok(Self { text: text.to_owned(), algorithm, version, params, salt, output })
    }

    /// Reads a hash of another system, within the limits.
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let hash = Self::read_stored(text)?;
        let (memory, passes, lanes) = (hash.params.m_cost(), hash.params.t_cost(), hash.params.p_cost());
        if memory > MEMORY_KIB_MAX {
            return Err(FormatError::above("argon2 memory", u64::from(memory), u64::from(MEMORY_KIB_MAX), " KiB"));
        }
        let work = u64::from(memory) * u64::from(passes);
        if work > WORK_KIB_MAX {
            return Err(FormatError::above("argon2 memory times passes", work, WORK_KIB_MAX, " KiB"));
        }
        if lanes > LANES_MAX {
            return Err(FormatError::above("argon2 lanes", u64::from(lanes), u64::from(LANES_MAX), ""));
        }
        if !hash.params.keyid().is_empty() || !hash.params.data().is_empty() {
            return Err(FormatError::new(
                "this argon2 hash was made with a key or with data that are not in it: no password would ever match. Set a \
                 new password",
            ));
        }
        Ok(hash)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Argon2d => "argon2d",
            Algorithm::Argon2i => "argon2i",
            Algorithm::Argon2id => "argon2id",
        }
    }

    /// Whether it was made as today's are, or stronger.
    pub(super) fn is_current(&self, least: &Params) -> bool {
        self.algorithm == Algorithm::Argon2id
            && self.version == Version::V0x13
            && self.params.m_cost() >= least.m_cost()
            && self.params.t_cost() >= least.t_cost()
            && self.params.p_cost() >= least.p_cost()
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let mut output = vec![0; self.output.len()];
        // The length is the output's own.
        let Ok(params) = Params::new(self.params.m_cost(), self.params.t_cost(), self.params.p_cost(), None) else {
            return false;
        };
        let made = Argon2::new(self.algorithm, self.version, params);
        made.hash_password_into(password, &self.salt, &mut output).is_ok() && equal(&output, self.output.as_bytes())
    }
}
