//! What a route edits in requests and responses.

use http::HeaderValue;

use super::{FieldEdits, PathRewrite};

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
