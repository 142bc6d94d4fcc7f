//! What an upstream would receive.

use serde::Serialize;

use super::super::{decision::Permit, site::ForwardToken};

/// What an upstream would receive.
#[derive(Debug, Serialize)]
pub struct Forwarded {
    /// The upstream's name.
    pub upstream: String,
    /// Its servers, as the config names them.
    pub servers: Vec<String>,
    /// The path that was authorised, as the route rewrites it, without its query.
    pub path: String,
    /// The identity headers, each with its value.
    pub headers: Vec<(String, String)>,
    /// What becomes of the client's token: `kept`, `dropped` or `exchanged`.
    pub token: &'static str,
}

impl Forwarded {
    /// What follows from `permit`.
    #[must_use]
    pub fn of(permit: &Permit<'_>) -> Self {
        let identity = permit.identity.as_ref().map(|identity| identity.identity.as_slice()).unwrap_or_default();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            upstream: permit.route.settings.upstream.to_string(),
            servers: permit.route.pool.servers().iter().map(|server| server.address().to_owned()).collect(),
            path: permit.upstream_path().unwrap_or_default().into_owned(),
            headers: identity.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            token: match permit.route.settings.forward_token {
                ForwardToken::Keep => "kept",
                ForwardToken::Drop => "dropped",
                ForwardToken::Internal => "exchanged",
            },
        }
    }
}
