//! OAuth 2.0 (RFC 6749): the words of its endpoints, and of denials on its routes. Who may have what is decided
//! elsewhere.
//!
//! ```text
//! form           reads requests
//! client         reads which client asks
//! scope          scopes
//! dialect        what token requests are answered, and denials
//! introspection  what introspection answers
//! document       documents of JSON: keys, metadata
//! error          its errors
//! ```

pub mod client;
mod dialect;
mod document;
mod error;
pub mod form;
mod introspection;
pub mod scope;

pub(super) use dialect::Oauth;
pub use document::document;
pub use error::OAuthError;
pub use introspection::{Active, inactive};
pub use scope::{INTROSPECT, REVOKE};

/// The media type of requests (RFC 6749 section 4.4.2, RFC 7009 section 2.1, RFC 7662 section 2.1).
pub use crate::domain::form::FORM;
