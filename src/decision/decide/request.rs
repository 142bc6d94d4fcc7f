//! A request's head, as a decision needs it.

use http::{HeaderMap, Method};

use crate::rules::route::{Host, InvalidHost};

/// The head of a request, as the decision needs it.
#[derive(Debug)]
pub struct Request<'h> {
    /// The method.
    pub method: &'h Method,
    /// The host, from [`Host::of`].
    pub host: Result<Host<'h>, InvalidHost>,
    /// The target's path, as received.
    pub path: &'h [u8],
    /// The target's query, as received.
    pub query: Option<&'h str>,
    /// The header fields.
    pub headers: &'h HeaderMap,
}
