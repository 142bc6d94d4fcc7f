//! scrypt (RFC 7914), in the PHC string format, and Firebase's variant of it.

use ::scrypt::Params;
use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use zeroize::Zeroizing;

use super::{
    encoding::{from_base64, to_base64},
    limits::{FormatError, MEMORY_KIB_MAX, OUTPUT_BYTES, check_output, equal, parameters},
};

/// N · r · p, at most: four times what the most memory takes.
const WORK_MAX: u64 = 4 * (MEMORY_KIB_MAX as u64) * 1024 / 128;

/// Bytes of Firebase's signer key, at most.
const SIGNER_KEY_BYTES_MAX: usize = 256;

/// What scrypt is run with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    log_n: u8,
    r: u32,
    p: u32,
}

impl Cost {
    /// Costs within the limits; `n` is a power of two.
    pub(super) fn new(log_n: u32, r: u32, p: u32) -> Result<Self, FormatError> {
        let malformed =
            || FormatError::new("these are no parameters of scrypt: N is a power of two, r and p at least 1");
        let log_n = u8::try_from(log_n).ok().filter(|log_n| (1..=63).contains(log_n)).ok_or_else(malformed)?;
        if r == 0 || p == 0 {
            return Err(malformed());
        }
        let (n, r64, p64) = (1_u128 << log_n, u128::from(r), u128::from(p));
        let kib = (128 * n * r64).max(128 * r64 * p64) / 1024;
        if kib > u128::from(MEMORY_KIB_MAX) {
            let kib = u64::try_from(kib).unwrap_or(u64::MAX);
            return Err(FormatError::above("scrypt memory", kib, u64::from(MEMORY_KIB_MAX), " KiB"));
        }
        let work = u64::try_from(n * r64 * p64).unwrap_or(u64::MAX);
        if work > WORK_MAX {
            return Err(FormatError::above("scrypt work (N times r times p)", work, WORK_MAX, ""));
        }
        Params::new(log_n, r, p).map_err(|_| malformed())?;
        Ok(Self { log_n, r, p })
    }

    /// The same from N itself.
    pub(super) fn of_n(n: u64, r: u32, p: u32) -> Result<Self, FormatError> {
        if !n.is_power_of_two() {
            return Err(FormatError::new("scrypt's N must be a power of two"));
        }
        Self::new(n.ilog2(), r, p)
    }

    fn derive(self, password: &[u8], salt: &[u8], output: &mut [u8]) -> bool {
        let params = Params::new(self.log_n, self.r, self.p);
        params.is_ok_and(|params| ::scrypt::scrypt(password, salt, &params, output).is_ok())
    }
}

/// A hash and what it was made with.
#[derive(Clone)]
pub(super) struct ScryptHash {
    cost: Cost,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl ScryptHash {
    pub(super) fn new(cost: Cost, salt: Vec<u8>, output: Vec<u8>) -> Result<Self, FormatError> {
        check_output(&salt, &output)?;
        Ok(Self { cost, salt, output })
    }

    /// Reads `$scrypt$ln=14,r=8,p=1$salt$output`.
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let malformed = || FormatError::new("this is no scrypt hash in the PHC string format");
        let fields: Vec<_> = text.split('$').collect();
        let ["", "scrypt", costs, salt, output] = fields[..] else { return Err(malformed()) };
        let [log_n, r, p] = parameters(costs, ["ln", "r", "p"]).ok_or_else(malformed)?;
        let (salt, output) = (from_base64(salt).ok_or_else(malformed)?, from_base64(output).ok_or_else(malformed)?);
        Self::new(Cost::new(log_n, r, p)?, salt, output)
    }

    pub(super) fn to_text(&self) -> String {
        let Cost { log_n, r, p } = self.cost;
        format!("$scrypt$ln={log_n},r={r},p={p}${}${}", to_base64(&self.salt), to_base64(&self.output))
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let mut output = Zeroizing::new(vec![0; self.output.len()]);
        self.cost.derive(password, &self.salt, &mut output) && equal(&output, &self.output)
    }
}

/// Firebase Authentication's hash: the project's signer key, encrypted under a key that scrypt derives. It takes the
/// project's parameters, which the console shows under «password hash parameters».
#[derive(Clone)]
pub(super) struct FirebaseHash {
    cost: Cost,
    salt: Vec<u8>,
    separator: Vec<u8>,
    signer_key: Vec<u8>,
    output: Vec<u8>,
}

impl FirebaseHash {
    /// Reads `$firescrypt$ln=14,r=8,p=1$salt$output$separator$signer key`, or the same as
    /// `$fbscrypt$v=1,n=14,r=8,p=1,ss=separator,sk=signer key$salt$output`.
    pub(super) fn read(text: &str) -> Result<Self, FormatError> {
        let malformed = || {
            FormatError::new(
                "this is no Firebase hash: write $firescrypt$ln=14,r=8,p=1$salt$hash$separator$signer key, with the \
                 project's own memory cost as ln and rounds as r",
            )
        };
        let fields: Vec<_> = text.split('$').collect();
        let (costs, salt, output, separator, signer_key) = match fields[..] {
            ["", "firescrypt", costs, salt, output, separator, signer_key] => {
                let costs = parameters(costs, ["ln", "r", "p"]).ok_or_else(malformed)?;
                (costs, salt, output, separator, signer_key)
            }
            ["", "fbscrypt", costs, salt, output] => {
                let (numbers, keys) = costs.split_once(",ss=").ok_or_else(malformed)?;
                let (separator, signer_key) = keys.split_once(",sk=").ok_or_else(malformed)?;
                let [version, log_n, r, p] = parameters(numbers, ["v", "n", "r", "p"]).ok_or_else(malformed)?;
                if version != 1 {
                    return Err(malformed());
                }
                ([log_n, r, p], salt, output, separator, signer_key)
            }
            _ => return Err(malformed()),
        };
        let [log_n, r, p] = costs;
        let decode = |text| from_base64(text).ok_or_else(malformed);
        let hash = Self {
            cost: Cost::new(log_n, r, p)?,
            salt: decode(salt)?,
            separator: decode(separator)?,
            signer_key: decode(signer_key)?,
            output: decode(output)?,
        };
        let length = hash.signer_key.len();
        if hash.output.len() != length || !(*OUTPUT_BYTES.start()..=SIGNER_KEY_BYTES_MAX).contains(&length) {
            return Err(FormatError::new("a Firebase hash is as long as the project's signer key: one of them is cut"));
        }
        check_output(&hash.salt, &hash.output[..*OUTPUT_BYTES.start()])?;
        Ok(hash)
    }

    pub(super) fn to_text(&self) -> String {
        let Cost { log_n, r, p } = self.cost;
        let [salt, output, separator, signer_key] =
            [&self.salt, &self.output, &self.separator, &self.signer_key].map(|bytes| to_base64(bytes));
        format!("$firescrypt$ln={log_n},r={r},p={p}${salt}${output}${separator}${signer_key}")
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let salt = [self.salt.as_slice(), &self.separator].concat();
        let mut key = Zeroizing::new([0; 64]);
        if !self.cost.derive(password, &salt, &mut *key) {
            return false;
        }
        let mut encrypted = self.signer_key.clone();
        let cipher = UnboundCipherKey::new(&AES_256, &key[..32]).and_then(DecryptingKey::ctr);
        // In counter mode both directions are the same.
        let context = DecryptionContext::Iv128([0; 16].into());
        cipher.is_ok_and(|cipher| cipher.decrypt(&mut encrypted, context).is_ok()) && equal(&encrypted, &self.output)
    }
}
