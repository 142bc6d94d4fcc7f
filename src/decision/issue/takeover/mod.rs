//! Logins that an old system has a part in.
//!
//! ```text
//! lead       a login that Portero answers, and the old system confirms
//! learn      what is kept of an old system's yes and no
//! observe    a login that the old system answered: it is compared, and learnt from
//! confirm    the task that asks about logins which were decided while the old system was away
//! old_system what the others know of the old system: where it is, and its refusals in the contract's words
//! ```
//!
//! What follows from both systems' words is decided in [`rules::verifier`](crate::rules::verifier).

pub mod confirm;
mod lead;
mod learn;
mod observe;
mod old_system;

pub use observe::Observed;
pub use old_system::{Lead, rejection};
