//! Connections, from accept to close.
//!
//! ```text
//! accept   the accept loop: limits, the PROXY protocol, TLS; then a worker
//! workers  the threads that serve, a runtime each
//! begun    what a connection begins with, behind TLS or in the clear
//! http1    one HTTP/1 connection, request after request
//! http2    one HTTP/2 connection, a task for each stream
//! ```

mod accept;
mod begun;
mod http1;
mod http2;
mod workers;

pub use accept::serve;
pub use workers::Workers;
