//! Floor 5: bytes in and out.
//!
//! ```text
//! listen           sockets, TLS, the PROXY protocol, and what is known of a client's connection
//! armour           the bytes of a connection before any parser: framing, bounds, floods
//! forward          one request's life: admit, attempt, response, record
//! front            the accept loop, the workers, and what is spoken on a connection
//! token_endpoints  the contracts' own paths
//! respond          the one place where a reason becomes a status and a body
//! admin            metrics, health and the API, on a listener of their own
//! ```

pub mod admin;
mod armour;
pub mod forward;
pub mod front;
pub mod listen;
pub mod respond;
pub mod token_endpoints;
