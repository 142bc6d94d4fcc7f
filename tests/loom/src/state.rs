//! As much of `src/state` as revocations ask for.

pub(crate) mod clock;
pub(crate) mod revocation;
