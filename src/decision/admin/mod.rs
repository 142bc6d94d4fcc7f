//! What operators do, for the admin API and the commands alike.
//!
//! ```text
//! steward   revoking, sessions, and the store behind
//! accounts  accounts and companies
//! key_care  rotating, retiring, importing and revoking keys
//! ```

pub mod accounts;
pub(super) mod key_care;
pub(super) mod steward;
