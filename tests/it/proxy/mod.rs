//! The checking proxy, seen from both of its ends.

mod credentials;
mod framing;
mod headers;
mod internal;
mod routing;
mod shadow;
mod streaming;
mod upstreams;
