//! Refresh tokens that rotate (RFC 9700 section 4.14.2): every exchange spends one and makes its
//! successor, so that a session has one line of descent. A token that is used again long after it was
//! spent was copied: its whole session is revoked.
//!
//! An answer may be lost on its way. For a grace, a spent token therefore gives its successor once
//! more, the same one, as long as that is unspent. The store keeps the successor only sealed under a
//! key that the spent token is needed for: who reads the store can use none of them.
//!
//! ```text
//! rotate    spends a token and makes its successor
//! families  ends all tokens of a session
//! find      what is known of tokens and sessions; forgets what has ended
//! row       a token as the store has it
//! secret    tokens as texts, and how a successor is sealed
//! ```

mod families;
mod find;
mod rotate;
mod row;
mod secret;
#[cfg(test)]
mod tests;

pub use families::{end_families_in, end_families_of, end_more_families};
pub use find::{client_of, find, is_revoked, prune};
pub use rotate::{EXCHANGES_MAX, GRACE_DEFAULT, RotationOutcome, Terms, accuse, spend};
pub use row::Successor;
pub use secret::is_rotating;
