//! The languages of a contract's texts.
//!
//! ```text
//! phrases       the phrases of HTTP statuses that contracts share
//! negotiation   which language a client reads, from its `Accept-Language`
//! tag           a language's tag
//! ```

mod negotiation;
mod phrases;
mod tag;

pub(super) use self::{negotiation::negotiate, phrases::House};
pub(super) use tag::{LANGUAGES_MAX, LanguageTag};
