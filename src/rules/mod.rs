//! Floor 1: pure rules. Values in, values out; no I/O, no clock.

pub mod claim;
pub mod claim_headers;
pub mod contract;
pub mod cors;
pub mod grpc;
pub mod issuer;
pub mod limit;
pub mod list;
pub mod policy;
pub mod profile;
pub mod realm;
pub mod rewrite;
pub mod route;
pub mod upgrade;
pub mod verifier;
