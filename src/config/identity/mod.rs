//! Whose tokens and logins count.
//!
//! ```text
//! realms          [tokens] [realms.NAME]: accounts of ours, and the tokens that they get
//!   dialect       which contract a realm speaks
//! issuers         [issuers.NAME]: tokens from elsewhere
//!   claims        which claims say what in them
//!   introspection their issuer is asked about each
//! verifiers       [verifiers.NAME]: old systems that are asked about logins and tokens
//! ```
//!
//! Realms come first: issuers and verifiers name them. What comes out is what routes and token endpoints may name.

pub(super) mod claims;
mod dialect;
mod introspection;
pub(super) mod issuers;
pub(super) mod realms;
pub(super) mod verifiers;
