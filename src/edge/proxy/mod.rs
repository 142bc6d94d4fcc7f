//! The front door: our accept loop, and pingora behind it.
//!
//! We read each request's head ourselves (`head`), with one deadline for all of it and its framing
//! checked, and hand the bytes to pingora, which parses them and proxies. Between requests the
//! connection is ours again.

mod admission;
mod connection;
mod doorman;
mod exchange;
mod forward;
mod head;
mod listener;
mod local;
mod record;
mod relay;
mod serve;
mod settings;
mod shared;
mod sockets;

pub use listener::serve;
pub use settings::Settings;
pub use shared::{Means, Shared, Tunables};
pub use sockets::{Listeners, bind};
