//! What the OAuth endpoints do: prove a client, give it tokens, exchange refresh tokens, revoke and
//! introspect. The token service does it, with the store on the control runtime, as he does logins.
//!
//! ```text
//! client      proving a client
//! subject     the principal that a token is for
//! exchange    tokens for a client, and for a refresh token
//! revoke      RFC 7009
//! introspect  RFC 7662
//! ```

mod client;
mod exchange;
mod introspect;
mod revoke;
mod subject;
#[cfg(test)]
mod tests;

pub use client::Client;
