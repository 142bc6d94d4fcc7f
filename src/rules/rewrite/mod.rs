//! What a route changes of its requests and answers. Routes without a [`Rewrites`] change nothing.
//!
//! ```text
//! path      the authorised path, with another prefix
//! fields    header fields that are set and removed, and those that nobody may touch
//! names     names that servers could take for others, and fields that name another request
//! hop_by_hop  fields that speak about one connection
//! harden    what an answer gives away, and what it tells browsers
//! ```

mod fields;
mod harden;
mod hop_by_hop;
mod names;
mod path;

pub use fields::{Change, FieldEdits, Side, is_hop_by_hop, is_of_proxies, is_reserved, why_not};
pub use harden::{REVEALING, hardening};
pub use hop_by_hop::remove_hop_by_hop;
pub use names::{Dropped, MeantNames, OddNames, join_authorization, means_something, method_overrides};
pub use path::PathRewrite;

use http::HeaderValue;

/// What a route changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrites {
    /// The path that the upstream receives.
    pub path: Option<PathRewrite>,
    /// The `Host` that it receives.
    pub host: HostPolicy,
    /// Other fields that it receives.
    pub request: FieldEdits,
    /// Fields of its answers.
    pub response: FieldEdits,
    /// Whether answers are hardened.
    pub harden: bool,
}

/// What an upstream receives as `Host`, or `:authority` in HTTP/2. `X-Forwarded-Host` stays what the client sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    /// The client's.
    #[default]
    Keep,
    /// The server's own `host:port`.
    Server,
    /// This one.
    Named(HeaderValue),
}
