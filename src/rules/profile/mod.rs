//! Claim profiles: how tokens look that are not Portero's own: those of an imported key ([`ClaimProfile`]), and those
//! of an external issuer ([`ClaimMapping`], [`Shipped`]).
//!
//! Each API that Portero takes over has tokens in the field. A profile says which claims they carry,
//! which may be absent, and what counts as their expiry. Everything it does not say is as RFC 8725 asks.
//!
//! ```text
//! claim_profile  the claims of an imported key's tokens
//! mapping        the claims of an external issuer's tokens
//! shipped        the mappings of well-known issuers
//! ```

mod claim_profile;
mod mapping;
mod shipped;

pub use claim_profile::{ClaimProfile, InstantFormat, Optional};
pub use mapping::ClaimMapping;
pub use shipped::Shipped;
