//! The tables of the file that the process itself needs.
//!
//! ```text
//! server       [server] [admin] [reload]
//!   listen     server.listen: addresses, TLS, PROXY protocol
//! records      [log] [audit]
//! credentials  [passwords] [throttle] [cache]
//! keys         [keys]: how signing keys rotate
//! store        [store]: a file, or a PostgreSQL server
//! ```
//!
//! A table goes in, its module's settings come out, with the places that [`super::cross`] compares.

mod credentials;
mod keys;
mod listen;
mod records;
mod server;
mod store;

pub(super) use credentials::{cache, passwords, throttle};
pub(super) use keys::keys;
pub(super) use records::{audit, log};
pub(super) use server::{Admin, BODY_BYTES, Defaults, Server, admin, reload, server};
pub use store::store_at;
pub(super) use store::{STALE, store};
