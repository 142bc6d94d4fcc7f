//! The checking proxy, seen from both of its ends.

mod cors;
mod credentials;
mod denials;
mod framing;
mod headers;
mod internal;
mod limits;
mod live;
mod methods;
mod names;
mod pairs;
mod rewrite;
mod routing;
mod shadow;
mod smuggling;
mod streaming;
mod upgrade;
mod ways;
