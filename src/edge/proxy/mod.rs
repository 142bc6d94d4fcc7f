//! The front door: our accept loop, and pingora behind it.
//!
//! We read each request's head ourselves (`head`), with one deadline for all of it and its framing checked. What it asks
//! for says who goes on: `direct`, where it is plain and so is its server's protocol; `tunnel`, for an upgrade; and for
//! everything else pingora, which parses the bytes and proxies. Between requests the connection is ours again.

mod admission;
mod body;
mod chunks;
mod client;
mod connection;
mod direct;
mod door;
mod doorman;
mod exchange;
mod forward;
mod forwarded;
mod h2;
mod h2_floods;
mod h2_frames;
mod head;
mod limits;
mod listener;
mod live;
mod local;
mod message;
mod patience;
mod preface;
mod proxy_protocol;
mod record;
mod relay;
mod response;
mod serve;
mod settings;
mod shared;
mod sockets;
mod stream;
pub mod tls;
mod trusted;
mod tunnel;
mod upload;
mod watch;
mod wire;
mod workers;

pub use listener::serve;
pub use settings::{Listen, Settings};
pub use shared::{Certificates, Means, Shared, Tunables};
pub use sockets::{Listeners, bind, can_bind};
pub use trusted::{TrustedHeader, TrustedHeaders};
pub use workers::Workers;
