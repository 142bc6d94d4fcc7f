//! The services behind: pools of servers.
//!
//! ```text
//! settings  what an upstream is
//! pool      what may be asked of its servers at once, and again
//! servers   the servers of a pool: which one is next
//! server    one address: how it has been doing, and a request's turn there
//! balance   which comes next, as a matter of weights (pure)
//! breaker   a server that fails in a row is left alone for a while (pure)
//! recent_successes  which clients had a good response lately (pure)
//! budget    how many retries there may be (pure)
//! request_slot  how many requests at once
//! connect/  a connection to one as bytes: what is spoken, TLS
//! watch     the tasks of a pool: looking names up, asking servers whether they are healthy
//! probe     one such question
//! local     which errors are this machine's own (pure)
//! own       which addresses lead back to the gateway itself
//! ```

mod balance;
mod breaker;
mod budget;
mod connect;
mod epoch;
mod local;
pub mod own;
mod pool;
mod probe;
mod recent_successes;
pub mod request_slot;
mod server;
mod servers;
mod settings;
#[cfg(test)]
mod tests;
mod watch;

pub use balance::hash_of;
pub use connect::{
    HttpVersion, Identity, Received, Speak, TlsError, TlsSettings, TooManyBytes, Transport, check_system,
    install_provider,
};
pub use local::is_local;
pub use pool::{CONNECTION_FAILURES, Failure, Pool, RESPONSE_BUFFER_BYTES, Unusable};
pub use recent_successes::ClientRoute;
pub use server::{Held, Server, ServerLease};
pub use settings::{Balance, Eject, HashBy, Health, PoolSettings, Probe, RETRIES_MAX, ServerSettings, Timeouts};
pub use watch::{look_up, watch};
