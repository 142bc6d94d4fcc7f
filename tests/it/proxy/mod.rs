//! The checking proxy, seen from both of its ends.

mod credentials;
mod framing;
mod headers;
mod internal;
mod live;
mod routing;
mod smuggling;
mod streaming;
mod upgrade;
mod upstreams;
