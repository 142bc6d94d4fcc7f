//! JWTs (RFC 7519), read strictly as RFC 8725 asks: exactly three parts in strict base64url, no
//! repeated members, one algorithm a key, an explicit type, no critical extensions, and every registered
//! claim present with its type.
//!
//! Signing is jsonwebtoken's; reading is ours, because jsonwebtoken counts a missing `aud` or `iss` as
//! fine, does not enforce `crit`, parses header and claims twice, and the key on each call. It stands beside
//! ours as an oracle in tests and in a fuzz target: what we take, it takes.
//!
//! ```text
//! open      which of the readers a token is for
//! header    the header
//! members   JSON objects without repeated members
//! own       tokens of ours
//! legacy    tokens of imported keys
//! external  tokens of external issuers
//! refused   why a token is refused
//! ```

mod external;
mod header;
mod legacy;
mod members;
mod open;
mod own;
mod refused;

pub(super) use open::{defect, open, unverified_origin};
pub(super) use own::payload;
pub use refused::ClaimDefect;
