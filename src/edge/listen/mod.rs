//! From a listening socket to a connection that is ready to be read.
//!
//! In come sockets: bound, inherited or handed over. Out comes a `Connection`: who the client is, what it
//! speaks, and what its certificate says.
//!
//! ```text
//! settings          what the config says of it
//! sockets           binding
//! listener_runtime  what stands behind a socket: its certificates, or a balancer's protocol
//! limits            how many connections there may be
//! proxy_protocol    what a balancer says of the client
//! tls               handshakes, resumption, certificates
//! preface           HTTP/1, or HTTP/2 with prior knowledge
//! stream            a connection as bytes
//! connection        what is known of a connection afterwards
//! trusted           which headers of a trusted proxy are believed
//! forwarded         the chain in `Forwarded`
//! ```

pub(super) mod connection;
pub(super) mod forwarded;
pub(super) mod limits;
pub(super) mod listener_runtime;
pub(super) mod preface;
pub(super) mod proxy_protocol;
pub(super) mod settings;
pub(super) mod sockets;
pub(super) mod stream;
pub mod tls;
pub(super) mod trusted;

pub use settings::{Listen, ListenSettings};
pub use sockets::{Listeners, bind, can_bind};
pub use trusted::{TrustedHeader, TrustedHeaders};
