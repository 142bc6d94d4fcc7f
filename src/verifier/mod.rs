//! Old systems that are asked about logins: what the config says of one, and one exchange with it under bounds.
//!
//! Which system may be asked when, and what an answer means, is decided above (`decision::verifier`,
//! `rules::verifier`).

mod client;
mod settings;

pub use client::{Client, ExchangeError, RELAYED_BYTES_MAX, Relayed};
pub use settings::{Bounds, CheckEndpoint, MAX_AGE_DEFAULT, TokenCheckSettings, VerifierSettings};
