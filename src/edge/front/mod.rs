//! Connections, from accept to close.
//!
//! ```text
//! accept         the start, and the end: draining, and the sweeper meanwhile
//! turns          which worker accepts
//! enter          before the first request: limits, the PROXY protocol, TLS
//! workers        the threads that serve, a runtime each
//! begun          what a connection begins with, behind TLS or in the clear
//! http1          one HTTP/1 connection, request after request
//! http2          one HTTP/2 connection, a task for each stream
//! refused_heads  heads of HTTP/2 that are refused before anything of ours sees them
//! ```

mod accept;
mod begun;
mod enter;
mod http1;
mod http2;
mod refused_heads;
mod turns;
mod workers;

pub use accept::serve;
pub use workers::Workers;
