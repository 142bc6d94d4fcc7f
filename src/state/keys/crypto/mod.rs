//! One key: what it is made of, and what it does.
//!
//! ```text
//! key          a key, parsed once: it signs, verifies, seals
//! material     what it is made of, read from bytes     state    where it stands in its life
//! imported     what else is known of one from outside
//! valid_until  until when an external issuer's is believed
//! jwk          public keys as they travel (RFC 7517)      ed25519  its weak keys
//! spki         public keys as X.509 has them, for others
//! thumbprint   tells material apart
//! ```
//!
//! Bytes go in, and a [`Key`] comes out where they are a sound key of the algorithm.

mod ed25519;
mod imported;
pub mod jwk;
mod key;
mod material;
pub mod spki;
mod state;
mod thumbprint;
mod valid_until;

pub use imported::Imported;
pub use key::{Key, KeyError};
pub use material::MaterialBytes;
pub use state::KeyState;
pub use valid_until::ValidUntil;
