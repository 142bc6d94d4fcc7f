//! What a hash of another system may be, and why one is not taken over.

use std::{borrow::Cow, ops::RangeInclusive};

use aws_lc_rs::constant_time;
use thiserror::Error;

/// Memory of a hash that another system made, at most: 128 MiB. What would take more is not taken over.
pub const MEMORY_KIB_MAX: u32 = 128 * 1024;

/// Bytes of an output that another system made. A shorter one could be met by chance.
pub(super) const OUTPUT_BYTES: RangeInclusive<usize> = 16..=64;

/// Bytes of its salt, at most.
pub(super) const SALT_BYTES_MAX: usize = 256;

/// Why a hash or a rule is not taken over: a sentence, without any part of the hash.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct FormatError(Cow<'static, str>);

impl FormatError {
    pub(super) const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub(super) const fn of(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// A cost above the limit.
    pub(super) fn above(what: &str, found: u64, max: u64, unit: &str) -> Self {
        Self::of(format!(
            "{what} of {found}{unit} is above {max}{unit}: every login would cost that. Set a new password"
        ))
    }

    pub(super) const fn unknown() -> Self {
        Self::new(
            "this is no hash that Portero knows; docs/migration.md has the list, and portero import --probe tries one",
        )
    }
}

/// Compares in a time that depends on the lengths alone.
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Refuses an output or a salt of a length that no system has.
pub(super) fn check_output(salt: &[u8], output: &[u8]) -> Result<(), FormatError> {
    if !OUTPUT_BYTES.contains(&output.len()) {
        return Err(FormatError::new("the hash is cut: its output must have from 16 to 64 bytes"));
    }
    if salt.len() > SALT_BYTES_MAX {
        return Err(FormatError::new("a salt has at most 256 bytes"));
    }
    Ok(())
}

/// The numbers of `ln=14,r=8,p=1`, with these names in this order.
pub(super) fn parameters<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let mut fields = text.split(',');
    for (number, name) in numbers.iter_mut().zip(names) {
        *number = fields.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
    }
    fields.next().is_none().then_some(numbers)
}
