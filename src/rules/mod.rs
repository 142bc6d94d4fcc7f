//! Floor 1: pure rules. Values in, values out; no I/O, no clock, no pingora.

pub mod dialect;
pub mod issuer;
pub mod limit;
pub mod policy;
pub mod profile;
pub mod realm;
pub mod route;
