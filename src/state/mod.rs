//! Floor 2: what is remembered. `store` is the disk; the others keep what the request path reads in memory.

pub mod account;
pub mod admin_token;
pub mod clock;
pub mod keys;
pub mod limit;
pub mod refresh;
pub mod revocation;
pub mod session;
pub mod store;
pub mod store_snapshot;
pub mod takeover;
pub mod token;
