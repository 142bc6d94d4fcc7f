//! Passwords and client secrets, as they are kept: argon2id, and what other systems made until its owner's next login.
//!
//! ```text
//! password_hash  a hash as text
//! todays_hash    argon2id, as hashes are made today         verify  whether a password is the one of an account
//! foreign   reads a hash of another system: one of a closed list of spellings; limits: what it may be
//! slow      hashes that are slow on purpose, kept as they are: argon · bcrypt · scrypt · pbkdf2 · sha_crypt · phpass
//! fast      clear secrets and digests, by a rule: sealed at once, wrapped in argon2id later
//! stored    the text in the store, the key that seals, and what a login is held against
//! encoding  bytes in text
//! beside    two secrets of an account that are taken side by side
//! ```

mod argon;
mod bcrypt;
mod beside;
mod encoding;
mod fast;
mod foreign;
mod limits;
mod md5_crypt;
mod password_hash;
mod pbkdf2;
mod phpass;
mod rule;
mod scrypt;
mod sha_crypt;
mod slow;
mod stored;
#[cfg(test)]
pub(crate) mod tests;
mod todays_hash;
#[cfg(test)]
mod vectors;
mod verify;

pub(in crate::state::account) use self::beside::verify_together;
pub use self::{
    beside::{Matched, are_told_together, hash_beside, todays_cost_class},
    fast::FastHash,
    foreign::{Encoding, Foreign, Reading},
    limits::{FormatError, MEMORY_KIB_MAX},
    password_hash::PasswordHash,
    rule::Rule,
    slow::SlowHash,
    stored::{Check, MARK_BYTES, PASSWORD_KEY_BYTES, PasswordKey, Unopenable, format_of, to_stored},
    todays_hash::{PASSWORD_BYTES_MAX, PasswordError, check, hash, needs_rehash},
    verify::{is_guessable, verify},
};
