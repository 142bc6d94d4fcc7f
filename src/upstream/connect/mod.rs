//! A connection to a server as bytes.
//!
//! ```text
//! protocol   what is spoken with a server
//! tls        TLS towards a pool's servers, and whom we trust there
//! transport  the connection, in the clear or through TLS, with its deadline
//! ```
//!
//! A socket and a server's name go in; a [`Transport`] comes out, and what is spoken over it.

mod protocol;
mod tls;
mod transport;

pub use protocol::{HttpVersion, Speak};
pub(super) use tls::Tls;
pub use tls::{Identity, TlsError, TlsSettings, check_system, install_provider};
pub use transport::{Received, TooManyBytes, Transport};
