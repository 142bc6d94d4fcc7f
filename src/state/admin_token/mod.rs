//! The tokens of the admin API: named, with a role and an end. The store has their digests; a gateway knows them in
//! memory, so that who asks is known while the store is away.
//!
//! ```text
//! token       the text: how one is made and told from any other       role   what it may do
//! repository  making, listing and revoking in the store               known  in memory, following the store
//! ```

mod known;
mod repository;
mod role;
mod token;

pub use known::KnownAdminTokens;
pub use repository::{ADMIN_TOKENS_MAX, AdminToken, AdminTokenError, insert, list, revoke};
pub use role::AdminRole;
pub use token::{Made, TokenDigest, make};
