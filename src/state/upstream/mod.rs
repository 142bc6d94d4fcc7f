//! The services behind: pools of servers. With `edge::proxy`, the one place that knows pingora's types.

mod pool;
mod settings;

pub use pool::{Pool, Server, Transport, UnresolvedServer};
pub use settings::{Settings, Timeouts};
