//! Tokens: minting them, opening them, and remembering those that were opened.
//!
//! ```text
//! new_token  what a new token says         mint  makes it
//! open       a token's text in, its claims and its key out, or the reason why it is none
//! jwt/       tokens that are JWTs
//! sealed     tokens that are sealed
//! issuers    everybody whose tokens are read
//! cache      tokens that were opened
//! ```

mod cache;
mod issuers;
mod jwt;
mod mint;
mod new_token;
mod open;
mod sealed;
#[cfg(test)]
mod tests;

pub use cache::{CacheSettings, InternalToken, Verified, VerifiedTokens};
pub use issuers::{Issuers, Realms};
pub use jwt::ClaimDefect;
pub use mint::mint;
pub use new_token::NewToken;
pub use open::{TOKEN_BYTES_MAX, check_times, defect, open, unverified_origin};
pub use sealed::{MintError, SEALED_TEXT_BYTES_MAX, sealed_text_bytes};
